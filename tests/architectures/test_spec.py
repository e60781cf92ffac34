"""What a spec promises of shapes, counts and weights, and that torch counts the same."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenbench import registry
from greenbench.architectures import (
    Attention,
    BatchNorm,
    Conv,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    Native,
    PatchEmbedding,
    ReLU,
    Residual,
    Spec,
    build_architecture,
    native,
)
from greenbench.backends.base import BuildRequest
from greenbench.backends.torch import TorchBackend
from greenbench.datasets.base import Dataset, Split
from greenbench.errors import ArchitectureError

CLASSES = 3
SAMPLES = 4

image_layers = st.one_of(
    st.builds(Conv, st.integers(1, 5), st.integers(1, 5)),
    st.builds(BatchNorm),
    st.builds(ReLU),
    st.builds(MaxPool, st.integers(1, 3)),
)
vector_layers = st.one_of(st.builds(Linear, st.integers(1, 8)), st.builds(ReLU))


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)))
    layers: list[Layer] = []
    side = min(shape[1:])
    for layer in draw(st.lists(image_layers, max_size=6)):
        if isinstance(layer, MaxPool):
            if layer.window > side:
                continue
            side //= layer.window
        layers.append(layer)
    after = draw(st.lists(vector_layers, max_size=3))
    return Spec("random", shape, [*layers, Flatten(), *after, Linear(CLASSES)])


def backend_for(spec: Spec) -> TorchBackend:
    images = np.random.default_rng(0).random((SAMPLES, *spec.image_shape), np.float32)
    split = Split(images, np.arange(SAMPLES) % CLASSES)
    backend = TorchBackend("torch", threads=1)
    backend.load(Dataset("random", split, split, split, CLASSES, "", ""))
    return backend


@given(specs())
@settings(max_examples=150, deadline=None)
def test_counts_are_torchs_for_any_network(spec: Spec) -> None:
    model = backend_for(spec).build(BuildRequest(spec, batch_size=SAMPLES))
    assert spec.parameters == model.parameters
    assert spec.train_flops == model.count_train_flops()


@given(specs(), st.integers(0, 2**63))
@settings(max_examples=50, deadline=None)
def test_any_network_takes_its_initial_weights_and_trains(spec: Spec, seed: int) -> None:
    backend = backend_for(spec)
    model = backend.build(BuildRequest(spec, batch_size=SAMPLES, seed=seed))
    for values, expected in zip(model.get_weights(), spec.initial_weights(seed), strict=True):
        np.testing.assert_array_equal(values, expected)
    assert math.isfinite(model.train_epoch(np.arange(SAMPLES)))
    assert model.predict(np.zeros((2, *spec.image_shape), np.float32)).shape == (2, CLASSES)


def test_shapes_follow_the_layers() -> None:
    spec = Spec(
        "net", (2, 9, 12), [Conv(5), BatchNorm(), ReLU(), MaxPool(), Flatten(), Linear(CLASSES)]
    )
    shapes = [placed.shape_out for placed in spec.layers]
    assert shapes == [(5, 9, 12), (5, 9, 12), (5, 9, 12), (5, 4, 6), (120,), (CLASSES,)]
    assert spec.classes == CLASSES


def test_first_product_saves_the_gradient_of_the_image() -> None:
    assert Spec("net", (1, 2, 2), [Flatten(), Linear(5)]).train_flops == 2 * 2 * 4 * 5


def test_layer_behind_a_trained_normalisation_saves_nothing() -> None:
    spec = Spec("net", (1, 2, 2), [BatchNorm(), Flatten(), Linear(5)])
    assert spec.train_flops == 3 * 2 * 4 * 5


def test_initial_weights_are_uniform_within_the_root_of_the_fan_in() -> None:
    kernel, bias = Spec("net", (4, 5, 5), [Flatten(), Linear(1000)]).initial_weights(0)
    for values in (kernel, bias):
        assert np.abs(values).max() <= 0.1
        assert values.std() == pytest.approx(0.1 / math.sqrt(3), rel=0.05)
    assert kernel.dtype == np.float32
    assert kernel.shape == (1000, 100)


def test_normalisation_starts_as_the_identity() -> None:
    spec = Spec("net", (2, 3, 3), [BatchNorm(), Flatten(), Linear(1)])
    gamma, beta, mean, variance, *_ = spec.initial_weights(0)
    assert [list(values) for values in (gamma, beta, mean, variance)] == [
        [1, 1], [0, 0], [0, 0], [1, 1],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Linear(3)], "Linear needs a vector, but gets images of 1×4×4; put Flatten before it"),
        ([Flatten(), Conv(3)], "Conv needs an image, but gets vectors of 16 values"),
        ([Flatten(), BatchNorm(), Linear(3)], "BatchNorm needs an image"),
        ([Flatten(), MaxPool(), Linear(3)], "MaxPool needs an image"),
        ([Flatten(), Flatten(), Linear(3)], "Flatten needs an image or a sequence"),
        ([], "net has no layers"),
        ([Attention(2)], "Attention needs a sequence, but gets images"),
        ([Flatten(), Embedding(9, 2)], "Embedding takes token ids, which only the data has"),
        ([PatchEmbedding(3, 8)], "patch of PatchEmbedding is 3, but the height of the images is 4"),
        (
            [PatchEmbedding(2, 8), Attention(3)],
            "heads of Attention is 3, but the features of a token are 8",
        ),
        ([Conv(4), Conv(6, groups=4)], "groups of Conv is 4, but its channels are 6"),
        ([Conv(3, 4, stride=2)] * 3, "kernel 4 and stride 2 does not fit"),
        ([Residual([Conv(3)])], r"give images of 3×4×4, its shortcut images of 1×4×4"),
        ([Residual([Residual([Linear(3)])])], "Linear needs a vector"),
        ([Residual(Conv(3))], r"layers of Residual is Conv\(.*\); expected layers"),  # type: ignore[arg-type]
        ([Dropout(1.0)], "rate of Dropout is 1.0; expected a number from 0 to below 1"),
        (
            [MaxPool(), MaxPool(), MaxPool(), Flatten(), Linear(3)],
            "after 2 poolings the image is 1×1; at most 2 poolings fit",
        ),
    ],
)
def test_layers_that_do_not_fit_are_refused(layers: list[Layer], message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        Spec("net", (1, 4, 4), layers)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Parts put here are registered for the test alone."""
    parts: dict[str, object] = dict(registry.architectures._loaded)
    monkeypatch.setattr(registry.architectures, "_loaded", parts)
    return parts


def test_network_with_another_number_of_outputs_is_refused(registered: dict[str, object]) -> None:
    def deaf(image_shape: tuple[int, int, int], classes: int) -> Spec:
        return Spec("deaf", image_shape, [Flatten(), Linear(7)])

    registered["deaf"] = deaf
    with pytest.raises(ArchitectureError, match=r"deaf \(\S+:\d+\) ends in 7 outputs; expected 3"):
        build_architecture("deaf", (1, 4, 4), 3)


def test_native_architecture_is_built_with_shape_classes_and_options(
    registered: dict[str, object],
) -> None:
    @native("keras")
    def mine(image_shape: tuple[int, int, int], classes: int, depth: int = 1) -> object:
        return image_shape, classes, depth

    registered["mine"] = mine
    built = build_architecture("mine", (1, 4, 4), 3, options={"depth": 2})
    assert isinstance(built, Native)
    assert (built.name, built.backend) == ("mine", "keras")
    assert built.build() == ((1, 4, 4), 3, 2)
