"""Models that are trained as one: each lane is what it would be alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from greenbench.architectures import Layer, Linear, Native, Spec, build_architecture
from greenbench.architectures.spec import (
    GELU,
    Attention,
    BatchNorm,
    Conv,
    Flatten,
    GlobalPool,
    LayerNorm,
    MaxPool,
    PatchEmbedding,
    PositionEmbedding,
    ReLU,
    Residual,
)
from greenbench.backends import Backend
from greenbench.backends.base import (
    AdamOptions,
    BatchingBackend,
    BuildRequest,
    OutOfMemoryError,
    TrainableBatch,
    sample_order,
)
from greenbench.backends.keras import KerasBackend
from greenbench.backends.torch import TorchBackend
from greenbench.datasets.base import Dataset
from greenbench.errors import ArchitectureError
from greenbench.optimizers import SGDOptions, make_schedule

BATCH = 256
# Adam makes full steps of rounding errors where a gradient is zero, such as that of a bias before
# a normalisation; so large an epsilon keeps it from that.
EPSILON = 1e-4
LANES = (
    AdamOptions(1e-3, epsilon=EPSILON),
    AdamOptions(3e-3, 0.8, 0.99, 1e-3, 0.01),
    AdamOptions(1e-2, 0.5, 0.9, 1e-2, 0.1),
)
SHAPE = (1, 16, 16)
NETWORKS: dict[str, list[Layer]] = {
    "conv": [Conv(4), BatchNorm(), ReLU(), MaxPool(), Conv(6), ReLU(), Flatten(), Linear(10)],
    "dense": [Flatten(), Linear(16), ReLU(), Linear(10)],
    "transformer": [
        *(PatchEmbedding(4, 8), PositionEmbedding()),
        Residual([LayerNorm(), Attention(2, causal=True)]),
        Residual([LayerNorm(), Linear(16), GELU(), Linear(8)]),
        *(GlobalPool(), Linear(10)),
    ],
    "relu_on_data": [ReLU(), Flatten(), Linear(10), ReLU()],
}


def native_dropout() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 8), nn.Dropout(), nn.Linear(8, 10))


def native_frozen() -> nn.Module:
    first = nn.Linear(256, 8).requires_grad_(False)
    return nn.Sequential(nn.Flatten(), first, nn.Linear(8, 10))


def requests_for(
    architecture: Spec | Native, lanes: Sequence[AdamOptions] = LANES
) -> list[BuildRequest]:
    return [BuildRequest(architecture, each, BATCH, seed) for seed, each in enumerate(lanes)]


def orders(dataset: Dataset, lanes: int, epoch: int) -> NDArray[np.int64]:
    size = len(dataset.train)
    return np.stack([sample_order(size, BATCH, lane, epoch) for lane in range(lanes)])


def curve(batch: TrainableBatch, dataset: Dataset, epochs: int, lanes: int) -> NDArray[np.float64]:
    return np.stack([batch.train_epoch(orders(dataset, lanes, e)) for e in range(epochs)])


@pytest.fixture
def network() -> Spec:
    return Spec("conv", SHAPE, NETWORKS["conv"])


@pytest.mark.parametrize("name", NETWORKS)
def test_lanes_learn_what_single_models_learn(
    torch_backend: TorchBackend, digits: Dataset, name: str
) -> None:
    network = Spec(name, SHAPE, NETWORKS[name])
    batch = torch_backend.build_batch(requests_for(network))
    singles = [torch_backend.build(request) for request in requests_for(network)]
    together = curve(batch, digits, 4, len(LANES))
    alone = [
        [single.train_epoch(order) for single, order in zip(singles, rows, strict=True)]
        for rows in (orders(digits, len(LANES), epoch) for epoch in range(4))
    ]
    np.testing.assert_allclose(together, alone, rtol=2e-4)
    for split in ("validation", "test"):
        expected = [single.evaluate(split) for single in singles]
        np.testing.assert_allclose(batch.evaluate(split), expected, atol=0.01)
    for index, single in enumerate(singles):
        lane = batch.lane(index)
        for one, other in zip(lane.get_weights(), single.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, atol=2e-4)


def test_paper_networks_are_vectorised(torch_backend: TorchBackend, digits: Dataset) -> None:
    for name in ("simple_cnn", "dense_poly"):
        network = build_architecture(name, digits.image_shape, digits.classes)
        losses = curve(torch_backend.build_batch(requests_for(network)), digits, 3, len(LANES))
        assert (losses[-1] < losses[0]).all()


def test_a_lane_goes_on_alone_as_if_it_had_always_been(
    torch_backend: TorchBackend, digits: Dataset, network: Spec
) -> None:
    batch = torch_backend.build_batch(requests_for(network))
    single = torch_backend.build(requests_for(network)[1])
    curve(batch, digits, 3, len(LANES))
    for epoch in range(3):
        single.train_epoch(orders(digits, 2, epoch)[1])
    lane = batch.lane(1)
    assert lane.evaluate("validation") == batch.evaluate("validation")[1]
    later = [orders(digits, 2, epoch)[1] for epoch in range(3, 6)]
    expected = [single.train_epoch(order) for order in later]
    assert [lane.train_epoch(order) for order in later] == pytest.approx(expected, rel=1e-3)


def test_a_lane_that_left_and_its_batch_change_nothing_in_each_other(
    torch_backend: TorchBackend, digits: Dataset, network: Spec
) -> None:
    batch = torch_backend.build_batch(requests_for(network))
    undisturbed = torch_backend.build_batch(requests_for(network))
    for each in (batch, undisturbed):
        curve(each, digits, 1, len(LANES))
    lane = batch.lane(0)
    weights = lane.get_weights()
    losses = batch.train_epoch(orders(digits, len(LANES), 1))
    assert all(map(np.array_equal, lane.get_weights(), weights))
    lane.train_epoch(orders(digits, 1, 1)[0])
    np.testing.assert_array_equal(losses, undisturbed.train_epoch(orders(digits, len(LANES), 1)))
    np.testing.assert_array_equal(batch.evaluate("test"), undisturbed.evaluate("test"))


def test_a_lane_that_diverges_touches_no_other(
    torch_backend: TorchBackend, digits: Dataset, network: Spec
) -> None:
    wild = [LANES[0], replace(LANES[1], learning_rate=1e30), LANES[2]]
    found = curve(torch_backend.build_batch(requests_for(network, wild)), digits, 3, 3)
    tame = curve(torch_backend.build_batch(requests_for(network)), digits, 3, 3)
    assert not np.isfinite(found[-1, 1])
    np.testing.assert_array_equal(found[:, [0, 2]], tame[:, [0, 2]])


def test_a_lane_does_not_depend_on_which_others_there_are(
    torch_backend: TorchBackend, digits: Dataset, network: Spec
) -> None:
    three = curve(torch_backend.build_batch(requests_for(network)), digits, 3, 3)
    two = curve(torch_backend.build_batch(requests_for(network)[:2]), digits, 3, 2)
    np.testing.assert_allclose(two, three[:, :2], rtol=2e-4)


def test_same_requests_give_the_same_curves(
    torch_backend: TorchBackend, digits: Dataset, network: Spec
) -> None:
    first, again = (
        curve(torch_backend.build_batch(requests_for(network)), digits, 2, 3) for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)


def test_evaluation_changes_nothing(
    torch_backend: TorchBackend, digits: Dataset, network: Spec
) -> None:
    batch, twin = (torch_backend.build_batch(requests_for(network)) for _ in range(2))
    curve(batch, digits, 1, 3)
    curve(twin, digits, 1, 3)
    batch.evaluate("validation")
    rows = orders(digits, 3, 1)
    np.testing.assert_array_equal(batch.train_epoch(rows), twin.train_epoch(rows))


def test_batches_that_are_not_full_count_by_their_samples(
    torch_backend: TorchBackend, digits: Dataset
) -> None:
    network = Spec("dense", SHAPE, NETWORKS["dense"])
    resting = [AdamOptions(learning_rate=0.0)] * 2
    batch = torch_backend.build_batch(requests_for(network, resting))
    rows = np.stack([np.arange(300), np.arange(300, 600)])
    singles = [torch_backend.build(request) for request in requests_for(network, resting)]
    expected = [single.train_epoch(row) for single, row in zip(singles, rows, strict=True)]
    np.testing.assert_allclose(batch.train_epoch(rows), expected, rtol=1e-5)


def test_frozen_parameters_stay_as_they_are(torch_backend: TorchBackend, digits: Dataset) -> None:
    decaying = [replace(each, weight_decay=0.1) for each in LANES]
    batch = torch_backend.build_batch(
        requests_for(Native("frozen", "torch", native_frozen), decaying)
    )
    before = batch.lane(2).get_weights()
    curve(batch, digits, 2, 3)
    after = batch.lane(2).get_weights()
    unchanged = [np.array_equal(one, other) for one, other in zip(before, after, strict=True)]
    assert unchanged == [True, True, False, False]


def test_layers_that_draw_random_numbers_are_refused(
    torch_backend: TorchBackend, digits: Dataset
) -> None:
    batch = torch_backend.build_batch(requests_for(Native("dropping", "torch", native_dropout)))
    with pytest.raises(ArchitectureError, match=r"'dropping' draws random .* --batched-trials out"):
        batch.train_epoch(orders(digits, 3, 0))


@pytest.mark.parametrize(
    ("different", "obstacle"),
    [
        ({"optimizer": SGDOptions()}, "with the optimizer 'sgd'"),
        (
            {"schedule": make_schedule("cosine", {}), "steps": 9, "steps_per_epoch": 3},
            "with the schedule 'cosine'",
        ),
    ],
    ids=["optimizer", "schedule"],
)
def test_what_is_not_vectorised_is_refused_before_anything_is_built(
    torch_backend: TorchBackend, network: Spec, different: dict[str, Any], obstacle: str
) -> None:
    requests = [replace(each, **different) for each in requests_for(network)]
    expected = rf"'conv': {obstacle}, trials cannot be .* --batched-trials out"
    with pytest.raises(ArchitectureError, match=expected):
        torch_backend.build_batch(requests)


def test_global_random_numbers_are_left_alone(
    torch_backend: TorchBackend, digits: Dataset, network: Spec
) -> None:
    batch = torch_backend.build_batch(requests_for(network))
    before = torch.get_rng_state()
    curve(batch, digits, 1, 3)
    batch.evaluate("test")
    assert torch.equal(torch.get_rng_state(), before)


def test_exhausted_memory_has_one_name(
    torch_backend: TorchBackend,
    digits: Dataset,
    network: Spec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = torch_backend.build_batch(requests_for(network))

    def exhausted(*arguments: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    monkeypatch.setattr("torch.autograd.grad", exhausted)
    with pytest.raises(OutOfMemoryError):
        batch.train_epoch(orders(digits, 3, 0))


def test_backends_say_whether_they_batch_and_whether_it_pays(
    torch_backend: Backend, keras_backend: KerasBackend
) -> None:
    assert isinstance(torch_backend, BatchingBackend)
    assert torch_backend.batches_pay == torch.cuda.is_available()
    assert not isinstance(keras_backend, BatchingBackend)
