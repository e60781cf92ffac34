"""CUDA graphs on a real GPU: what is replayed, that it changes no bit, and what is said if not."""

import random
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from greenbench.architectures import Native, Spec, build_architecture
from greenbench.backends.base import AdamOptions, BuildRequest, TrainableModel
from greenbench.cases import Scalar
from greenbench.datasets.base import Dataset, RawImages, make_dataset
from greenbench.optimizers import make_schedule, optimizer_options

if TYPE_CHECKING:
    from torch import nn

    from greenbench.backends.torch import TorchBackend

BATCH = 64
STEPS = 20
SHAPE = (1, 16, 16)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA GPU on this machine"),
]

Counts = dict[str, int]


@pytest.fixture(scope="module")
def data() -> Dataset:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (12_000, *SHAPE)).astype(np.float32)
    return make_dataset("noise", "random", RawImages(images, np.arange(12_000) % 10), seed=0)


@pytest.fixture(scope="module")
def loaded(data: Dataset) -> tuple["TorchBackend", Counts]:
    return counting(data)


def counting(data: Dataset) -> tuple["TorchBackend", Counts]:
    """Return a new backend, and how often it captures and replays."""
    import torch  # noqa: PLC0415

    from greenbench.backends.torch import TorchBackend  # noqa: PLC0415
    from greenbench.backends.torch_capture import CudaCapturer  # noqa: PLC0415

    counts = {"captures": 0, "replays": 0}

    class Counting(CudaCapturer):
        def capture(self, work: Callable[[], object]) -> Callable[[], object]:
            replay = super().capture(work)
            counts["captures"] += 1

            def counted() -> None:
                counts["replays"] += 1
                replay()

            return counted

    backend = TorchBackend("torch", threads=1, capturer=Counting(torch.device("cuda")))
    backend.load(data)
    return backend, counts


@pytest.fixture
def backend(loaded: tuple["TorchBackend", Counts], data: Dataset) -> "TorchBackend":
    # Its notes are those since this.
    loaded[0].load(data)
    return loaded[0]


@pytest.fixture
def counts(loaded: tuple["TorchBackend", Counts]) -> Counts:
    loaded[1].update(captures=0, replays=0)
    return loaded[1]


def native(name: str) -> Native:
    import torch  # noqa: PLC0415
    from torch import Tensor, nn  # noqa: PLC0415

    class Own(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            if name == "host" and images.mean() > 0:
                return images * 2
            if name == "draws" and random.random() < 0.5:
                return images * 2
            if name == "waits":
                torch.cuda.synchronize()
            return images

    def build() -> "nn.Module":
        layers = [Own(), nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU()]
        if name == "dropout":
            layers += [nn.Dropout2d(0.2), nn.Dropout(0.3), nn.AlphaDropout(0.1)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 14 * 14, 10))

    return Native(name, "torch", build)


def network(name: str) -> Spec | Native:
    if name in {"simple_cnn", "dense_poly"}:
        return build_architecture(name, SHAPE, 10)
    return native(name)


def build(backend: "TorchBackend", name: str, **options: Scalar) -> TrainableModel:
    return backend.build(BuildRequest(network(name), AdamOptions(), BATCH, 1, options))


def trained(model: TrainableModel, epochs: int = 3) -> list[float]:
    """Return losses; each epoch ends with a batch that is not full."""
    orders = (
        np.random.default_rng(epoch).permutation(STEPS * BATCH + 17) for epoch in range(epochs)
    )
    return [model.train_epoch(order) for order in orders]


def assert_identical(one: TrainableModel, other: TrainableModel) -> None:
    assert trained(one) == trained(other)
    for left, right in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    assert one.evaluate("test") == other.evaluate("test")
    # And from there on, after an evaluation.
    assert trained(one, 1) == trained(other, 1)


