"""What the frameworks under Keras do each in their own way; knows nothing of training.

The frameworks are imported late and by name: none but the one in use need be installed.
"""

import importlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from greenbench.errors import ConfigurationError

Batch = tuple[Any, Any]
"""Inputs, of which there may be several named ones, and targets, in the engine's memory."""


class Samples(Protocol):
    """Where an epoch's batches come from."""

    @property
    def whole(self) -> Batch | None:
        """All samples, if all are in memory and seen as they are there."""

    def batches(self, order: NDArray[np.int64], batch_size: int) -> Iterator[Batch]:
        """Yield batches of samples in `order`."""


@dataclass(frozen=True)
class Epoch:
    """What an epoch trains on.

    Attributes
    ----------
    samples : Samples
        The training split.
    order : ndarray of int64, shape (n,)
        Which samples, in which order.
    batch_size : int
        Samples a step.
    """

    samples: Samples
    order: NDArray[np.int64]
    batch_size: int

    def __iter__(self) -> Iterator[Batch]:
        return self.samples.batches(self.order, self.batch_size)


class Engine(Protocol):
    """A framework that Keras runs on.

    Attributes
    ----------
    name : str
        What Keras calls it; also the name of its package and of our extra.
    data_format : str
        Where images have their channels.
    """

    name: str
    data_format: str

    def limit_threads(self, threads: int) -> None:
        """Set what the framework lets one set, before it runs its first operation."""

    def variables(self) -> Mapping[str, str]:
        """Return what Keras is told in variables of its own when it is imported."""

    def synchronize(self) -> None:
        """Wait until the device has done all work."""

    def device(self) -> str:
        """Return the name of the device that computes."""

    def gpu_uuids(self) -> Sequence[str] | None:
        """Return the UUID of that device; none of a CPU, None if the framework does not say."""

    def batches(self, order: NDArray[np.int64], batch_size: int) -> Iterable[Any]:
        """Cut an order into batches for `take`."""

    def take(self, batch: Any, values: Any) -> Any:
        """Return the samples of a batch."""

    def train(self, model: Any, epoch: Epoch) -> float:
        """Train with the model's own step; return the mean loss a sample."""

    def count_flops(self, model: Any, inputs: Any, targets: Any) -> int | None:
        """Count a training step that changes nothing; None if the framework has no counter."""


class TorchEngine:
    """Keras on torch, on the device that the backend ``torch`` takes."""

    name, data_format = "torch", "channels_first"

    def limit_threads(self, threads: int) -> None:
        """Set the threads of an operation."""
        _package("torch").set_num_threads(threads)

    def variables(self) -> Mapping[str, str]:
        """Return the device; Keras's own order is another one."""
        return {"KERAS_TORCH_DEVICE": str(_torch_device().choose_device())}

    def synchronize(self) -> None:
        """Wait for the GPU; the CPU never runs ahead."""
        _torch_device().synchronize(self._used)

    def device(self) -> str:
        """Return the GPU's name, or ``"cpu"``."""
        return str(_torch_device().name_of(self._used))

    @cached_property
    def _used(self) -> Any:
        # Where Keras puts what it makes: a process may have imported it before us.
        return _package("keras").ops.zeros(()).device

    def gpu_uuids(self) -> Sequence[str] | None:
        """Return the UUID that torch tells."""
        gpus = _package("greenbench.backends.torch_gpus")
        found: Sequence[str] | None = gpus.gpu_uuids(self._used)
        return found

    def batches(self, order: NDArray[np.int64], batch_size: int) -> Iterable[Any]:
        """Cut it on the device."""
        parts: Iterable[Any] = _package("torch").from_numpy(order).to(self._used).split(batch_size)
        return parts

    def take(self, batch: Any, values: Any) -> Any:
        """Index."""
        return values[batch]

    def train(self, model: Any, epoch: Epoch) -> float:
        """Train as ``fit`` does, without its data loader and callbacks."""
        model.make_train_function()
        model.reset_metrics()
        model.train()
        for batch in epoch:
            logs = model.train_function([batch])
        model.eval()
        # The running mean of the epoch, by samples.
        return float(logs["loss"])

    def count_flops(self, model: Any, inputs: Any, targets: Any) -> int:
        """Count with torch's own counter, on a pass whose traces are removed.

        Not through ``train_on_batch``, whose first call traces the model a second time.
        """
        # Running statistics and the states of seeded layers.
        state = [(v, v.value.clone()) for v in model.non_trainable_variables]
        counter = _package("greenbench.backends.torch_flops").FlopCounter()
        with counter:
            outputs = model(inputs, training=True)
            model.compute_loss(x=inputs, y=targets, y_pred=outputs).backward()
        for variable, values in state:
            variable.assign(values)
        model.zero_grad()
        return int(counter.total)


