"""Checks of native Keras networks: at each build, and in a pass before anything is trained."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from greenbench.architectures.spec import Native
from greenbench.backends.base import BuildRequest
from greenbench.backends.checks import (
    Outputs,
    Returned,
    check_gradients,
    check_logits,
    check_outputs,
    check_trained,
    refuse_kind,
    refuse_same,
)
from greenbench.backends.process_state import random_numbers_of, random_states
from greenbench.tasks import Task


class Bound(Protocol):
    """What a network is bound to."""

    @property
    def splits(self) -> Mapping[str, Any]:
        """In the network's layout."""

    @property
    def own_outputs(self) -> tuple[int, ...]:
        """Shape of what it gives for a sample, as it gives it."""

    @property
    def head(self) -> str:
        """What it ends in."""

    def loss(self, task: Task) -> Any:
        """Return what it is trained with."""


def build_network(architecture: Native) -> Any:
    """Return a new network of an architecture, as its builder makes it.

    Raises
    ------
    ArchitectureError
        If it is no Keras model.
    """
    import keras  # noqa: PLC0415

    model = architecture.build()
    if not isinstance(model, keras.Model):
        raise refuse_kind(architecture, model, "keras.Model")
    return model


class KerasChecks:
    """What a backend remembers of the networks that it has built and checked."""

    def __init__(self) -> None:
        self._returned = Returned()
        self._passed: set[object] = set()

    def forget(self) -> None:
        """Check all networks again: the data is another."""
        self._passed.clear()

    def check(self, request: BuildRequest, model: Any, bound: Bound) -> None:
        """Check a network that has its weights, with a pass that leaves no trace if it is new.

        Parameters
        ----------
        request : BuildRequest
            What was asked for.
        model : keras.Model
            What was built.
        bound : Bound
            What it is to learn from, and what it is to give.

        Raises
        ------
        ArchitectureError
            If it has nothing to train or what an earlier one trains, or if its outputs are not
            those of the task, or a parameter gets no gradient.
        """
        architecture = request.architecture
        if not isinstance(architecture, Native):
            return
        trained = model.trainable_variables
        check_trained(architecture, trained)
        if same := [each.path for each in trained if each in self._returned]:
            raise refuse_same(architecture, same, is_all=len(same) == len(trained))
        self._returned.add(trained)
        kind = (architecture, request.batch_size, _structure(model))
        if kind not in self._passed:
            _pass(request, architecture, model, bound)
            self._passed.add(kind)


def _pass(request: BuildRequest, architecture: Native, model: Any, bound: Bound) -> None:
    """Do a training step without its update, and an evaluation, both undone."""
    import keras  # noqa: PLC0415

    data = bound.splits["train"]
    count = min(request.batch_size, len(data))
    expected = (count, *bound.own_outputs)
    state = [(each, keras.ops.copy(each.value)) for each in model.non_trainable_variables]
    with _traceless(model):
        # A network may work in place: each pass gets a copy.
        inputs, targets = data.first(count)
        are_finite = _are_finite(inputs)
        outputs = model(inputs, training=True)
        checked = _checked(request, outputs, expected, inputs_are_finite=are_finite)
        missing = _without_gradient(model, outputs, targets, bound.loss(request.task))
        check_gradients(architecture, missing, len(model.trainable_variables))
        again = model(data.first(count)[0], training=False)
        evaluated = _checked(request, again, expected, inputs_are_finite=are_finite)
        if request.task.loss == "cross_entropy" and bound.head == "logits":
            check_logits(architecture, checked, evaluated)
    for variable, values in state:
        variable.assign(values)


def _are_finite(inputs: Any) -> bool:
    import keras  # noqa: PLC0415

    tensors = keras.tree.flatten(inputs)
    return all(bool(keras.ops.all(keras.ops.isfinite(each))) for each in tensors)


def _checked(
    request: BuildRequest, given: Any, expected: tuple[int, ...], *, inputs_are_finite: bool
) -> Outputs:
    """Return checked outputs."""
    import keras  # noqa: PLC0415

    assert isinstance(request.architecture, Native)
    outputs = _read(given) if keras.ops.is_tensor(given) else None
    check_outputs(
        request.architecture,
        given,
        outputs,
        expected,
        task=request.task.name,
        inputs_are_finite=inputs_are_finite,
    )
    assert outputs is not None
    return outputs


def _read(tensor: Any) -> Outputs:
    import keras  # noqa: PLC0415

    dtype = keras.backend.standardize_dtype(tensor.dtype)
    # NumPy has no bfloat16.
    plain = keras.ops.cast(tensor, "float32") if dtype == "bfloat16" else tensor
    return Outputs(keras.ops.convert_to_numpy(plain), dtype)


def _structure(model: Any) -> object:
    """Return what two builds that compute alike have in common."""
    layers = tuple(type(layer) for layer in model._flatten_layers())
    variables = tuple((tuple(each.shape), each.dtype, each.trainable) for each in model.variables)
    return layers, variables


@contextmanager
def _traceless(model: Any) -> Iterator[None]:
    """Leave neither random numbers drawn nor gradients behind."""
    with random_numbers_of(random_states(), goes_on=False):
        yield
    if _engine() == "torch":
        model.zero_grad()


def _without_gradient(model: Any, outputs: Any, targets: Any, loss: Any) -> list[str]:
    """Return the parameters that the loss does not hang on.

    JAX knows none: a gradient that does not exist is 0 there. TensorFlow would have to record
    the pass, and warns of them itself when it trains.
    """
    if _engine() != "torch":
        return []
    variables = model.trainable_variables
    if outputs.requires_grad:
        loss(targets, outputs).backward()
    return [each.path for each in variables if each.value.grad is None]


def _engine() -> str:
    import keras  # noqa: PLC0415

    return str(keras.backend.backend())
