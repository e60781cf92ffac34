"""What the options of the torch backend change, and what they leave alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from torch import nn

from greenbench.architectures import Native, Spec, build_architecture
from greenbench.architectures.spec import Weights
from greenbench.backends.base import Backend, BuildRequest, TrainableModel, sample_order
from greenbench.backends.keras import KerasBackend
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Scalar
from greenbench.datasets.base import Dataset
from greenbench.errors import ConfigurationError

BATCH = 64
Options = Mapping[str, Scalar]
OPTIONS: list[Options] = [
    {"precision": "bfloat16"},
    {"channels_last": True},
    {"precision": "bfloat16", "channels_last": True},
]
DEFAULTS: Options = {"precision": "float32", "channels_last": False, "cuda_graphs": "auto"}
REFUSED: list[tuple[Options, str]] = [
    ({"precison": "float32"}, r"no option 'precison'.*'float32'.*precision, channels_last"),
    ({"precision": "int8"}, r"precision is int8; expected float32 or tf32 or bfloat16 or float16"),
    ({"precision": True}, r"precision is true; expected float32"),
    ({"channels_last": 1}, r"channels_last is 1; expected true or false"),
    ({"cuda_graphs": "maybe"}, r"cuda_graphs is maybe; expected auto or true or false"),
    ({"channels_last": "yes"}, r"channels_last is yes; expected true or false"),
]
REFUSED_WITHOUT_GPU: list[tuple[Options, str]] = [
    ({"cuda_graphs": True}, r"cuda_graphs is true; expected auto or false without a CUDA"),
    ({"precision": "tf32"}, r"precision is tf32; expected float32 or bfloat16 without a CUDA"),
    ({"precision": "float16"}, r"precision is float16; expected float32 or bfloat16 without"),
]


@pytest.fixture(params=OPTIONS, ids=str)
def options(request: pytest.FixtureRequest) -> Options:
    chosen: Options = request.param
    return chosen


@pytest.fixture
def cnn(coloured: Dataset) -> Spec:
    spec = build_architecture("simple_cnn", coloured.image_shape, coloured.classes)
    assert isinstance(spec, Spec)
    return spec


@pytest.fixture
def coloured_backend(coloured: Dataset) -> TorchBackend:
    """Two channels: with one, both layouts are the same."""
    backend = TorchBackend("torch", threads=1)
    backend.load(coloured)
    return backend


def digits_model(backend: Backend, digits: Dataset, options: Options, seed: int = 0) -> Any:
    spec = build_architecture("simple_cnn", digits.image_shape, digits.classes)
    return backend.build(BuildRequest(spec, batch_size=BATCH, seed=seed, options=options))


def losses(model: TrainableModel, dataset: Dataset, count: int) -> list[float]:
    size = len(dataset.train)
    return [model.train_epoch(sample_order(size, BATCH, 0, epoch)) for epoch in range(count)]


def are_identical(one: Weights, other: Weights) -> bool:
    return all(np.array_equal(left, right) for left, right in zip(one, other, strict=True))


def dropout_net() -> Native:
    def build() -> nn.Module:
        layers = [nn.Conv2d(1, 4, 3), nn.Dropout(0.3), nn.Flatten(), nn.Linear(784, 10)]
        return nn.Sequential(*layers)

    return Native("dropout_net", "torch", build)


def test_parameters_flops_and_initial_weights_are_the_same(
    coloured_backend: TorchBackend, cnn: Spec, options: Options
) -> None:
    model = coloured_backend.build(BuildRequest(cnn, batch_size=16, seed=3, options=options))
    assert model.parameters == cnn.parameters
    assert model.count_train_flops() == cnn.train_flops
    assert are_identical(model.get_weights(), cnn.initial_weights(seed=3))


def test_digits_are_learned_along_the_same_losses(
    torch_backend: TorchBackend, digits: Dataset, options: Options
) -> None:
    plain, other = (digits_model(torch_backend, digits, chosen) for chosen in ({}, options))
    expected, found = losses(plain, digits, 4), losses(other, digits, 4)
    assert found == pytest.approx(expected, rel=0.1)
    assert other.evaluate("validation") >= 0.9
    assert other.evaluate("test") >= 0.9


def test_option_changes_what_is_computed(
    coloured_backend: TorchBackend, cnn: Spec, coloured: Dataset, options: Options
) -> None:
    plain, other = (
        coloured_backend.build(BuildRequest(cnn, batch_size=16, options=chosen))
        for chosen in ({}, options)
    )
    for model in (plain, other):
        model.train_epoch(np.arange(48))
    one, another = (model.predict(coloured.test.images) for model in (plain, other))
    assert one.dtype == another.dtype == np.float32
    assert (one != another).any()


def test_outputs_with_equal_weights_differ_by_rounding_alone(
    coloured_backend: TorchBackend, cnn: Spec, coloured: Dataset, options: Options
) -> None:
    plain, other = (
        coloured_backend.build(BuildRequest(cnn, batch_size=16, options=chosen))
        for chosen in ({}, options)
    )
    plain.train_epoch(np.arange(48))
    other.set_weights(plain.get_weights())
    tolerance = 0.05 if "precision" in options else 1e-5
    outputs = plain.predict(coloured.test.images)
    np.testing.assert_allclose(other.predict(coloured.test.images), outputs, atol=tolerance)
    assert are_identical(other.get_weights(), plain.get_weights())


def test_same_seed_and_options_train_to_identical_weights(
    torch_backend: TorchBackend, digits: Dataset, options: Options
) -> None:
    models = [digits_model(torch_backend, digits, options, seed) for seed in (5, 5, 6)]
    for model in models:
        losses(model, digits, 2)
    first, again, another = (model.get_weights() for model in models)
    assert are_identical(first, again)
    assert not are_identical(first, another)


@pytest.mark.parametrize("chosen", [{}, *OPTIONS], ids=str)
def test_models_in_turns_train_as_each_would_alone(
    torch_backend: TorchBackend, digits: Dataset, chosen: Options
) -> None:
    def build(options: Options) -> TrainableModel:
        request = BuildRequest(dropout_net(), batch_size=BATCH, seed=1, options=options)
        return torch_backend.build(request)

    alone = build(chosen)
    losses(alone, digits, 2)
    paused, between = build(chosen), build({"channels_last": True})
    size = len(digits.train)
    for epoch in range(2):
        paused.train_epoch(sample_order(size, BATCH, 0, epoch))
        between.train_epoch(sample_order(size, BATCH, 1, epoch))
        between.evaluate("validation")
        between.count_train_flops()
    assert are_identical(alone.get_weights(), paused.get_weights())


def test_defaults_may_be_spelled_out(torch_backend: TorchBackend, digits: Dataset) -> None:
    models = [digits_model(torch_backend, digits, chosen) for chosen in ({}, DEFAULTS)]
    for model in models:
        losses(model, digits, 1)
    assert are_identical(*(model.get_weights() for model in models))


def assert_refused(backend: Backend, digits: Dataset, options: Options, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        digits_model(backend, digits, options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("wrong", "message"), REFUSED)
def test_unknown_option_or_value_is_refused_by_name(
    torch_backend: TorchBackend, digits: Dataset, wrong: Options, message: str
) -> None:
    assert_refused(torch_backend, digits, wrong, message)


@pytest.mark.parametrize(("wrong", "message"), REFUSED_WITHOUT_GPU)
def test_what_needs_a_gpu_is_refused_without_one(
    torch_backend: TorchBackend, digits: Dataset, wrong: Options, message: str
) -> None:
    if torch_backend.describe()["device"] != "cpu":
        pytest.skip("this machine has a GPU")
    assert_refused(torch_backend, digits, wrong, message)


def test_keras_refuses_options_by_name(keras_backend: KerasBackend, digits: Dataset) -> None:
    message = r"backend 'keras' has no option 'precision' \(given: 'float32'\)"
    assert_refused(keras_backend, digits, {"precision": "float32"}, message)
