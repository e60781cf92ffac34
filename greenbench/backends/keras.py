"""The Keras backend: one model code for the engines torch, JAX and TensorFlow."""

import importlib
import importlib.metadata
import importlib.util
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from greenbench.architectures.spec import Native, Spec, Weights
from greenbench.backends import keras_native
from greenbench.backends.base import (
    EVALUATION_BATCH,
    AdamOptions,
    BuildRequest,
    check_native,
    check_trainable,
    memory_errors_translated,
    refuse_options,
)
from greenbench.backends.checks import check_shape
from greenbench.backends.keras_checks import KerasChecks
from greenbench.backends.keras_engines import (
    Engine,
    Epoch,
    JaxEngine,
    TensorflowEngine,
    TorchEngine,
)
from greenbench.backends.keras_spec import from_neutral, sequential, to_neutral
from greenbench.backends.keras_state import import_keras
from greenbench.backends.process_state import OwnState, state_kept
from greenbench.datasets.base import Dataset, Split, digest_splits
from greenbench.errors import (
    ConfigurationError,
    MissingPackageError,
    UncountedFlopsError,
    UnknownNameError,
)

ENGINES: dict[str, type[Engine]] = {
    "keras": TorchEngine,
    "keras_jax": JaxEngine,
    "keras_tensorflow": TensorflowEngine,
}


@dataclass(frozen=True)
class LoadedSplit:
    """A split in the engine's memory; `classes` are the labels in NumPy's."""

    data_format: str
    images: Any
    labels: Any
    classes: NDArray[np.int64]


class KerasBackend:
    """Builds Keras models.

    Keras reads its engine when it is first imported, so that a process has one engine only.

    Parameters
    ----------
    name : str
        ``"keras"`` (on torch), ``"keras_jax"`` or ``"keras_tensorflow"``.
    threads : int
        CPU threads of an operation.

    Raises
    ------
    ConfigurationError
        If this process has started Keras with another engine.
    MissingPackageError
        If the engine is not installed.
    """

    def __init__(self, name: str, *, threads: int) -> None:
        if name not in ENGINES:
            raise UnknownNameError("Keras backend", name, ENGINES)
        self.name = name
        self._engine = ENGINES[name]()
        _start_keras(name, self._engine, threads)
        self._given: Mapping[str, Split] = {}
        self._data_format = ""
        self._splits: dict[str, LoadedSplit] = {}
        self._classes = 0
        self._checks = KerasChecks()

    def load(self, dataset: Dataset) -> None:
        """Take the three splits; they move to the device when it is known in which layout."""
        self._checks.forget()
        self._classes = dataset.classes
        self._given, self._data_format, self._splits = dataset.splits, "", {}

    def build(self, request: BuildRequest) -> "KerasModel":
        """Return a new model with its optimiser.

        A native model sees images as ``(height, width, channels)``, on every engine.

        Raises
        ------
        ConfigurationError
            If the request has options.
        ArchitectureError
            If a neutral network cannot be trained in batches of that size; if a native one belongs
            to another backend, expects another layout, or is none that learns these classes.
        """
        refuse_options(self.name, request)
        check_trainable(request, len(self._given["train"]))
        architecture = request.architecture
        who = f"architecture {architecture.name!r}"
        with memory_errors_translated(), state_kept(who) as state:
            if isinstance(architecture, Native):
                check_native(self.name, architecture)
                example = _arranged(self._given["train"].images[:1], keras_native.DATA_FORMAT)
                network = keras_native.build_native(architecture, request.seed, example)
                # It is checked, and trained, under our settings, with its random numbers.
                state.put_back(who, with_random=False)
                return self._checked(network, request)
            splits = self._splits_in(self._engine.data_format)
            network = sequential(architecture, self._engine.data_format, request.seed)
            model = KerasModel(network, splits, request, self._engine)
            model.set_weights(architecture.initial_weights(request.seed))
        return model

    def digest(self) -> Mapping[str, str]:
        """Return a digest of each split as it is in the engine's memory."""
        held = {
            name: Split(_to_neutral(each.images, self._data_format), _to_numpy(each.labels))
            for name, each in self._splits.items()
        }
        return digest_splits(held or self._given)

    def _checked(self, network: Any, request: BuildRequest) -> "KerasModel":
        splits = self._splits_in(keras_native.DATA_FORMAT)
        from_logits = not keras_native.gives_probabilities(network)
        data = splits["train"]
        self._checks.check(request, network, data, self._classes, from_logits=from_logits)
        return KerasModel(network, splits, request, self._engine, from_logits=from_logits)

    def _splits_in(self, data_format: str) -> Mapping[str, LoadedSplit]:
        """Return the splits in a layout; it changes with the architecture, if at all."""
        from keras import ops  # noqa: PLC0415

        if self._data_format != data_format:
            # Models of before hold the splits of before, if any are left.
            self._splits = {
                name: LoadedSplit(
                    data_format,
                    ops.convert_to_tensor(_arranged(split.images, data_format)),
                    ops.convert_to_tensor(split.labels.astype(np.int32)),
                    split.labels,
                )
                for name, split in self._given.items()
            }
            self._data_format = data_format
        return self._splits

    def synchronize(self) -> None:
        """Wait until the device has done all work."""
        self._engine.synchronize()

    def describe(self) -> Mapping[str, str]:
        """Return device, engine and versions."""
        engine = self._engine.name
        return {
            "device": self._engine.device(),
            "engine": engine,
            "keras": importlib.metadata.version("keras"),
            engine: str(importlib.import_module(engine).__version__),
        }

    def gpu_uuids(self) -> Sequence[str] | None:
        """Return the UUID of the GPU that trains, if one does, and the engine can tell."""
        return self._engine.gpu_uuids()


