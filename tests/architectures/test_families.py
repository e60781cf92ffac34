"""What the small families promise: sizes, shapes, options, and which data they are for."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from greenbench import registry
from greenbench.architectures import (
    Dropout,
    Embedding,
    Flatten,
    Linear,
    Native,
    PatchEmbedding,
    Spec,
    build_architecture,
    native,
    sizes_of,
)
from greenbench.architectures.base import check_data
from greenbench.errors import ArchitectureError, UnknownNameError

DIGITS, CIFAR, TABLE, TEXT = (1, 8, 8), (3, 32, 32), (30,), (64,)
Shape = tuple[int, ...]


def build(name: str, shape: Shape, size: str | None = None, **options: Any) -> Spec:
    outputs, vocabulary = ((64, 65), 65) if shape == TEXT else ((10,), None)
    spec = build_architecture(
        name, shape, outputs, size=size, options=options, vocabulary=vocabulary
    )
    assert isinstance(spec, Spec)
    assert spec.outputs == outputs
    return spec


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("resnet_small", DIGITS),
        ("resnet_small", CIFAR),
        ("vit_small", DIGITS),
        ("vit_small", CIFAR),
        ("gpt_small", TEXT),
        ("mlp", TABLE),
    ],
)
def test_families_grow_in_cost_over_two_and_a_half_orders_of_magnitude(
    name: str, shape: Shape
) -> None:
    sizes = sizes_of(registry.architectures.get(name))
    assert list(sizes) == ["xs", "s", "m", "l", "xl"]
    specs = [build(name, shape, size) for size in sizes]
    for counts in ([each.parameters for each in specs], [each.train_flops for each in specs]):
        assert all(small < large for small, large in pairwise(counts))
    assert math.log10(specs[-1].train_flops / specs[0].train_flops) >= 2.5


@pytest.mark.parametrize(
    ("shape", "patch"),
    [
        (DIGITS, 2),
        ((1, 16, 16), 4),
        ((1, 28, 28), 4),
        (CIFAR, 4),
        ((3, 64, 96), 8),
        ((3, 224, 224), 28),
        ((1, 9, 12), 1),
        ((2, 1, 3), 1),
    ],
)
def test_patches_adapt_to_the_image(shape: Shape, patch: int) -> None:
    first = build("vit_small", shape).layers[0].layer
    assert first == PatchEmbedding(patch, 48)


def test_residual_network_of_three_blocks_a_stage_has_the_parameters_of_resnet_20() -> None:
    # He et al. 2015 tell 0.27 million for CIFAR; theirs has no weights in shortcuts.
    spec = build("resnet_small", CIFAR, depth=3)
    assert spec.parameters == pytest.approx(0.27e6, rel=0.02)


@pytest.mark.parametrize("shape", [TABLE, CIFAR, (5, 6)])
def test_perceptron_takes_any_shape(shape: Shape) -> None:
    spec = build("mlp", shape, width=7, depth=3)
    hidden = [each.layer.features for each in spec.layers if isinstance(each.layer, Linear)]
    assert hidden == [7, 7, 7, 10]
    assert isinstance(spec.layers[0].layer, Flatten) == (len(shape) > 1)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("resnet_small", DIGITS), ("vit_small", DIGITS), ("gpt_small", TEXT), ("mlp", TABLE)],
)
def test_dropout_is_an_option_that_is_off(name: str, shape: Shape) -> None:
    assert not build(name, shape).draws
    rates = {
        each.layer.rate
        for each in build(name, shape, dropout=0.1).leaves
        if isinstance(each.layer, Dropout)
    }
    assert rates == {0.1}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vit_small", {"width": 50}, "width is 50, which 4 heads cannot share"),
        ("vit_small", {"patch": 3}, "patch of PatchEmbedding is 3, but the height .* is 8"),
        ("resnet_small", {"width": 1.5}, "width is 1.5; expected a whole number above 0"),
        ("mlp", {"depth": 0}, "depth is 0; expected a whole number above 0"),
        ("mlp", {"width": 10**400}, "width is 10*; expected .* above 0, at most 100000"),
        ("dense", {"width": 1e308}, r"width is 1e\+308; expected a number above 0, at most 100000"),
        ("dense", {"linear_layers": 10**9}, "linear_layers is 1.* of at least 1, at most 100000"),
        ("mlp", {"dropout": 1.0}, "rate of Dropout is 1.0; expected a number from 0 to below 1"),
    ],
)
def test_option_out_of_range_is_refused_by_name(
    name: str, options: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(ArchitectureError, match=f"{name}: {message}"):
        build(name, DIGITS, **options)


def wrong(name: str, shape: Shape, outputs: Any = 2, vocabulary: int | None = None) -> str:
    with pytest.raises(ArchitectureError) as refused:
        build_architecture(name, shape, outputs, vocabulary=vocabulary)
    return str(refused.value)


def test_architecture_for_other_data_is_refused_by_what_it_got() -> None:
    for name in ("simple_cnn", "dense", "resnet_small", "vit_small", "torchvision"):
        size = {"torchvision": "resnet18"}.get(name)
        with pytest.raises(ArchitectureError) as refused:
            build_architecture(name, TABLE, 2, size=size)
        assert str(refused.value) == (
            f"architecture {name!r} is for images, but the data set has vectors of 30 values; "
            "choose another, such as mlp"
        )
    advice = "has sequences of 64 token ids; choose another, such as gpt_small"
    assert advice in wrong("resnet_small", TEXT, (64, 65), 65)
    assert "'gpt_small' is for token ids, but the data set has images of 1×8×8" in wrong(
        "gpt_small", DIGITS
    )
    assert "mlp computes with numbers, but the data set has token ids" in wrong("mlp", TEXT, 2, 65)
    advice = "mlp ends in 3 outputs; expected 3×8×8, since the task wants them for each pixel"
    assert advice in wrong("mlp", DIGITS, (3, 8, 8))


@pytest.mark.parametrize(
    ("name", "dataset", "advice"),
    [
        ("dense", "wine", "for images, but data set 'wine' has numbers; choose another, "),
        ("torchvision", "text", "for images, but data set 'text' has token ids; choose another, "),
        ("gpt_small", "digits", "for token ids, but data set 'digits' has images; choose another,"),
    ],
)
def test_data_that_an_architecture_cannot_take_are_refused_before_they_are_loaded(
    name: str, dataset: str, advice: str
) -> None:
    with pytest.raises(ArchitectureError, match=f"architecture '{name}' is {advice}"):
        check_data(name, dataset)


def test_several_inputs_are_for_native_architectures(registered: dict[str, object]) -> None:
    several: Any = {"picture": DIGITS, "age": (1,), "weight": (1,)}
    assert wrong("mlp", several) == (
        "architecture 'mlp' takes one input, but the data set has several inputs: picture of "
        "(1, 8, 8), age of (1,), weight of (1,); expected a network of a backend's own, declared "
        "with @native"
    )
    registered["both"] = native("torch")(lambda input_shape, classes: (input_shape, classes))
    built = build_architecture("both", several, 2)
    assert isinstance(built, Native)
    assert built.build() == (several, 2)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Parts put here are registered for the test alone."""
    parts: dict[str, object] = dict(registry.architectures._loaded)
    monkeypatch.setattr(registry.architectures, "_loaded", parts)
    return parts


