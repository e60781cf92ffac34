"""Optimisers and schedules mean the same on torch and Keras: after one step, and after twenty."""

import os
from dataclasses import replace

import numpy as np
import pytest

from greenbench import registry
from greenbench.architectures import Flatten, Linear, ReLU, Spec
from greenbench.architectures.spec import Weights
from greenbench.backends.base import Backend, BuildRequest
from greenbench.backends.keras import KerasBackend
from greenbench.backends.torch import TorchBackend
from greenbench.datasets.base import Dataset, RawImages, make_dataset
from greenbench.errors import ConfigurationError, UnknownNameError
from greenbench.optimizers import (
    AdadeltaOptions,
    AdagradOptions,
    AdamOptions,
    AdamWOptions,
    Constant,
    LionOptions,
    OptimizerOptions,
    RMSpropOptions,
    Schedule,
    SGDOptions,
)
from greenbench.optimizers.schedules import Cosine, LinearWarmup, OneCycle, Step

# Another engine runs these tests in a process of its own; see test_engines.py.
KERAS = os.environ.get("KERAS_TESTED", "keras")
BATCH, STEPS = 16, 15
# Adam's epsilon is added before the bias correction in Keras, and after it in torch: small.
ADAM_TOLERANCE, TOLERANCE = 5e-5, 1e-6

OPTIMIZERS: list[OptimizerOptions] = [
    AdamOptions(),
    AdamOptions(weight_decay=0.1),
    AdamWOptions(epsilon=1e-3, weight_decay=0.1),
    SGDOptions(),
    SGDOptions(momentum=0.9, weight_decay=0.01),
    SGDOptions(momentum=0.9, nesterov=True),
    RMSpropOptions(),
    RMSpropOptions(momentum=0.9, epsilon=1e-2, weight_decay=0.1),
    AdagradOptions(),
    AdagradOptions(epsilon=0.1, weight_decay=0.1),
    AdadeltaOptions(epsilon=1e-2, weight_decay=0.1),
    LionOptions(weight_decay=0.1),
    LionOptions(beta1=0.0),
]
# The second one ends at 0, where what is kept must not be lost.
SCHEDULES: list[Schedule] = [Cosine(), Step(gamma=0.0), OneCycle(), LinearWarmup(decay="linear")]


@pytest.fixture(scope="module")
def small() -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (80, 1, 4, 3)).astype(np.float32)
    return make_dataset("small", "random", RawImages(pixels, np.arange(80) % 4), seed=0)


@pytest.fixture(scope="module")
def backends(small: Dataset) -> tuple[Backend, Backend]:
    pair = TorchBackend("torch", threads=1), KerasBackend(KERAS, threads=1)
    for backend in pair:
        backend.load(small)
    return pair


@pytest.fixture
def request_(small: Dataset) -> BuildRequest:
    spec = Spec("small", small.image_shape, [Flatten(), Linear(8), ReLU(), Linear(4)])
    return BuildRequest(spec, batch_size=BATCH, seed=3, steps_per_epoch=4)


def trained(
    backend: Backend, request: BuildRequest, dataset: Dataset, steps: int
) -> tuple[float, Weights]:
    model = backend.build(request)
    order = np.arange(steps * BATCH) % len(dataset.train)
    # In two parts: the steps of both count.
    model.train_epoch(order[: BATCH * 3])
    loss = model.train_epoch(order[BATCH * 3 :]) if steps > 3 else 0.0
    return loss, model.get_weights()


def assert_same(backends: tuple[Backend, Backend], request: BuildRequest, dataset: Dataset) -> None:
    is_adam = isinstance(request.optimizer, AdamOptions)
    tolerance = ADAM_TOLERANCE if is_adam else TOLERANCE
    for steps in (1, 20):
        (loss, one), (again, other) = (trained(each, request, dataset, steps) for each in backends)
        assert loss == pytest.approx(again, abs=1e-5)
        for left, right in zip(one, other, strict=True):
            np.testing.assert_allclose(left, right, rtol=0, atol=tolerance)


def name_of(options: object) -> str:
    return repr(options).replace("Options", "")


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=name_of)
def test_optimizer_means_what_torchs_does(
    optimizer: OptimizerOptions,
    backends: tuple[Backend, Backend],
    request_: BuildRequest,
    small: Dataset,
) -> None:
    assert_same(backends, replace(request_, optimizer=optimizer), small)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=name_of)
@pytest.mark.parametrize(
    "optimizer",
    [AdamWOptions(), SGDOptions(momentum=0.9, nesterov=True), RMSpropOptions(momentum=0.9)],
    ids=name_of,
)
def test_schedule_means_what_torchs_does(
    optimizer: OptimizerOptions,
    schedule: Schedule,
    backends: tuple[Backend, Backend],
    request_: BuildRequest,
    small: Dataset,
) -> None:
    chosen = replace(request_, optimizer=optimizer, schedule=schedule, steps=STEPS)
    assert_same(backends, chosen, small)


def test_constant_schedule_is_none(
    backends: tuple[Backend, Backend], request_: BuildRequest, small: Dataset
) -> None:
    requests = request_, replace(request_, schedule=Constant(), steps=STEPS)
    (_, one), (_, other) = (trained(backends[1], each, small, 20) for each in requests)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def test_optimizer_of_keras_is_found_by_name_and_takes_a_schedule(
    backends: tuple[Backend, Backend], request_: BuildRequest, small: Dataset
) -> None:
    options = registry.optimizers.get("keras_nadam")(learning_rate=0.01, beta_1=0.8)
    resting = replace(request_, optimizer=options, schedule=Step(gamma=0.0), steps=STEPS)
    _, stopped = trained(backends[1], resting, small, 4)
    _, further = trained(backends[1], resting, small, 20)
    start = backends[1].build(resting).get_weights()
    for begun, left, right in zip(start, stopped, further, strict=True):
        assert (begun != left).any()
        np.testing.assert_array_equal(left, right)


def test_unknown_optimizer_of_keras_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"keras_nadan.*keras_nadam"):
        registry.optimizers.get("keras_nadan")


def test_optimizer_that_keras_lacks_is_refused(
    backends: tuple[Backend, Backend], request_: BuildRequest
) -> None:
    class Mine:
        name = "mine"
        learning_rate = 0.1

    with pytest.raises(ConfigurationError, match=r"'mine'.*`build_keras\(\)`"):
        backends[1].build(replace(request_, optimizer=Mine()))
