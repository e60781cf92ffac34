"""Trainings that several processes share: this one leads, and its companions do as it does.

Each process has the data and the network, and learns from its part of every batch. The first one,
of which this is the view, is the worker: it searches, measures, evaluates and writes the journal.
"""

import itertools
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from greenbench.architectures.spec import Weights
from greenbench.backends import BuildRequest, TrainableModel
from greenbench.backends.base import NativeModel, NotingBackend, ReleasingBackend
from greenbench.backends.sharing import SharingBackend
from greenbench.cases import Case
from greenbench.cases.case import COMMAND, OWN
from greenbench.datasets import Dataset
from greenbench.errors import ConfigurationError, TrialError
from greenbench.strategies import Categorical
from greenbench.strategies.spaces import find_space

TOGETHER = "torch"
"""The backend whose trainings can be shared."""


class Companions(Protocol):
    """The other processes."""

    @property
    def is_lost(self) -> bool:
        """Whether one has ended."""

    def tell(self, request: Mapping[str, Any]) -> None:
        """Ask all of them for something."""

    def settle(self) -> None:
        """Wait until they have done what they were asked for.

        Raises
        ------
        TrialError
            If one could not, or has ended.
        """

    def together(self) -> AbstractContextManager[None]:
        """Do something for which each waits for the others: if one is lost, nobody waits on."""

    def close(self) -> str | None:
        """End them; return why one was lost, if one was."""


class SharedBackend:
    """A backend whose trainings are shared.

    Parameters
    ----------
    backend : SharingBackend
        Of this process.
    start : callable
        Starts companions.
    """

    def __init__(self, backend: SharingBackend, start: Callable[[], Companions]) -> None:
        self.name = backend.name
        self._backend = backend
        self._start = start
        self._companions: Companions | None = None
        self._numbers = itertools.count()
        self._dropped: list[int] = []
        self._subject: Mapping[str, Any] = {}
        self._told: Mapping[str, Any] = {}
        self._train_size = 0

    @property
    def notes(self) -> Sequence[str]:
        """What people must know of how the loaded data was trained on."""
        notes = self._backend.notes if isinstance(self._backend, NotingBackend) else ()
        return (*notes, f"each training was shared out among {self._backend.devices} devices")

    def digest(self) -> Mapping[str, str]:
        """Return a digest of each split as this process has it."""
        return self._backend.digest()

    def gpu_uuids(self) -> Sequence[str] | None:
        """Return the GPUs of all processes."""
        return self._backend.gpu_uuids()

    def attend(self, subject: Mapping[str, Any]) -> None:
        """Say what is trained from now on: case and repeat, and the modules of their parts."""
        self._subject = subject

    def load(self, dataset: Dataset) -> None:
        """Move a data set into the memory of this process."""
        self._train_size = len(dataset.train)
        self._backend.load(dataset)

    def release(self) -> None:
        """Hold no data in this process, until some are loaded again."""
        if isinstance(self._backend, ReleasingBackend):
            self._backend.release()

    def synchronize(self) -> None:
        """Wait until the device of this process has done all work."""
        self._backend.synchronize()

    def describe(self) -> Mapping[str, str]:
        """Return device and library versions."""
        return self._backend.describe()

    def build(self, request: BuildRequest) -> "SharedModel":
        """Return a model of which each process has its own, all alike.

        Raises
        ------
        TrialError
            If one of the others cannot have it.
        """
        check_batch(min(request.batch_size, self._train_size), self._backend.devices)
        companions, number = self._ready(), next(self._numbers)
        dropped, self._dropped = self._dropped, []
        companions.tell(
            {
                "build": number,
                "hyperparameters": dict(request.hyperparameters),
                "seed": request.seed,
                "drop": dropped,
            }
        )
        try:
            model = self._backend.build(request)
        except BaseException:
            # They fail alike, and what was wrong here says more.
            with suppress(TrialError):
                companions.settle()
            raise
        companions.settle()
        shared = SharedModel(model, number, companions, self._lost)
        weakref.finalize(shared, self._dropped.append, number)
        return shared

    def _ready(self) -> Companions:
        """Return companions that have the subject; new ones where some were lost."""
        if self._companions is not None and self._companions.is_lost:
            self._lost(self._companions)
        if self._companions is None:
            self._told = {}
            self._companions = companions = self._start()
            try:
                companions.settle()
                self._meet(companions)
            except BaseException:
                # Whoever trains next is told why by companions of its own.
                self._lost(companions)
                raise
        if self._told is not self._subject:
            self._companions.tell(self._subject)
            self._companions.settle()
            self._told = self._subject
        return self._companions

    def _meet(self, companions: Companions) -> None:
        folder = Path(tempfile.mkdtemp(prefix="greenbench-"))
        try:
            with companions.together():
                companions.tell({"join": str(folder / "meeting")})
                self._backend.join(folder / "meeting")
            companions.settle()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _lost(self, companions: Companions) -> str | None:
        """End the companions of a training that broke off; return why, if it was one of them."""
        reason = companions.close()
        if companions is self._companions:
            self._companions = None
            self._backend.leave()
        return reason


