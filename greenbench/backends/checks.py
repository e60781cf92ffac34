"""What a native network must be and give; the same for every backend, and knows no framework."""

import math
import warnings
import weakref
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.architectures.spec import Native, Spec
from greenbench.backends.base import class_axis
from greenbench.errors import ArchitectureError, ArchitectureWarning
from greenbench.machine.places import at

PASSES = 5
"""Batches after which a parameter counts as one that never gets a gradient."""

PASSES_OF_CHANCE = 12
"""The same of a network that draws random numbers, which may decide what it uses."""

FULL_PRECISION = ("float32", "float64")

# Sums of rows in single precision, and in half.
_TOLERANCE, _HALF_TOLERANCE = 1e-3, 2e-2
_SHOWN = 3


@dataclass(frozen=True)
class Outputs:
    """What a network gave for a batch.

    Attributes
    ----------
    values : ndarray
        In a type that NumPy has.
    dtype : str
        As the framework calls it, such as ``"bfloat16"``.
    """

    values: NDArray[Any]
    dtype: str


def named(architecture: Spec | Native) -> str:
    """Return an architecture for a message, with its place in the user's code."""
    build = architecture.build if isinstance(architecture, Native) else None
    return f"architecture {architecture.name!r}{at(build) if build else ''}"


def refuse_kind(architecture: Native, model: Any, expected: str) -> ArchitectureError:
    """Return the error for a builder that returned no model of its backend.

    Parameters
    ----------
    architecture : Native
        Whose builder.
    model : object
        What it returned.
    expected : str
        The class that it should have had.
    """
    advice = f"expected a {expected}"
    if model is None:
        advice += "; end the function with `return model`"
    elif isinstance(model, type):
        advice += f"; return `{model.__name__}(...)`, not the class"
    elif isinstance(model, Spec):
        advice += f"; leave @native({architecture.backend!r}) out"
    elif (framework := _framework(model)) and not architecture.backend.startswith(framework):
        advice += f"; for a model of {framework} write @native({framework!r})"
    return ArchitectureError(f"{named(architecture)} returned {described_kind(model)}; {advice}")


def described_kind(thing: Any) -> str:
    """Return what a thing is, for a message."""
    kind = type(thing).__name__
    if thing is None:
        return "None"
    if isinstance(thing, type):
        return f"the class {thing.__name__}"
    if isinstance(thing, Mapping):
        return f"a {kind} with the keys {', '.join(map(str, thing))}"
    if isinstance(thing, tuple | list):
        return f"a {kind} of {len(thing)}"
    return f"a {kind}"


def check_trained(architecture: Native, trained: Collection[Any]) -> None:
    """Raise `ArchitectureError` if a network has nothing to train."""
    if not trained:
        raise ArchitectureError(
            f"{named(architecture)} has nothing to train: none of its parameters is trainable; "
            "leave some unfrozen"
        )


def check_outputs(
    architecture: Native,
    given: Any,
    outputs: Outputs | None,
    expected: tuple[int, ...],
    *,
    task: str = "classification",
    precision: str = "float32",
    inputs_are_finite: bool = True,
) -> None:
    """Check what a network gave for a batch, whatever its values mean.

    Parameters
    ----------
    architecture : Native
        Which network.
    given : object
        As it came.
    outputs : Outputs or None
        The same; None if it was no tensor.
    expected : tuple of int
        Shape of the outputs: samples of the batch, and what the task wants of each, such as
        classes.
    task : str
        Name of the task.
    precision : str
        Type that it may have, besides single and double.
    inputs_are_finite : bool
        Whether the inputs were; then outputs must be, too.

    Raises
    ------
    ArchitectureError
        If it is no tensor of numbers, or has another shape.
    """
    who = named(architecture)
    classifies = task == "classification" and len(expected) == 2  # noqa: PLR2004
    if outputs is None:
        of_each = ", a value a class" if classifies else f" for the task {task!r}"
        raise ArchitectureError(
            f"{who} gives {described_kind(given)} for a batch; expected one tensor of shape "
            f"{expected}{of_each}: return that one alone{_of_fields(given)}"
        )
    if outputs.values.shape != expected:
        shape = outputs.values.shape
        what = (
            f"images of {expected[1]} classes; expected {expected}: "
            f"{_advice_on_shape(shape, expected)}"
            if classifies
            else f"samples; expected {expected}, which the task {task!r} learns from"
        )
        raise ArchitectureError(f"{who} gives outputs of shape {shape} for {expected[0]} {what}")
    if outputs.dtype not in {*FULL_PRECISION, precision}:
        raise ArchitectureError(
            f"{who} gives outputs of type {outputs.dtype}; expected float32: compute the last "
            "layer in it, or convert its outputs"
        )
    if inputs_are_finite and not np.isfinite(outputs.values).all():
        raise ArchitectureError(
            f"{who} gives outputs that are not finite before it has learned anything (NaN or "
            "infinity); look at its initial weights, and for divisions and logarithms of 0"
        )


