"""How often the gate errs, and how soon it knows: `python benchmarks/bench_gate.py`.

Simulated costs are log-normal unless a table says else. All tables come from the gate's own
rules; plain rules that are in use elsewhere are put beside them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from math import log, log1p, sqrt
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from greenbench.gate.bounds import SESSIONS
from greenbench.gate.limits import FEWEST_PAIRS, MOST_PAIRS, SESSION_NOISE
from greenbench.gate.rules import judge_cost, judge_increase
from greenbench.gate.sequential import (
    NOMINAL,
    Looks,
    decide,
    is_new_first,
    looks,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SAMPLES = 5
WITHIN = 0.05
ALLOWED = 1.1
GROWTHS = (1.0, 1.05, 1.1, 1.15, 1.2, 1.3)
FIRST = np.array([is_new_first(number) for number in range(MOST_PAIRS)])
CHUNK = 20_000
"""Simulations at once: as many as fit into a cache."""


@dataclass(frozen=True)
class Weather:
    """What a machine does to the costs of both revisions in one session.

    Attributes
    ----------
    name : str
        For the table.
    cv : float
        Coefficient of variation within a session.
    kind : str
        ``normal`` logarithms, ``t3`` of three degrees and that standard deviation, or
        ``outliers``: 5% of samples cost half as much again.
    drift : float
        By which factor the machine gets slower during five pairs.
    """

    name: str
    cv: float
    kind: str = "normal"
    drift: float = 1.0

    def costs(self, count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return the logarithms of what two equal revisions cost, (count, pairs) each."""
        shape = (count, MOST_PAIRS, 2)
        scale = sqrt(log1p(self.cv**2))
        if self.kind == "t3":
            noise = rng.standard_t(3, shape) * (scale / sqrt(3))
        else:
            noise = rng.normal(0.0, scale, shape)
        if self.kind == "outliers":
            noise += np.where(rng.random(shape) < 0.05, log(1.5), 0.0)
        pace = log(self.drift) / (2 * SAMPLES - 1) * np.arange(2 * MOST_PAIRS)
        turns = noise + pace.reshape(MOST_PAIRS, 2)
        first, second = turns[..., 0], turns[..., 1]
        return np.where(FIRST, first, second), np.where(FIRST, second, first)


WEATHERS = (
    Weather("noise 2%", 0.02),
    Weather("noise 5%", 0.05),
    Weather("noise 10%", 0.10),
    Weather("noise 5%, heavy tails (t3)", 0.05, "t3"),
    Weather("noise 5%, 5% of +50% outliers", 0.05, "outliers"),
    Weather("noise 5%, fourfold drift", 0.05, drift=4.0),
)


@dataclass(frozen=True)
class Turn:
    """Two revisions in turn, in one weather: verdicts as shares, and pairs on average."""

    weather: str
    growth: float
    violated: float
    kept: float
    pairs: float


@dataclass(frozen=True)
class Fixed:
    """Two revisions in turn, judged once, after a number of pairs: shares that are violated."""

    weather: str
    pairs: int
    unchanged: float
    grown_by_20: float


@dataclass(frozen=True)
class Build:
    """Builds of several noisy limits: shares that fail."""

    rule: str
    limits: int
    allowed: float
    unchanged: float
    one_case_beyond: float
    all_beyond: float


@dataclass(frozen=True)
class StoredBuild:
    """Builds of several noisy limits that are compared with stored sessions."""

    rule: str
    limits: int
    allowed: float
    unchanged: float


@dataclass(frozen=True)
class Cell:
    """One rule for sessions at one noise between them: shares that are violated."""

    rule: str
    between: float
    unchanged: float
    at_the_limit: float
    grown_by_20: float
    grown_by_50: float


def chunks(count: int, size: int = CHUNK) -> list[int]:
    """Return how many simulations there are in each chunk."""
    return [min(size, count - start) for start in range(0, count, size)]


