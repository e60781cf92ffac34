"""What a native Keras network must be and give, checked before anything is trained."""

import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from torch import nn

from greenbench.architectures import Native
from greenbench.backends.base import BuildRequest, sample_order
from greenbench.backends.keras import KerasBackend
from greenbench.datasets.base import Dataset
from greenbench.errors import ArchitectureError, ArchitectureWarning

CLASSES, BATCH = 10, 32


@pytest.fixture
def backend(digits: Dataset) -> KerasBackend:
    backend = KerasBackend("keras", threads=1)
    backend.load(digits)
    return backend


def build(backend: KerasBackend, builder: Callable[[], Any], **changed: Any) -> Any:
    request = BuildRequest(Native("mine", "keras", builder), batch_size=BATCH)
    return backend.build(replace(request, **changed))


def refusal(backend: KerasBackend, builder: Callable[[], Any]) -> str:
    with pytest.raises(ArchitectureError) as caught:
        build(backend, builder)
    message = str(caught.value)
    assert "\n" not in message
    assert re.search(r"'mine' \(\S*test_keras_checks\.py:\d+\)", message)
    return message


def network(*layers: Any, units: int = CLASSES, **head: Any) -> Any:
    from keras import Sequential  # noqa: PLC0415
    from keras.layers import Dense, Flatten  # noqa: PLC0415

    return Sequential([Flatten(), *layers, Dense(units, **head)])


def returning(name: str) -> Any:
    import keras  # noqa: PLC0415

    things = {
        "none": None,
        "class": keras.Sequential,
        "layer": keras.layers.Dense(CLASSES),
        "tuple": (1, 2),
        "torch": nn.Linear(256, CLASSES),
    }
    return things[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", "returned None; expected a keras.Model; end the function with `return model`"),
        ("class", r"returned the class Sequential; .*; return `Sequential\(\.\.\.\)`"),
        ("layer", "returned a Dense; expected a keras.Model$"),
        ("tuple", "returned a tuple of 2; expected a keras.Model"),
        ("torch", r"returned a Linear; .* for a model of torch write @native\('torch'\)"),
    ],
)
def test_builder_that_returns_no_keras_model_is_refused(
    backend: KerasBackend, name: str, expected: str
) -> None:
    assert re.search(expected, refusal(backend, lambda: returning(name)))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ({"activation": "softmax"}, "ends in a softmax .* leave the softmax out"),
        ({"units": 1000}, r"outputs of shape \(32, 1000\) .* give the last layer 10 outputs"),
        ({"units": 5}, r"outputs of shape \(32, 5\) for 32 images of 10 classes"),
        ({"dtype": "float16"}, "of type float16; expected float32"),
        ({"dtype": "mixed_bfloat16"}, "of type bfloat16; expected float32"),
        ({"trainable": False}, "has nothing to train"),
        ({"bias_initializer": "nan"}, "not finite before it has learned"),
    ],
    ids=["softmax", "wide", "narrow", "half", "mixed", "frozen", "nan"],
)
def test_head_that_no_classifier_has_is_refused(
    backend: KerasBackend, head: dict[str, Any], expected: str
) -> None:
    from keras.initializers import Constant  # noqa: PLC0415

    if head.get("bias_initializer") == "nan":
        head = {"bias_initializer": Constant(float("nan"))}
    assert re.search(expected, refusal(backend, lambda: network(**head)))


def test_several_outputs_are_refused(backend: KerasBackend) -> None:
    class Pair(_subclass()):  # type: ignore[misc]
        def call(self, images: Any) -> Any:
            outputs = super().call(images)
            return outputs, outputs

    class Named(_subclass()):  # type: ignore[misc]
        def call(self, images: Any) -> Any:
            return {"logits": super().call(images)}

    assert "gives a tuple of 2 for a batch" in refusal(backend, Pair)
    assert "a dict with the keys logits" in refusal(backend, Named)