class JaxEngine:
    """Keras on JAX."""

    name, data_format = "jax", "channels_first"

    def limit_threads(self, threads: int) -> None:
        """Set the size of XLA's thread pool; has no effect once JAX has started."""
        os.environ["NPROC"] = str(threads)

    def variables(self) -> Mapping[str, str]:
        """Return none."""
        return {}

    def synchronize(self) -> None:
        """Wait for an operation that comes last in the device's queue."""
        _package("jax.numpy").zeros(()).block_until_ready()

    def device(self) -> str:
        """Return the kind of the device that JAX puts arrays on."""
        return str(self._used.device_kind)

    @property
    def _used(self) -> Any:
        (device,) = _package("jax.numpy").zeros(()).devices()
        return device

    def gpu_uuids(self) -> Sequence[str] | None:
        """Return none on a CPU: JAX does not say which GPU its first one is."""
        return () if self._used.platform == "cpu" else None

    def batches(self, order: NDArray[np.int64], batch_size: int) -> Iterable[Any]:
        """Cut it in NumPy's memory."""
        return _cut(order, batch_size)

    def take(self, batch: Any, values: Any) -> Any:
        """Index."""
        return values[batch]

    def train(self, model: Any, epoch: Epoch) -> float:
        """Train by ``fit``, which takes weights out of the model and back once an epoch."""
        if epoch.samples.whole is None:
            # Told a number of steps, it would ask for one batch more than there is.
            history = model.fit(iter(epoch), shuffle=False, verbose=0)
        else:
            ((inputs, targets),) = epoch.samples.batches(epoch.order, len(epoch.order))
            size = epoch.batch_size
            history = model.fit(inputs, targets, batch_size=size, shuffle=False, verbose=0)
        return float(history.history["loss"][0])

    def count_flops(self, model: Any, inputs: Any, targets: Any) -> None:
        """Return None: JAX counts what a compiler has left, which is not comparable."""


class TensorflowEngine:
    """Keras on TensorFlow, whose convolutions on a CPU want the channels last."""

    name, data_format = "tensorflow", "channels_last"

    def limit_threads(self, threads: int) -> None:
        """Set the threads of an operation, and run operations one after the other."""
        threading = _package("tensorflow").config.threading
        try:
            threading.set_intra_op_parallelism_threads(threads)
            threading.set_inter_op_parallelism_threads(1)
        except RuntimeError as error:
            raise ConfigurationError(
                "this process has started tensorflow with another number of threads than "
                f"{threads}; start a new process"
            ) from error

    def variables(self) -> Mapping[str, str]:
        """Return none."""
        return {}

    def synchronize(self) -> None:
        """Wait for all devices."""
        _package("tensorflow").test.experimental.sync_devices()

    def device(self) -> str:
        """Return the first GPU's name, or ``"cpu"``."""
        config = _package("tensorflow").config
        gpus = config.get_visible_devices("GPU")
        if not gpus:
            return "cpu"
        return str(config.experimental.get_device_details(gpus[0]).get("device_name", "gpu"))

    def gpu_uuids(self) -> Sequence[str] | None:
        """Return none on a CPU: TensorFlow does not say which GPU its first one is."""
        return None if _package("tensorflow").config.get_visible_devices("GPU") else ()

    def batches(self, order: NDArray[np.int64], batch_size: int) -> Iterable[Any]:
        """Cut it in NumPy's memory."""
        return _cut(order, batch_size)

    def take(self, batch: Any, values: Any) -> Any:
        """Gather."""
        return _package("tensorflow").gather(values, batch)

    def train(self, model: Any, epoch: Epoch) -> float:
        """Train as ``fit`` does, which would build a pipeline of its own every epoch."""
        model.make_train_function()
        model.reset_metrics()
        for batch in epoch:
            logs = model.train_function(iter([batch]))
        return float(logs["loss"])

    def count_flops(self, model: Any, inputs: Any, targets: Any) -> None:
        """Return None: TensorFlow's counter knows forward passes only."""


def _cut(order: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def _torch_device() -> Any:
    return _package("greenbench.backends.torch_device")


def _package(name: str) -> Any:
    return importlib.import_module(name)
