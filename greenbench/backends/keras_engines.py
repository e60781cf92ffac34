"""What the frameworks under Keras do each in their own way; knows nothing of training.

The frameworks are imported late and by name: none but the one in use need be installed.
"""

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from greenbench.errors import ConfigurationError


@dataclass(frozen=True)
class Epoch:
    """What an epoch trains on.

    Attributes
    ----------
    images, labels : tensor
        The training split in the engine's memory.
    order : ndarray of int64, shape (n,)
        Which samples, in which order.
    batch_size : int
        Samples a step.
    """

    images: Any
    labels: Any
    order: NDArray[np.int64]
    batch_size: int


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

    def train(self, model: Any, epoch: Epoch) -> float:
        """Train with the model's own step; return the mean loss a sample."""

    def count_flops(self, model: Any, images: Any, labels: Any) -> int | None:
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

    def train(self, model: Any, epoch: Epoch) -> float:
        """Train as ``fit`` does, without its data loader and callbacks."""
        order = _package("torch").from_numpy(epoch.order).to(epoch.images.device)
        model.make_train_function()
        model.reset_metrics()
        model.train()
        for batch in order.split(epoch.batch_size):
            logs = model.train_function([(epoch.images[batch], epoch.labels[batch])])
        model.eval()
        # The running mean of the epoch, by samples.
        return float(logs["loss"])

    def count_flops(self, model: Any, images: Any, labels: Any) -> int:
        """Count with torch's own counter, on a pass whose traces are removed.

        Not through ``train_on_batch``, whose first call traces the model a second time.
        """
        # Running statistics and the states of seeded layers.
        state = [(v, v.value.clone()) for v in model.non_trainable_variables]
        counter = _package("greenbench.backends.torch_flops").FlopCounter()
        with counter:
            outputs = model(images, training=True)
            model.compute_loss(x=images, y=labels, y_pred=outputs).backward()
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

    def train(self, model: Any, epoch: Epoch) -> float:
        """Train by ``fit``, which takes weights out of the model and back once an epoch."""
        history = model.fit(
            epoch.images[epoch.order],
            epoch.labels[epoch.order],
            batch_size=epoch.batch_size,
            shuffle=False,
            verbose=0,
        )
        return float(history.history["loss"][0])

    def count_flops(self, model: Any, images: Any, labels: Any) -> None:
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

    def train(self, model: Any, epoch: Epoch) -> float:
        """Train as ``fit`` does, which would build a pipeline of its own every epoch."""
        take = _package("tensorflow").gather
        model.make_train_function()
        model.reset_metrics()
        for start in range(0, len(epoch.order), epoch.batch_size):
            batch = epoch.order[start : start + epoch.batch_size]
            data = take(epoch.images, batch), take(epoch.labels, batch)
            logs = model.train_function(iter([data]))
        return float(logs["loss"])

    def count_flops(self, model: Any, images: Any, labels: Any) -> None:
        """Return None: TensorFlow's counter knows forward passes only."""


def _torch_device() -> Any:
    return _package("greenbench.backends.torch_device")


def _package(name: str) -> Any:
    return importlib.import_module(name)