OPTIONS: list[dict[str, Scalar]] = [{}, {"precision": "bfloat16", "channels_last": True}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", ["simple_cnn", "dense_poly"])
def test_our_networks_are_replayed_and_no_bit_changes(
    backend: "TorchBackend", counts: Counts, name: str, options: dict[str, Scalar]
) -> None:
    assert_identical(
        build(backend, name, **options), build(backend, name, cuda_graphs=False, **options)
    )
    assert backend.notes == ()
    # But for the first three steps, all full batches of four epochs.
    assert counts["replays"] >= 4 * STEPS - 3


@pytest.mark.parametrize("is_batch", [False, True], ids=["model", "batch"])
def test_last_batches_that_are_not_full_are_replayed_and_no_bit_changes(
    backend: "TorchBackend", counts: Counts, is_batch: bool
) -> None:
    def epochs(**options: Scalar) -> list[Any]:
        if is_batch:
            batch = backend.build_batch(requests(4, **options))
            return [batch.train_epoch(np.stack([order] * 4)) for order in orders]
        model = build(backend, "simple_cnn", **options)
        return [model.train_epoch(order) for order in orders]

    orders = [np.random.default_rng(epoch).permutation(2 * BATCH + 17) for epoch in range(8)]
    replayed = epochs()
    # Of 8 epochs, all but the first three steps on full batches, and on the rest.
    assert counts["replays"] >= 2 * 8 - 3 + 8 - 3
    np.testing.assert_array_equal(replayed, epochs(cuda_graphs=False))
    assert backend.notes == ()


@pytest.mark.parametrize("name", ["dropout", "host", "draws", "waits"])
def test_networks_of_users_give_the_same_bits_by_default_as_without_graphs(
    backend: "TorchBackend", counts: Counts, name: str
) -> None:
    assert_identical(build(backend, name), build(backend, name, cuda_graphs=False))
    noted = [note for note in backend.notes if "training step" in note]
    # Replayed or noted, and never both.
    assert (counts["replays"] >= 4 * STEPS - 3) != bool(noted)
    reasons = {"host": "waits for the GPU", "draws": "on the CPU", "waits": "cannot be captured"}
    assert name == "dropout" or reasons[name] in noted[0]


def test_a_process_in_which_a_capture_broke_goes_on_capturing(
    backend: "TorchBackend", counts: Counts
) -> None:
    trained(build(backend, "waits"))
    counts.update(captures=0, replays=0)
    assert_identical(build(backend, "dropout"), build(backend, "dropout", cuda_graphs=False))
    assert_identical(build(backend, "simple_cnn"), build(backend, "simple_cnn", cuda_graphs=False))
    assert counts["replays"] >= 4 * STEPS - 3


def test_graphs_from_before_a_broken_capture_are_replayed_as_if_nothing_was(
    backend: "TorchBackend", counts: Counts
) -> None:
    held, plain = (build(backend, "dropout", **each) for each in ({}, {"cuda_graphs": False}))
    assert trained(held) == trained(plain)
    trained(build(backend, "waits"))
    counts.update(captures=0, replays=0)
    assert_identical(held, plain)
    if not any("dropout" in note for note in backend.notes):
        assert counts["replays"] >= 4 * STEPS


def test_training_is_captured_after_an_evaluation_was_captured_first(data: Dataset) -> None:
    backend, counts = counting(data)
    model = build(backend, "simple_cnn")
    for _ in range(4):
        model.evaluate("test")
    assert counts["replays"] > 0
    counts.update(captures=0, replays=0)
    trained(model)
    assert counts["replays"] >= 3 * STEPS - 3
    assert backend.notes == ()


def test_evaluation_is_replayed(backend: "TorchBackend", counts: Counts) -> None:
    replayed, plain = (
        build(backend, "simple_cnn", **options) for options in ({}, {"cuda_graphs": False})
    )
    for _ in range(4):
        assert replayed.evaluate("test") == plain.evaluate("test")
    # Two full parts of 1,024 images each time, of which the first three are computed as they are.
    assert counts["replays"] >= 2 * 4 - 3


def test_many_models_with_graphs_share_their_working_memory(backend: "TorchBackend") -> None:
    import torch  # noqa: PLC0415

    def model() -> TrainableModel:
        built = build(backend, "simple_cnn")
        trained(built, 1)
        built.evaluate("test")
        return built

    held = [model() for _ in range(2)]
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    held += [model() for _ in range(16)]
    torch.cuda.empty_cache()
    # Weights, two moments and a gradient, in blocks of 2 MiB at most.
    state = 16 * (4 * 4 * held[0].parameters + 8 * 2**20)
    assert torch.cuda.memory_reserved() - before < state


# Batches


def rows(lanes: int) -> Iterator[Any]:
    for epoch in range(3):
        generator = np.random.default_rng(epoch)
        yield np.stack([generator.permutation(STEPS * BATCH + 17) for _ in range(lanes)])


def requests(lanes: int, **options: Scalar) -> list[BuildRequest]:
    # So large an epsilon makes no full steps of rounding errors.
    return [
        BuildRequest(
            network("simple_cnn"),
            AdamOptions(1e-3 * (lane + 1), 0.9 - lane / 20, epsilon=1e-4),
            BATCH,
            lane,
            options,
        )
        for lane in range(lanes)
    ]


def test_replayed_batches_change_no_bit_and_learn_what_each_lane_would_alone(
    backend: "TorchBackend", counts: Counts
) -> None:
    replayed, plain = (
        backend.build_batch(requests(4, **options)) for options in ({}, {"cuda_graphs": False})
    )
    alone = [backend.build(each) for each in requests(4, cuda_graphs=False)]
    for each in rows(4):
        losses = replayed.train_epoch(each)
        np.testing.assert_array_equal(losses, plain.train_epoch(each))
        expected = [model.train_epoch(row) for model, row in zip(alone, each, strict=True)]
        np.testing.assert_allclose(losses, expected, rtol=1e-3)
    np.testing.assert_array_equal(replayed.evaluate("test"), plain.evaluate("test"))
    assert backend.notes == ()
    assert counts["replays"] >= 3 * STEPS - 3


def test_as_many_lanes_as_are_said_to_fit_do_fit(backend: "TorchBackend") -> None:
    order = np.arange(5 * BATCH)
    found = backend.lanes_that_fit(requests(1) * 64, [order, order])
    assert 2 <= found <= 64
    batch = backend.build_batch(requests(1) * found)
    assert np.isfinite(batch.train_epoch(np.tile(order, (found, 1)))).all()


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "rmsprop", "adagrad", "adadelta", "lion"])
def test_replayed_steps_follow_the_schedule_whatever_the_optimizer(
    backend: "TorchBackend", counts: Counts, name: str
) -> None:
    options = {"momentum": 0.9} if name in {"sgd", "rmsprop"} else {}
    schedule = make_schedule("linear_warmup", {"warmup": 0.5, "decay": "cosine"})

    def build(**compute: Scalar) -> TrainableModel:
        return backend.build(
            BuildRequest(
                network("simple_cnn"), optimizer_options(name, options), BATCH, 1, compute,
                schedule=schedule, steps=3 * STEPS, steps_per_epoch=STEPS,
            )
        )  # fmt: skip

    assert_identical(build(), build(cuda_graphs=False))
    assert backend.notes == ()
    assert counts["replays"] >= 4 * STEPS - 3
    constant = BuildRequest(network("simple_cnn"), optimizer_options(name, options), BATCH, 1)
    assert trained(build()) != trained(backend.build(constant))
