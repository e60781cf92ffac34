"""Trying a case out: a batch of it, or an epoch of a training of one's own; nothing is measured."""

import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from greenbench import registry
from greenbench.architectures import Native
from greenbench.backends import BuildRequest
from greenbench.backends.base import sample_order
from greenbench.cases import Case, Scalar
from greenbench.errors import ArchitectureError, TrialError
from greenbench.machine.places import calling
from greenbench.results import TrialStatus
from greenbench.results.journal import Journal
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.search.subject import NetworkSubject, load_subject
from greenbench.search.unmeasured import unmeasured
from greenbench.search.warming import count_costs
from greenbench.tasks import Score
from greenbench.trainings import check_seeds


@dataclass(frozen=True)
class Tried:
    """What a case did when it was tried out.

    Attributes
    ----------
    case : Case
        As it was tried.
    what : str
        How much of it: ``"a batch of 64"``, ``"an epoch"``.
    seconds : float
        Wall seconds, loading included.
    score : Score
        What `value` is.
    loss, value : float or None
        Mean training loss, and the validation score after it; None if it was not told.
    parameters, train_flops_per_sample : int or None
        Costs of the model, if they are known.
    notes : tuple of str
        What was said besides.
    """

    case: Case
    what: str
    seconds: float
    score: Score
    loss: float | None
    value: float | None
    parameters: int | None
    train_flops_per_sample: int | None
    notes: tuple[str, ...] = ()


def try_case(case: Case, threads: int, data_dir: Path, *, seeds: bool = False) -> Tried:
    """Train a little of a case in this process.

    Of a network it is one batch; a training of one's own is run for one epoch, and tests.

    Parameters
    ----------
    case : Case
        Its strategy does not matter: it has its default hyperparameters.
    threads : int
        Of an operation.
    data_dir : pathlib.Path
        Local image files.
    seeds : bool
        Whether to try, too, that a training of one's own comes to the same with the same seed.

    Raises
    ------
    GreenbenchError
        If it does not work, in one line with the place in the user's own code.
    """
    notes: list[str] = []

    def emit(event: str, values: Mapping[str, Any]) -> None:
        if event == "warning":
            notes.append(values["message"])

    started_s = time.perf_counter()
    plain = replace(case, strategy="default", trials=1, repeats=1, reevaluate=0, devices=1)
    backend = registry.backends.get(case.backend)(case.backend, threads=threads)
    bench = unmeasured(backend, data_dir, emit)
    if registry.training_of(case):
        tried, hyperparameters = _own(bench, plain)
        if seeds:
            options = dict(case.architecture_options)
            network = ".".join(filter(None, (case.architecture, case.size)))
            notes.append(check_seeds(network, hyperparameters, options=options).sentence)
    else:
        tried = _network(bench, plain)
    return replace(tried, seconds=time.perf_counter() - started_s, notes=tuple(notes))


def _network(bench: Bench, case: Case) -> Tried:
    subject = load_subject(bench, case, 0)
    request = subject.base()
    architecture = request.architecture
    guard = (
        calling(f"architecture {architecture.name!r}", architecture.build, ArchitectureError)
        if isinstance(architecture, Native)
        else nullcontext()
    )
    with guard:
        return _batch(subject, request)


def _batch(subject: NetworkSubject, request: BuildRequest) -> Tried:
    case = subject.case
    size = len(subject.dataset.train)
    batch = sample_order(size, request.batch_size, seed=0, epoch=0)[: request.batch_size]
    model = subject.build({}, seed=0)
    loss = model.train_epoch(batch)
    value = model.evaluate("validation")
    costs = count_costs(model)
    return Tried(
        case, f"a batch of {len(batch)}", 0.0, subject.task.score, loss, value,
        costs.parameters, costs.train_flops_per_sample,
    )  # fmt: skip


def _own(bench: Bench, case: Case) -> tuple[Tried, Mapping[str, Scalar]]:
    case = replace(case, epochs=1)
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal.of(Path(folder), case, 0)
        result = run_repeat(bench, case, 0, "check", journal)
    (trial,) = result.trials
    if trial.status is not TrialStatus.COMPLETED:
        raise TrialError(f"{case.id}: {trial.error}")
    loss = trial.epochs[-1].train_loss
    tried = Tried(
        case, "an epoch", 0.0, result.score, loss, trial.val_score,
        result.costs.parameters, result.costs.train_flops_per_sample,
    )  # fmt: skip
    return tried, trial.hyperparameters
