"""What a search costs on recorded trainings: `python benchmarks/bench_search.py`.

Each strategy searches each cell of `benchmarks/tabular` with the same seeds. What training costs is
as recorded; what proposals cost is measured while they are made. What a search has found is judged
by the recording's accuracy without noise, which the search itself does not see.
"""

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from statistics import median

import click
import numpy as np
from numpy.typing import NDArray

from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.machine.environment import describe_environment
from greenbench.results import CaseResult
from greenbench.results.chronology import chronology
from greenbench.results.journal import Journal
from greenbench.results.table import to_trial_rows
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.strategies.sobol import SobolStrategy
from greenbench.tabular import Lookup, read_recording
from greenbench.tabular.backend import TabularBackend

Floats = NDArray[np.float64]

FOLDER = Path(__file__).parent / "tabular"
NETWORKS = ("simple_cnn", "dense_poly", "dense_linear")
DATASETS = ("digits", "mnist", "cifar10")
EPOCHS = 9
TRIALS = 64
CLOSE = 0.01
"""Within one point of the best known accuracy."""

ONE_TRAINING_S = 1.0
"""How long a whole training takes for which the share of proposals is stated."""

GRID, BASELINE, CONTROL = "grid", "random_log", "default"
RECOMMENDED = "sobol+asha"
TRIALS_OF = {
    CONTROL: 1,
    GRID: TRIALS,
    "grid_log": TRIALS,
    "random": TRIALS,
    # Longer, so that most of its searches do come close.
    BASELINE: 4 * TRIALS,
    "sobol": TRIALS,
    # Of about the energy of 64 whole trainings.
    "random_log+asha": 3 * TRIALS,
    "random_log+hyperband": 2 * TRIALS,
    "sobol+asha": 3 * TRIALS,
    "bayesian_paper": TRIALS,
    "bayesian": TRIALS,
    "bayesian_pi": TRIALS,
    "bayesian_cost": TRIALS,
    "bayesian_warm": TRIALS,
    "bayesian+asha": TRIALS,
    "tpe": TRIALS,
    "tpe_warm": TRIALS,
    "tpe+asha": 3 * TRIALS,
    "cmaes": TRIALS,
}
LEARNING = ("bayesian", "tpe", "cmaes")
"""Strategies whose proposals take long, and which search with the first seeds only."""


@dataclass(frozen=True)
class Curve:
    """One search in the order of time.

    Attributes
    ----------
    energy_j : array of float
        Cumulative, proposals included, after each step.
    seen : array of float
        Best validation accuracy so far.
    true : array of float
        Accuracy of what was best so far, without the noise of its seed.
    proposals_j, proposals_s : float
        Energy and CPU seconds of all proposals.
    trainings : float
        Whole trainings that the trained epochs amount to.
    optimism : float or None
        Validation accuracy of the incumbent, minus its test accuracy.
    """

    energy_j: Floats
    seen: Floats
    true: Floats
    proposals_j: float
    proposals_s: float
    trainings: float
    optimism: float | None

    def energy_to(self, accuracy: float, *, is_true: bool) -> float:
        """Return the joules after which the accuracy is reached; infinite if it never is."""
        reached = np.flatnonzero((self.true if is_true else self.seen) >= accuracy - 1e-9)
        return float(self.energy_j[reached[0]]) if len(reached) else math.inf


@dataclass(frozen=True)
class Standing:
    """One strategy on one cell; shares are medians over the seeds, None if most never get there.

    Attributes
    ----------
    cell, strategy : str
        Which.
    share_of_grid : float or None
        Energy until it is as good as the paper's grid after 64 trials, as a share of what
        those took, with the same seed.
    grid_hits : float
        Share of the seeds that get there.
    share_of_grid_seen : float or None
        The same by the validation accuracies that the searches see.
    share_of_random_log : float or None
        Median energy until it is within a point of the best known accuracy, as a share of
        random_log's.
    close_hits : float
        Share of the seeds that get there.
    share_of_random_log_seen : float or None
        The same by validation accuracies.
    proposal_share : float
        Of the energy of the search; on the cell's own trainings.
    proposal_share_1s : float
        The same if a whole training took one second.
    accuracy : float
        Of what it has found in the end, without noise.
    energy_j : float
        Of the whole search.
    optimism : float or None
        Validation accuracy of the incumbent, minus its test accuracy.
    seeds : int
        How many.
    """

    cell: str
    strategy: str
    share_of_grid: float | None
    grid_hits: float
    share_of_grid_seen: float | None
    share_of_random_log: float | None
    close_hits: float
    share_of_random_log_seen: float | None
    proposal_share: float
    proposal_share_1s: float
    accuracy: float
    energy_j: float
    optimism: float | None
    seeds: int


