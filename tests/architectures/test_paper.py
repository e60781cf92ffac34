"""The paper's networks, worked out by hand from its formulas, and the families grown from them."""

import math
from itertools import pairwise

import pytest

from greenbench import registry
from greenbench.architectures import (
    BatchNorm,
    Conv,
    Flatten,
    Linear,
    MaxPool,
    ReLU,
    Spec,
    build_architecture,
    sizes_of,
)
from greenbench.architectures.spec import Layer
from greenbench.errors import ArchitectureError, UnknownNameError

FASHION = (1, 28, 28)
CIFAR = (3, 32, 32)
SHAPES = [(1, 16, 16), FASHION, CIFAR]
FAMILIES = ["simple_cnn", "dense"]


def build(name: str, shape: tuple[int, int, int], **options: object) -> Spec:
    spec = build_architecture(name, shape, 10, options=options)
    assert isinstance(spec, Spec)
    return spec


def layers_of(spec: Spec) -> list[Layer]:
    return [placed.layer for placed in spec.layers]


def block(channels: int) -> list[Layer]:
    return [Conv(channels), BatchNorm(), ReLU(), MaxPool()]


def test_simple_cnn_on_fashion_mnist_is_the_papers() -> None:
    spec = build("simple_cnn", FASHION)
    head = [Flatten(), Linear(392), Linear(196), Linear(10)]
    assert layers_of(spec) == [*block(3), *block(9), *head]
    assert spec.layers[8].shape_out == (9 * 7 * 7,)
    assert spec.parameters == (30 + 6) + (252 + 18) + 173_264 + 77_028 + 1_970
    assert spec.train_flops == 3 * (42_336 + 95_256 + 345_744 + 153_664 + 3_920) - 42_336


def test_simple_cnn_on_cifar_10_is_the_papers() -> None:
    spec = build("simple_cnn", CIFAR)
    head = [Flatten(), Linear(1536), Linear(768), Linear(10)]
    assert layers_of(spec) == [*block(9), *block(27), *head]
    assert spec.layers[8].shape_out == (27 * 8 * 8,)
    assert spec.parameters == (252 + 18) + (2_214 + 54) + 2_655_744 + 1_180_416 + 7_690


@pytest.mark.parametrize(
    ("conv_layers", "channels", "flattened"), [(1, [3], 588), (4, [3, 9, 27, 81], 81)]
)
@pytest.mark.parametrize(
    ("linear_layers", "hidden"), [(3, [392, 196]), (7, [392, 196, 98, 49, 24, 12])]
)
def test_factorial_networks_on_fashion_mnist_are_the_papers(
    conv_layers: int,
    channels: list[int],
    flattened: int,
    linear_layers: int,
    hidden: list[int],
) -> None:
    spec = build("simple_cnn", FASHION, conv_layers=conv_layers, linear_layers=linear_layers)
    features = [placed.layer.features for placed in spec.layers if isinstance(placed.layer, Linear)]
    convolutions = [
        placed.layer.channels for placed in spec.layers if isinstance(placed.layer, Conv)
    ]
    assert convolutions == channels
    assert features == [*hidden, 10]
    assert spec.layers[4 * conv_layers].shape_out == (flattened,)


def test_simple_cnn_without_relu_is_the_papers_second_variant() -> None:
    layers = layers_of(build("simple_cnn", FASHION, relu=False))
    head = [Flatten(), Linear(392), Linear(196), Linear(10)]
    assert layers == [*block(3)[:2], MaxPool(), *block(9)[:2], MaxPool(), *head]


@pytest.mark.parametrize(
    ("name", "shape", "hidden"),
    [
        ("dense_poly", FASHION, [392, 196]),
        ("dense_poly", CIFAR, [1536, 768]),
        ("dense_linear", FASHION, [522, 261]),
        ("dense_linear", CIFAR, [2048, 1024]),
    ],
)
def test_dense_networks_are_the_papers(
    name: str, shape: tuple[int, int, int], hidden: list[int]
) -> None:
    assert layers_of(build(name, shape)) == [Flatten(), *map(Linear, [*hidden, 10])]


