"""How often the gate's rules for noisy costs are wrong: `python benchmarks/bench_gate.py`.

Simulated sessions: energies are log-normal, with a level that each session has of its own. Plain
rules that are in use elsewhere are put beside ours.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from greenbench.gate.bounds import SESSIONS
from greenbench.gate.limits import SESSION_NOISE
from greenbench.gate.rules import judge_cost, judge_increase, judge_turns

Floats = NDArray[np.float64]
Rule = Callable[["Noise", float, np.random.Generator], bool]

SAMPLES = 5
WITHIN = 0.05
ALLOWED = 1.1


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the logarithm of an energy."""

    within: float
    between: float

    def session(self, cost: float, rng: np.random.Generator) -> Floats:
        """Return the samples of one session."""
        level = rng.normal(np.log(cost), self.between)
        return np.exp(rng.normal(level, self.within, SAMPLES))


@dataclass(frozen=True)
class Cell:
    """One rule at one noise: how often it fails a build, as shares of the sessions."""

    rule: str
    between: float
    sessions: int
    unchanged: float
    at_the_limit: float
    grown_by_20: float
    grown_by_50: float


def interleaved(noise: Noise, growth: float, rng: np.random.Generator, drift: float = 1.0) -> bool:
    """Measure both revisions alternately, in one session."""
    pace = np.linspace(0, np.log(drift), 2 * SAMPLES)
    rounds = np.exp(rng.normal(pace, noise.within)).reshape(SAMPLES, 2)
    # Which of the two comes first is random.
    new, old = (rng.permuted(rounds, axis=1) * (growth, 1.0)).T.tolist()
    return judge_turns(new, old, list(zip(new, old, strict=True)), ALLOWED).is_violated is True


def drifting(noise: Noise, growth: float, rng: np.random.Generator) -> bool:
    """Measure both alternately, on a machine that is four times as slow at the end."""
    return interleaved(noise, growth, rng, drift=4.0)


def stored(noise: Noise, growth: float, rng: np.random.Generator) -> bool:
    """Compare with one stored session; noise between sessions is assumed."""
    new, old = noise.session(growth, rng), noise.session(1.0, rng)
    found = judge_increase(new.tolist(), {"s": old.tolist()}, ALLOWED, SESSION_NOISE)
    return found.is_violated is True


def history(noise: Noise, growth: float, rng: np.random.Generator) -> bool:
    """Compare with several stored sessions, which show their noise."""
    old = {str(each): noise.session(1.0, rng).tolist() for each in range(2 * SESSIONS)}
    new = noise.session(growth, rng).tolist()
    return judge_increase(new, old, ALLOWED, SESSION_NOISE).is_violated is True


def absolute(noise: Noise, growth: float, rng: np.random.Generator) -> bool:
    """Compare with a budget of the cost itself and 10%."""
    return (
        judge_cost(noise.session(growth, rng).tolist(), ALLOWED, SESSION_NOISE).is_violated is True
    )


def plain_mean(noise: Noise, growth: float, rng: np.random.Generator) -> bool:
    """Fail if the mean grew by over 10%; not a rule of ours."""
    return bool(noise.session(growth, rng).mean() > ALLOWED * noise.session(1.0, rng).mean())


def plain_ranks(noise: Noise, growth: float, rng: np.random.Generator) -> bool:
    """Fail if a Mann-Whitney test at 5% says so; not a rule of ours."""
    new, old = noise.session(growth, rng), noise.session(1.0, rng)
    return bool(mannwhitneyu(new, old, alternative="greater").pvalue < 0.05)


RULES: Mapping[str, Rule] = {
    "interleaved": interleaved,
    "interleaved, fourfold drift": drifting,
    "stored baseline": stored,
    "ten stored sessions": history,
    "absolute budget": absolute,
    "mean + 10% (not ours)": plain_mean,
    "Mann-Whitney at 5% (not ours)": plain_ranks,
}


def simulate(rule: str, between: float, sessions: int) -> Cell:
    """Return how often a rule fails a build.

    Parameters
    ----------
    rule : str
        A key of `RULES`.
    between : float
        Noise between sessions.
    sessions : int
        Builds to simulate for each growth.
    """
    growths = (1.0, ALLOWED, 1.2, 1.5)
    return Cell(rule, between, sessions, *(share(rule, between, g, sessions) for g in growths))


def share(rule: str, between: float, growth: float, sessions: int) -> float:
    """Return the share of builds that a rule fails if the cost grew by a ratio."""
    rng = np.random.default_rng([round(1000 * growth), round(1000 * between), *rule.encode()])
    noise = Noise(WITHIN, between)
    return sum(RULES[rule](noise, growth, rng) for _ in range(sessions)) / sessions


@click.command()
@click.option("--sessions", default=10_000, show_default=True)
@click.option("--output", type=click.Path(path_type=Path))
def main(sessions: int, output: Path | None) -> None:
    """Print the table, and write it as JSON."""
    cells = [simulate(rule, between, sessions) for rule in RULES for between in (0.05, 0.10)]
    for cell in cells:
        click.echo(
            f"{cell.rule:<32} {cell.between:>4.0%} {cell.unchanged:>7.2%} "
            f"{cell.at_the_limit:>7.2%} {cell.grown_by_20:>7.2%} {cell.grown_by_50:>7.2%}"
        )
    if output:
        model = {"samples": SAMPLES, "within": WITHIN, "allowed": ALLOWED}
        found = {**model, "cells": [asdict(cell) for cell in cells]}
        output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
