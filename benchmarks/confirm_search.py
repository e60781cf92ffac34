"""Whether real searches are as the replayed ones: `python benchmarks/confirm_search.py JOURNAL`.

Takes the journal folder of a real run of the strategies `default`, `grid` and `sobol+asha`, and
trains what they had chosen again, with new seeds: validation accuracies of searches are the best
of many, and say too much. Costs are epochs, which nothing disturbs.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import click

from greenbench import registry
from greenbench.architectures import build_architecture
from greenbench.backends import Backend, BuildRequest
from greenbench.backends.base import sample_order
from greenbench.cases import Case, Scalar
from greenbench.datasets import Dataset, LoadContext
from greenbench.optimizers.options import optimizer_options
from greenbench.results import CaseResult
from greenbench.results.chronology import chronology
from greenbench.results.journal import Journal
from greenbench.results.table import to_trial_rows
from greenbench.settings import Settings
from greenbench.strategies.spaces import Hyperparameters

GRID, SEARCH, CONTROL = "grid", "sobol+asha", "default"
SHARE = 0.05
"""Of the grid's epochs, after which the search is asked what it has found."""

NEW_SEEDS = 5


@dataclass(frozen=True)
class Found:
    """Mean test accuracy, over new seeds, of what was chosen in one repeat.

    Attributes
    ----------
    repeat : int
        Which.
    control : float
        Of the published defaults.
    grid : float
        Of what the whole grid chose.
    search_early : float
        Of what the search would have chosen after a twentieth of the grid's epochs.
    search : float
        Of what it chose in the end.
    search_epochs : float
        Epochs of the whole search, as a share of the grid's.
    """

    repeat: int
    control: float
    grid: float
    search_early: float
    search: float
    search_epochs: float


def chosen(result: CaseResult, epochs: float = float("inf")) -> Hyperparameters:
    """Return the incumbent's hyperparameters after so many epochs of a search."""
    rows, trained = to_trial_rows(result), [0] * len(result.trials)
    best, spent, segment = 0.0, 0, [0] * len(result.trials)
    found: Mapping[str, Scalar] = {}
    for step in chronology(rows):
        trial = result.trials[step.trial]
        parts = trial.segments
        target = parts[segment[step.trial]].epochs if parts else len(trial.epochs)
        segment[step.trial] += 1
        spent += target - trained[step.trial]
        trained[step.trial] = target
        if spent > epochs:
            break
        if (step.val_score or 0.0) > best:
            best, found = step.val_score or 0.0, trial.hyperparameters
    return dict(found)


def train_again(backend: Backend, dataset: Dataset, case: Case, found: Hyperparameters) -> float:
    """Return the mean test accuracy of a configuration over new seeds."""
    architecture = build_architecture(
        case.architecture, dataset.image_shape, dataset.classes, size=case.size
    )
    accuracies = []
    for number in range(NEW_SEEDS):
        seed = case.derive_seed("again", number)
        options = optimizer_options("adam", found)
        model = backend.build(BuildRequest(architecture, options, case.batch_size, seed))
        for epoch in range(case.epochs):
            model.train_epoch(sample_order(len(dataset.train), case.batch_size, seed, epoch))
        accuracies.append(model.evaluate("test"))
    return fmean(accuracies)


def confirm(results: Mapping[str, CaseResult], backend: Backend, data_dir: Path) -> Found:
    """Return what the strategies chose in one repeat, trained again."""
    grid, search = results[GRID], results[SEARCH]
    case, repeat = grid.case, grid.repeat
    load = registry.datasets.get(case.dataset)
    context = LoadContext(seed=case.derive_seed(repeat, "split"), data_dir=data_dir)
    dataset: Dataset = load(context, **dict(case.dataset_options))
    backend.load(dataset)
    early = chosen(search, SHARE * grid.costs.epochs)
    return Found(
        repeat,
        control=train_again(backend, dataset, case, chosen(results[CONTROL])),
        grid=train_again(backend, dataset, case, chosen(grid)),
        search_early=train_again(backend, dataset, case, early),
        search=train_again(backend, dataset, case, chosen(search)),
        search_epochs=search.costs.epochs / grid.costs.epochs,
    )


@click.command()
@click.argument("journal", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--output", type=click.Path(path_type=Path))
def main(journal: Path, output: Path | None) -> None:
    """Print a line a repeat, and write them as JSON."""
    repeats: dict[int, dict[str, CaseResult]] = {}
    for path in sorted(journal.glob("*.jsonl")):
        result = Journal(path).read().result
        if result is not None:
            repeats.setdefault(result.repeat, {})[result.case.strategy] = result
    backend: Backend = registry.backends.get("torch")("torch", threads=1)
    data_dir = Settings.from_environment({}).data_dir
    found = [confirm(repeats[repeat], backend, data_dir) for repeat in sorted(repeats)]
    for each in found:
        click.echo(json.dumps(asdict(each)))
    if output:
        output.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