class KerasModel:
    """A Keras model with Adam, bound to data in the engine's memory."""

    def __init__(
        self,
        model: Any,
        splits: Mapping[str, LoadedSplit],
        request: BuildRequest,
        engine: Engine,
        *,
        from_logits: bool = True,
    ) -> None:
        import keras  # noqa: PLC0415

        self._model = model
        self._splits = splits
        self._request = request
        self._engine = engine
        self._own_state = OwnState(request.architecture)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
        model.compile(optimizer=_adam(cast("AdamOptions", request.optimizer)), loss=loss)
        self.parameters = sum(math.prod(v.shape) for v in model.trainable_variables)

    def train_epoch(self, order: NDArray[np.int64]) -> float:
        """Train once on the samples in `order`; the loss is read back once, at the end."""
        split = self._splits["train"]
        epoch = Epoch(split.images, split.labels, order, self._request.batch_size)
        with memory_errors_translated(), self._own_state(goes_on=True):
            return self._engine.train(self._model, epoch)

    def evaluate(self, split: str) -> float:
        """Return accuracy in inference mode, in large batches."""
        loaded = self._splits[split]
        outputs = self._outputs(loaded.images)
        check_shape(self._request.architecture.name, outputs.shape, loaded.classes.shape)
        return float((outputs.argmax(axis=1) == loaded.classes).mean())

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return outputs: before the softmax, if the model has none of its own."""
        return self._outputs(_arranged(images, self._splits["test"].data_format))

    def get_weights(self) -> Weights:
        """Return copies of all weights and running statistics."""
        return [
            to_neutral(variable, _to_numpy(variable.value).copy())
            for variable in self._model.weights
        ]

    def set_weights(self, weights: Weights) -> None:
        """Load all weights and running statistics."""
        for variable, values in zip(self._model.weights, weights, strict=True):
            variable.assign(from_neutral(variable, values))

    def count_train_flops(self) -> int:
        """Count one batch with the engine's own counter, or read the spec where it has none.

        Raises
        ------
        UncountedFlopsError
            If the engine has no counter and the architecture is a native one, or if an operator
            ran that the counter does not know.
        """
        from keras import ops  # noqa: PLC0415

        split = self._splits["train"]
        count = min(self._request.batch_size, len(split.classes))
        with memory_errors_translated(), self._own_state(goes_on=False):
            batch = (ops.copy(each[:count]) for each in (split.images, split.labels))
            flops = self._engine.count_flops(self._model, *batch)
        if flops is not None:
            return math.ceil(flops / count)
        architecture = self._request.architecture
        if isinstance(architecture, Spec):
            return architecture.train_flops
        raise UncountedFlopsError([f"all operators of {self._engine.name}"])

    def _outputs(self, images: Any) -> NDArray[np.float32]:
        from keras import ops  # noqa: PLC0415

        starts = range(0, len(images), EVALUATION_BATCH)
        # Copies: a forward pass may work in place on what it gets.
        parts = (ops.copy(images[start : start + EVALUATION_BATCH]) for start in starts)
        with memory_errors_translated(), self._own_state(goes_on=False):
            return np.concatenate([self._model.predict_on_batch(part) for part in parts])


def _start_keras(name: str, engine: Engine, threads: int) -> None:
    if importlib.util.find_spec(engine.name) is None:
        raise MissingPackageError(f"backend {name!r}", engine.name, engine.name)
    if "keras" in sys.modules:
        started = sys.modules["keras"].backend.backend()
        if started != engine.name:
            raise ConfigurationError(
                f"backend {name!r} runs Keras on {engine.name}, but this process has started it "
                f"on {started}, and a process has one engine only; start a new process"
            )
    engine.limit_threads(threads)
    import_keras(engine.name, engine.variables())


def _to_neutral(images: Any, data_format: str) -> NDArray[np.float32]:
    values = _to_numpy(images)
    return values if data_format == "channels_first" else values.transpose(0, 3, 1, 2)


def _arranged(images: NDArray[np.float32], data_format: str) -> NDArray[np.float32]:
    if data_format == "channels_first":
        return images
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


def _adam(options: AdamOptions) -> Any:
    import keras  # noqa: PLC0415

    arguments = {
        "learning_rate": options.learning_rate,
        "beta_1": options.beta1,
        "beta_2": options.beta2,
        "epsilon": options.epsilon,
    }
    plain = keras.optimizers.Adam(**arguments)
    if not options.weight_decay:
        return plain

    # On torch Keras replaces Adam, but not what derives from it, by a faster one.
    class AdamWithPenalty(type(plain)):  # type: ignore[misc]
        # Keras's own weight decay is decoupled: another optimiser than the paper's.
        def apply(self, grads: Any, trainable_variables: Any = None) -> None:
            variables = trainable_variables or self._trainable_variables
            penalised = [
                gradient if gradient is None else gradient + options.weight_decay * variable
                for gradient, variable in zip(grads, variables, strict=True)
            ]
            super().apply(penalised, trainable_variables)

    return AdamWithPenalty(**arguments)


def _to_numpy(values: Any) -> NDArray[Any]:
    from keras import ops  # noqa: PLC0415

    return np.asarray(ops.convert_to_numpy(values))