def grown(found: Looks, ratio: float) -> Looks:
    """Return what would have been seen had the cost grown by a ratio; its errors are the same."""
    return replace(found, growth=found.growth + log(ratio))


def in_turn(weather: Weather, count: int, growths: Sequence[float] = GROWTHS) -> list[Turn]:
    """Return how the sequential rule judges growths, in `count` simulations each."""
    rng = np.random.default_rng([1, *weather.name.encode()])
    sums = np.zeros((len(growths), 3))
    for size in chunks(count):
        seen = looks(*weather.costs(size, rng), FIRST)
        for place, growth in enumerate(growths):
            found = decide(grown(seen, growth), log(ALLOWED))
            verdicts = found.is_violated, found.is_kept, found.pairs
            sums[place] += [each.sum() for each in verdicts]
    shares = (sums / count).tolist()
    return [Turn(weather.name, each, *row) for each, row in zip(growths, shares, strict=True)]


def grown_at_all(weather: Weather, count: int) -> list[Turn]:
    """Return how a rule judges that stops when it is sure that the cost grew; not one of ours.

    Violated is p <= 0.0030 of no growth, kept p <= 0.052 of the limit or more, at each look.
    """
    seen, turns = looks(*weather.costs(count, np.random.default_rng(4)), FIRST), []
    due = np.arange(MOST_PAIRS) >= FEWEST_PAIRS - 1
    freedom = np.maximum(seen.freedom, 1)
    below, above = (stats.t.isf(level, freedom) * seen.error for level in (0.0030, 0.052))
    for growth in GROWTHS:
        middle = seen.growth + log(growth)
        fails, passes = (middle > below) & due, (middle + above <= log(ALLOWED)) & due
        ends = fails | passes
        last = np.where(ends.any(axis=1), ends.argmax(axis=1), MOST_PAIRS - 1)
        row = np.arange(count)
        shares = fails[row, last].mean(), (passes & ~fails)[row, last].mean(), last.mean() + 1
        turns.append(Turn(weather.name, growth, *map(float, shares)))
    return turns


def fixed(weather: Weather, pairs: int, count: int) -> Fixed:
    """Return what a single look after some pairs finds, at 98% and 95%."""
    costs = weather.costs(count, np.random.default_rng(pairs))
    new, old = (each[:, :pairs] for each in costs)
    seen = looks(new, old, FIRST[:pairs])
    growth, error, freedom = (each[:, -1] for each in (seen.growth, seen.error, seen.freedom))
    real, beyond = (stats.t.isf(level, freedom) * error for level in (0.02, 0.05))

    def violated(ratio: float) -> float:
        middle = growth + log(ratio)
        return float(((middle > beyond + log(ALLOWED)) & (middle > real)).mean())

    return Fixed(weather.name, pairs, violated(1.0), violated(1.2))


