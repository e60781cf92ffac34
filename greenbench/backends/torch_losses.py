"""What torch learns by, and what the outputs of a model say of a split."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from greenbench.backends.base import class_axis, measured
from greenbench.errors import ConfigurationError
from greenbench.tasks import Task
from greenbench.tasks.score import ACCURACY

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""Takes outputs and targets, and returns their mean loss in nats."""


def loss_of(task: Task) -> LossFunction:
    """Return the loss of a task.

    Raises
    ------
    ConfigurationError
        If it has none for this backend.
    """
    given = task.loss
    if isinstance(given, Mapping):
        own = given.get("torch")
        if own is None:
            names = ", ".join(given) or "none"
            raise ConfigurationError(
                f"task {task.name!r} has no loss for the backend 'torch' (it has: {names}); add "
                "a function of outputs and targets under 'torch', or choose another backend"
            )
        return _own(task.name, own)
    known: Mapping[str, LossFunction] = {
        "cross_entropy": _cross_entropy,
        "binary_cross_entropy": _binary_cross_entropy,
        "mse": _squares,
    }
    if given not in known:
        raise ConfigurationError(
            f"task {task.name!r} has the loss {given!r}; expected one of {', '.join(known)}, or "
            "functions by backend"
        )
    return known[given]


def counts_hits(task: Task) -> bool:
    """Return whether a task's score is the share of right classes, counted on the device."""
    return task.score == ACCURACY


class Answers:
    """What the outputs for a split say, part by part.

    Parameters
    ----------
    reads : collection of str
        What is kept of them; see `Score.reads`.
    loss : callable
        For ``"loss"``.
    """

    def __init__(self, reads: Collection[str], loss: LossFunction) -> None:
        self._reads = reads
        self._loss = loss
        self._classes: list[Tensor] = []
        self._outputs: list[Tensor] = []
        self._losses: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Take down the outputs of a part, and what is right."""
        self._targets.append(targets)
        if "classes" in self._reads:
            self._classes.append(outputs.argmax(dim=class_axis(outputs.ndim)))
        if "outputs" in self._reads:
            self._outputs.append(outputs.float().cpu())
        if "loss" in self._reads:
            self._losses.append(self._loss(outputs, targets).float())

    def accuracy(self) -> float:
        """Return the share of right classes, counted on the device."""
        targets = torch.cat(self._targets)
        return int((torch.cat(self._classes) == targets).sum()) / targets.numel()

    def measured(self, task: Task) -> dict[str, float]:
        """Return what a task makes of it."""
        found: dict[str, Any] = {}
        if self._classes:
            found["classes"] = torch.cat(self._classes).cpu().numpy()
        if self._outputs:
            found["outputs"] = torch.cat(self._outputs).numpy()
        if self._losses:
            sizes = [len(each) for each in self._targets]
            losses = torch.stack(self._losses).cpu().double().numpy()
            found["loss"] = float(np.average(losses, weights=sizes))
        return measured(task, found, torch.cat(self._targets).cpu().numpy())


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    # Of tokens the classes come last; torch wants them second.
    if outputs.ndim > 2 and class_axis(outputs.ndim) == outputs.ndim - 1:  # noqa: PLR2004
        return cross_entropy(outputs.flatten(0, -2), targets.flatten())
    return cross_entropy(outputs, targets)


def _binary_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(outputs, _alike(targets, outputs))


def _squares(outputs: Tensor, targets: Tensor) -> Tensor:
    return mse_loss(outputs, _alike(targets, outputs))


def _alike(targets: Tensor, outputs: Tensor) -> Tensor:
    """Return targets in the shape of outputs: (n,) and (n, 1) would give n × n differences."""
    shaped = targets if targets.shape == outputs.shape else targets.reshape(outputs.shape)
    return shaped if shaped.is_floating_point() else shaped.float()


def _own(name: str, function: Callable[..., Any]) -> LossFunction:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        found = function(outputs, targets)
        if not isinstance(found, Tensor) or found.ndim:
            shape = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else ""
            raise ConfigurationError(
                f"task {name!r}: its loss returned {shape or type(found).__name__}; expected a "
                "tensor without axes, the mean over the batch"
            )
        return found

    return loss