def test_hidden_layers_have_at_least_a_feature_a_channel() -> None:
    layers = layers_of(build("dense_poly", CIFAR, linear_layers=13))
    assert layers[-4:] == [Linear(3), Linear(3), Linear(3), Linear(10)]


@pytest.mark.parametrize("linear_layers", [7, 40, 175])
def test_dense_linear_shrinks_by_exact_fractions(linear_layers: int) -> None:
    layers = layers_of(build("dense_linear", FASHION, linear_layers=linear_layers))
    exact = [784 * (linear_layers - j - 1) // linear_layers for j in range(linear_layers - 1)]
    assert layers[1:-1] == [Linear(features) for features in exact]


@pytest.mark.parametrize("name", ["simple_cnn", "dense_poly", "dense_linear", "dense"])
def test_one_linear_layer_is_the_classifier_alone(name: str) -> None:
    layers = layers_of(build(name, FASHION, linear_layers=1))
    assert [layer for layer in layers if isinstance(layer, Linear)] == [Linear(10)]


def test_dense_has_a_relu_after_each_hidden_layer() -> None:
    layers = layers_of(build("dense", FASHION))
    assert layers == [Flatten(), Linear(392), ReLU(), Linear(196), ReLU(), Linear(10)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FAMILIES)
def test_families_grow_in_cost_over_two_and_a_half_orders_of_magnitude(
    name: str, shape: tuple[int, int, int]
) -> None:
    sizes = sizes_of(registry.architectures.get(name))
    specs = [build_architecture(name, shape, 10, size=size) for size in sizes]
    flops = [spec.train_flops for spec in specs if isinstance(spec, Spec)]
    assert len(flops) >= 5
    assert all(small < large for small, large in pairwise(flops))
    assert math.log10(flops[-1] / flops[0]) >= 2.5


def test_small_simple_cnn_is_the_papers_network() -> None:
    small = build_architecture("simple_cnn", CIFAR, 10, size="s")
    assert isinstance(small, Spec)
    assert small.layers == build("simple_cnn", CIFAR).layers


@pytest.mark.parametrize(
    ("shape", "deepest"), [((1, 16, 16), 4), (FASHION, 4), (CIFAR, 5), ((1, 9, 40), 3)]
)
def test_too_many_poolings_are_refused_and_the_deepest_that_fits_is_named(
    shape: tuple[int, int, int], deepest: int
) -> None:
    with pytest.raises(ArchitectureError, match=f"choose conv_layers={deepest} or fewer"):
        build("simple_cnn", shape, conv_layers=deepest + 1)
    assert build("simple_cnn", shape, conv_layers=deepest).classes == 10


def test_option_that_the_size_sets_is_refused() -> None:
    with pytest.raises(ArchitectureError, match=r"simple_cnn\.m sets width itself"):
        build_architecture("simple_cnn", FASHION, 10, size="m", options={"width": 3})


def test_option_that_the_size_leaves_open_is_taken() -> None:
    spec = build_architecture("simple_cnn", FASHION, 10, size="m", options={"conv_layers": 1})
    assert isinstance(spec, Spec)
    assert spec.layers[0].layer == Conv(6)
    assert spec.layers[4].layer == Flatten()


def test_unknown_size_names_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"size of simple_cnn 'xxl'.*did you mean xl"
    ) as error:
        build_architecture("simple_cnn", FASHION, 10, size="xxl")
    assert error.value.nearest[0] == "xl"


def test_unknown_option_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"'conv_layer'.*did you mean conv_layers"):
        build("simple_cnn", FASHION, conv_layer=3)


def test_image_shape_and_classes_are_no_options() -> None:
    with pytest.raises(UnknownNameError, match="option of dense 'classes'"):
        build("dense", FASHION, classes=3)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("conv_layers", -1),
        ("conv_layers", 2.0),
        ("conv_layers", True),
        ("linear_layers", 0),
        ("width", 0),
        ("width", -1.0),
        ("width", math.nan),
        ("width", math.inf),
        ("width", "2"),
    ],
)
def test_option_out_of_range_is_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(ArchitectureError, match=f"simple_cnn: {option} is "):
        build("simple_cnn", FASHION, **{option: value})
