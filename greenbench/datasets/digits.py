"""scikit-learn's handwritten digits, which need neither files nor network."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.augmentation import augmented
from greenbench.datasets.base import Dataset, LoadContext, RawImages, make_dataset
from greenbench.datasets.loaders import IMAGES, holds

ENLARGED = 2  # 8×8 to 16×16, so that networks can halve the image four times
WHITE = 16.0
FILE = "datasets/data/digits.csv.gz"


@holds(IMAGES, task="classification")
@augmented
def load_digits(context: LoadContext) -> Dataset:
    """Load 1,797 real digits, 16×16 with one channel, in 10 classes.

    They are the test part of the "Optical Recognition of Handwritten Digits" data set
    (E. Alpaydin and C. Kaynak, UCI, 1998) as scikit-learn ships it, enlarged from 8×8 by
    linear interpolation.

    Parameters
    ----------
    context : LoadContext
        Only its seed is used.

    Returns
    -------
    Dataset
        Images of shape (n, 1, 16, 16).
    """
    # Whoever asks what this takes needs none of it.
    from scipy.ndimage import zoom  # noqa: PLC0415

    pixels, labels = _read_digits()
    images = zoom(pixels.reshape(-1, 8, 8), (1, ENLARGED, ENLARGED), order=1)
    pool = RawImages(images[:, None], labels, WHITE)
    return make_dataset("digits", "scikit-learn, handwritten digits", pool, seed=context.seed)


def _read_digits() -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Return what ``sklearn.datasets.load_digits`` does, without a second of imports."""
    found = find_spec("sklearn")
    file = Path(found.origin).parent / FILE if found and found.origin else None
    if file is None or not file.exists():
        from sklearn.datasets import load_digits  # noqa: PLC0415

        pixels, labels = load_digits(return_X_y=True)
        return pixels, labels
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1], table[:, -1].astype(int)
