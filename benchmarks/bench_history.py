"""How often `greenbench gate --history` is wrong: `python benchmarks/bench_history.py`.

Simulated sessions, one energy each: without a step, on machines of several kinds, and with one.
The rule of earlier versions, which took sessions for independent, is put beside ours.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from ruptures import KernelCPD
from scipy.stats import ttest_ind_from_stats

from greenbench.gate.changepoints import CONFIRMING, find_places, medians_of, noise_of
from greenbench.gate.controlled import controlled

Floats = NDArray[np.float64]
Machine = Callable[[np.random.Generator, int, float], tuple[Floats, Floats]]
"""Returns logarithms of the machine's level and of noise, a point a session."""
Rule = Callable[[Floats, Floats], tuple[int, ...]]
"""Returns places, from energies and those of the control workload."""

SMALLEST = 0.05
NOISES = (0.03, 0.08)
LENGTHS = (10, 20, 40, 80)
STEPS = (0.1, 0.2, 0.5)
BEFORE, AFTER = 20, 20
CONTROL_NOISE = 0.03


@dataclass(frozen=True)
class FalseSteps:
    """Share of series without a step that get one, by a rule, a machine, and a noise."""

    rule: str
    machine: str
    noise: float
    shares: Mapping[int, float]


@dataclass(frozen=True)
class Power:
    """Share of series whose step, in the middle, is found within a session, by their length."""

    rule: str
    noise: float
    step: float
    shares: Mapping[int, float]
    sessions_until_found: float | None


def steady(rho: float, rng: np.random.Generator, n: int, noise: float) -> tuple[Floats, Floats]:
    """Return noise whose neighbours are correlated, on a machine that stays what it is."""
    shocks = rng.normal(0, noise, n)
    levels = shocks.copy()
    for i in range(1, n):
        levels[i] = rho * levels[i - 1] + math.sqrt(1 - rho**2) * shocks[i]
    return np.zeros(n), levels


def in_states(
    gap: float, stay: float, rng: np.random.Generator, n: int, noise: float
) -> tuple[Floats, Floats]:
    """Return a machine in one of two states, which it keeps from one session to the next or not."""
    changes = np.r_[rng.random() < 0.5, rng.random(n - 1) >= stay]
    return math.log1p(gap) * (np.cumsum(changes) % 2), rng.normal(0, noise, n)


def drifting(drift: float, rng: np.random.Generator, n: int, noise: float) -> tuple[Floats, Floats]:
    """Return a machine that changes steadily."""
    return math.log1p(drift) * np.linspace(0, 1, n), rng.normal(0, noise, n)


MACHINES: Mapping[str, Machine] = {
    "independent sessions": partial(steady, 0.0),
    "correlated, 0.3": partial(steady, 0.3),
    "correlated, 0.6": partial(steady, 0.6),
    "drift of 10%": partial(drifting, 0.1),
    "drift of 20%": partial(drifting, 0.2),
    "two states 5% apart, by chance": partial(in_states, 0.05, 0.5),
    "two states 10% apart, by chance": partial(in_states, 0.10, 0.5),
    "two states 5% apart, kept 4 times in 5": partial(in_states, 0.05, 0.8),
    "two states 10% apart, kept 4 times in 5": partial(in_states, 0.10, 0.8),
    "two states 20% apart, kept 9 times in 10": partial(in_states, 0.20, 0.9),
}


def plain(energies: Floats, control: Floats) -> tuple[int, ...]:
    """Take sessions for independent: t-tests, as in earlier versions; no rule of ours."""
    levels, least = np.log(energies), SMALLEST / 5
    penalty = 3 * noise_of(levels, least) ** 2 * math.log(len(levels))
    search = KernelCPD(kernel="linear", min_size=CONFIRMING).fit(levels.reshape(-1, 1))
    places = [int(place) for place in search.predict(pen=penalty)[:-1]]
    while places:
        parts = [
            (part.mean(), max(part.std(ddof=1), least), len(part))
            for part in np.split(levels, places)
        ]
        doubts = [
            float(ttest_ind_from_stats(*one, *other).pvalue) * (len(levels) - 2 * CONFIRMING + 1)
            for one, other in pairwise(parts)
        ]
        sizes = [abs(b / a - 1) for a, b in pairwise(medians_of(energies, places))]
        doubts = [d if s >= SMALLEST else math.inf for d, s in zip(doubts, sizes, strict=True)]
        if max(doubts) <= 0.02:
            break
        del places[doubts.index(max(doubts))]
    return tuple(places)


