"""Images made up from random prototypes, of any size and number, to measure cost with."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from greenbench.datasets.augmentation import augmented
from greenbench.datasets.base import (
    MIN_CLASSES,
    MIN_IMAGES_A_CLASS,
    Dataset,
    LoadContext,
    RawImages,
    make_dataset,
)
from greenbench.datasets.checks import check_number
from greenbench.datasets.loaders import IMAGES, holds

# The images depend on the options alone, so that repeats differ in their split, as with
# published images, and not in how hard they are to tell apart.
IMAGE_SEED = 0
NOISE = 0.3
MIN_SIDE = 4


def _check(_: LoadContext, samples: int, side: int, channels: int, classes: int) -> None:
    check_number("synthetic", "classes", classes, MIN_CLASSES)
    check_number("synthetic", "samples", samples, MIN_IMAGES_A_CLASS * classes)
    check_number("synthetic", "side", side, MIN_SIDE)
    check_number("synthetic", "channels", channels, 1)


@holds(IMAGES, task="classification", check=_check)
@augmented
def load_synthetic(
    context: LoadContext,
    samples: int = 1000,
    side: int = 16,
    channels: int = 1,
    classes: int = 10,
) -> Dataset:
    """Make images that can be learnt: a smooth prototype a class, plus noise.

    The same options give the same images; the seed of the context draws the split.

    Parameters
    ----------
    context : LoadContext
        Only its seed is used.
    samples : int
        Number of images in all splits together, at least 4 a class.
    side : int
        Height and width in pixels, at least 4.
    channels : int
        At least 1.
    classes : int
        At least 2; they differ in size by at most one image.

    Returns
    -------
    Dataset
        Images of shape (n, channels, side, side).

    Raises
    ------
    DatasetError
        If an option is out of range.
    """
    _check(context, samples, side, channels, classes)
    generator = np.random.default_rng(IMAGE_SEED)
    prototypes = _prototypes(generator, (classes, channels, side, side))
    labels = np.arange(samples) % classes
    images = generator.standard_normal((samples, channels, side, side), dtype=np.float32)
    images *= NOISE
    images += prototypes[labels]
    np.clip(images, 0, 1, out=images)
    pool = RawImages(images, labels, white=1.0)
    return make_dataset("synthetic", "random prototypes with noise", pool, seed=context.seed)


def _prototypes(
    generator: np.random.Generator, shape: tuple[int, int, int, int]
) -> NDArray[np.float32]:
    side = shape[-1]
    noise = generator.standard_normal(shape)
    smooth = gaussian_filter(noise, sigma=side / 8, axes=(2, 3), mode="wrap")
    least = smooth.min(axis=(1, 2, 3), keepdims=True)
    most = smooth.max(axis=(1, 2, 3), keepdims=True)
    scaled: NDArray[np.float32] = ((smooth - least) / (most - least)).astype(np.float32)
    return scaled
