"""The tabular backend: replays recorded trainings in milliseconds, at their recorded cost."""

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from greenbench.architectures.spec import Spec, Weights
from greenbench.backends.base import AdamOptions, BuildRequest
from greenbench.backends.known import check_options
from greenbench.cases import Case
from greenbench.datasets.base import Dataset, Split
from greenbench.errors import ConfigurationError, UncountedFlopsError
from greenbench.settings import Settings
from greenbench.strategies.dimensions import Dimension
from greenbench.strategies.spaces import Hyperparameters, SearchSpace, find_space
from greenbench.tabular.files import SUFFIX, read_recording
from greenbench.tabular.lookup import Lookup
from greenbench.tabular.odometer import Odometer, TabularMeter
from greenbench.tabular.recording import Recording
from greenbench.tasks.score import ACCURACY

RECORDED = ("classification", "adam", "constant")
"""Task, optimiser and schedule of all recordings."""


class TabularBackend:
    """Replays the recordings in a folder.

    Parameters
    ----------
    name : str
        As registered.
    threads : int
        Ignored: nothing is trained.
    folder : pathlib.Path, optional
        Holds the recordings; without it, what the settings say.
    """

    def __init__(self, name: str, *, threads: int, folder: Path | None = None) -> None:
        self.name = name
        self._folder = folder or Settings.from_environment(os.environ).tabular_dir
        self._odometer = Odometer()
        self._lookup: Lookup | None = None
        self._lapped_cpu_s = 0.0
        self._set_clock()

    def open(self, case: Case) -> Dataset:
        """Find the recording for a case; return the data set's shape, in no memory.

        Raises
        ------
        ConfigurationError
            If there is none, or it does not cover the case.
        """
        # A repeat starts now, not when what was replayed before it would have ended: runs are put
        # in order by when they started, and another one may come before that.
        self._set_clock()
        with self._odometer.uncounted():
            path = self._folder / f"{case.network}-{case.dataset}{SUFFIX}"
            if not path.is_file():
                raise self._missing(path, case)
            status = path.stat()
            self._lookup = _open(path, status.st_mtime_ns, status.st_size)
            recording = self._lookup.recording
            _check_case(case, recording)
            self._odometer.power_w = _power_w(recording)
            return _dataset(recording, _digest(path, status.st_mtime_ns, status.st_size))

    def load(self, dataset: Dataset) -> None:
        """Do nothing: there are no images."""

    def build(self, request: BuildRequest) -> "TabularModel":
        """Return a training of the open recording, from its beginning.

        Raises
        ------
        ConfigurationError
            If nothing like it was recorded, or the request has options.
        """
        with self._odometer.uncounted():
            check_options(self.name, request.options)
            if self._lookup is None:
                raise ConfigurationError("no recording is open; open one for a case first")
            recording = self._lookup.recording
            _check_architecture(request, recording)
            hyperparameters = _hyperparameters(cast("AdamOptions", request.optimizer), recording)
            return TabularModel(self._lookup, self._odometer, hyperparameters, request.seed)

    def synchronize(self) -> None:
        """Do nothing: no device works."""

    def describe(self) -> Mapping[str, str]:
        """Return what stands in for a device."""
        return {"device": "recording"}

    def meter(self) -> TabularMeter:
        """Return a new meter; all meters of a backend read the same."""
        return TabularMeter(self._odometer, self._source)

    def lap(self) -> tuple[float, float]:
        """Return CPU seconds since the last lap, recorded or real, and 0 for other processes."""
        cpu_s = self._odometer.peek().cpu_s
        lap_s, self._lapped_cpu_s = cpu_s - self._lapped_cpu_s, cpu_s
        return lap_s, 0.0

    def now_s(self) -> float:
        """Return seconds since 1970-01-01 UTC, as if replaying took what was recorded.

        With each recording that is opened it is the machine's clock again.
        """
        return self._epoch_s + self._odometer.read().duration_s

    def _set_clock(self) -> None:
        self._epoch_s = time.time() - self._odometer.read().duration_s

    def _source(self) -> str:
        if self._lookup is None:
            return "tabular: no recording is open"
        return f"tabular: recorded by {self._lookup.recording.source}"

    def _missing(self, path: Path, case: Case) -> ConfigurationError:
        known = sorted(file.stem for file in self._folder.glob(f"*{SUFFIX}"))
        return ConfigurationError(
            f"there is no recording {path}; available: {', '.join(known) or 'none'}; record it "
            f"with `greenbench record --architecture {case.network} --dataset {case.dataset}`, or "
            "set GREENBENCH_TABULAR_DIR"
        )


