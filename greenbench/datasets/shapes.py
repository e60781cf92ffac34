"""Made-up images with a class a pixel: discs, squares and triangles on noise."""

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.arrays import make_arrays
from greenbench.datasets.base import Dataset, LoadContext
from greenbench.datasets.checks import check_number
from greenbench.datasets.loaders import IMAGES, holds

IMAGE_SEED = 0  # the images depend on the options alone
NOISE = 0.1
GROUND = 0.2
MOST_SHAPES = 3
MIN_SAMPLES, MIN_SIDE = 10, 16


def _check(_: LoadContext, samples: int, side: int) -> None:
    check_number("shapes", "samples", samples, MIN_SAMPLES)
    check_number("shapes", "side", side, MIN_SIDE)


@holds(IMAGES, task="segmentation", check=_check)
def load_shapes(context: LoadContext, samples: int = 1000, side: int = 32) -> Dataset:
    """Make grey images with up to three shapes that do not overlap, and the class of each pixel.

    Classes are the ground, discs, squares and triangles. The same options give the same images;
    the seed of the context draws the split.

    Parameters
    ----------
    context : LoadContext
        Only its seed is used.
    samples : int
        Number of images in all splits together, at least 10.
    side : int
        Height and width in pixels, at least 16.

    Returns
    -------
    Dataset
        Images of shape (n, 1, side, side), targets of shape (n, side, side).

    Raises
    ------
    DatasetError
        If an option is out of range.
    """
    _check(context, samples, side)
    generator = np.random.default_rng(IMAGE_SEED)
    images = np.full((samples, side, side), GROUND, np.float32)
    classes = np.zeros((samples, side, side), np.int64)
    for image, target in zip(images, classes, strict=True):
        for _ in range(int(generator.integers(1, MOST_SHAPES + 1))):
            _draw(generator, image, target)
    images += NOISE * generator.standard_normal(images.shape, dtype=np.float32)
    return make_arrays(
        "shapes",
        "discs, squares and triangles on noise",
        np.clip(images, 0, 1)[:, None],
        classes,
        task="segmentation",
        seed=context.seed,
    )


def _draw(
    generator: np.random.Generator, image: NDArray[np.float32], target: NDArray[np.int64]
) -> None:
    """Draw a shape at a random place, unless it would lie on another one."""
    side = len(image)
    radius = generator.uniform(side / 8, side / 4)
    across, down = generator.uniform(radius, side - 1 - radius, 2)
    kind = int(generator.integers(3))
    brightness = generator.uniform(0.5, 1.0)
    y, x = np.mgrid[:side, :side]
    dx, dy = np.abs(x - across), y - down
    inside = (
        dx**2 + dy**2 <= radius**2,
        np.maximum(dx, np.abs(dy)) <= 0.8 * radius,
        (np.abs(dy) <= radius) & (dx <= (dy + radius) / 2),
    )[kind]
    if not target[inside].any():
        image[inside] = brightness
        target[inside] = kind + 1
