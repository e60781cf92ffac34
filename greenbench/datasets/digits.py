"""scikit-learn's handwritten digits, which need neither files nor network."""

from scipy.ndimage import zoom
from sklearn import datasets as sklearn_datasets

from greenbench.datasets.base import Dataset, LoadContext, RawImages, make_dataset

ENLARGED = 2  # 8×8 to 16×16, so that networks can halve the image four times
WHITE = 16.0


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
    pixels, labels = sklearn_datasets.load_digits(return_X_y=True)
    images = zoom(pixels.reshape(-1, 8, 8), (1, ENLARGED, ENLARGED), order=1)
    pool = RawImages(images[:, None], labels, WHITE)
    return make_dataset("digits", "scikit-learn, handwritten digits", pool, seed=context.seed)
