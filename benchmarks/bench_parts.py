"""What single parts cost on this machine, beside the most that they may: `python bench_parts.py`.

    python benchmarks/bench_parts.py --output parts.json

proposal_ms
    A proposal of a Bayesian search of 32 trials, told included; small beside a training of 1 s.
draw_ms
    A draw of a Sobol search.
fit_ms
    The saturation of a family of sizes, with its resamples.
history_s
    The steps of 20 cases in 1000 sessions.

All are CPU time: the median of some rounds, on a machine that does nothing else.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from greenbench.compare.fit import fit_saturation
from greenbench.gate.history import find_steps
from greenbench.strategies import EnergyAware, Strategy
from greenbench.strategies.bayesian import (
    BayesianCostStrategy,
    BayesianPIStrategy,
    BayesianStrategy,
)
from greenbench.strategies.sobol import SobolStrategy
from greenbench.strategies.spaces import ADAM

ROUNDS = 5
TRIALS = 32
BARS = {"proposal_ms": 50.0, "draw_ms": 2.0, "fit_ms": 100.0, "history_s": 8.0}
BAYESIAN: tuple[Callable[..., Strategy], ...] = (
    BayesianStrategy,
    BayesianPIStrategy,
    BayesianCostStrategy,
)


def main() -> None:
    """Measure, and say what is above its bar."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="JSON file; default: print")
    options = parser.parse_args()
    rows = history()
    found = {
        "proposal_ms": max(cpu_s(partial(search, each)) for each in BAYESIAN) * 1e3 / TRIALS,
        "draw_ms": cpu_s(lambda: search(SobolStrategy)) * 1e3 / TRIALS,
        "fit_ms": cpu_s(lambda: fit_saturation(family())) * 1e3,
        "history_s": cpu_s(lambda: find_steps(rows)),
    }
    text = json.dumps({"bars": BARS, "found": found}, indent=2)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    print(text)
    if above := [name for name, cost in found.items() if cost > BARS[name]]:
        raise SystemExit(f"above its bar: {', '.join(above)}")


def cpu_s(work: Callable[[], object]) -> float:
    """Return the median CPU seconds of some rounds, after one that does not count."""
    samples = []
    for _ in range(ROUNDS + 1):
        began = time.process_time()
        work()
        samples.append(time.process_time() - began)
    return median(samples[1:])


def search(strategy: Callable[..., Strategy]) -> None:
    """Let a strategy search for the middle of its space."""
    searcher = strategy(ADAM, trials=TRIALS, seed=1)
    for index in range(TRIALS):
        proposal = searcher.ask()
        if isinstance(searcher, EnergyAware):
            searcher.tell_energy(proposal, 1.0 + index % 3)
        searcher.tell(proposal, 1 - (float(proposal["beta1"]) - 0.5) ** 2)


def family() -> list[list[tuple[float, float]]]:
    """Return six sizes of ten repeats that level off."""
    random = np.random.default_rng(7)
    return [
        [(energy, float(0.95 - 0.3 * energy**-0.7 + random.normal(0, 0.002))) for _ in range(10)]
        for energy in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    ]


def history() -> list[dict[str, object]]:
    """Return rows of 20 cases in 1000 sessions, with three steps."""
    random = np.random.default_rng(7)
    levels = np.repeat([1.0, 1.3, 1.1, 1.4], 250)
    return [
        {
            "case_id": f"case{case}",
            "session": f"s{i}",
            "run_id": f"r{i}",
            "repeat": 0,
            "host": "here",
            "energy_wh": level * noise,
        }
        for i, level in enumerate(levels)
        for case, noise in enumerate(np.exp(random.normal(0, 0.05, 20)))
    ]


if __name__ == "__main__":
    main()