def search(case: Case) -> Curve:
    """Run one search on recorded trainings."""
    backend = TabularBackend("tabular", threads=1, folder=FOLDER)
    bench = Bench(
        backend=backend,
        meter=backend.meter(),
        control=backend.meter(),
        intensity=CarbonIntensity(1.0, "none"),
        environment={"host": "recorded", "meter": "tabular"},
        data_dir=FOLDER,
        emit=lambda event, values: None,
        clock=backend.now_s,
    )
    with tempfile.TemporaryDirectory() as folder:
        result = run_repeat(bench, case, 0, "search", Journal.of(Path(folder), case, 0))
    return to_curve(result, lookup_of(case))


def to_curve(result: CaseResult, lookup: Lookup) -> Curve:
    """Return a search in the order of time, judged without noise."""
    rows = to_trial_rows(result)
    energy, seen, true = [], [], []
    best, best_true, total_wh = 0.0, 0.0, 0.0
    trained = [0] * len(rows)
    for step in chronology(rows):
        trial = result.trials[step.trial]
        epochs = trial.segments[trained[step.trial]].epochs if trial.segments else EPOCHS
        trained[step.trial] += 1
        total_wh += step.energy_wh or 0.0
        if step.val_score is not None and step.val_score > best:
            best = step.val_score
            best_true = float(lookup.mean_accuracy(trial.hyperparameters)[epochs - 1])
        energy.append(total_wh * 3600)
        seen.append(best)
        true.append(best_true)
    proposals = result.account.phases["search"]
    return Curve(
        np.array(energy),
        np.array(seen),
        np.array(true),
        proposals.energy_j or 0.0,
        proposals.cpu_s or 0.0,
        result.costs.epochs / EPOCHS,
        rows[0]["optimism"],
    )


def lookup_of(case: Case) -> Lookup:
    """Return the recording of a case's cell, fitted."""
    return lookup(f"{case.network}-{case.dataset}")


@lru_cache(maxsize=16)
def lookup(cell: str) -> Lookup:
    """Return the recording of a cell, fitted."""
    return Lookup(read_recording(FOLDER / f"{cell}.parquet"))


@lru_cache(maxsize=16)
def best_known(cell: str) -> float:
    """Return the best accuracy without noise, of 4,096 configurations and the recorded ones."""
    found = lookup(cell)
    sobol = SobolStrategy(found.recording.space, trials=4096, seed=0)
    points = [sobol.ask() for _ in range(4096)]
    points += [dict(each.hyperparameters) for each in found.recording.trainings]
    return max(float(found.mean_accuracy(point)[-1]) for point in points)


def run(task: tuple[str, str, int]) -> Curve:
    """Run the search of one strategy on one cell with one seed."""
    cell, strategy, seed = task
    network, dataset = cell.split("-")
    trials = TRIALS_OF[strategy]
    return search(
        Case(strategy, network, "tabular", dataset, trials=trials, epochs=EPOCHS, seed=seed)
    )