def test_vocabulary_comes_from_the_data_and_is_no_option(registered: dict[str, object]) -> None:
    assert build("gpt_small", TEXT).vocabulary == 65
    with pytest.raises(UnknownNameError, match="unknown option of gpt_small 'vocabulary'"):
        build("gpt_small", TEXT, vocabulary=9)

    @native("torch")
    def mine(input_shape: Shape, classes: int, vocabulary: int = 0) -> object:
        return input_shape, classes, vocabulary

    registered["mine"] = mine
    for given, passed in ((65, 65), (None, 0)):
        built = build_architecture("mine", TEXT, (64, 65), vocabulary=given)
        assert isinstance(built, Native)
        assert built.build() == (TEXT, 65, passed)


def test_embedding_that_does_not_fit_the_data_is_refused(registered: dict[str, object]) -> None:
    def deaf(input_shape: Shape, classes: int) -> Spec:
        return Spec("deaf", input_shape, [Embedding(50, 4), Linear(classes)])

    registered["deaf"] = deaf
    assert "knows 50 token ids, but the data set has 65" in wrong("deaf", TEXT, (64, 65), 65)
    assert "is for token ids, but the data set has vectors of 64 values" in wrong("deaf", TEXT)
    assert "ends in 64×2 outputs; expected 2, a value each" in wrong("deaf", TEXT, 2, 50)
