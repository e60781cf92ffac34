"""The warm-up before a repeat: a throw-away model, whose parameters and FLOPs are counted."""

from collections.abc import Callable
from dataclasses import dataclass

from greenbench import registry
from greenbench.architectures import Native, Spec
from greenbench.backends import Backend, BuildRequest, TrainableModel
from greenbench.backends.base import OutOfMemoryError, sample_order
from greenbench.cases import Case
from greenbench.datasets import Dataset
from greenbench.errors import ArchitectureError, UncountedFlopsError
from greenbench.machine.places import calling
from greenbench.search.scores import further_metrics, score_of

WARM_UP_BATCHES = 5
Exercise = Callable[[Callable[[], None]], None]
"""Calls what it is given as often as it likes."""


@dataclass(frozen=True)
class ModelCosts:
    """Deterministic costs of an architecture; see `greenbench.results.Costs`."""

    parameters: int | None
    train_flops_per_sample: int | None
    uncounted: tuple[str, ...] = ()


def warm_up(
    backend: Backend,
    request: BuildRequest,
    case: Case,
    dataset: Dataset,
    exercise: Exercise | None = None,
) -> ModelCosts:
    """Train a throw-away model for a few batches, and count parameters and FLOPs.

    Parameters
    ----------
    backend : Backend
        Holds the data set.
    request : BuildRequest
        What to train.
    case : Case
        For messages.
    dataset : Dataset
        What it is trained on.
    exercise : callable, optional
        May train it on, a few batches at a call. How often is up to it, so that draws without a
        seed of their own differ afterwards.

    Raises
    ------
    ArchitectureError
        If a native network raises, or cannot learn the targets of the data.
    """
    architecture = request.architecture
    if isinstance(architecture, Spec):
        return _warm_up(backend, request, case, dataset, exercise)
    with calling(
        f"architecture {architecture.name!r}",
        architecture.build,
        ArchitectureError,
        passing=(OutOfMemoryError,),
    ):
        return _warm_up(backend, request, case, dataset, exercise)


def _warm_up(
    backend: Backend,
    request: BuildRequest,
    case: Case,
    dataset: Dataset,
    exercise: Exercise | None,
) -> ModelCosts:
    model = backend.build(request)
    order = sample_order(len(dataset.train), request.batch_size, seed=0, epoch=0)
    batches = order[: WARM_UP_BATCHES * request.batch_size]
    model.train_epoch(batches)
    score_of(model.evaluate("validation"), case, request.task.score)
    if registry.tasks.place(request.task.name):
        # A user's metrics are tried before anything is measured; ours would import for seconds.
        further_metrics(model, request.task, "validation")
    costs = count_costs(model)
    if exercise:

        def work() -> None:
            model.train_epoch(batches)
            backend.synchronize()

        work()
        exercise(work)
    if isinstance(request.architecture, Native):
        # A builder that returns the same network again is found out at its second build.
        # With the first model gone, no more memory is needed than a trial needs.
        del model
        backend.build(request)
    backend.synchronize()
    return costs


def count_costs(model: TrainableModel) -> ModelCosts:
    """Return parameters and FLOPs of a model, from a pass that changes no weight."""
    try:
        return ModelCosts(model.parameters, model.count_train_flops())
    except UncountedFlopsError as error:
        return ModelCosts(model.parameters, None, error.operators)