def check_logits(architecture: Native, outputs: Outputs, evaluated: Outputs) -> None:
    """Check that outputs in training are no probabilities, which the loss makes of them.

    Parameters
    ----------
    architecture : Native
        Which network.
    outputs : Outputs
        In training.
    evaluated : Outputs
        Of the same images in an evaluation, where no dropout hides what they are.

    Raises
    ------
    ArchitectureError
        If they are those of a softmax.

    Warns
    -----
    ArchitectureWarning
        If they look like those of a sigmoid, which may be meant.
    """
    values = outputs.values.astype(np.float64)
    axis = _axis_of_softmax(outputs)
    if axis is None and (values >= 0).all():
        axis = _axis_of_softmax(evaluated)
    if axis is not None:
        raise ArchitectureError(
            f"{named(architecture)} ends in a softmax (each {('column', 'row')[axis]} of its "
            "outputs sums to 1, and none is below 0); expected logits, since the loss applies it: "
            "leave the softmax out"
        )
    # Those of a ReLU have zeros among them.
    if ((values > 0) & (values < 1)).all():
        _warn(
            architecture,
            "gives values between 0 and 1 alone, as a sigmoid does; the loss expects logits of any "
            "size, and it learns less: leave a sigmoid at the end out",
        )


def check_still_trained(architecture: Native, frozen: Sequence[str]) -> None:
    """Raise `ArchitectureError` if a forward pass has frozen what the builder left to train."""
    if frozen:
        raise ArchitectureError(
            f"{named(architecture)} freezes {_listed(frozen)} in its forward pass; freeze it in "
            "the function that builds the network, so that it does not count as trained"
        )


def check_gradients(
    architecture: Native, missing: Sequence[str], trained: int, excused: Collection[str] = ()
) -> None:
    """Check that every trained parameter gets a gradient.

    Parameters
    ----------
    architecture : Native
        Which network.
    missing : sequence of str
        Names of those that got none.
    trained : int
        How many there are.
    excused : collection of str
        Those of which other batches may make use, such as experts of a mixture.

    Raises
    ------
    ArchitectureError
        If one that cannot be excused got none.

    Warns
    -----
    ArchitectureWarning
        If one that can be got none.
    """
    if trained and len(missing) == trained:
        raise ArchitectureError(
            f"{named(architecture)}: no parameter gets a gradient, since its outputs do not hang "
            "on them; look for no_grad, detach, argmax, requires_grad, or a way through NumPy"
        )
    if lost := [name for name in missing if name not in excused]:
        raise ArchitectureError(
            f"{named(architecture)}: {_listed(lost)} never gets a gradient; use it in the forward "
            "pass, or freeze it, so that it does not count as trained"
        )
    if missing:
        _warn(
            architecture,
            f"gave {_listed(missing)} no gradient in its first batches; fine if it chooses among "
            "its parts, a mistake if it should use them all",
        )


