"""Work that is captured and replayed: when it is, that it changes nothing, and what is said if not.

A tape stands in for the GPU: it captures and replays Python.
"""

import gc
import itertools
import random
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from greenbench.architectures import Linear, Native, Spec
from greenbench.architectures.spec import BatchNorm, Conv, Flatten, ReLU
from greenbench.backends.base import AdamOptions, BuildRequest, OutOfMemoryError, TrainableModel
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Scalar
from greenbench.datasets.base import Dataset, RawImages, make_dataset
from greenbench.errors import ArchitectureError, ConfigurationError
from greenbench.optimizers import (
    LionOptions,
    OptimizerOptions,
    SGDOptions,
    make_schedule,
    optimizer_options,
)
from tests.tapes import FullTape, Tape, TornTape, WornTape

BATCH = 32
STEPS = 12
NETWORK = Spec("net", (1, 4, 4), [Conv(3), BatchNorm(), ReLU(), Flatten(), Linear(3)])


@pytest.fixture(scope="module")
def data() -> Dataset:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (7000, 1, 4, 4)).astype(np.float32)
    return make_dataset("noise", "random", RawImages(images, np.arange(7000) % 3), seed=0)


@pytest.fixture
def load(data: Dataset) -> Callable[[Tape | None], TorchBackend]:
    def load(tape: Tape | None) -> TorchBackend:
        backend = TorchBackend("torch", threads=1, capturer=tape)
        backend.load(data)
        return backend

    return load


Load = Callable[[Tape | None], TorchBackend]


def native(*layers: Callable[[], nn.Module]) -> Native:
    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), *(each() for each in layers), nn.Linear(16, 3))

    return Native("own", "torch", build)


class HostDependent(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images * 2 if images.mean() > 0 else images


class HostRandom(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images * 2 if random.random() < 0.5 else images


class Counting(nn.Module):
    """Has another tensor as its state after each step, where no graph finds it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Tensor
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.seen = self.seen + 1
        return images * self.seen


class Annealing(nn.Module):
    """Counts in Python, and turns to something else long after any check."""

    def __init__(self) -> None:
        super().__init__()
        self.state = {"calls": 0}

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.state["calls"] += 1
        return images * (2 if self.state["calls"] > 15 else 1)


class Remembering(nn.Module):
    """Adds up what it sees in a tensor that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = torch.zeros(())

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.seen += images.detach().mean()
        return images + self.seen


class Lazy(nn.Module):
    """Makes a constant at its first pass."""

    def __init__(self) -> None:
        super().__init__()
        self.constant: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        if self.constant is None:
            self.constant = images.new_full((), 2.0)
        return images * self.constant


class OwnNumbers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.own = np.random.default_rng(0)

    def forward(self, images: Tensor) -> Tensor:
        return images * (2 if self.own.random() < 0.5 else 1)


class Unsteady(nn.Module):
    """Never gives the same twice, and nobody sees why."""

    def forward(self, images: Tensor) -> Tensor:
        return images * (1 + 1e-3 * next(TIMES))


TIMES = itertools.count()


def build(backend: TorchBackend, network: Spec | Native = NETWORK, **options: Scalar) -> Any:
    request = BuildRequest(network, AdamOptions(1e-2), BATCH, 1, options)
    return backend.build(request)


def trained(model: TrainableModel, epochs: int = 2) -> list[float]:
    orders = (
        np.random.default_rng(epoch).permutation(STEPS * BATCH + 5) for epoch in range(epochs)
    )
    return [model.train_epoch(order) for order in orders]


def assert_trained_alike(one: TrainableModel, other: TrainableModel) -> None:
    assert trained(one) == trained(other)
    for left, right in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    assert one.evaluate("test") == other.evaluate("test")


NETWORKS: dict[str, Spec | Native] = {
    "ours": NETWORK,
    "dropout": native(lambda: nn.Dropout(0.3)),
    "normalised": native(lambda: nn.BatchNorm1d(16)),
}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_replayed_steps_change_no_bit_and_nothing_is_noted(
    load: Load, network: Spec | Native
) -> None:
    tape = Tape()
    backend = load(tape)
    assert_trained_alike(build(backend, network), build(load(None), network))
    assert tape.replays > 2 * STEPS - 5
    assert backend.notes == ()


@pytest.mark.parametrize("is_batch", [False, True], ids=["model", "batch"])
def test_last_batches_that_are_not_full_are_replayed_once_they_have_come_often(
    load: Load, is_batch: bool
) -> None:
    def epochs(tape: Tape | None) -> list[Any]:
        backend = load(tape)
        model = lanes(backend) if is_batch else build(backend)
        losses = []
        for epoch in range(6):
            order = np.random.default_rng(epoch).permutation(2 * BATCH + 5)
            losses.append(model.train_epoch(np.stack([order] * 3) if is_batch else order))
            replays.append(tape.replays if tape else 0)
        assert backend.notes == ()
        return losses

    replays: list[int] = []
    tape = Tape()
    found = epochs(tape)
    # Two full batches an epoch; from the fourth on, the rest too, once compared in three rounds.
    assert np.diff(replays[:6]).tolist() == [1, 2, 3 + 3, 3, 3]
    assert tape.captures == 4
    np.testing.assert_array_equal(found, epochs(None))


def test_a_probe_is_made_once_for_models_that_compute_alike(load: Load) -> None:
    tape = Tape()
    backend = load(tape)
    trained(build(backend))
    assert tape.captures == 2
    trained(build(backend))
    assert tape.captures == 3
    backend.load(_same(load))
    trained(
        build(backend, Spec("net", (1, 4, 4), [Conv(3), BatchNorm(), ReLU(), Flatten(), Linear(3)]))
    )
    assert tape.captures == 4


def _same(load: Load) -> Dataset:
    generator = np.random.default_rng(1)
    images = generator.integers(0, 256, (700, 1, 4, 4)).astype(np.float32)
    return make_dataset("noise", "random", RawImages(images, np.arange(700) % 3), seed=0)


def test_evaluation_is_replayed_but_for_its_last_part(load: Load) -> None:
    tape = Tape()
    replayed, plain = build(load(tape)), build(load(None))
    found = [replayed.evaluate("test") for _ in range(5)]
    # One full part of 1024 images each time, of which the first three are computed as they are;
    # the probe replayed three.
    assert (tape.captures, tape.replays) == (2, 3 + 2)
    assert found == [plain.evaluate("test")] * 5


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (HostDependent, "it waits for the GPU, or fails (RuntimeError: called a synchronizing"),
        (HostRandom, "it draws random numbers on the CPU"),
        (Counting, "it puts other tensors in the place of its buffers"),
        (Annealing, "it changes an attribute, 1.state, in Python"),
        (Remembering, "it changes an attribute, 1.seen, in Python"),
        (OwnNumbers, "it changes an attribute, 1.own, in Python"),
    ],
)
def test_what_cannot_be_replayed_is_trained_without_and_noted(
    load: Load, layer: Callable[[], nn.Module], reason: str
) -> None:
    network, tape = native(layer), Tape()
    backend = load(tape)
    assert_trained_alike(build(backend, network), build(load(None), network))
    (note,) = (each for each in backend.notes if "training step" in each)
    assert note.startswith(
        f"the training step of architecture 'own' is not replayed as a CUDA graph: {reason}"
    )
    assert "\n" not in note


