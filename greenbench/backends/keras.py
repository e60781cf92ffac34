"""The Keras backend: one model code for the engines torch, JAX and TensorFlow."""

import importlib
import importlib.metadata
import importlib.util
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.architectures.spec import (
    BatchNorm,
    Conv,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    Native,
    ReLU,
    Spec,
    Weights,
)
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
from greenbench.backends.keras_checks import KerasChecks, build_network
from greenbench.backends.keras_engines import (
    Engine,
    Epoch,
    JaxEngine,
    TensorflowEngine,
    TorchEngine,
)
from greenbench.datasets.base import Dataset
from greenbench.errors import (
    ConfigurationError,
    MissingPackageError,
    UncountedFlopsError,
    UnknownNameError,
)

# Keras's layout of a kernel to torch's, by number of axes; and back.
_KERNEL_TO_NEUTRAL = {2: (1, 0), 4: (3, 2, 0, 1)}
_KERNEL_FROM_NEUTRAL = {2: (1, 0), 4: (2, 3, 1, 0)}


ENGINES: dict[str, type[Engine]] = {
    "keras": TorchEngine,
    "keras_jax": JaxEngine,
    "keras_tensorflow": TensorflowEngine,
}


@dataclass(frozen=True)
class LoadedSplit:
    """A split in the engine's memory; `classes` are the labels in NumPy's."""

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
        self._splits: dict[str, LoadedSplit] = {}
        self._classes = 0
        self._checks = KerasChecks()

    def load(self, dataset: Dataset) -> None:
        """Move the three splits to the device, with the axes in the engine's order."""
        from keras import ops  # noqa: PLC0415

        self._checks.forget()
        self._classes = dataset.classes
        for name in ("train", "validation", "test"):
            split = getattr(dataset, name)
            images = ops.convert_to_tensor(_arranged(split.images, self._engine))
            labels = ops.convert_to_tensor(split.labels.astype(np.int32))
            self._splits[name] = LoadedSplit(images, labels, split.labels)

    def build(self, request: BuildRequest) -> "KerasModel":
        """Return a new model with its optimiser.

        A native model gets images as ``(C, H, W)``, on TensorFlow as ``(H, W, C)``; building
        it seeds the global generators of Python and NumPy, too.

        Raises
        ------
        ConfigurationError
            If the request has options.
        ArchitectureError
            If a neutral network cannot be trained in batches of that size, or a native one is
            none that learns these classes.
        """
        refuse_options(self.name, request)
        check_trainable(request, len(self._splits["train"].classes))
        architecture = request.architecture
        with memory_errors_translated():
            if isinstance(architecture, Native):
                check_native(self.name, architecture)
                network = _native(architecture, request.seed, self._splits["train"].images[:1])
                self._checks.check(request, network, self._splits["train"], self._classes)
            else:
                network = _sequential(architecture, self._engine)
            model = KerasModel(network, self._splits, request, self._engine)
            if isinstance(architecture, Spec):
                model.set_weights(architecture.initial_weights(request.seed))
        return model

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