def check_shape(
    name: str, outputs: Sequence[int], targets: Sequence[int], loss: Any = "cross_entropy"
) -> None:
    """Raise `ArchitectureError` if outputs are none for these targets: nothing could be counted.

    Parameters
    ----------
    name : str
        Of the architecture.
    outputs, targets : sequence of int
        Shapes.
    loss : str or mapping
        What is learned by; see `greenbench.tasks.base.Loss`.
    """
    given, right = tuple(outputs), tuple(targets)
    if _fits(given, right, loss):
        return
    what, expected = "targets", "a value a target"
    if loss == "cross_entropy":
        what = "labels" if len(right) == 1 else "targets"
        expected = "a label an image, and outputs of shape (images, classes)"
        if len(right) > 1:
            expected = "a value a class for each target"
    raise ArchitectureError(
        f"architecture {name!r} gives outputs of shape {given} for {what} of shape {right}; "
        f"expected {expected}"
    )


def _fits(outputs: tuple[int, ...], targets: tuple[int, ...], loss: Any) -> bool:
    if not outputs or not targets or outputs[0] != targets[0]:
        return False
    if loss == "cross_entropy":
        axis = class_axis(len(outputs))
        return len(outputs) > 1 and (*outputs[:axis], *outputs[axis + 1 :]) == targets
    # What a loss of somebody's own takes, it knows itself.
    return loss not in ("binary_cross_entropy", "mse") or math.prod(outputs) == math.prod(targets)


class Returned:
    """What builders have returned so far, by identity, for as long as it lives.

    A network that is built again must not have what an earlier one trains.
    """

    def __init__(self) -> None:
        self._known: dict[int, weakref.ref[Any]] = {}

    def __contains__(self, thing: object) -> bool:
        known = self._known.get(id(thing))
        return known is not None and known() is thing

    def add(self, things: Collection[Any]) -> None:
        """Remember things, and forget those that are gone."""
        self._known = {key: each for key, each in self._known.items() if each() is not None}
        self._known |= {id(thing): weakref.ref(thing) for thing in things}


def refuse_same(architecture: Native, names: Sequence[str], *, is_all: bool) -> ArchitectureError:
    """Return the error for a network that has what an earlier one trained.

    Parameters
    ----------
    architecture : Native
        Whose builder.
    names : sequence of str
        What it has in common with the earlier one.
    is_all : bool
        Whether that is all that it trains.
    """
    what = "the same network" if is_all else f"the same {_listed(names)}"
    return ArchitectureError(
        f"{named(architecture)} returned {what} as before, so that a trial would go on training "
        "what another has trained; make new layers at each call"
    )


def _axis_of_softmax(outputs: Outputs) -> int | None:
    """Return the axis over which outputs are probabilities, if they are."""
    values = outputs.values.astype(np.float64)
    tolerance = _TOLERANCE if outputs.dtype in FULL_PRECISION else _HALF_TOLERANCE
    if (values < 0).any():
        return None
    sums_to_1 = (np.allclose(values.sum(axis=axis), 1, rtol=0, atol=tolerance) for axis in (1, 0))
    return next((axis for axis, does in zip((1, 0), sums_to_1, strict=True) if does), None)


def _warn(architecture: Native, text: str) -> None:
    warnings.warn(ArchitectureWarning(f"{named(architecture)} {text}"), stacklevel=3)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"parameter {shown}{more}"


def _advice_on_shape(shape: Sequence[int], expected: tuple[int, ...]) -> str:
    count, classes = expected
    if len(shape) == 2 and shape[0] == count:  # noqa: PLR2004
        return f"give the last layer {classes} outputs"
    if len(shape) > 2 and shape[0] == count:  # noqa: PLR2004
        return "one answer an image, not one a pixel or token: pool or flatten before the last one"
    return "keep the batch as the first axis, and a value a class as the second"


def _of_fields(given: Any) -> str:
    if any(name.startswith("aux_logits") for name in dir(given)):
        return ", or build the network with `aux_logits=False`"
    name = next((name for name in ("logits", "out", "output") if hasattr(given, name)), None)
    if name is None and isinstance(given, Mapping):
        name = next((key for key in ("logits", "out") if key in given), None)
    return f", such as `.{name}`" if name else ""


def _framework(model: Any) -> str | None:
    modules = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    # On torch, Keras's models are torch modules, too.
    return next((name for name in ("keras", "torch") if name in modules), None)