def test_what_a_module_makes_once_is_no_obstacle(load: Load) -> None:
    tape = Tape()
    backend = load(tape)
    network = native(Lazy)
    assert_trained_alike(build(backend, network), build(load(None), network))
    assert tape.replays > STEPS
    assert backend.notes == ()


def test_what_gives_other_bits_each_time_is_not_replayed_and_that_is_said(load: Load) -> None:
    backend = load(Tape())
    trained(build(backend, native(Unsteady)))
    assert "it does not give the same bits twice" in backend.notes[0]


def test_too_little_memory_for_a_graph_is_enough_without(load: Load) -> None:
    backend = load(FullTape())
    assert_trained_alike(build(backend), build(load(None)))
    assert "there is no memory to compare replays with it" in backend.notes[0]
    with pytest.raises(OutOfMemoryError):
        trained(build(load(FullTape()), cuda_graphs=True))


@pytest.mark.parametrize("first", [1, 2, 3], ids=["probe", "first model", "second model"])
def test_broken_capture_leaves_the_state_as_it_was(load: Load, first: int) -> None:
    network = NETWORKS["dropout"]
    backend = load(TornTape(first))
    for _ in range(2):
        assert_trained_alike(build(backend, network), build(load(None), network))
    (note,) = (each for each in backend.notes if "training step" in each)
    assert "it cannot be captured (RuntimeError: operation not permitted" in note


def test_replays_that_differ_are_found_out(load: Load) -> None:
    backend = load(WornTape())
    assert_trained_alike(build(backend), build(load(None)))
    assert "replays do not give the same bits" in backend.notes[0]


def test_notes_are_those_of_the_loaded_data(load: Load, data: Dataset) -> None:
    backend = load(TornTape(1))
    trained(build(backend), 1)
    before = backend.notes
    backend.load(data)
    assert backend.notes == ()
    trained(build(backend), 1)
    assert backend.notes == before != ()


def test_demand_that_cannot_be_met_is_one_line(load: Load) -> None:
    model = build(load(TornTape(1)), cuda_graphs=True)
    with pytest.raises(ConfigurationError) as caught:
        trained(model)
    assert str(caught.value) == (
        "backend 'torch': cuda_graphs is true, but the training step of architecture 'net' cannot "
        "be replayed: it cannot be captured (RuntimeError: operation not permitted when stream is "
        "capturing); expected auto or false"
    )


def test_demand_is_met_where_bits_differ_and_it_is_noted(load: Load) -> None:
    backend = load(tape := WornTape())
    trained(build(backend, cuda_graphs=True))
    assert tape.replays > STEPS
    assert "as demanded, but replays do not give the same bits" in backend.notes[0]


def test_without_graphs_nothing_is_captured(load: Load) -> None:
    backend = load(tape := Tape())
    trained(build(backend, cuda_graphs=False))
    assert (tape.captures, backend.notes) == (0, ())


