"""The backend protocol: what builds and trains models, and what all backends share."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from greenbench.architectures.spec import Native, Spec, Weights
from greenbench.cases import Case, Scalar
from greenbench.datasets.base import Dataset
from greenbench.errors import ScoreError
from greenbench.optimizers import AdamOptions as AdamOptions  # noqa: PLC0414
from greenbench.optimizers import Constant, OptimizerOptions, Schedule
from greenbench.optimizers.schedules import Factors
from greenbench.tasks import CLASSIFICATION, Task

EVALUATION_BATCH = 1024
Order = NDArray[np.int64]

# By name and message, since no framework is imported here; several raise plain RuntimeErrors.
_MEMORY_ERRORS = {"MemoryError", "OutOfMemoryError", "ResourceExhaustedError"}
_MEMORY_MESSAGES = ("can't allocate memory", "RESOURCE_EXHAUSTED", "_STATUS_ALLOC_FAILED")


class OutOfMemoryError(Exception):
    """The device ran out of memory; the trial ends and the search goes on."""


@dataclass(frozen=True)
class BuildRequest:
    """What a backend needs to build a model.

    Attributes
    ----------
    architecture : Spec or Native
        What to build.
    optimizer : OptimizerOptions
        How it learns.
    batch_size : int
        Samples a step.
    seed : int
        Seed of the initial weights and of the order of samples.
    options : mapping of str to scalar
        How to compute; see `Case.backend_options`.
    task : Task
        What is learned: the loss, and how it is judged.
    schedule : Schedule
        By what the learning rate is multiplied at each step.
    steps, steps_per_epoch : int
        Of the whole training, and of an epoch, for the schedule. Steps beyond the last one keep
        its learning rate.
    hyperparameters : mapping of str to scalar
        What a trial proposes, of which all this follows: for who builds the same elsewhere.
    """

    architecture: Spec | Native
    optimizer: OptimizerOptions = field(default_factory=AdamOptions)
    batch_size: int = 64
    seed: int = 0
    options: Mapping[str, Scalar] = field(default_factory=dict)
    task: Task = CLASSIFICATION
    schedule: Schedule = field(default_factory=Constant)
    steps: int = 0
    steps_per_epoch: int = 0
    hyperparameters: Mapping[str, Scalar] = field(default_factory=dict)


@runtime_checkable
class TrainableModel(Protocol):
    """A model with its optimiser, bound to a data set in the backend's memory."""

    parameters: int

    def train_epoch(self, order: NDArray[np.int64]) -> float:
        """Train on the training samples in `order`, and return the mean loss a sample.

        Of a streamed split, an order may be a part of an epoch. Each batch is a step of the
        schedule; the model counts them.
        """

    def evaluate(self, split: str) -> float:
        """Return the task's score on ``"validation"`` or ``"test"``, in inference mode."""

    def measure(self, split: str) -> dict[str, float]:
        """Return the task's score and all of its further metrics, by name, on a split."""

    def predict(self, inputs: Any) -> NDArray[np.float32]:
        """Return outputs of shape (n, …) for inputs like those of a split, in inference mode.

        Parameters
        ----------
        inputs : ndarray, shape (n, …), or mapping of str to such arrays
            Images are of shape (n, C, H, W).
        """

    def get_weights(self) -> Weights:
        """Return weights in the order and layout of `Spec.initial_weights`."""

    def set_weights(self, weights: Weights) -> None:
        """Load weights in the order and layout of `Spec.initial_weights`."""

    def count_train_flops(self) -> int:
        """Return the FLOPs of one training sample, from a pass that changes no weight.

        Raises
        ------
        UncountedFlopsError
            If they are not known, as where a pass has operators that no counter knows.
        """


@runtime_checkable
class Backend(Protocol):
    """Builds models of one framework; one a worker process.

    A backend is built as ``Backend(name, threads=...)``, where `name` is the name it is
    registered under. What it obeys or refuses, beyond what all have to, it names in its class's
    `takes`: see `greenbench.backends.takes.TAKES`. A case that asks for anything else is refused.
    """

    name: str

    def __init__(self, name: str, *, threads: int) -> None: ...

    def load(self, dataset: Dataset) -> None:
        """Move a data set into the memory and layout that training reads."""

    def build(self, request: BuildRequest) -> TrainableModel:
        """Return a new model on the loaded data.

        Raises
        ------
        ArchitectureError
            If a native architecture belongs to another backend, or its network cannot learn
            the task of the request from the data.
        ConfigurationError
            If the backend does not have the optimiser or the loss.
        """

    def synchronize(self) -> None:
        """Wait until the device has done all work, so that a window's edge is sharp."""

    def describe(self) -> Mapping[str, str]:
        """Return device and library versions."""


@runtime_checkable
class NativeModel(Protocol):
    """A model that is one of a framework, which others may go on with."""

    def native(self) -> object:
        """Return the framework's own model, as it is trained so far."""


@runtime_checkable
class TrainableBatch(Protocol):
    """Models of one architecture that are trained as one; each is a lane of it."""

    def train_epoch(self, orders: NDArray[np.int64]) -> NDArray[np.float64]:
        """Train lane i on the training samples in row i, and return the lanes' mean losses."""

    def evaluate(self, split: str) -> NDArray[np.float64]:
        """Return the lanes' scores on ``"validation"`` or ``"test"``, in inference mode."""

    def lane(self, index: int) -> TrainableModel:
        """Return a lane as a model of its own, which goes on where the lane is.

        It shares no memory with the batch, and has the state of the optimiser.
        """