def builds(count: int, limits: Sequence[int] = (1, 6, 15, 30)) -> list[Build]:
    """Return how often builds fail by each rule, with limits on CPU time and energy of cases.

    The noise of the two correlates with 0.9 within a case. *Beyond* is a growth by 10 points more
    than is allowed. ``CPU time first`` looks at energies where some CPU time is violated, which
    fails the build anyway.
    """
    rng = np.random.default_rng(2)
    fails: dict[tuple[str, int, float], Floats] = {
        key: np.zeros(3) for key in product(FAMILIES, limits, (1.0, ALLOWED))
    }
    for size in chunks(count, CHUNK // 10):
        seen = _limits(max(limits), size, rng)
        for (rule, number, allowed), sums in fails.items():
            family = FAMILIES[rule](number)
            chosen = seen[:number:2] if rule == "CPU time first" else seen[:number]
            per_case = 1 if rule == "CPU time first" else 2

            def failing(
                found: Looks, ratio: float, allowed: float = allowed, family: int = family
            ) -> Bools:
                return decide(grown(found, ratio), log(allowed), family=family).is_violated

            calm = np.array([failing(each, 1.0) for each in chosen])
            grew = np.array([failing(each, allowed + 0.1) for each in chosen])
            one = np.concatenate([grew[:per_case], calm[per_case:]])
            sums += [each.any(axis=0).sum() for each in (calm, one, grew)]
    return [Build(*key, *(sums / count).tolist()) for key, sums in fails.items()]


FAMILIES: Mapping[str, Callable[[int], int]] = {
    "each for itself": lambda limits: 1,
    "all together": lambda limits: limits,
    "CPU time first": lambda limits: (limits + 1) // 2,
}


def _limits(number: int, count: int, rng: np.random.Generator) -> list[Looks]:
    """Return what is seen of CPU time and energy of case after case."""
    weather, found = Weather("", WITHIN), []
    for _ in range((number + 1) // 2):
        shared, *own = (np.stack(weather.costs(count, rng)) for _ in range(3))
        costs = [sqrt(0.9) * shared + sqrt(0.1) * each for each in own]
        found += [looks(new, old, FIRST) for new, old in costs]
    return found[:number]


STORED: Mapping[str, int] = {
    "stored baseline": 1,
    "ten stored sessions": 2 * SESSIONS,
    "absolute budget": 0,
    "mean + 10% (not ours)": 1,
    "Mann-Whitney at 5% (not ours)": 1,
}
"""Rules for results of sessions, and how many sessions each compares with."""


def cell(rule: str, between: float, count: int) -> Cell:
    """Return how often a rule for stored sessions finds a violation."""
    growths = (1.0, ALLOWED, 1.2, 1.5)
    shares = [violated(rule, between, growth, count).mean() for growth in growths]
    return Cell(rule, between, *map(float, shares))


def violated(
    rule: str, between: float, growth: float, count: int, *, family: int = 1, allowed: float = 1.1
) -> Bools:
    """Return in which of `count` sessions a rule finds a violation.

    Parameters
    ----------
    rule : str
        A key of `STORED`.
    between : float
        Noise between sessions.
    growth : float
        The ratio by which the cost grew.
    count : int
        Sessions that are judged.
    family : int
        Noisy limits of a build.
    allowed : float
        The ratio that is allowed.
    """
    rng = np.random.default_rng([round(1000 * growth), round(1000 * between), *rule.encode()])
    new, *old = (
        np.exp(rng.normal(rng.normal(log(cost), between, (count, 1)), WITHIN, (count, SAMPLES)))
        for cost in (growth, *(1.0 for _ in range(STORED[rule])))
    )
    if rule == "mean + 10% (not ours)":
        return np.asarray(new.mean(axis=1) > ALLOWED * old[0].mean(axis=1))
    if rule == "Mann-Whitney at 5% (not ours)":
        found = stats.mannwhitneyu(new, old[0], alternative="greater", axis=1, method="exact")
        return np.asarray(found.pvalue < 0.05)

    def is_violated(row: int) -> bool:
        samples = new[row].tolist()
        if not old:
            return judge_cost(samples, allowed, SESSION_NOISE).is_violated is True
        sessions = {str(number): each[row].tolist() for number, each in enumerate(old)}
        judged = judge_increase(samples, sessions, allowed, SESSION_NOISE, family=family)
        return judged.is_violated is True

    return np.array([is_violated(row) for row in range(count)])


def stored_builds(rule: str, limits: int, allowed: float, count: int) -> float:
    """Return the share of builds of unchanged code that a rule for stored sessions violates."""
    found = violated(rule, 0.10, 1.0, count * limits, family=limits, allowed=allowed)
    return float(found.reshape(count, limits).any(axis=1).mean())


def headline(simulations: int) -> dict[str, float]:
    """Return the figures that sum up the gate.

    Parameters
    ----------
    simulations : int
        For each figure.

    Returns
    -------
    dict of str to float
        ``gate_false_alarms_per_build``: share of builds of unchanged code that fail, of 15 noisy
        limits that allow no growth. ``gate_pairs_unchanged_cv5``: mean pairs until the limit of
        10% of unchanged code is decided, at a noise of 5%. ``gate_power_20_cv5``: share of growths
        by 20% that are found there.
    """
    turns = in_turn(WEATHERS[1], simulations, (1.0, 1.2))
    return _headline(turns, builds(simulations, (15,)))


def _headline(turns: Sequence[Turn], found: Sequence[Build]) -> dict[str, float]:
    calm = {each.growth: each for each in turns if each.weather == WEATHERS[1].name}
    of_builds = {(each.rule, each.limits, each.allowed): each for each in found}
    return {
        "gate_false_alarms_per_build": of_builds["all together", 15, 1.0].unchanged,
        "gate_pairs_unchanged_cv5": calm[1.0].pairs,
        "gate_power_20_cv5": calm[1.2].violated,
    }


def calibrate(simulations: int) -> dict[float, float]:
    """Return the levels at each look that hold the errors of `NOMINAL` over all looks."""
    rng, least = np.random.default_rng(3), []
    for size in chunks(simulations):
        seen = looks(*Weather("", 1.0).costs(size, rng), FIRST)
        freedom = seen.freedom[:, FEWEST_PAIRS - 1 :]
        ratios = seen.growth[:, FEWEST_PAIRS - 1 :] / seen.error[:, FEWEST_PAIRS - 1 :]
        least.append(np.asarray(stats.t.sf(ratios, freedom)).min(axis=1))
    return {error: float(np.quantile(np.concatenate(least), error)) for error in NOMINAL[0]}


@click.command()
@click.option("--simulations", default=100_000, show_default=True, help="A cell, in turn.")
@click.option("--number", default=5_000, show_default=True, help="Builds a cell.")
@click.option("--sessions", default=4_000, show_default=True, help="A cell, of stored ones.")
@click.option("--calibrate", "is_calibrating", is_flag=True, help="Print levels for NOMINAL.")
@click.option("--output", type=click.Path(path_type=Path))
def main(
    simulations: int, number: int, sessions: int, is_calibrating: bool, output: Path | None
) -> None:
    """Print the tables, and write them as JSON."""
    if is_calibrating:
        for error, level in calibrate(simulations).items():
            click.echo(f"{error:g} {level:.3g}")
        return
    turns = [turn for weather in WEATHERS for turn in in_turn(weather, simulations)]
    hasty = [turn for weather in WEATHERS[:3] for turn in grown_at_all(weather, simulations // 10)]
    singles = [
        fixed(WEATHERS[place], pairs, simulations // 10)
        for place, pairs in ((1, 5), (1, 8), (-1, 5), (-1, 8), (2, 20))
    ]  # fmt: skip
    together = builds(number)
    of_stored = [
        StoredBuild(rule, limits, allowed, stored_builds(rule, limits, allowed, sessions // 10))
        for rule in list(STORED)[:2] for limits in (1, 6, 15, 30) for allowed in (1.0, ALLOWED)
    ]  # fmt: skip
    cells = [cell(rule, between, sessions) for rule in STORED for between in (0.05, 0.10)]
    tables: dict[str, list[Any]] = {
        "turns": turns, "grown_at_all": hasty, "fixed": singles, "build": together,
        "stored_build": of_stored, "cells": cells,
    }  # fmt: skip
    found = {
        **_headline(turns, together),
        "simulations": simulations, "builds": number, "sessions": sessions,
        "stored_builds": sessions // 10, "samples": SAMPLES, "within": WITHIN, "allowed": ALLOWED,
        **{name: [asdict(each) for each in rows] for name, rows in tables.items()},
    }  # fmt: skip
    text = json.dumps(found, indent=1)
    click.echo(text)
    if output:
        output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