class TabularModel:
    """A replayed training.

    Parameters
    ----------
    lookup : Lookup
        What was recorded.
    odometer : Odometer
        Is told what it costs.
    hyperparameters : dict
        What is trained.
    seed : int
        Of the training.
    """

    def __init__(
        self, lookup: Lookup, odometer: Odometer, hyperparameters: Hyperparameters, seed: int
    ) -> None:
        self._recording = lookup.recording
        self._odometer = odometer
        self._sizes = {key: int(self._recording.dataset[key]) for key in ("validation", "test")}
        drawn = lookup.draw(hyperparameters, seed)
        self._train, self._evaluate = drawn.train, drawn.evaluate
        self._hits: dict[str, NDArray[Any]] = {
            "validation": drawn.validation_hits,
            "test": drawn.test_hits,
        }
        self._losses = drawn.train_loss
        self._epochs = 0
        self.parameters = self._recording.parameters

    def train_epoch(self, order: NDArray[np.int64]) -> float:
        """Return the loss of the next epoch; NaN once the training has diverged.

        Raises
        ------
        ConfigurationError
            If it was recorded no further.
        """
        if self._epochs == self._recording.epochs:
            raise ConfigurationError(
                f"{self._recording.id} was recorded for {self._recording.epochs} epochs; "
                "train no further, or record more"
            )
        self._odometer.advance(self._train * (len(order) / self._recording.samples_per_epoch))
        self._epochs += 1
        return float(self._losses[self._epochs - 1])

    def evaluate(self, split: str) -> float:
        """Return the accuracy so far in [0, 1] on ``"validation"`` or ``"test"``.

        A test costs as much an image as a recorded validation.
        """
        size = self._sizes[split]
        self._odometer.advance(self._evaluate * (size / self._sizes["validation"]))
        return self._accuracy(split)

    def measure(self, split: str) -> dict[str, float]:
        """Return the accuracy, at no cost: nothing else was recorded."""
        return {ACCURACY.name: self._accuracy(split)}

    def _accuracy(self, split: str) -> float:
        if self._epochs == 0:
            return 1 / int(self._recording.dataset["classes"])
        return float(self._hits[split][self._epochs - 1]) / self._sizes[split]

    def predict(self, inputs: Any) -> NDArray[np.float32]:
        """Refuse: a recording holds accuracies, and no weights to look at images with."""
        raise ConfigurationError(
            "a replayed training has no weights and cannot predict; choose `--backend torch`"
        )

    def get_weights(self) -> Weights:
        """Return what stands for weights: the epochs so far, and the curves.

        Counts of epochs and images are exact in 32 bits.
        """
        state = [np.array([self._epochs]), self._hits["validation"], self._hits["test"]]
        return [*(part.astype(np.float32) for part in state), self._losses.copy()]

    def set_weights(self, weights: Weights) -> None:
        """Go back, or on, to where `get_weights` was called."""
        epochs, validation, test, losses = weights
        self._epochs = int(epochs[0])
        self._hits = {"validation": validation.copy(), "test": test.copy()}
        self._losses = losses.copy()

    def count_train_flops(self) -> int:
        """Return the FLOPs of one training sample, as recorded.

        Raises
        ------
        UncountedFlopsError
            If they were not known when it was recorded.
        """
        flops = self._recording.train_flops_per_sample
        if flops is None:
            raise UncountedFlopsError([f"the recording {self._recording.id}"])
        return flops


@lru_cache(maxsize=16)
def _open(path: Path, changed_ns: int, size: int) -> Lookup:
    """Read and fit a recording once, however many searches replay it."""
    return Lookup(read_recording(path))


