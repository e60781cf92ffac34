"""The Keras backend: one model code for the engines torch, JAX and TensorFlow."""

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping, Sequence

from greenbench.architectures.spec import Native
from greenbench.backends import keras_native
from greenbench.backends.base import (
    BuildRequest,
    check_trainable,
    memory_errors_translated,
)
from greenbench.backends.keras_checks import KerasChecks
from greenbench.backends.keras_data import Layout, Samples, example_of, hold
from greenbench.backends.keras_engines import (
    Engine,
    JaxEngine,
    TensorflowEngine,
    TorchEngine,
)
from greenbench.backends.keras_losses import Head, head_of
from greenbench.backends.keras_model import Bound, KerasModel
from greenbench.backends.keras_spec import sequential
from greenbench.backends.keras_state import import_keras
from greenbench.backends.known import check_native, check_options
from greenbench.backends.process_state import state_kept
from greenbench.backends.takes import TAKES
from greenbench.datasets.base import Dataset, digest_splits
from greenbench.errors import ConfigurationError, MissingPackageError, UnknownNameError

ENGINES: dict[str, type[Engine]] = {
    "keras": TorchEngine,
    "keras_jax": JaxEngine,
    "keras_tensorflow": TensorflowEngine,
}


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

    takes = TAKES

    def __init__(self, name: str, *, threads: int) -> None:
        if name not in ENGINES:
            raise UnknownNameError("Keras backend", name, ENGINES)
        self.name = name
        self._engine = ENGINES[name]()
        _start_keras(name, self._engine, threads)
        self._dataset: Dataset | None = None
        self._splits: dict[str, Samples] = {}
        self._checks = KerasChecks()

    def load(self, dataset: Dataset) -> None:
        """Take the three splits; they move to the device when it is known in which layout."""
        self.release()
        self._dataset = dataset

    def release(self) -> None:
        """Hold no data, until some are loaded again."""
        self._checks.forget()
        self._dataset, self._splits = None, {}

    def build(self, request: BuildRequest) -> KerasModel:
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
        check_options(self.name, request.options)
        assert self._dataset is not None, "load comes first"
        check_trainable(request, len(self._dataset.train))
        architecture = request.architecture
        who = f"architecture {architecture.name!r}"
        with memory_errors_translated(), state_kept(who) as state:
            if isinstance(architecture, Native):
                check_native(self.name, architecture.name, architecture.backend)
                layout = Layout(keras_native.DATA_FORMAT, keras_native.DATA_FORMAT)
                example = example_of(self._dataset.train, layout)
                network = keras_native.build_native(architecture, request.seed, example)
                # It is checked, and trained, under our settings, with its random numbers.
                state.put_back(who, with_random=False)
                bound = self._bound(layout, request, head_of(network, request.task))
                self._checks.check(request, network, bound)
                return KerasModel(network, bound, request, self._engine)
            network = sequential(architecture, self._engine.data_format, request.seed)
            bound = self._bound(Layout(self._engine.data_format, "channels_first"), request)
            model = KerasModel(network, bound, request, self._engine)
            model.set_weights(architecture.initial_weights(request.seed))
        return model

    def digest(self) -> Mapping[str, str]:
        """Return a digest of each split as it is in the engine's memory."""
        assert self._dataset is not None, "load comes first"
        held = {name: each.neutral() for name, each in self._splits.items()}
        return digest_splits(held or self._dataset.splits)

    def _bound(self, layout: Layout, request: BuildRequest, head: Head = "logits") -> Bound:
        assert self._dataset is not None
        splits = self._splits_in(layout)
        if augmentation := getattr(self._dataset, "augmentation", None):
            # Each model varies its images by its own random numbers.
            from greenbench.backends.keras_augmentation import (  # noqa: PLC0415
                Augmenter,
                Varied,
                check_augmentation,
            )

            check_augmentation(self._dataset.train.targets.ndim)
            vary = Augmenter(augmentation, request.seed, layout.inputs)
            splits = {**splits, "train": Varied(splits["train"], vary)}
        return Bound(splits, layout, request.task.outputs(self._dataset), head)

    def _splits_in(self, layout: Layout) -> Mapping[str, Samples]:
        """Return the splits in a layout; it changes with the architecture, if at all."""
        assert self._dataset is not None
        if not self._splits or self._splits["train"].layout != layout:
            # Models of before hold the splits of before, if any are left.
            self._splits = {
                name: hold(split, layout, self._engine)
                for name, split in self._dataset.splits.items()
            }
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