def test_weights_that_are_loaded_after_the_capture_are_trained(load: Load) -> None:
    replayed, plain = build(load(Tape())), build(load(None))
    for model in (replayed, plain):
        trained(model, 1)
        model.set_weights([np.full_like(each, 0.1) for each in model.get_weights()])
    assert_trained_alike(replayed, plain)


def test_models_in_turns_train_as_each_would_alone(load: Load) -> None:
    backend, plain = load(Tape()), load(None)
    network = NETWORKS["dropout"]
    one, other, alone = build(backend, network), build(backend, network), build(plain, network)
    for _ in range(3):
        for model in (one, other, alone):
            trained(model, 1)
        other.evaluate("validation")
    for left, right in zip(one.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def scheduled(backend: TorchBackend, optimizer: OptimizerOptions, **options: Scalar) -> Any:
    schedule = make_schedule("linear_warmup", {"warmup": 0.5, "decay": "cosine"})
    return backend.build(
        BuildRequest(
            NETWORK, optimizer, BATCH, 1, options,
            schedule=schedule, steps=2 * STEPS, steps_per_epoch=STEPS,
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    "optimizer", [AdamOptions(1e-2), SGDOptions(0.1, 0.9), LionOptions()], ids=lambda o: str(o.name)
)
def test_replays_follow_the_schedule(load: Load, optimizer: OptimizerOptions) -> None:
    backend = load(tape := Tape())
    replayed = scheduled(backend, optimizer)
    assert_trained_alike(replayed, scheduled(backend, optimizer, cuda_graphs=False))
    assert tape.replays > STEPS
    assert backend.notes == ()
    # Another rate at each step is another training, and on a CPU a number instead of a tensor.
    assert trained(replayed) != trained(build(backend))
    plain = scheduled(load(None), optimizer)
    assert trained(scheduled(backend, optimizer)) == pytest.approx(trained(plain), rel=1e-4)


def test_steps_of_an_optimizers_class_are_not_replayed_and_that_is_said(load: Load) -> None:
    optimizer = optimizer_options("torch_nadam", {})
    backend = load(tape := Tape())
    losses = trained(scheduled(backend, optimizer))
    assert losses == trained(scheduled(load(None), optimizer))
    assert tape.captures == 0
    assert "is not replayed as a CUDA graph: its optimiser is a class" in backend.notes[0]
    with pytest.raises(ConfigurationError, match="its optimiser is a class"):
        trained(scheduled(backend, optimizer, cuda_graphs=True))


@pytest.mark.parametrize("is_batch", [False, True], ids=["model", "batch"])
def test_what_nobody_holds_is_freed_at_once(load: Load, is_batch: bool) -> None:
    backend = load(None)
    if is_batch:
        model = lanes(backend)
        model.train_epoch(next(rows()))
    else:
        model = build(backend)
        trained(model, 1)
    model.evaluate("test")
    gone = weakref.ref(model)
    gc.disable()
    try:
        del model
        assert gone() is None
    finally:
        gc.enable()


# Batches


def lanes(backend: TorchBackend, count: int = 3, **options: Scalar) -> Any:
    return backend.build_batch(
        [
            BuildRequest(
                NETWORK, AdamOptions(10.0 ** -(lane + 1), 0.8 + lane / 20), BATCH, lane, options
            )
            for lane in range(count)
        ]
    )


def rows(count: int = 3) -> Iterator[Any]:
    for epoch in range(3):
        generator = np.random.default_rng(epoch)
        yield np.stack([generator.permutation(STEPS * BATCH + 5) for _ in range(count)])


def test_replayed_batches_change_no_bit(load: Load) -> None:
    tape = Tape()
    backend = load(tape)
    replayed, plain = lanes(backend), lanes(load(None))
    for each in rows():
        np.testing.assert_array_equal(replayed.train_epoch(each), plain.train_epoch(each))
        np.testing.assert_array_equal(replayed.evaluate("test"), plain.evaluate("test"))
    assert tape.replays > 3 * STEPS
    assert backend.notes == ()
    for left, right in zip(
        replayed.lane(1).get_weights(), plain.lane(1).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(left, right)


def test_a_lane_of_a_replayed_batch_goes_on_alone(load: Load) -> None:
    batches = [lanes(load(Tape())), lanes(load(None))]
    for each in rows():
        for batch in batches:
            batch.train_epoch(each)
    assert_trained_alike(*(batch.lane(2) for batch in batches))


def test_batches_without_graphs_on_demand(load: Load) -> None:
    batch = lanes(load(tape := Tape()), cuda_graphs=False)
    for each in rows():
        batch.train_epoch(each)
    assert tape.captures == 0


def test_batch_that_cannot_be_trained_leaves_no_note(load: Load) -> None:
    backend = load(Tape())
    batch = backend.build_batch([BuildRequest(NETWORKS["dropout"], batch_size=BATCH)] * 2)
    with pytest.raises(ArchitectureError):
        batch.train_epoch(next(rows(2)))
    assert backend.notes == ()