@lru_cache(maxsize=16)
def _digest(path: Path, changed_ns: int, size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _power_w(recording: Recording) -> float:
    energy_j = sum(train.energy_j for train, _ in recording.costs)
    cpu_s = sum(train.cpu_s for train, _ in recording.costs)
    return energy_j / cpu_s if cpu_s else 0.0


def _check_case(case: Case, recording: Recording) -> None:
    if case.dataset_options:
        raise ConfigurationError(
            f"dataset options {dict(case.dataset_options)} change nothing in the recording "
            f"{recording.id}; leave them out"
        )
    if case.batch_size != recording.batch_size:
        raise ConfigurationError(
            f"batch size is {case.batch_size}; {recording.id} was recorded with "
            f"{recording.batch_size}: use `--batch-size {recording.batch_size}`, or record anew"
        )
    if case.epochs > recording.epochs:
        raise ConfigurationError(
            f"epochs is {case.epochs}; {recording.id} was recorded for {recording.epochs}: "
            f"use `--epochs {recording.epochs}`, or record anew"
        )
    learned = (case.task or "classification", case.optimizer, case.schedule)
    if learned != RECORDED or case.optimizer_options or case.schedule_options:
        raise ConfigurationError(
            f"{recording.id} was recorded with {' and '.join(RECORDED)}, and without options of "
            "theirs; leave --task, --optimizer and --schedule out, or choose `--backend torch`"
        )
    _check_space(find_space(case.space), recording)


def _check_space(space: SearchSpace, recording: Recording) -> None:
    recorded = {each.name: each for each in recording.dimensions}
    for each in space.dimensions:
        if each.name not in recorded:
            raise ConfigurationError(
                f"space {space.name!r} searches {each.name}, which {recording.id} was recorded "
                f"without; use `--space {recording.space.name}`, or record anew"
            )
        if not isinstance(each, Dimension):
            raise ConfigurationError(
                f"space {space.name!r} chooses {each.name} among categories; {recording.id} knows "
                f"bounds alone: use `--space {recording.space.name}`"
            )
        low, high = recorded[each.name].low, recorded[each.name].high
        if each.low < low or each.high > high:
            raise ConfigurationError(
                f"space {space.name!r} searches {each.name} from {each.low:g} to {each.high:g}; "
                f"{recording.id} was recorded from {low:g} to {high:g}: use "
                f"`--space {recording.space.name}`, or record anew"
            )


def _check_architecture(request: BuildRequest, recording: Recording) -> None:
    parameters = getattr(request.architecture, "parameters", recording.parameters)
    if isinstance(request.architecture, Spec) and parameters != recording.parameters:
        raise ConfigurationError(
            f"{recording.network} has {parameters} parameters; {recording.id} was recorded with "
            f"{recording.parameters}: the architecture has changed, record anew"
        )


def _hyperparameters(optimizer: AdamOptions, recording: Recording) -> Hyperparameters:
    """Return what the recording knows of `optimizer`; all else must have its default."""
    recorded = {each.name: each for each in recording.dimensions}
    found: Hyperparameters = {}
    for option in fields(AdamOptions):
        value = getattr(optimizer, option.name)
        dimension = recorded.get(option.name)
        if dimension is not None and optimizer == AdamOptions():
            # Also what the warm-up trains with, wherever the space lies.
            found[option.name] = dimension.clip(value)
        elif dimension is not None and value in dimension:
            found[option.name] = value
        elif dimension is not None or value != option.default:
            raise ConfigurationError(
                f"{option.name} is {value:g}, and {recording.id} was not recorded there; "
                f"use `--space {recording.space.name}`, or record anew"
            )
    return found


def _dataset(recording: Recording, content: str) -> Dataset:
    described = recording.dataset
    shape = tuple(described["shape"])
    # One zero, seen as many times as there are pixels.
    train, validation, test = (
        Split(
            np.broadcast_to(np.float32(0), (described[key], *shape)),
            np.broadcast_to(np.int64(0), (described[key],)),
        )
        for key in ("train", "validation", "test")
    )
    return Dataset(
        recording.name,
        train,
        validation,
        test,
        classes=described["classes"],
        source=f"recorded on {recording.recorded_on}: {described['source']}",
        digest=described["digest"],
        notes=tuple(described.get("notes", ())),
        content=content,
    )
