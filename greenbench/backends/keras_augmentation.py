"""Images varied on the device, a batch at a time. Imports Keras: to be imported late."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from greenbench.backends.keras_data import Layout, Samples
from greenbench.backends.keras_engines import Batch
from greenbench.datasets.base import Split
from greenbench.errors import ConfigurationError

_MOST_MAGNITUDE = 30


class Augmenter:
    """Varies batches of images, as an `Augmentation` says.

    Flips and RandAugment are Keras's layers; the latter varies all images of a batch by the same
    two operations, each by a strength of its own. Keras's crop would cut all images of a batch
    at one place, so that it is done here.

    Parameters
    ----------
    augmentation : greenbench.datasets.augmentation.Augmentation
        How.
    seed : int
        Of the random numbers, which are this augmenter's own.
    data_format : str
        Where images have their channels.
    """

    def __init__(self, augmentation: Any, seed: int, data_format: str) -> None:
        layers, seed = keras.layers, seed % 2**31
        self._crop: int = augmentation.crop
        self._is_first = data_format == "channels_first"
        self._generator = keras.random.SeedGenerator(seed)
        self._layers: list[Any] = []
        if augmentation.flip:
            self._layers.append(
                layers.RandomFlip("horizontal", seed=seed + 1, data_format=data_format)
            )
        if augmentation.randaugment:
            self._layers.append(
                layers.RandAugment(
                    (0, 1),
                    factor=augmentation.randaugment / _MOST_MAGNITUDE,
                    seed=seed + 2,
                    data_format=data_format,
                )
            )

    def __call__(self, images: Any) -> Any:
        """Return images varied; those that are given stay as they are."""
        if self._crop:
            images = self._cropped(images)
        for layer in self._layers:
            images = layer(images, training=True)
        return images

    def _cropped(self, images: Any) -> Any:
        rows, columns = (2, 3) if self._is_first else (1, 2)
        padding = [[self._crop] * 2 if axis in (rows, columns) else [0, 0] for axis in range(4)]
        cut = ops.pad(images, padding)
        for axis in (rows, columns):
            cut = self._cut(cut, axis, images.shape[axis])
        return cut

    def _cut(self, images: Any, axis: int, size: int) -> Any:
        """Return `size` of an axis, from a place of each image's own on."""
        count = len(images)
        starts = keras.random.randint((count, 1), 0, 2 * self._crop + 1, seed=self._generator)
        shape = [count if each == 0 else size if each == axis else 1 for each in range(4)]
        places = ops.reshape(starts + ops.arange(size, dtype="int32"), shape)
        wanted = [size if each == axis else length for each, length in enumerate(images.shape)]
        return ops.take_along_axis(images, ops.broadcast_to(places, wanted), axis=axis)


@dataclass(frozen=True)
class Varied:
    """Samples whose images are varied each time that they are trained on.

    Attributes
    ----------
    samples : Samples
        As they are.
    vary : callable
        Varies a batch of images.
    """

    samples: Samples
    vary: Callable[[Any], Any]

    @property
    def layout(self) -> Layout:
        """Where images have their channels."""
        return self.samples.layout

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def whole(self) -> None:
        """Nothing: they are others at each step."""

    def first(self, count: int) -> Batch:
        """Return copies of the first samples, as they are."""
        return self.samples.first(count)

    def batches(self, order: NDArray[np.int64], batch_size: int) -> Iterator[Batch]:
        """Yield batches of samples in `order`, varied."""
        for inputs, targets in self.samples.batches(order, batch_size):
            yield self.vary(inputs), targets

    def parts(self, size: int) -> Iterator[tuple[Any, NDArray[Any]]]:
        """Yield all samples as they are."""
        return self.samples.parts(size)

    def neutral(self) -> Split:
        """Return the samples as they were given."""
        return self.samples.neutral()


def check_augmentation(axes: int) -> None:
    """Refuse to vary images whose targets have places, which would not move along.

    Parameters
    ----------
    axes : int
        Of all targets.

    Raises
    ------
    ConfigurationError
        If the targets are an image each.
    """
    if axes > 2:  # noqa: PLR2004
        raise ConfigurationError(
            "targets that are images have places, which crop, flip and randaugment would not "
            "move along; leave these options of the data set out"
        )