class SharedModel:
    """A model that learns in all processes at once, and is evaluated in this one."""

    def __init__(
        self,
        model: TrainableModel,
        number: int,
        companions: Companions,
        lost: Callable[[Companions], str | None],
    ) -> None:
        self.parameters = model.parameters
        self._model = model
        self._number = number
        self._companions = companions
        self._lost = lost

    def train_epoch(self, order: NDArray[np.int64]) -> float:
        """Train on the training samples in `order`, each process on its part of every batch.

        Raises
        ------
        TrialError
            If one of the others could not, or has ended.
        """
        with self._all_or_none(), self._companions.together():
            self._companions.tell({"train": self._number, "samples": len(order)})
            loss = self._model.train_epoch(order)
            self._companions.settle()
            return loss

    def evaluate(self, split: str) -> float:
        """Return the task's score on a split."""
        return self._model.evaluate(split)

    def measure(self, split: str) -> dict[str, float]:
        """Return the task's score and further metrics on a split."""
        return self._model.measure(split)

    def predict(self, inputs: Any) -> NDArray[np.float32]:
        """Return outputs for inputs."""
        return self._model.predict(inputs)

    def get_weights(self) -> Weights:
        """Return the weights, which are those of all."""
        return self._model.get_weights()

    def set_weights(self, weights: Weights) -> None:
        """Load weights in this process alone, which evaluates; it is not trained on from them."""
        self._model.set_weights(weights)

    def count_train_flops(self) -> int:
        """Return the FLOPs of one training sample."""
        return self._model.count_train_flops()

    def native(self) -> object:
        """Return the framework's own model."""
        return self._model.native() if isinstance(self._model, NativeModel) else None

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if reason := self._lost(self._companions):
                raise TrialError(reason) from error
            raise


def check_batch(batch_size: int, devices: int) -> None:
    """Raise `ConfigurationError` unless each device gets an equal part of a batch."""
    if batch_size % devices:
        near = max(round(batch_size / devices), 1) * devices
        raise ConfigurationError(
            f"batches of {batch_size} cannot be shared out evenly among {devices} devices; choose "
            f"a --batch-size that {devices} divides, such as {near}"
        )


def check_sharing(case: Case) -> None:
    """Check what can be known of a case with several devices before anything is started.

    Raises
    ------
    ConfigurationError
        If its backend, its batches or something else that it asks for cannot be shared.
    """
    devices = case.devices
    if devices == 1 or case.architecture.startswith(COMMAND):
        # What a command starts is its own affair.
        return
    if case.backend == OWN:
        raise ConfigurationError(
            f"devices is {devices}, but training {case.architecture!r} is a function, which runs "
            "in one process; run it as a program instead: --command 'torchrun --standalone "
            "--nproc-per-node={devices} train.py', or leave --devices out"
        )
    if case.backend != TOGETHER:
        raise ConfigurationError(
            f"devices is {devices}, but backend {case.backend!r} trains on one; choose "
            f"`--backend {TOGETHER}`, or leave --devices out"
        )
    if case.batched_trials != 1:
        raise ConfigurationError(
            f"devices is {devices} and batched_trials {case.batched_trials}: a training is shared "
            "out, or trained with others as one; leave --devices or --batched-trials out"
        )
    if dict(case.backend_options).get("cuda_graphs") is True:
        raise ConfigurationError(
            f"devices is {devices}, but a CUDA graph holds no steps that wait for other processes; "
            "leave --compute cuda_graphs=true or --devices out"
        )
    check_batch(case.batch_size, devices)
    searched = () if case.proposer == "default" else find_space(case.space).dimensions
    for dimension in searched:
        if dimension.name != "batch_size":
            continue
        if not isinstance(dimension, Categorical):
            raise ConfigurationError(
                f"search space {case.space!r} has batch_size from {dimension.low:g} to "
                f"{dimension.high:g}, not all of which {devices} devices can share out evenly; "
                f"expected choices that {devices} divides"
            )
        for choice in dimension.choices:
            check_batch(int(choice), devices)
