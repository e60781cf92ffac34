"""What a data set is, and the one stratified split that all loaders share."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.augmentation import Augmentation
from greenbench.datasets.split import Split as Split  # noqa: PLC0414
from greenbench.errors import DatasetError

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
IMAGE_AXES = 4
MIN_CLASSES = 2
MIN_IMAGES_A_CLASS = 4  # each split draws at least one
_DIGEST_ROWS = 4096


@dataclass(frozen=True)
class LoadContext:
    """What a loader may depend on besides its options.

    Attributes
    ----------
    seed : int
        Seed of the split.
    data_dir : pathlib.Path
        Folder with local files; downloads go there, too.
    """

    seed: int
    data_dir: Path


@dataclass(frozen=True)
class Dataset:
    """A data set in memory.

    Attributes
    ----------
    name : str
        Name in the registry.
    train, validation, test : Split
        Disjoint, and stratified where targets are classes. Of data that memory does not hold,
        each is a `greenbench.datasets.streaming.Streamed`.
    classes : int
        Number of classes; of tokens, the size of the vocabulary; of other targets, their number.
    source : str
        Where the images come from, for people.
    digest : str
        First 16 hex digits of the SHA-256 over all splits.
    notes : tuple of str
        What a reader must know of how the images were read: what was left out or changed.
    content : str or None
        The same of the images as they were loaded, whichever way they are split: what all
        repeats have in common. None where it is not known.
    task : str
        What is learned of it unless a case says otherwise; a name in the registry.
    vocabulary : int or None
        How many tokens there are, where inputs are token ids from 0.
    augmentation : Augmentation or None
        How training images are varied each time that they are seen; None leaves them as they are.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int
    source: str
    digest: str
    notes: tuple[str, ...] = ()
    content: str | None = None
    task: str = "classification"
    vocabulary: int | None = None
    augmentation: Augmentation | None = None

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits, by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def input_shape(self) -> Any:
        """Shape of one sample, a tuple of int: of an image, channels, height and width.

        Of several named inputs, a mapping of names to it.
        """
        return self.train.input_shape

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width, where inputs are images."""
        channels, height, width = self.input_shape
        return channels, height, width

    def check(self) -> None:
        """Check the splits of a loader that made them itself, without `make_dataset`.

        Raises
        ------
        DatasetError
            If they are no images with a class each: nobody could count what is right.
        """
        for split in ("train", "validation", "test"):
            self._check(split, getattr(self, split))

    def _check(self, split: str, held: Split) -> None:
        who, images, labels = f"dataset {self.name!r}: {split}", held.images, held.labels
        if images.ndim != IMAGE_AXES or images.dtype != np.float32:
            raise DatasetError(
                f"{who} has images of shape {images.shape} and type {images.dtype}; expected "
                "float32 of shape (n, channels, height, width); `make_dataset` makes them"
            )
        if labels.shape != images.shape[:1] or labels.dtype != np.int64:
            raise DatasetError(
                f"{who} has labels of shape {labels.shape} and type {labels.dtype}; expected int64 "
                f"of shape ({len(images)},), a class an image"
            )
        if len(labels) == 0 or labels.min() < 0 or labels.max() >= self.classes:
            shown = f"{labels.min()} to {labels.max()}" if len(labels) else "none"
            raise DatasetError(
                f"{who} has these labels: {shown}; expected 0 to {self.classes - 1}, since the "
                f"data set says that it has {self.classes} classes"
            )


@dataclass(frozen=True)
class RawImages:
    """Images as a loader finds them.

    Attributes
    ----------
    pixels : ndarray, shape (n, channels, height, width)
        Any numeric type.
    labels : ndarray of int, shape (n,)
        Class indices from 0.
    white : float
        The value of a white pixel; black is 0.
    """

    pixels: NDArray[np.generic]
    labels: NDArray[np.integer]
    white: float = 255.0


def make_dataset(
    name: str,
    source: str,
    pool: RawImages,
    *,
    seed: int,
    test: RawImages | None = None,
    class_names: Sequence[str] | None = None,
    notes: Sequence[str] = (),
) -> Dataset:
    """Split, scale and digest raw images.

    Parameters
    ----------
    name, source : str
        Passed on to the data set.
    pool : RawImages
        What training and validation are drawn from, and the test split too if `test` is None.
    seed : int
        Seed of the stratified split.
    test : RawImages, optional
        The published test split.
    class_names : sequence of str, optional
        For messages.
    notes : sequence of str, optional
        Passed on to the data set.

    Raises
    ------
    DatasetError
        If there are fewer than two classes, or a class has too few images to split.
    """
    labels = pool.labels.astype(np.int64)
    classes = _count_classes(name, labels, class_names)
    content = _content([pool] if test is None else [pool, test])
    index = np.arange(len(labels))
    if test is None:
        index, test_index = _stratified(index, labels, TEST_SHARE, seed)
        test = RawImages(pool.pixels[test_index], labels[test_index], pool.white)
    train_index, validation_index = _stratified(index, labels, VALIDATION_SHARE, seed + 1)

    splits = (
        _split(pool, train_index),
        _split(pool, validation_index),
        _split(test, np.arange(len(test.labels))),
    )
    return Dataset(
        name,
        *splits,
        classes=classes,
        source=source,
        digest=_digest(splits),
        notes=tuple(notes),
        content=content,
    )


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


def digest_splits(splits: Mapping[str, Split]) -> dict[str, str]:
    """Return the SHA-256 of each split, in hexadecimal.

    Equal ones have equal digests, however they lie in memory.
    """
    return {name: _digest_of(split) for name, split in splits.items()}


def _digest_of(split: Split) -> str:
    digest = hashlib.sha256()
    # A part at a time: a whole split in another layout would be copied.
    for start in range(0, len(split.images), _DIGEST_ROWS):
        part = split.images[start : start + _DIGEST_ROWS]
        digest.update(np.ascontiguousarray(part, np.float32).data)
    digest.update(np.ascontiguousarray(split.labels, np.int64).data)
    return digest.hexdigest()


def _split(raw: RawImages, index: NDArray[np.intp]) -> Split:
    images = raw.pixels[index].astype(np.float32)
    images /= raw.white
    return Split(np.ascontiguousarray(images), raw.labels[index].astype(np.int64))


def _count_classes(name: str, labels: NDArray[np.int64], class_names: Sequence[str] | None) -> int:
    classes = int(labels.max()) + 1 if len(labels) else 0
    if classes < MIN_CLASSES:
        raise DatasetError(
            f"dataset {name!r} has {classes} class(es); expected at least {MIN_CLASSES}"
        )
    counts = np.bincount(labels, minlength=classes)
    if counts.min() < MIN_IMAGES_A_CLASS:
        label = int(counts.argmin())
        shown = class_names[label] if class_names else str(label)
        raise DatasetError(
            f"dataset {name!r}: class {shown!r} has {counts.min()} image(s); "
            f"expected at least {MIN_IMAGES_A_CLASS}, so that every split holds one"
        )
    return classes


def _stratified(
    index: NDArray[np.intp], labels: NDArray[np.int64], share: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    # At least one image of each class on the smaller side.
    count = max(round(len(index) * share), int(labels.max()) + 1)
    rest, drawn = draw_stratified(labels[index], count, seed)
    return index[rest], index[drawn]


def _digest(splits: Sequence[Split]) -> str:
    digest = hashlib.sha256()
    for part in splits:
        digest.update(part.images.data)
        digest.update(part.labels.data)
    return digest.hexdigest()[:16]


def _content(parts: Sequence[RawImages]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        pixels = np.ascontiguousarray(part.pixels)
        digest.update(f"{pixels.dtype} {pixels.shape} {part.white}".encode())
        digest.update(pixels.data)
        digest.update(part.labels.astype(np.int64).data)
    return digest.hexdigest()[:16]
