"""How often intervals hold the truth, and how often unchanged variants are said to differ.

    python benchmarks/bench_intervals.py [--simulations 100000]

Simulated with greenbench's own functions; `docs/explanation/statistics.md` has the tables that this
prints. Takes half a minute of CPU time.
"""

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from greenbench.compare.paired_means import student
from greenbench.compare.stats import around_median

Floats = NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Floats]

ALPHA = 0.05
BASE = 0.05
"""Coefficient of variation, about, where none is named."""
OUTLIERS, OUTLIER = 0.05, 1.5

SAMPLES: dict[str, tuple[Noise, float]] = {
    "normal": (lambda draw, size: draw.normal(size=size), 0.0),
    "lognormal": (lambda draw, size: draw.lognormal(size=size), 1.0),
    "Student's t, 3 df": (lambda draw, size: draw.standard_t(3, size=size), 0.0),
}
"""Noise of samples, and its true median."""


def _of_cv(cv: float) -> Noise:
    return lambda draw, size: np.log(1 + cv * draw.normal(size=size))


def _with_outliers(draw: np.random.Generator, size: tuple[int, ...]) -> Floats:
    factors: Floats = np.where(draw.random(size) < OUTLIERS, OUTLIER, 1.0)
    logs: Floats = _of_cv(BASE)(draw, size) + np.log(factors)
    return logs


LOGS: dict[str, Noise] = {
    "normal, CV 2%": _of_cv(0.02),
    "normal, CV 5%": _of_cv(0.05),
    "normal, CV 10%": _of_cv(0.1),
    "Student's t, 3 df": lambda draw, size: BASE * draw.standard_t(3, size=size),
    "exponential": lambda draw, size: BASE * draw.exponential(size=size),
    "5% of samples +50%": _with_outliers,
}
"""Noise of the logarithms of samples."""


def medians(draw: np.random.Generator, simulations: int) -> None:
    """Print how often ranges and intervals of the median hold it."""
    print("| noise | n = 3 | n = 4 | n = 5 | n = 6 | n = 10 | n = 20 |")
    for name, (noise, median) in SAMPLES.items():
        cells = []
        for n in (3, 4, 5, 6, 10, 20):
            low, high, _ = around_median(noise(draw, (simulations, n)))
            cells.append(f"{np.mean((low <= median) & (median <= high)):.1%}")
        print(f"| {name} | {' | '.join(cells)} |")


def ratios(draw: np.random.Generator, simulations: int) -> None:
    """Print how often intervals of ratios hold the truth, which is 1."""
    print("\n| noise of a sample | n = 2 | n = 3 | n = 5 | n = 10 |")
    for name, noise in LOGS.items():
        cells = []
        for n in (2, 3, 5, 10):
            size = (simulations, n)
            cells.append(_covered(noise(draw, size) - noise(draw, size)))
        print(f"| {name} | {' | '.join(cells)} |")
    cells = []
    for n in (2, 3, 5, 10):
        size = (simulations, n)
        # Whoever runs first takes 5% more; otherwise samples vary by 1.4%.
        cells.append(_covered(BASE * draw.choice((-1.0, 1.0), size) + draw.normal(0, 0.02, size)))
    print(f"| the order within a pair counts, ±5% | {' | '.join(cells)} |")


def _covered(logs: Floats) -> str:
    low, high, _ = student(logs)
    return f"{np.mean((low <= 0) & (high >= 0)):.1%}"


def families(draw: np.random.Generator, simulations: int) -> None:
    """Print how often an answer says "differs", where nothing does."""
    shapes = ((1, 1), (1, 3), (2, 3), (3, 4))
    heads = (f"{groups * variants}" for groups, variants in shapes)
    print(f"\n| noise of a sample | n | {' | '.join(heads)} |")
    for name, noise in LOGS.items():
        for n in (3, 5, 10):
            cells = []
            for groups, variants in shapes:
                baseline = noise(draw, (simulations, groups, 1, n))
                logs = noise(draw, (simulations, groups, variants, n)) - baseline
                p = student(logs.reshape(simulations, groups * variants, n))[2]
                if groups > 1:
                    overall = student(logs.mean(axis=-1).swapaxes(1, 2))[2]
                    p = np.hstack([p, overall])
                # Holm's correction leaves one if the least p, times their number, is below 5%.
                cells.append(f"{np.mean(p.min(axis=1) * p.shape[1] < ALPHA):.1%}")
            print(f"| {name} | {n} | {' | '.join(cells)} |")


def scores(draw: np.random.Generator, simulations: int) -> None:
    """Print the same of one comparison of scores that have few steps."""
    print("\n| step over standard deviation | n = 3 | n = 5 | n = 10 |")
    for step in (0.3, 1.0, 3.0):
        cells = []
        for n in (3, 5, 10):
            one, other = (np.round(draw.normal(size=(simulations, n)) / step) for _ in range(2))
            p = student(one - other, is_counted=True)[2]
            cells.append(f"{np.mean(p < ALPHA):.1%}")
        print(f"| {step:g} | {' | '.join(cells)} |")


def main() -> None:
    """Simulate, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=100_000)
    simulations = parser.parse_args().simulations
    for number, table in enumerate((medians, ratios, families, scores)):
        table(np.random.default_rng(number), simulations)


if __name__ == "__main__":
    main()