@runtime_checkable
class BatchingBackend(Protocol):
    """A backend that can train several models of one architecture as one."""

    @property
    def batches_pay(self) -> bool:
        """Whether that spares energy on this device."""

    def build_batch(self, requests: Sequence[BuildRequest]) -> TrainableBatch:
        """Return new models on the loaded data, one a request.

        Parameters
        ----------
        requests : sequence of BuildRequest
            They differ in optimiser and seed only.

        Raises
        ------
        ArchitectureError
            If the architecture, its task, optimiser, schedule or data cannot be vectorised; a
            batch may find out in training.
        """


@runtime_checkable
class NotingBackend(Protocol):
    """A backend that has something to say of how it computed."""

    @property
    def notes(self) -> Sequence[str]:
        """What people must know of how the loaded data was trained on."""


@runtime_checkable
class SizingBackend(Protocol):
    """A backend that knows how many lanes of a batch its device has memory for."""

    def lanes_that_fit(self, requests: Sequence[BuildRequest], orders: Sequence[Order]) -> int:
        """Return it, found out by training a little; at most as many as there are requests.

        Parameters
        ----------
        requests : sequence of BuildRequest
            What the lanes are built from; the first two are trained.
        orders : sequence of ndarray of int64, shape (n,)
            Training samples for each of these two.

        Raises
        ------
        ArchitectureError
            If the architecture cannot be vectorised.
        """


@runtime_checkable
class ReplayingBackend(Protocol):
    """A backend that replays recorded trainings instead of training.

    It needs no images, and neither this machine's meter nor its clock have anything to say.
    """

    def open(self, case: Case) -> Dataset:
        """Find the recording for a case; return the data set's shape, in no memory.

        Raises
        ------
        ConfigurationError
            If there is none, or it does not cover the case.
        """

    def meter(self) -> Any:
        """Return a new `greenbench.energy.meter.Meter` of recorded energy."""

    def lap(self) -> tuple[float, float]:
        """Return recorded CPU seconds since the last lap, and 0 for other processes."""

    def now_s(self) -> float:
        """Return seconds on a clock that recorded durations advance from the last `open` on."""


@runtime_checkable
class DigestingBackend(Protocol):
    """A backend that can show what it holds of the data set, which no training may change.

    Of one that cannot, the arrays that it was given are looked at.
    """

    def digest(self) -> Mapping[str, str]:
        """Return `greenbench.datasets.base.digest_splits` of the splits as they are now."""


@runtime_checkable
class ReleasingBackend(Protocol):
    """A backend that can let go of its data, so that others need not lie beside them in memory."""

    def release(self) -> None:
        """Hold no data, until some are loaded again."""


@runtime_checkable
class LocatingBackend(Protocol):
    """A backend that can tell which GPUs it trains on.

    One that cannot is taken to train on the first that CUDA shows it.
    """

    def gpu_uuids(self) -> Sequence[str] | None:
        """Return UUIDs or PCI addresses; none if it trains on the CPU; None if it cannot tell."""


@contextmanager
def memory_errors_translated() -> Iterator[None]:
    """Turn any framework's error for exhausted memory into `OutOfMemoryError`."""
    try:
        yield
    except OutOfMemoryError:
        raise
    except Exception as error:
        names = {kind.__name__ for kind in type(error).__mro__}
        if names & _MEMORY_ERRORS or any(text in str(error) for text in _MEMORY_MESSAGES):
            raise OutOfMemoryError(str(error)) from error
        raise


def check_trainable(request: BuildRequest, train_size: int) -> None:
    """Raise `ArchitectureError` if a neutral network cannot be trained on so many samples."""
    if isinstance(request.architecture, Spec):
        request.architecture.check_trainable(min(request.batch_size, train_size))


def learning_factors(request: BuildRequest) -> Factors | None:
    """Return by what the learning rate is multiplied at each step; None if it is constant.

    Returns
    -------
    ndarray of float64, shape (steps,), or None
        Later steps have the last factor; see `factors_of`.
    """
    factors = request.schedule.factors(request.steps, request.steps_per_epoch)
    return None if (factors == 1).all() else factors


def factors_of(factors: Factors, start: int, count: int) -> Factors:
    """Return the factors of so many steps from `start` on, counted from 0."""
    return factors[np.minimum(np.arange(start, start + count), len(factors) - 1)]


def class_axis(axes: int) -> int:
    """Return the axis of classes of outputs with so many axes, that of samples included.

    It is the last one of tokens, (n, T, classes), and else the second: (n, classes),
    (n, classes, H, W).
    """
    tokens = 3
    return axes - 1 if axes == tokens else 1


def measured(task: Task, found: Mapping[str, Any], targets: NDArray[Any]) -> dict[str, float]:
    """Return what a task makes of what a model gave.

    Parameters
    ----------
    task : Task
        Which one.
    found : mapping of str to (ndarray or float)
        By what it is, see `Score.reads`.
    targets : ndarray
        What is right.

    Raises
    ------
    ScoreError
        If its score is not among it.
    """
    figures: dict[str, float] = {}
    for reads, values in found.items():
        figures |= task.measure(reads, values, targets)
    if task.score.reads in found and task.score.name not in figures:
        raise ScoreError(
            f"task {task.name!r} does not give its score {task.score.name!r} when it measures "
            f"{task.score.reads}; let `measure` return it for what `reads` says"
        )
    return figures


def sample_order(size: int, batch_size: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the training samples of one epoch in order, equal for every backend.

    The last batch is left out where it is not full: a handful of samples would upset the
    running statistics of normalisation. Another epoch leaves out other samples.

    Parameters
    ----------
    size : int
        Samples in the training split.
    batch_size : int
        Samples a step.
    seed, epoch : int
        What the order depends on.

    Returns
    -------
    ndarray of int64, shape (n,)
        Indices; n is a multiple of the batch size, or `size` where that is smaller.
    """
    order = np.random.default_rng((seed, epoch)).permutation(size)
    return order[: size // batch_size * batch_size or size]
