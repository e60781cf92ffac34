"""Losses of tasks as Keras's, and what comes out of networks that end in a softmax or sigmoid."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from greenbench.backends import keras_native
from greenbench.backends.base import class_axis
from greenbench.errors import ConfigurationError
from greenbench.tasks import Task

Head = Literal["logits", "softmax", "sigmoid"]
"""What a network gives: logits, or the probabilities that a softmax or sigmoid makes of them."""


def own_class_axis(axes: int, data_format: str) -> int:
    """Return where outputs with so many axes have their classes, images in a layout."""
    return class_axis(axes) if data_format == "channels_first" else -1


def head_of(network: Any, task: Task) -> Head:
    """Return what a native network ends in, if the task's loss can be told so.

    Parameters
    ----------
    network : keras.Model
        The network, built.
    task : Task
        What it is to learn.
    """
    import keras  # noqa: PLC0415

    if task.loss == "cross_entropy" and keras_native.gives_probabilities(network):
        return "softmax"
    last = next(reversed(list(keras_native.layers_of(network))), None)
    is_sigmoid = getattr(last, "activation", None) is keras.activations.sigmoid
    return "sigmoid" if task.loss == "binary_cross_entropy" and is_sigmoid else "logits"


def make_loss(task: Task, head: Head, axis: int) -> Any:
    """Return a task's loss for what networks give.

    Parameters
    ----------
    task : Task
        What is learned.
    head : Head
        What a network ends in.
    axis : int
        Where its outputs have their classes.

    Raises
    ------
    ConfigurationError
        If a loss of the user's own is none for Keras.
    """
    import keras  # noqa: PLC0415

    from_logits, losses = head == "logits", keras.losses
    if isinstance(task.loss, Mapping):
        if "keras" not in task.loss:
            raise ConfigurationError(
                f"task {task.name!r} has a loss for {', '.join(task.loss)}, and none for Keras; "
                "expected a function of outputs and targets under 'keras'"
            )
        return _own_loss(task.loss["keras"])
    match task.loss:
        case "cross_entropy":
            where = {"axis": axis} if axis == 1 else {}
            return losses.SparseCategoricalCrossentropy(from_logits=from_logits, **where)
        case "binary_cross_entropy":
            return losses.BinaryCrossentropy(from_logits=from_logits)
        case "mse":
            return losses.MeanSquaredError()
    raise ConfigurationError(
        f"task {task.name!r} has the loss {task.loss!r}; expected cross_entropy, "
        "binary_cross_entropy, mse, or functions by backend"
    )


def _own_loss(function: Callable[..., Any]) -> Any:
    import keras  # noqa: PLC0415

    class OwnLoss(keras.losses.Loss):  # type: ignore[misc]
        # Keras's own call would make numbers with a point of class indices.
        def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return function(y_pred, y_true)

    return OwnLoss()


def logits_of(outputs: NDArray[np.float32], head: Head) -> NDArray[np.float32]:
    """Return outputs as metrics read them: what a softmax or sigmoid would make the same of."""
    if head == "logits":
        return outputs
    tiny = np.finfo(np.float32).tiny
    logarithms = np.log(np.maximum(outputs, tiny))
    if head == "softmax":
        return logarithms
    rest = np.maximum(1 - outputs.astype(np.float64), np.finfo(np.float32).eps)
    return np.asarray(logarithms - np.log(rest), np.float32)