def test_outputs_with_more_axes_are_refused(backend: KerasBackend) -> None:
    def pixels() -> Any:
        from keras import Sequential, layers  # noqa: PLC0415

        return Sequential([layers.Dense(CLASSES)])

    message = refusal(backend, pixels)
    assert re.search(r"outputs of shape \(32, \d+, \d+, 10\).* not one a pixel or token", message)


def test_sigmoid_is_warned_of(backend: KerasBackend) -> None:
    with pytest.warns(
        ArchitectureWarning, match=r"'mine' \(\S+:\d+\) gives values between 0 and 1"
    ):
        build(backend, lambda: network(activation="sigmoid"))


@pytest.mark.parametrize("activation", [None, "log_softmax", "relu", "tanh"])
def test_unusual_outputs_that_can_be_learned_pass(
    backend: KerasBackend, activation: str | None
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ArchitectureWarning)
        build(backend, lambda: network(activation=activation))


def _subclass() -> Any:
    import keras  # noqa: PLC0415

    class Network(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.flat, self.dense = keras.layers.Flatten(), keras.layers.Dense(CLASSES)
            self.spare = keras.layers.Dense(3)

        def build(self, input_shape: Any) -> None:
            self.spare.build((None, 3))
            self.dense.build((None, 256))

        def call(self, images: Any) -> Any:
            return self.dense(self.flat(images))

    return Network


def test_parameter_that_never_gets_a_gradient_is_named(backend: KerasBackend) -> None:
    message = refusal(backend, _subclass())
    assert re.search(r"parameter \S+/kernel, \S+/bias never gets a gradient", message)


@pytest.fixture
def cached() -> dict[str, Any]:
    return {}


def test_builder_that_returns_the_same_model_is_refused(
    backend: KerasBackend, cached: dict[str, Any]
) -> None:
    def same() -> Any:
        return cached.setdefault("model", network())

    def same_layer() -> Any:
        from keras.layers import Dense  # noqa: PLC0415

        return network(cached.setdefault("layer", Dense(16)))

    build(backend, same)
    assert "returned the same network as before" in refusal(backend, same)
    build(backend, same_layer)
    assert re.search(r"the same parameter \S+/kernel, \S+/bias as", refusal(backend, same_layer))


def test_frozen_layer_may_be_the_same(backend: KerasBackend, cached: dict[str, Any]) -> None:
    def same_layer() -> Any:
        from keras.layers import Dense  # noqa: PLC0415

        return network(cached.setdefault("layer", Dense(16, trainable=False)))

    build(backend, same_layer)
    build(backend, same_layer)


def test_later_build_of_another_width_is_refused(backend: KerasBackend) -> None:
    widths = iter([CLASSES, 1000])
    native = Native("mine", "keras", lambda: network(units=next(widths)))
    backend.build(BuildRequest(native))
    with pytest.raises(ArchitectureError, match=r"outputs of shape \(64, 1000\)"):
        backend.build(BuildRequest(native))


def test_check_leaves_no_trace(backend: KerasBackend, digits: Dataset) -> None:
    def noisy() -> Any:
        from keras.layers import BatchNormalization, Dropout  # noqa: PLC0415

        return network(BatchNormalization(), Dropout(0.5), Dropout(0.1, seed=1))

    request = BuildRequest(Native("mine", "keras", noisy), batch_size=BATCH, seed=3)
    order = sample_order(len(digits.train), BATCH, 0, 0)[: 4 * BATCH]
    trained = []
    for _ in range(2):
        model = backend.build(request)
        start = model.get_weights()
        trained.append([*start, model.train_epoch(order), *model.get_weights()])
    for checked, plain in zip(*trained, strict=True):
        np.testing.assert_array_equal(checked, plain)


def test_evaluation_counts_one_answer_an_image(
    backend: KerasBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(backend, network)
    monkeypatch.setattr(model, "_outputs", lambda images: np.zeros((len(images), 5, CLASSES)))
    with pytest.raises(ArchitectureError, match=r"'mine' gives outputs of shape \(\d+, 5, 10\)"):
        model.evaluate("validation")
