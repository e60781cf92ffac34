"""A forward pass that works in place on its input: the data set stays what it is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

from greenbench import registry
from greenbench.architectures import Native
from greenbench.architectures.base import native
from greenbench.backends.base import BuildRequest, TrainableModel
from greenbench.backends.keras import KerasBackend
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Case
from greenbench.datasets import Dataset, LoadContext
from greenbench.datasets.base import digest_splits
from greenbench.datasets.digits import load_digits
from greenbench.energy.carbon import CarbonIntensity
from greenbench.errors import ArchitectureError
from greenbench.results.journal import Journal
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.testing import FakeClock, FakeMeter

Change = Callable[[Tensor], Tensor]

BATCH = 64


def shift(images: Tensor) -> Tensor:
    return images.sub_(0.5).mul_(2)


def sort(images: Tensor) -> Tensor:
    images.copy_(images.flip(0))
    return images


def turn(images: Tensor) -> Tensor:
    # The same numbers, in a tensor of another shape.
    return images.transpose_(2, 3).contiguous()


def activate(images: Tensor) -> Tensor:
    return nn.functional.silu(images, inplace=True)


CHANGES = [shift, sort, turn, activate]


class InPlace(nn.Module):
    def __init__(self, change: Change) -> None:
        super().__init__()
        self._change = change

    def forward(self, images: Tensor) -> Tensor:
        return self._change(images)


def net(change: Change) -> nn.Module:
    layers = [nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 10)]
    return nn.Sequential(InPlace(change), *layers)


def keras_net() -> Any:
    import keras  # noqa: PLC0415
    from keras import layers  # noqa: PLC0415

    class Shift(layers.Layer):  # type: ignore[misc]
        def call(self, images: Any) -> Any:
            return images.sub_(0.5) if isinstance(images, Tensor) else images - 0.5

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    return keras.Sequential([Shift(), layers.Flatten(), layers.Dense(10)])


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_digits(LoadContext(seed=0, data_dir=Path()))


def exercised(model: TrainableModel, dataset: Dataset) -> list[float]:
    """Do all that a repeat does with a model; return its accuracy, asked three times."""
    for epoch in range(2):
        model.train_epoch(np.random.default_rng(epoch).permutation(len(dataset.train)))
    model.count_train_flops()
    images = dataset.test.images.copy()
    model.predict(images)
    assert (images == dataset.test.images).all()
    model.evaluate("test")
    return [model.evaluate("validation") for _ in range(3)]


@pytest.mark.parametrize("options", [{}, {"channels_last": True}], ids=["plain", "channels_last"])
@pytest.mark.parametrize("change", CHANGES)
def test_torch_network_leaves_the_data_set_alone(
    digits: Dataset, change: Change, options: dict[str, bool]
) -> None:
    backend = TorchBackend("torch", threads=1)
    backend.load(digits)
    before = digest_splits(digits.splits)
    assert backend.digest() == before
    request = BuildRequest(Native("n", "torch", lambda: net(change)), options=options)
    accuracies = exercised(backend.build(request), digits)
    assert len(set(accuracies)) == 1
    assert backend.digest() == before
    assert digest_splits(digits.splits) == before


@pytest.mark.parametrize("change", [shift, activate])
def test_batched_networks_leave_the_data_set_alone(digits: Dataset, change: Change) -> None:
    backend = TorchBackend("torch", threads=1)
    backend.load(digits)
    before = backend.digest()
    request = BuildRequest(Native("n", "torch", lambda: net(change)), batch_size=BATCH)
    batch = backend.build_batch([request, replace(request, seed=1)])
    order = np.arange(10 * BATCH)
    batch.train_epoch(np.stack([order, order]))
    first = batch.evaluate("validation").tolist()
    assert batch.evaluate("validation").tolist() == first
    assert backend.digest() == before


def test_keras_network_leaves_the_data_set_alone(digits: Dataset) -> None:
    backend = KerasBackend("keras", threads=1)
    backend.load(digits)
    before = digest_splits(digits.splits)
    assert backend.digest() == before
    model = backend.build(BuildRequest(Native("n", "keras", keras_net)))
    assert len(set(exercised(model, digits))) == 1
    assert backend.digest() == before
    assert digest_splits(digits.splits) == before


def test_digest_does_not_depend_on_the_layout_in_memory(digits: Dataset) -> None:
    train = digits.train
    turned = np.asfortranarray(train.images)
    other = {"train": replace(train, inputs=turned, targets=train.labels.astype(np.int32))}
    assert digest_splits(other) == digest_splits({"train": train})
    touched = train.images.copy()
    touched[0, 0, 0, 0] += 1e-3
    assert digest_splits({"train": replace(train, inputs=touched)}) != digest_splits(other)


class Careless(TorchBackend):
    """A backend that lets models see what it stores."""

    def build(self, request: BuildRequest) -> Any:
        self._splits["validation"].inputs.mul_(0.5)
        return super().build(request)


class Closed(Careless):
    """One that cannot show what it holds, but trains on the arrays that it was given."""

    digest = None  # type: ignore[assignment]


@registry.register_architecture("tried_inplace")
@native("torch")
def tried_inplace(image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    return net(shift)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(
        backend=TorchBackend("torch", threads=1),
        meter=FakeMeter(FakeClock()),
        control=FakeMeter(FakeClock()),
        intensity=CarbonIntensity(100.0, "a test"),
        environment={"host": "here"},
        data_dir=tmp_path,
        emit=lambda event, values: None,
    )


CASE = Case(architecture="tried_inplace", epochs=1)


def test_repeat_of_such_a_network_ends_with_a_result(bench: Bench, tmp_path: Path) -> None:
    result = run_repeat(bench, CASE, 0, "tests", Journal.of(tmp_path, CASE, 0))
    assert result.test_score is not None


@pytest.mark.parametrize("backend", [Careless, Closed])
def test_repeat_whose_images_changed_is_an_error_and_leaves_no_trial(
    bench: Bench, tmp_path: Path, backend: type[TorchBackend]
) -> None:
    journal = Journal.of(tmp_path, CASE, 0)
    changed = replace(bench, backend=backend("torch", threads=1))
    with pytest.raises(ArchitectureError, match=r"'tried_inplace'.*'digits'.*\(validation\)"):
        run_repeat(changed, CASE, 0, "tests", journal)
    assert journal.read().trials == ()
