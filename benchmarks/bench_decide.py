"""How often answers are wrong, and what they take: `python benchmarks/bench_decide.py`.

Simulated families of sizes, judged by the functions that judge a run: fixed repeats, repeats until
it is decided, and repeats that are added by hand. What the gate does is from `bench_gate.py`.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from greenbench.compare.designs import (
    Truth,
    by_hand,
    compare_designs,
    fixed_repeats,
    until_decided,
)
from greenbench.compare.noninferiority import Bools, Floats
from greenbench.compare.strategy_designs import Contenders, simulate
from greenbench.results.looks import BY_HAND, LEVEL, LOOKS, OUT

TOLERANCE = 1.0
NOISE = 0.95
"""Points a repeat: what sizes on digits have is 0.84 to 1.07."""
SHARED = 0.58
"""Correlation of sizes that meet the same data: 0.49 to 0.67."""
COSTS = (1.0, 2.0, 4.0, 8.0, 16.0)
AT_ONCE = 5000
SAVED = 1000
"""Experiments behind each figure of what looks save, which are slow, and need no more."""
HAND = {
    "3 more each time": tuple(range(3, 31, 3)),
    "5 more each time": tuple(range(5, 51, 5)),
    "half as many again": (4, 6, 9, 13, 20, 30, 45, 68, 102, 153),
    "as many again": (3, 6, 12, 24, 48, 96),
}
CONTESTS = {
    "two equal": Contenders((0.0, 0.0), SHARED),
    "three equal": Contenders((0.0, 0.0, 0.0), SHARED),
    "five equal": Contenders((0.0, 0.0, 0.0, 0.0, 0.0), SHARED),
    "two equal, one worse": Contenders((0.0, 0.0, -1.0), SHARED),
    "two equal, and the control": Contenders((0.0, 0.0), SHARED, control=0.0),
}
CONTESTED = 2000
"""Experiments behind each error of strategies, whose tests by ranks are slow."""
AT_LIMIT = {
    "two sizes": (-1.0, 0.0),
    "two sizes, the larger worse": (0.0, -1.0),
    "all smaller ones": (-1.0, -1.0, -1.0, -1.0, 0.0),
    "on both sides": (-1.0, -1.0, 0.0, -1.0, -1.0),
}
CLEAR = {
    "xs and s are worse": (-6.0, -3.0, 0.0, 0.0, 0.0),
    "xs is worse": (-5.0, 0.0, 0.0, 0.0, 0.0),
    "a slope": (-4.0, -2.0, -0.3, -0.1, 0.0),
    "only xl will do": (-8.0, -5.0, -3.0, -2.0, 0.0),
}


@dataclass(frozen=True)
class Error:
    """How often any look names a size that is at the tolerance below the best."""

    design: str
    truth: str
    paired: bool
    experiments: int
    error: float


@dataclass(frozen=True)
class Contested:
    """How often any look says that a strategy is above another that it is not above."""

    truth: str
    experiments: int
    error: float
    settled: float
    repeats: float


@dataclass(frozen=True)
class Saving:
    """What looks take, and a fixed design of equal power."""

    truth: str
    noise: float
    shared: float
    power: float
    repeats: float
    fixed_repeats: int | None
    energy_share: float | None


def share(truth: Truth, most: int, named: Callable[[Floats], Bools], experiments: int) -> float:
    """Return the share of experiments in which a wrong size is named."""
    wrong = 0
    for start in range(0, experiments, AT_ONCE):
        rng = np.random.default_rng([start, most, len(truth.means)])
        gains = truth.draw(min(AT_ONCE, experiments - start), most, rng)
        wrong += int((named(gains) & truth.is_wrong).any(axis=1).sum())
    return wrong / experiments


def errors(experiments: int) -> list[Error]:
    """Return the errors of all designs, where sizes are exactly at the tolerance."""
    found = []
    for name, means in AT_LIMIT.items():
        for shared in (0.0, SHARED):
            truth = Truth(means, NOISE, shared, TOLERANCE)
            paired = shared > 0

            def looked(gains: Floats, paired: bool = paired) -> Bools:
                return until_decided(gains, TOLERANCE, in_blocks=paired).is_named

            # What is slow, and far below, is simulated less.
            number = experiments if len(means) == 2 else max(experiments // 5, 1)
            error = share(truth, LOOKS[-1], looked, number)
            found.append(Error("until decided", name, paired, number, error))
            for added, repeats in HAND.items():

                def seen(
                    gains: Floats, paired: bool = paired, n: tuple[int, ...] = repeats
                ) -> Bools:
                    return by_hand(gains, TOLERANCE, n, in_blocks=paired)

                error = share(truth, repeats[-1], seen, number)
                found.append(Error(f"by hand, {added}", name, paired, number, error))
    return found


def savings(experiments: int) -> list[Saving]:
    """Return what looks take where the answer is clear."""
    found = []
    for name, means in CLEAR.items():
        for noise, shared in ((0.84, 0.0), (1.07, 0.0), (0.84, 0.67), (1.07, 0.49)):
            truth = Truth(means, noise, shared, TOLERANCE)
            rng = np.random.default_rng(1)
            each = compare_designs(truth, COSTS, min(experiments, SAVED), rng)
            told = (each.power, each.repeats, each.fixed_repeats, each.energy_share)
            found.append(Saving(name, noise, shared, *told))
    return found


def contests(experiments: int) -> list[Contested]:
    """Return how often looks at strategies err."""
    number = min(experiments, CONTESTED)
    found = []
    for place, (name, truth) in enumerate(CONTESTS.items()):
        each = simulate(truth, number, np.random.default_rng([3, place]))
        found.append(Contested(name, number, each.error, each.settled, each.repeats))
    return found


def repeats_for_80(experiments: int) -> dict[str, int | None]:
    """Return the repeats of each size that prove the right one in 80%, paired and not."""
    return {
        name: fixed_repeats(
            Truth(CLEAR["xs and s are worse"], NOISE, shared, TOLERANCE),
            0.8,
            min(experiments, AT_ONCE),
            np.random.default_rng(2),
        )
        for name, shared in (("unpaired", 0.0), ("paired", SHARED))
    }


@click.command()
@click.option("--simulations", default=100_000, show_default=True)
@click.option("--output", type=click.Path(path_type=Path))
def main(simulations: int, output: Path | None) -> None:
    """Print the tables, and write them as JSON."""
    headline: dict[str, float] = {}
    with suppress(ImportError):
        # The name of this script's folder is on the path, not in a package.
        from bench_gate import headline as of_gate  # noqa: PLC0415

        headline = of_gate(simulations)
    wrong, saved, needed = errors(simulations), savings(simulations), repeats_for_80(simulations)
    contested = contests(simulations)
    for contest in contested:
        click.echo(f"{contest.truth:<28} {contest.error:.2%} {contest.repeats:.1f}")
    for error in wrong:
        click.echo(f"{error.design:<28} {error.truth:<28} {error.paired!s:<6} {error.error:.2%}")
    for saving in saved:
        click.echo(
            f"{saving.truth:<20} {saving.noise} {saving.shared} {saving.power:.1%} "
            f"{saving.repeats:.1f} {saving.fixed_repeats} {saving.energy_share}"
        )
    click.echo(needed)
    found = {
        **headline,
        "size_error": max(each.error for each in wrong),
        "strategy_error": max(each.error for each in contested),
        "size_repeats_for_80": needed["paired"],
        "size_repeats_for_80_unpaired": needed["unpaired"],
        "model": {"noise": NOISE, "shared": SHARED, "tolerance": TOLERANCE, "costs": COSTS},
        "levels": {"looks": LOOKS, "level": LEVEL, "out": OUT, "by_hand": BY_HAND},
        "errors": [asdict(each) for each in wrong],
        "strategy_errors": [asdict(each) for each in contested],
        "savings": [asdict(each) for each in saved],
    }
    if output:
        output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
