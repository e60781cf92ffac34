"""Drawing: which samples are trained on, and which validate and test."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from greenbench.errors import DatasetError

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
MIN_CLASSES = 2
MIN_IMAGES_A_CLASS = 4  # each split draws at least one
MIN_SAMPLES = 10

Index = NDArray[np.intp]


def draw_splits(
    labels: NDArray[np.integer] | int, seed: int, *, has_test: bool = False
) -> tuple[Index, Index, Index]:
    """Draw a test split of a fifth, and a validation split of a tenth of the rest.

    Parameters
    ----------
    labels : ndarray of int, shape (n,), or int
        Class indices from 0, which are drawn in proportion; or how many samples there are that
        have no classes.
    seed : int
        Seed of the draw.
    has_test : bool
        Whether there is a test split elsewhere, so that none is drawn.

    Returns
    -------
    train, validation, test : ndarray of intp
        Positions of samples, mixed.
    """
    index = np.arange(labels if isinstance(labels, int) else len(labels))
    test = index[:0]
    if not has_test:
        index, test = _drawn(index, labels, TEST_SHARE, seed)
    train, validation = _drawn(index, labels, VALIDATION_SHARE, seed + 1)
    return train, validation, test


def draw_stratified(
    labels: NDArray[np.integer], count: int, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw `count` images at random so that every class is drawn in proportion to its size.

    However rare a class is, one of its images is drawn; scikit-learn's split leaves rare
    classes out.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
        Class indices from 0.
    count : int
        At least the number of classes, at most n.
    seed : int
        Seed of the draw.

    Returns
    -------
    rest : ndarray of intp
        Positions in `labels` of what is left, classes mixed.
    drawn : ndarray of intp, shape (count,)
        Positions in `labels` of what is drawn, classes mixed.
    """
    order = np.random.default_rng(seed % 2**64).permutation(len(labels))
    shuffled = labels[order]
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(shuffled == label)
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
        place[members[0]] = 0
    ranked = order[np.argsort(place, kind="stable")]
    return ranked[count:], ranked[:count]


def count_classes(
    name: str, labels: NDArray[np.integer], class_names: Sequence[str] | None, what: str = "image"
) -> int:
    """Return how many classes there are.

    Raises
    ------
    DatasetError
        If there are fewer than two, or one has too few samples to split.
    """
    classes = int(labels.max()) + 1 if len(labels) else 0
    if classes < MIN_CLASSES:
        raise DatasetError(
            f"dataset {name!r} has {classes} class(es); expected at least {MIN_CLASSES}"
        )
    if labels.min() < 0:
        raise DatasetError(
            f"dataset {name!r} has the class {labels.min()}; expected classes from 0"
        )
    counts = np.bincount(labels, minlength=classes)
    if counts.min() < MIN_IMAGES_A_CLASS:
        label = int(counts.argmin())
        shown = class_names[label] if class_names else str(label)
        raise DatasetError(
            f"dataset {name!r}: class {shown!r} has {counts.min()} {what}(s); "
            f"expected at least {MIN_IMAGES_A_CLASS}, so that every split holds one"
        )
    return classes


def check_count(name: str, samples: int) -> None:
    """Raise `DatasetError` if there are too few samples to split."""
    if samples < MIN_SAMPLES:
        raise DatasetError(
            f"dataset {name!r} has {samples} sample(s); expected at least {MIN_SAMPLES}, so that "
            "there are some to train on, to validate and to test"
        )


def _drawn(
    index: Index, labels: NDArray[np.integer] | int, share: float, seed: int
) -> tuple[Index, Index]:
    if isinstance(labels, int):
        # As if all were of one class.
        rest, drawn = draw_stratified(
            np.zeros(len(index), np.int64), max(round(len(index) * share), 1), seed
        )
        return index[rest], index[drawn]
    # At least one image of each class on the smaller side.
    count = max(round(len(index) * share), int(labels.max()) + 1)
    rest, drawn = draw_stratified(labels[index], count, seed)
    return index[rest], index[drawn]
