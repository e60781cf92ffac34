"""What a data set is, and how images become one."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.augmentation import Augmentation
from greenbench.datasets.checks import check_dataset
from greenbench.datasets.digests import digest_of
from greenbench.datasets.digests import digest_splits as digest_splits  # noqa: PLC0414
from greenbench.datasets.drawing import MIN_CLASSES as MIN_CLASSES  # noqa: PLC0414
from greenbench.datasets.drawing import MIN_IMAGES_A_CLASS as MIN_IMAGES_A_CLASS  # noqa: PLC0414
from greenbench.datasets.drawing import count_classes, draw_splits
from greenbench.datasets.drawing import draw_stratified as draw_stratified  # noqa: PLC0414
from greenbench.datasets.split import Split as Split  # noqa: PLC0414


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
    """Samples, split in three.

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
        Where the data come from, for people.
    digest : str
        First 16 hex digits of the SHA-256 over all splits.
    notes : tuple of str
        What a reader must know of how the data were read: what was left out or changed.
    content : str or None
        The same of the data as they were loaded, whichever way they are split: what all
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
        """Check the splits of a loader that made them itself, without our functions.

        Raises
        ------
        DatasetError
            If nobody could train on them, or count what is right.
        """
        check_dataset(self)


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
    classes = count_classes(name, labels, class_names)
    content = _content([pool] if test is None else [pool, test])
    train, validation, tested = draw_splits(labels, seed, has_test=test is not None)
    splits = (
        _split(pool, train),
        _split(pool, validation),
        _split(pool, tested) if test is None else _split(test, np.arange(len(test.labels))),
    )
    return Dataset(
        name,
        *splits,
        classes=classes,
        source=source,
        digest=digest_of(splits),
        notes=tuple(notes),
        content=content,
    )


def _split(raw: RawImages, index: NDArray[np.intp]) -> Split:
    images = raw.pixels[index].astype(np.float32)
    images /= raw.white
    return Split(np.ascontiguousarray(images), raw.labels[index].astype(np.int64))


def _content(parts: Sequence[RawImages]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        pixels = np.ascontiguousarray(part.pixels)
        digest.update(f"{pixels.dtype} {pixels.shape} {part.white}".encode())
        digest.update(pixels.data)
        digest.update(part.labels.astype(np.int64).data)
    return digest.hexdigest()[:16]
