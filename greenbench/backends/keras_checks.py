"""Checks of native Keras networks: at each build, and in a pass before anything is trained."""

from collections.abc import Iterator
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


class Data(Protocol):
    """Images and labels in the engine's memory."""

    @property
    def images(self) -> Any:
        """As a network gets them."""

    @property
    def labels(self) -> Any:
        """Class indices."""


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

    def check(
        self, request: BuildRequest, model: Any, data: Data, classes: int, *, from_logits: bool
    ) -> None:
        """Check a network that has its weights, with a pass that leaves no trace if it is new.

        Parameters
        ----------
        request : BuildRequest
            What was asked for.
        model : keras.Model
            What was built.
        data : Data
            Of the training split.
        classes : int
            How many there are.
        from_logits : bool
            Whether the loss expects logits, not probabilities.

        Raises
        ------
        ArchitectureError
            If it has nothing to train or what an earlier one trains, or if its outputs are not
            those of a classifier, or a parameter gets no gradient.
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
            batch = slice(request.batch_size)
            images, labels = data.images[batch], data.labels[batch]
            _pass(architecture, model, (images, labels), classes, from_logits=from_logits)
            self._passed.add(kind)


def _pass(
    architecture: Native,
    model: Any,
    batch: tuple[Any, Any],
    classes: int,
    *,
    from_logits: bool,
) -> None:
    """Do a training step without its update, and an evaluation, both undone."""
    import keras  # noqa: PLC0415

    images, labels = batch
    state = [(each, keras.ops.copy(each.value)) for each in model.non_trainable_variables]
    with _traceless(model):
        # A network may work in place.
        outputs = model(keras.ops.copy(images), training=True)
        checked = _checked(architecture, outputs, images, classes)
        missing = _without_gradient(model, outputs, labels, from_logits=from_logits)
        check_gradients(architecture, missing, len(model.trainable_variables))
        again = model(keras.ops.copy(images), training=False)
        evaluated = _checked(architecture, again, images, classes)
        if from_logits:
            check_logits(architecture, checked, evaluated)
    for variable, values in state:
        variable.assign(values)


def _checked(architecture: Native, given: Any, images: Any, classes: int) -> Outputs:
    """Return checked outputs."""
    import keras  # noqa: PLC0415

    ops = keras.ops
    outputs = _read(given) if ops.is_tensor(given) else None
    check_outputs(
        architecture,
        given,
        outputs,
        (len(images), classes),
        inputs_are_finite=bool(ops.all(ops.isfinite(images))),
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


def _without_gradient(model: Any, outputs: Any, labels: Any, *, from_logits: bool) -> list[str]:
    """Return the parameters that the loss does not hang on.

    JAX knows none: a gradient that does not exist is 0 there. TensorFlow would have to record
    the pass, and warns of them itself when it trains.
    """
    if _engine() != "torch":
        return []
    variables = model.trainable_variables
    if outputs.requires_grad:
        _loss(from_logits=from_logits)(labels, outputs).backward()
    return [each.path for each in variables if each.value.grad is None]


def _loss(*, from_logits: bool) -> Any:
    import keras  # noqa: PLC0415

    return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)


def _engine() -> str:
    import keras  # noqa: PLC0415

    return str(keras.backend.backend())
