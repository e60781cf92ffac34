"""A Keras model in training: steps, scores, weights."""

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.architectures.spec import Spec, Weights
from greenbench.backends.base import (
    EVALUATION_BATCH,
    BuildRequest,
    measured,
    memory_errors_translated,
)
from greenbench.backends.checks import check_shape
from greenbench.backends.keras_data import (
    Layout,
    Samples,
    arranged_shape,
    each,
    in_memory,
    to_neutral,
    to_numpy,
)
from greenbench.backends.keras_engines import Engine, Epoch
from greenbench.backends.keras_losses import Head, logits_of, make_loss, own_class_axis
from greenbench.backends.keras_spec import from_neutral
from greenbench.backends.keras_spec import to_neutral as weights_to_neutral
from greenbench.backends.process_state import OwnState
from greenbench.errors import UncountedFlopsError
from greenbench.tasks import Task


@dataclass(frozen=True)
class Bound:
    """What a model is bound to.

    Attributes
    ----------
    splits : mapping of str to Samples
        In the network's layout.
    layout : Layout
        Where the network has the channels of images.
    outputs : tuple of int
        Shape of what it gives for a sample, channels first.
    head : Head
        What it ends in.
    """

    splits: Mapping[str, Samples]
    layout: Layout
    outputs: tuple[int, ...]
    head: Head = "logits"

    @property
    def own_outputs(self) -> tuple[int, ...]:
        """Shape of what it gives for a sample, in its own layout."""
        return arranged_shape(self.outputs, self.layout.outputs)

    @property
    def class_axis(self) -> int:
        """Where its own outputs have their classes."""
        return own_class_axis(1 + len(self.outputs), self.layout.outputs)

    def loss(self, task: Task) -> Any:
        """Return a task's loss, for its own outputs and targets in its layout."""
        return make_loss(task, self.head, self.class_axis)


class KerasModel:
    """A Keras model with its optimiser, bound to data in the engine's memory."""

    def __init__(self, model: Any, bound: Bound, request: BuildRequest, engine: Engine) -> None:
        # Keras is imported when the backend has set it up.
        from greenbench.backends.keras_optimizers import make_optimizer  # noqa: PLC0415

        self._model = model
        self._bound = bound
        self._request = request
        self._engine = engine
        self._own_state = OwnState(request.architecture)
        self._loss = bound.loss(request.task)
        model.compile(optimizer=make_optimizer(request), loss=self._loss)
        self.parameters = sum(math.prod(v.shape) for v in model.trainable_variables)

    def native(self) -> Any:
        """Return the Keras model itself."""
        return self._model

    def train_epoch(self, order: NDArray[np.int64]) -> float:
        """Train once on the samples in `order`; the loss is read back once, at the end."""
        epoch = Epoch(self._bound.splits["train"], order, self._request.batch_size)
        with memory_errors_translated(), self._own_state(goes_on=True):
            return self._engine.train(self._model, epoch)

    def evaluate(self, split: str) -> float:
        """Return the task's score in inference mode, in large batches."""
        score = self._request.task.score
        return self._measured(split, {score.reads})[score.name]

    def measure(self, split: str) -> dict[str, float]:
        """Return the task's score and all further metrics, by name, from one pass."""
        task = self._request.task
        return self._measured(split, {one.reads for one in (task.score, *task.metrics)})

    def predict(self, inputs: Any) -> NDArray[np.float32]:
        """Return outputs: before the softmax, if the model has none of its own."""
        count = len(next(iter(inputs.values())) if isinstance(inputs, Mapping) else inputs)
        starts = range(0, count, EVALUATION_BATCH)
        cuts = (slice(start, start + EVALUATION_BATCH) for start in starts)
        parts = (each(operator.itemgetter(cut), inputs) for cut in cuts)
        loaded = (in_memory(part, self._bound.layout.inputs) for part in parts)
        return np.concatenate([self._neutral(self._outputs(part)) for part in loaded])

    def get_weights(self) -> Weights:
        """Return copies of all weights and running statistics."""
        return [
            weights_to_neutral(variable, to_numpy(variable.value).copy())
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
        split = self._bound.splits["train"]
        count = min(self._request.batch_size, len(split))
        with memory_errors_translated(), self._own_state(goes_on=False):
            flops = self._engine.count_flops(self._model, *split.first(count))
        if flops is not None:
            return math.ceil(flops / count)
        architecture = self._request.architecture
        if isinstance(architecture, Spec):
            return architecture.train_flops
        raise UncountedFlopsError([f"all operators of {self._engine.name}"])

    def _measured(self, split: str, reads: set[str]) -> dict[str, float]:
        """Return what can be computed of a split from classes, outputs or the loss."""
        found: dict[str, list[Any]] = {what: [] for what in sorted(reads)}
        targets = []
        for outputs, right in self._passes(split):
            targets.append(right)
            for what, parts in found.items():
                parts.append(self._read(what, outputs, right))
        values = {
            what: _mean(parts, targets) if what == "loss" else np.concatenate(parts)
            for what, parts in found.items()
        }
        return measured(self._request.task, values, np.concatenate(targets))

    def _passes(self, split: str) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Yield the network's outputs, in its own layout, and what is right."""
        for inputs, targets in self._bound.splits[split].parts(EVALUATION_BATCH):
            outputs = self._outputs(inputs)
            shape, name = self._neutral(outputs).shape, self._request.architecture.name
            check_shape(name, shape, targets.shape, self._request.task.loss)
            yield outputs, targets

    def _read(self, what: str, outputs: NDArray[np.float32], targets: NDArray[Any]) -> Any:
        match what:
            case "classes":
                return outputs.argmax(axis=self._bound.class_axis)
            case "outputs":
                return logits_of(self._neutral(outputs), self._bound.head)
        right = in_memory(targets, self._bound.layout.outputs)
        return float(self._loss(right, in_memory(outputs, "channels_first")))

    def _outputs(self, inputs: Any) -> NDArray[np.float32]:
        with memory_errors_translated(), self._own_state(goes_on=False):
            outputs: NDArray[np.float32] = self._model.predict_on_batch(inputs)
        return outputs

    def _neutral(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return to_neutral(outputs, self._bound.layout.outputs)


def _mean(losses: Sequence[float], targets: Sequence[NDArray[Any]]) -> float:
    return float(np.average(losses, weights=[len(part) for part in targets]))