def without_control(energies: Floats, control: Floats) -> tuple[int, ...]:
    """Find steps where no session has run a control workload."""
    return find_places(energies, SMALLEST, is_ratio=True, has_states=True).places


def with_control(energies: Floats, control: Floats) -> tuple[int, ...]:
    """Find steps where each session has run the control workload."""
    found = controlled(energies, control.tolist(), SMALLEST)
    has_states = not found.shows_states
    return find_places(found.values, SMALLEST, is_ratio=True, has_states=has_states).places


RULES: Mapping[str, Rule] = {
    "with control": with_control,
    "without control": without_control,
    "earlier versions": plain,
}


def series(
    machine: Machine, n: int, noise: float, simulations: int, seed: tuple[int, ...]
) -> Iterator[tuple[Floats, Floats]]:
    """Yield energies and those of the control, which the machine affects alike."""
    rng = np.random.default_rng([n, round(1000 * noise), *seed])
    for _ in range(simulations):
        level, own = machine(rng, n, noise)
        yield np.exp(level + own), np.exp(level + rng.normal(0, CONTROL_NOISE, n))


def false_steps(rule: str, machine: str, noise: float, simulations: int) -> FalseSteps:
    """Return how often a rule finds a step where there is none."""
    shares = {}
    for n in LENGTHS:
        found = series(MACHINES[machine], n, noise, simulations, tuple(machine.encode()))
        shares[n] = sum(bool(RULES[rule](*each)) for each in found) / simulations
    return FalseSteps(rule, machine, noise, shares)


def power(rule: str, noise: float, step: float, simulations: int) -> Power:
    """Return how often a rule finds a step of independent sessions, and how soon."""
    shares = {}
    for n in LENGTHS:
        place = n // 2
        grown = np.repeat([1.0, 1 + step], [place, n - place])
        found = (
            RULES[rule](energies * grown, control)
            for energies, control in series(partial(steady, 0.0), n, noise, simulations, (1,))
        )
        shares[n] = sum(any(abs(x - place) <= 1 for x in each) for each in found) / simulations
    return Power(rule, noise, step, shares, _until_found(rule, noise, step, simulations // 5))


def _until_found(rule: str, noise: float, step: float, simulations: int) -> float | None:
    """Return the median number of sessions from a step on until it is found, if it ever is."""
    grown = np.repeat([1.0, 1 + step], [BEFORE, AFTER])
    waits = []
    for energies, control in series(partial(steady, 0.0), BEFORE + AFTER, noise, simulations, (2,)):
        lengths = range(CONFIRMING, AFTER + 1)
        looks = (
            n
            for n in lengths
            if RULES[rule]((energies * grown)[: BEFORE + n], control[: BEFORE + n])
        )
        waits.append(next(looks, math.inf))
    median = float(np.median(waits))
    return median if math.isfinite(median) else None


@click.command()
@click.option("--simulations", default=2000, show_default=True)
@click.option("--output", type=click.Path(path_type=Path))
def main(simulations: int, output: Path | None) -> None:
    """Print both tables, and write them as JSON."""
    with ProcessPoolExecutor(2) as pool:
        quiet = [
            pool.submit(false_steps, rule, machine, noise, simulations)
            for machine in MACHINES for rule in RULES for noise in NOISES
        ]  # fmt: skip
        found = [
            pool.submit(power, rule, noise, step, simulations // 2)
            for noise in NOISES for step in STEPS for rule in RULES
        ]  # fmt: skip
        cells = [asdict(each.result()) for each in quiet] + [
            asdict(each.result()) for each in found
        ]
    for cell in cells:
        click.echo(json.dumps(cell))
    if output:
        told = {
            "simulations": simulations,
            "power_simulations": simulations // 2,
            "control_noise": CONTROL_NOISE,
            "false_steps": cells[: len(quiet)],
            "power": cells[len(quiet) :],
        }
        output.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