class KerasModel:
    """A Keras model with Adam, bound to data in the engine's memory."""

    def __init__(
        self,
        model: Any,
        splits: Mapping[str, LoadedSplit],
        request: BuildRequest,
        engine: Engine,
    ) -> None:
        import keras  # noqa: PLC0415

        self._model = model
        self._splits = splits
        self._request = request
        self._engine = engine
        self._random_states: list[Any] = []
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=_adam(request.optimizer), loss=loss)
        self.parameters = sum(math.prod(v.shape) for v in model.trainable_variables)

    def train_epoch(self, order: NDArray[np.int64]) -> float:
        """Train once on the samples in `order`; the loss is read back once, at the end."""
        split = self._splits["train"]
        epoch = Epoch(split.images, split.labels, order, self._request.batch_size)
        own_random_numbers = self._engine.own_random_numbers(self._random_states)
        with memory_errors_translated(), own_random_numbers:
            return self._engine.train(self._model, epoch)

    def evaluate(self, split: str) -> float:
        """Return accuracy in inference mode, in large batches."""
        loaded = self._splits[split]
        with memory_errors_translated():
            outputs = self._outputs(loaded.images)
        check_shape(self._request.architecture.name, outputs.shape, loaded.classes.shape)
        return float((outputs.argmax(axis=1) == loaded.classes).mean())

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return outputs before the softmax."""
        return self._outputs(_arranged(images, self._engine))

    def get_weights(self) -> Weights:
        """Return copies of all weights and running statistics."""
        return [
            _transposed(variable, _to_numpy(variable), _KERNEL_TO_NEUTRAL)
            for variable in self._model.weights
        ]

    def set_weights(self, weights: Weights) -> None:
        """Load all weights and running statistics."""
        for variable, values in zip(self._model.weights, weights, strict=True):
            variable.assign(_transposed(variable, values, _KERNEL_FROM_NEUTRAL))

    def count_train_flops(self) -> int:
        """Count one batch with the engine's own counter, or read the spec where it has none.

        Raises
        ------
        UncountedFlopsError
            If the engine has no counter and the architecture is a native one, or if an operator
            ran that the counter does not know.
        """
        split = self._splits["train"]
        count = min(self._request.batch_size, len(split.classes))
        with memory_errors_translated():
            flops = self._engine.count_flops(
                self._model, split.images[:count], split.labels[:count]
            )
        if flops is not None:
            return math.ceil(flops / count)
        architecture = self._request.architecture
        if isinstance(architecture, Spec):
            return architecture.train_flops
        raise UncountedFlopsError([f"all operators of {self._engine.name}"])

    def _outputs(self, images: Any) -> NDArray[np.float32]:
        starts = range(0, len(images), EVALUATION_BATCH)
        parts = (images[start : start + EVALUATION_BATCH] for start in starts)
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
    os.environ["KERAS_BACKEND"] = engine.name
    engine.limit_threads(threads)

    import keras  # noqa: PLC0415

    # The user's keras.json may say otherwise.
    keras.config.set_floatx("float32")


def _arranged(images: NDArray[np.float32], engine: Engine) -> NDArray[np.float32]:
    if engine.data_format == "channels_first":
        return images
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


def _sequential(spec: Spec, engine: Engine) -> Any:
    import keras  # noqa: PLC0415

    channels, height, side = spec.image_shape
    is_first = engine.data_format == "channels_first"
    model = keras.Sequential()
    model.add(keras.Input((channels, height, side) if is_first else (height, side, channels)))
    for placed in spec.layers:
        for layer in _layers(placed.layer, engine.data_format):
            model.add(layer)
    return model


def _layers(layer: Layer, data_format: str) -> list[Any]:
    from keras import layers  # noqa: PLC0415

    match layer:
        case Conv(channels, kernel):
            return [
                layers.Conv2D(
                    channels,
                    kernel,
                    padding="same",
                    data_format=data_format,
                    kernel_initializer="zeros",
                )
            ]
        case BatchNorm(momentum, epsilon):
            axis = 1 if data_format == "channels_first" else -1
            # Keras counts what stays, torch what is new.
            return [layers.BatchNormalization(axis, momentum=1 - momentum, epsilon=epsilon)]
        case ReLU():
            return [layers.ReLU()]
        case MaxPool(window):
            return [layers.MaxPooling2D(window, data_format=data_format)]
        case Flatten():
            # Told that the channels are first, Keras would move them last; it must not.
            reordered = [layers.Permute((3, 1, 2))] if data_format == "channels_last" else []
            return [*reordered, layers.Flatten(data_format="channels_last")]
        case Linear(features):
            return [layers.Dense(features, kernel_initializer="zeros")]


def _native(architecture: Native, seed: int, example: Any) -> Any:
    import keras  # noqa: PLC0415

    keras.utils.set_random_seed(seed % 2**32)
    model = build_network(architecture)
    if not model.built:
        model(example)
    return model


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


def _to_numpy(variable: Any) -> NDArray[np.float32]:
    from keras import ops  # noqa: PLC0415

    values: NDArray[np.float32] = ops.convert_to_numpy(variable.value)
    return values.copy()


def _transposed(
    variable: Any, values: NDArray[np.float32], axes: Mapping[int, tuple[int, ...]]
) -> NDArray[np.float32]:
    if variable.name != "kernel" or values.ndim not in axes:
        return values
    return np.ascontiguousarray(values.transpose(axes[values.ndim]))
