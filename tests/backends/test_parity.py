"""Both backends compute the same: counts, outputs, losses and steps."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
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
from greenbench.architectures.spec import Layer, Native, Weights
from greenbench.backends.base import (
    AdamOptions,
    Backend,
    BuildRequest,
    TrainableModel,
    sample_order,
)
from greenbench.backends.keras import KerasBackend
from greenbench.backends.torch import TorchBackend
from greenbench.datasets.base import Dataset

BATCH = 64
Chosen = tuple[str, str | None, Mapping[str, Any]]

OPTIONS: list[Chosen] = [
    ("simple_cnn", None, {"conv_layers": 0}),
    ("simple_cnn", None, {"conv_layers": 1}),
    ("simple_cnn", None, {"conv_layers": 4}),
    ("simple_cnn", None, {"relu": False}),
    ("simple_cnn", None, {"linear_layers": 7}),
    ("dense", None, {"linear_layers": 1}),
]


def built_ins() -> list[Chosen]:
    # Those of the paper; what others are made of is in test_layer_parity.
    names = ["simple_cnn", "dense_poly", "dense_linear", "dense"]
    plain: list[Chosen] = [(name, None, {}) for name in names]
    sized: list[Chosen] = [
        (name, size, {}) for name in names for size in sizes_of(registry.architectures.get(name))
    ]
    return [*plain, *sized, *OPTIONS]


def label(chosen: Chosen) -> str:
    name, size, options = chosen
    return "-".join([name, *([size] if size else []), *(f"{k}={v}" for k, v in options.items())])


@pytest.fixture(scope="module", params=built_ins(), ids=label)
def spec(request: pytest.FixtureRequest, digits: Dataset) -> Spec:
    name, size, options = request.param
    built = build_architecture(name, digits.image_shape, digits.classes, size=size, options=options)
    if isinstance(built, Native):
        pytest.skip(f"{name} is native to {built.backend}: no other backend builds it")
    return built


@pytest.fixture
def pair(
    spec: Spec, torch_backend: TorchBackend, keras_backend: KerasBackend
) -> tuple[TrainableModel, TrainableModel]:
    request = BuildRequest(spec, batch_size=BATCH, seed=3)
    return torch_backend.build(request), keras_backend.build(request)


def first_batches(dataset: Dataset, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return sample_order(len(dataset.train), BATCH, 0, 0)[: count * BATCH]


def matched_options(weight_decay: float) -> tuple[AdamOptions, AdamOptions]:
    # Keras adds epsilon before the bias correction, torch after it: so chosen, both are the
    # same in the first step. Large, since Adam scales rounding errors up to full steps else.
    epsilon = 1e-5
    torchs = AdamOptions(epsilon=epsilon, weight_decay=weight_decay)
    kerass = AdamOptions(epsilon=epsilon * math.sqrt(1 - torchs.beta2), weight_decay=weight_decay)
    return torchs, kerass


def tolerances(spec: Spec) -> list[tuple[float, float]]:
    """Return the relative and absolute tolerance for each array of weights."""
    found: list[tuple[float, float]] = []
    for placed, after in pairwise([*spec.layers, None]):
        assert placed is not None
        exact = [(0.0, 5e-6)] * len(placed.weight_shapes)
        if isinstance(placed.layer, BatchNorm):
            # Torch keeps the unbiased variance, Keras the biased one: a factor of n/(n-1),
            # where n is at least 256 here.
            exact += [(0.0, 5e-6), (1e-3, 5e-6)]
        elif exact and after is not None and isinstance(after.layer, BatchNorm):
            # The normalisation takes the bias away again; its gradient is rounding errors.
            exact[1] = (0.0, 2 * AdamOptions.learning_rate)
        found += exact
    return found


def assert_same_weights(spec: Spec, one: Weights, other: Weights) -> None:
    for (relative, absolute), left, right in zip(tolerances(spec), one, other, strict=True):
        np.testing.assert_allclose(left, right, rtol=relative, atol=absolute)


def test_parameters_are_equal_and_the_specs(
    spec: Spec, pair: tuple[TrainableModel, TrainableModel]
) -> None:
    assert [model.parameters for model in pair] == [spec.parameters] * 2


def test_train_flops_are_equal_and_the_specs(
    spec: Spec, pair: tuple[TrainableModel, TrainableModel]
) -> None:
    assert [model.count_train_flops() for model in pair] == [spec.train_flops] * 2


def test_initial_weights_are_equal_bit_by_bit(
    spec: Spec, pair: tuple[TrainableModel, TrainableModel]
) -> None:
    for model in pair:
        for values, expected in zip(model.get_weights(), spec.initial_weights(seed=3), strict=True):
            np.testing.assert_array_equal(values, expected)


def test_outputs_are_equal_with_trained_weights(
    pair: tuple[TrainableModel, TrainableModel], digits: Dataset
) -> None:
    one, other = pair
    one.train_epoch(first_batches(digits, 3))
    other.set_weights(one.get_weights())
    images = digits.validation.images
    np.testing.assert_allclose(one.predict(images), other.predict(images), rtol=0, atol=1e-5)
    assert one.evaluate("validation") == other.evaluate("validation")


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_a_step_gives_the_same_loss_and_weights(
    spec: Spec,
    weight_decay: float,
    digits: Dataset,
    torch_backend: TorchBackend,
    keras_backend: KerasBackend,
) -> None:
    order = first_batches(digits, 1)
    options = matched_options(weight_decay)
    backends: tuple[Backend, ...] = (torch_backend, keras_backend)
    one, other = (
        backend.build(BuildRequest(spec, optimizer, BATCH, seed=1))
        for backend, optimizer in zip(backends, options, strict=True)
    )
    before = one.get_weights()
    assert one.train_epoch(order) == pytest.approx(other.train_epoch(order), abs=1e-5)
    assert_same_weights(spec, one.get_weights(), other.get_weights())
    assert all(np.any(old != new) for old, new in zip(before, one.get_weights(), strict=True))


UNUSUAL: list[list[Layer]] = [
    [Conv(3, 5), ReLU(), MaxPool(3), Flatten(), Linear(4)],
    [Conv(3, 2), BatchNorm(0.3, 0.01), MaxPool(), Conv(2, 4), Flatten(), Linear(4)],
    [BatchNorm(), Conv(3, 1), ReLU(), ReLU(), Flatten(), ReLU(), Linear(5), ReLU(), Linear(4)],
    [ReLU(), MaxPool(), Flatten(), Linear(4)],
]


@pytest.mark.parametrize("layers", UNUSUAL)
def test_unusual_networks_are_the_same_on_oblong_images_with_channels(
    layers: list[Layer], coloured: Dataset
) -> None:
    spec = Spec("unusual", coloured.image_shape, layers)
    models: list[TrainableModel] = []
    backends: tuple[Backend, ...] = (
        TorchBackend("torch", threads=1),
        KerasBackend("keras", threads=1),
    )
    for backend, optimizer in zip(backends, matched_options(0.0), strict=True):
        backend.load(coloured)
        models.append(backend.build(BuildRequest(spec, optimizer, batch_size=16)))
    one, other = models
    order = np.arange(16)
    assert one.train_epoch(order) == pytest.approx(other.train_epoch(order), abs=1e-5)
    images = coloured.test.images
    other.set_weights(one.get_weights())
    np.testing.assert_allclose(one.predict(images), other.predict(images), rtol=0, atol=1e-5)
    assert [model.count_train_flops() for model in models] == [spec.train_flops] * 2


def test_later_steps_are_the_same_with_betas_of_ones_own(
    digits: Dataset, torch_backend: TorchBackend, keras_backend: KerasBackend
) -> None:
    # The first step does not depend on beta1. One layer, whose gradients are far from epsilon.
    spec = Spec("linear", digits.image_shape, [Flatten(), Linear(digits.classes)])
    options = AdamOptions(beta1=0.5, beta2=0.9)
    backends: tuple[Backend, ...] = (torch_backend, keras_backend)
    models = [backend.build(BuildRequest(spec, options, BATCH)) for backend in backends]
    for model in models:
        model.train_epoch(first_batches(digits, 4))
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-5)
