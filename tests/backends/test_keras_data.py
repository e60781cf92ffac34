"""Data that Keras reads some at a time, or varies each time it is seen."""

import os
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from packaging.version import Version

from greenbench.architectures import Flatten, Linear, Spec, build_architecture
from greenbench.backends import keras_data
from greenbench.backends.base import BuildRequest
from greenbench.backends.keras import KerasBackend
from greenbench.datasets.base import Dataset, Split
from greenbench.errors import ConfigurationError

# Another engine runs these tests in a process of its own; see test_engines.py.
KERAS = os.environ.get("KERAS_TESTED", "keras")
BATCH = 16


class Streamed(Split):
    """A split that keeps what was asked of it."""

    def __init__(self, split: Split) -> None:
        object.__setattr__(self, "_split", split)
        object.__setattr__(self, "asked", [])

    asked: list[int]

    def __len__(self) -> int:
        return len(self._split)  # type: ignore[attr-defined]

    def __getattribute__(self, name: str) -> Any:
        assert name not in ("inputs", "images"), "not in memory"
        return super().__getattribute__(name)

    @property
    def targets(self) -> Any:
        """Only their shape is read."""
        return np.empty((len(self), 0))[:, 0]

    def prefetch(self, indices: NDArray[np.int64]) -> None:
        """Nothing."""

    def batch(self, indices: NDArray[np.int64]) -> tuple[Any, Any]:
        """Return samples."""
        self.asked.append(len(indices))
        split: Split = self._split  # type: ignore[attr-defined]
        return split.inputs[indices], split.targets[indices]


def loaded(dataset: Dataset) -> KerasBackend:
    backend = KerasBackend(KERAS, threads=1)
    backend.load(dataset)
    return backend


def test_streamed_splits_are_trained_on_like_those_in_memory(coloured: Dataset) -> None:
    train = Streamed(coloured.train)
    streamed = replace(coloured, train=train, test=Streamed(coloured.test))
    spec = build_architecture("simple_cnn", coloured.image_shape, coloured.classes)
    figures = []
    for dataset in (coloured, streamed):
        model = loaded(dataset).build(BuildRequest(spec, batch_size=BATCH, seed=1))
        losses = [model.train_epoch(np.arange(40)[::-1].copy()) for _ in range(2)]
        counts = model.count_train_flops(), model.evaluate("test"), model.measure("test")
        figures.append((losses, counts, model.get_weights()))
    in_memory, read = figures
    assert in_memory[0] == pytest.approx(read[0], abs=1e-6)
    assert in_memory[1] == read[1]
    for one, other in zip(in_memory[2], read[2], strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    assert max(train.asked) == BATCH


@dataclass(frozen=True)
class Augmentation:
    """As a data set says it."""

    crop: int = 0
    flip: bool = False
    randaugment: int = 0


@pytest.fixture
def pixels() -> NDArray[np.float32]:
    """Images, each pixel of which tells where it was."""
    image = np.arange(1, 1 + 3 * 7 * 6).reshape(1, 3, 7, 6) / 200
    return image.repeat(300, axis=0).astype(np.float32)


def varied(
    images: NDArray[np.float32], augmentation: Augmentation, data_format: str, seed: int = 0
) -> NDArray[np.float32]:
    KerasBackend(KERAS, threads=1)
    from greenbench.backends.keras_augmentation import Augmenter  # noqa: PLC0415

    vary = Augmenter(augmentation, seed, data_format)
    moved = keras_data.to_numpy(vary(keras_data.in_memory(images, data_format)))
    return keras_data.to_neutral(moved, data_format)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_crop_moves_each_image_by_as_many_pixels_as_it_may(
    pixels: NDArray[np.float32], data_format: str
) -> None:
    moved = varied(pixels, Augmentation(crop=2), data_format)
    padded = np.pad(pixels[0], ((0, 0), (2, 2), (2, 2)))
    cuts = {(i, j): padded[:, i : i + 7, j : j + 6] for i in range(5) for j in range(5)}
    seen = [next(at for at, cut in cuts.items() if np.array_equal(cut, image)) for image in moved]
    assert set(seen) == set(cuts)
    assert np.mean(seen, axis=0) == pytest.approx([2, 2], abs=0.4)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_flip_mirrors_half_of_the_images(pixels: NDArray[np.float32], data_format: str) -> None:
    moved = varied(pixels, Augmentation(flip=True), data_format)
    plain = np.array([np.array_equal(image, pixels[0]) for image in moved])
    mirrored = np.array([np.array_equal(image, pixels[0][:, :, ::-1]) for image in moved])
    assert (plain ^ mirrored).all()
    assert plain.mean() == pytest.approx(0.5, abs=0.12)


@pytest.mark.skipif(
    Version(version("keras")) < Version("3.15.1"),
    reason="older releases of Keras draw some of RandAugment's numbers without the seed",
)
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_randaugment_depends_on_the_seed_alone(
    pixels: NDArray[np.float32], data_format: str
) -> None:
    images, strong = pixels[:4], Augmentation(randaugment=15)
    one, again, other = (varied(images, strong, data_format, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert one.shape == images.shape
    assert np.isfinite(one).all()


def test_training_alone_sees_varied_images(coloured: Dataset) -> None:
    spec = Spec("linear", coloured.image_shape, [Flatten(), Linear(4)])
    dataset = replace(coloured)
    object.__setattr__(dataset, "augmentation", Augmentation(crop=2, flip=True))
    order = np.arange(32)
    figures = []
    for each in (coloured, dataset, dataset):
        model = loaded(each).build(BuildRequest(spec, batch_size=BATCH, seed=1))
        before = model.evaluate("train"), model.predict(coloured.train.images).tolist()
        figures.append((before, model.train_epoch(order), model.get_weights()[0].tolist()))
    plain, one, again = figures
    assert plain[0] == one[0]
    assert plain[1] != one[1]
    assert one == again


def test_targets_with_places_are_not_left_behind(coloured: Dataset) -> None:
    places = replace(coloured.train, targets=np.zeros((len(coloured.train), 9, 12), np.int64))
    dataset = replace(coloured, train=places)
    object.__setattr__(dataset, "augmentation", Augmentation(flip=True))
    spec = Spec("linear", coloured.image_shape, [Flatten(), Linear(4)])
    with pytest.raises(ConfigurationError, match="would not move along"):
        loaded(dataset).build(BuildRequest(spec, batch_size=BATCH))
