"""How many trials are trained as one where the case leaves that to the machine."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from torch import nn

from greenbench.architectures import Native, Spec, build_architecture
from greenbench.backends.base import BuildRequest, OutOfMemoryError
from greenbench.backends.torch import TorchBackend
from greenbench.backends.torch_memory import count_lanes
from greenbench.cases import Case
from greenbench.datasets.base import RawImages, make_dataset
from greenbench.search.lanes import MOST_LANES, Lanes, choose_lanes

CASE = Case("random", "dense", trials=12, batch_size=16, batched_trials="auto")
SHAPE = (1, 4, 4)
NETWORK = build_architecture("dense", SHAPE, 3, size="xs")
TRAIN_SIZE = 200


class Roomy(TorchBackend):
    """Takes batches on a CPU, and has memory for `room` lanes."""

    room = 1000
    says: int | None = None
    tried: list[int]

    @property
    def batches_pay(self) -> bool:
        return True

    def lanes_that_fit(self, requests: Sequence[BuildRequest], orders: Any) -> int:
        self.build_batch(requests[:2]).train_epoch(np.stack(orders))
        return min(len(requests), self.room if self.says is None else self.says)

    def build_batch(self, requests: Sequence[BuildRequest]) -> Any:
        self.tried.append(len(requests))
        if len(requests) > self.room:
            raise OutOfMemoryError("full")
        return super().build_batch(requests)


def loaded(kind: type[TorchBackend]) -> TorchBackend:
    backend = kind("torch", threads=1)
    images = np.random.default_rng(0).integers(0, 256, (300, *SHAPE)).astype(np.float32)
    backend.load(make_dataset("noise", "random", RawImages(images, np.arange(300) % 3), seed=0))
    return backend


@pytest.fixture
def roomy() -> Roomy:
    backend = loaded(Roomy)
    assert isinstance(backend, Roomy)
    backend.tried = []
    return backend


def chosen(
    backend: TorchBackend,
    case: Case = CASE,
    network: Spec | Native = NETWORK,
    *,
    has_spare: bool = False,
) -> Lanes:
    request = BuildRequest(network, batch_size=case.batch_size, options=dict(case.backend_options))
    return choose_lanes(backend, request, case, TRAIN_SIZE, has_spare=has_spare)


def test_as_many_as_there_are_trials_where_they_fit(roomy: Roomy) -> None:
    assert chosen(roomy) == Lanes(12, "12 trials are trained as one (batched_trials auto)")
    assert roomy.tried == [2, 12]


def test_no_more_than_fit_and_no_more_than_64(roomy: Roomy) -> None:
    roomy.room = 5
    assert chosen(roomy).count == 5
    roomy.room = 1000
    assert chosen(roomy, replace(CASE, trials=100)).count == MOST_LANES == 64


def test_a_spare_batch_takes_half_of_the_room(roomy: Roomy) -> None:
    roomy.room = 10
    assert chosen(roomy, has_spare=True).count == 5


def test_a_number_that_turns_out_too_large_is_halved(roomy: Roomy) -> None:
    roomy.room, roomy.says = 4, 12
    assert chosen(roomy).count == 3
    assert roomy.tried == [2, 12, 6, 3]


def test_no_room_for_two_is_one(roomy: Roomy) -> None:
    roomy.room = 1
    count, note = chosen(roomy).count, chosen(roomy).note
    assert count == 1
    assert note == (
        "trials are trained one by one (batched_trials auto): the device has no memory for more"
    )


def test_a_number_of_the_case_is_that_number_and_tried(roomy: Roomy) -> None:
    assert chosen(roomy, replace(CASE, batched_trials=4)) == Lanes(4)
    assert chosen(roomy, replace(CASE, batched_trials=1)) == Lanes(1)
    assert roomy.tried == [4]


def test_strategies_that_learn_have_one_at_a_time(roomy: Roomy) -> None:
    found = chosen(roomy, replace(CASE, strategy="bayesian"))
    assert found.count == 1
    assert "strategy 'bayesian' may learn from one trial to the next" in str(found.note)


def test_a_cpu_has_one_at_a_time() -> None:
    found = chosen(loaded(TorchBackend))
    assert found.count == 1
    assert "batched trials lose on a CPU" in str(found.note)


def test_networks_that_draw_random_numbers_have_one_at_a_time(roomy: Roomy) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(16, 3))

    found = chosen(roomy, network=Native("dropping", "torch", build))
    assert found.count == 1
    assert "'dropping' draws random numbers in training" in str(found.note)


@pytest.mark.parametrize(
    ("free", "one", "two", "lanes"),
    [
        (1000, 100, 110, 64),
        (1000, 100, 200, 8),
        (1000, 300, 400, 6),
        (100, 100, 200, 1),
        (1000, 100, 100, 64),
        (0, 10, 20, 1),
    ],
)
def test_lanes_are_counted_by_what_the_second_took(
    free: int, one: int, two: int, lanes: int
) -> None:
    assert count_lanes(free, one, two, 64) == lanes