def standing(cell: str, strategy: str, curves: Mapping[str, Sequence[Curve]]) -> Standing:
    """Sum up the searches of one strategy on one cell.

    Parameters
    ----------
    cell, strategy : str
        Which.
    curves : mapping of str to sequence of Curve
        The searches of every strategy on the cell; equal places have equal seeds, and some
        strategies fewer of them.
    """
    own, best = curves[strategy], best_known(cell) - CLOSE
    shares, hits = {}, {}
    for name, is_true in (("true", True), ("seen", False)):
        of_grid = [
            curve.energy_to(float((grid.true if is_true else grid.seen)[-1]), is_true=is_true)
            / float(grid.energy_j[-1])
            for curve, grid in zip(own, curves[GRID], strict=False)
        ]
        close = [curve.energy_to(best, is_true=is_true) for curve in own]
        usual = median(curve.energy_to(best, is_true=is_true) for curve in curves[BASELINE])
        shares[name] = (finite(median(of_grid)), finite(median(close) / usual))
        hits[name] = tuple(float(np.mean(np.isfinite(each))) for each in (of_grid, close))
    optimism = [curve.optimism for curve in own if curve.optimism is not None]
    return Standing(
        cell,
        strategy,
        shares["true"][0],
        hits["true"][0],
        shares["seen"][0],
        shares["true"][1],
        hits["true"][1],
        shares["seen"][1],
        median(curve.proposals_j / float(curve.energy_j[-1]) for curve in own),
        median(
            curve.proposals_s / (curve.proposals_s + curve.trainings * ONE_TRAINING_S)
            for curve in own
        ),
        median(float(curve.true[-1]) for curve in own),
        median(float(curve.energy_j[-1]) for curve in own),
        median(optimism) if optimism else None,
        len(own),
    )


def finite(value: float) -> float | None:
    """Return a number, or None for what is none: most searches never get there."""
    return value if math.isfinite(value) else None


def shown(share: float | None) -> str:
    """Return a share in percent."""
    return "never" if share is None else f"{share:.1%}"


@click.command()
@click.option("--seeds", default=100, show_default=True)
@click.option("--learning-seeds", default=20, show_default=True, help="Of those that learn.")
@click.option("--cell", "cells", multiple=True, help="Such as dense_poly-digits; repeatable.")
@click.option("--strategy", "strategies", multiple=True, help="Beside those compared with.")
@click.option("--jobs", default=1, show_default=True)
@click.option("--output", type=click.Path(path_type=Path))
def main(
    *,
    seeds: int,
    learning_seeds: int,
    cells: Sequence[str],
    strategies: Sequence[str],
    jobs: int,
    output: Path | None,
) -> None:
    """Print the table, and write it as JSON."""
    cells = cells or [f"{network}-{dataset}" for dataset in DATASETS for network in NETWORKS]
    names = list(dict.fromkeys((CONTROL, GRID, BASELINE, *(strategies or TRIALS_OF))))
    numbers = {name: learning_seeds if name.startswith(LEARNING) else seeds for name in names}
    tasks = [
        (cell, name, seed) for cell in cells for name in names for seed in range(numbers[name])
    ]
    # In random order, so that what disturbs the machine is no disadvantage of one strategy.
    order = np.random.default_rng(0).permutation(len(tasks)).tolist()
    with ProcessPoolExecutor(jobs) as pool:
        found = dict(zip(order, pool.map(run, [tasks[n] for n in order]), strict=True))
    curves = {
        cell: {
            name: [found[n] for n, task in enumerate(tasks) if task[:2] == (cell, name)]
            for name in names
        }
        for cell in cells
    }
    standings = [standing(cell, name, curves[cell]) for cell in cells for name in names]
    for each in standings:
        click.echo(
            f"{each.cell:<22} {each.strategy:<22} of grid {shown(each.share_of_grid):>7} "
            f"(seen {shown(each.share_of_grid_seen):>7}), of random_log "
            f"{shown(each.share_of_random_log):>7} (seen {shown(each.share_of_random_log_seen):>7}"
            f"), proposals {each.proposal_share:.1%}, at 1 s {each.proposal_share_1s:.1%}, "
            f"accuracy {each.accuracy:.1%}"
        )
    if output:
        text = {
            "recommended": RECOMMENDED,
            "date": date.today().isoformat(),
            "machine": describe_environment(1, {}, {}),
            "epochs": EPOCHS,
            "trials": TRIALS_OF,
            "best_known": {cell: best_known(cell) for cell in cells},
            "cells": [asdict(each) for each in standings],
        }
        output.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
