"""The user's own images, in one folder a class."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.augmentation import augmented
from greenbench.datasets.base import Dataset, LoadContext, RawImages, make_dataset
from greenbench.datasets.image_files import GROUNDS, Size, counted, read_picture, shown
from greenbench.datasets.image_tree import ImageFile, read_tree
from greenbench.datasets.loaders import IMAGES, holds
from greenbench.errors import DatasetError


@dataclass(frozen=True)
class _Look:
    """What all images are made to have in common; their own size if `side` is None."""

    size: Size
    is_grey: bool
    is_deep: bool
    ground: str
    side: int | None


def _check(context: LoadContext, path: object, ground: object) -> None:
    _folder(context.data_dir, path)
    _check_ground(ground)


@holds(IMAGES, task="classification", check=_check)
@augmented
def load_image_folder(
    context: LoadContext, path: str, side: int | None = None, ground: str = "white"
) -> Dataset:
    """Load images from files, in one folder a class.

    ``path`` holds a folder a class, or a ``train`` and a ``test`` folder that do. Without
    these two, the test split is drawn from all images; the validation split always is.
    Classes are numbered in the order of their names; folders inside a class belong to it.

    Images are read as a viewer shows them: turned as EXIF says, and of several in a file the
    first. The brightest value that a pixel could have is white, in 8 bits or in 16. If all are
    grey there is one channel, else there are three. Hidden files and folders, and files that
    are not called images, are skipped. The ``notes`` of the data set say with counts what was
    skipped and what was changed.

    Parameters
    ----------
    context : LoadContext
        Seed of the split, and the folder that a relative `path` starts from.
    path : str
        The folder.
    side : int, optional
        Resize all images to so many pixels a side, whatever their sizes; each pixel is the mean
        of those that it covers. Smaller images are enlarged.
    ground : str
        What transparent pixels show: ``"white"``, as in most viewers, or ``"black"``.

    Returns
    -------
    Dataset
        Images of shape (n, 1 or 3, height, width).

    Raises
    ------
    DatasetError
        If the folder is missing or has fewer than two classes, a class has too few images,
        the classes of the two folders differ, an image is broken, sizes differ without `side`,
        or `side` is above that of all images.
    """
    folder = _folder(context.data_dir, path)
    _check_ground(ground)
    tree = read_tree(folder)
    files = [file for split in tree.splits for file in split]
    look = _common_look(files, side, ground)
    changed: Counter[str] = Counter()
    splits = [_read(split, look, changed) for split in tree.splits]
    notes = [*tree.notes, *_notes(files, look, changed)]
    return make_dataset(
        "image_folder",
        f"image folder {shown(path)}",
        splits[0],
        seed=context.seed,
        test=splits[1] if len(splits) > 1 else None,
        class_names=tree.classes,
        notes=[f"{counted(len(files), 'image')} read", *notes] if notes else [],
    )


def _check_ground(ground: object) -> None:
    if ground not in GROUNDS:
        raise DatasetError(
            f"dataset 'image_folder': ground is {ground!r}; expected {' or '.join(GROUNDS)}"
        )


def _folder(data_dir: Path, path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        advice = f", such as ./{path}" if isinstance(path, int | float) else ""
        raise DatasetError(
            f"dataset 'image_folder': path is {path!r}; expected a folder's name{advice}"
        )
    folder = data_dir / Path(path).expanduser()
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise DatasetError(f"image folder {shown(folder)} {problem}; give the path of a folder")
    return folder


def _common_look(files: Sequence[ImageFile], side: int | None, ground: str) -> _Look:
    """Say what all images will be, so that a wrong size is found before memory is taken."""
    is_grey = all(file.header.is_grey for file in files)
    is_deep = any(file.header.is_deep for file in files)
    if side is not None:
        _check_side(side, [file.header.size for file in files])
        return _Look((side, side), is_grey, is_deep, ground, side)
    first = files[0]
    for file in files:
        # Some lie on their side; how they are turned is known when they are decoded.
        if sorted(file.header.size) != sorted(first.header.size):
            raise _sizes_differ(first.path, first.header.size, file.path, file.header.size)
    upright = read_picture(first.path, is_grey=is_grey, ground=ground)
    return _Look(upright.size, is_grey, is_deep, ground, side)


def _check_side(side: int, sizes: Sequence[Size]) -> None:
    most = max(map(min, sizes))
    if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= most:
        largest = max(sizes, key=lambda size: (min(size), max(size)))
        which = "images are" if len({*sizes}) == 1 else "largest image is"
        raise DatasetError(
            f"dataset 'image_folder': side is {side!r}; expected a whole number from 1 to {most}, "
            f"since the {which} {_of(largest)}"
        )


def _read(files: Sequence[ImageFile], look: _Look, changed: Counter[str]) -> RawImages:
    width, height = look.size
    pixels: NDArray[np.uint8 | np.float32] = np.empty(
        (len(files), 1 if look.is_grey else 3, height, width),
        np.float32 if look.is_deep else np.uint8,
    )
    for target, file in zip(pixels, files, strict=True):
        picture = read_picture(
            file.path,
            is_grey=look.is_grey,
            ground=look.ground,
            size=None if look.side is None else look.size,
        )
        if picture.size != look.size:
            raise _sizes_differ(files[0].path, look.size, file.path, picture.size)
        is_scaled = look.is_deep and not file.header.is_deep
        target[:] = picture.pixels / np.float32(255) if is_scaled else picture.pixels
        changed["transparent"] += picture.is_transparent
        changed["blank"] += picture.is_blank
    labels = np.array([file.label for file in files])
    return RawImages(pixels, labels, white=1.0 if look.is_deep else 255.0)


def _sizes_differ(one: Path, size: Size, other: Path, other_size: Size) -> DatasetError:
    return DatasetError(
        f"images differ in size: {shown(one)} is {_of(size)}, {shown(other)} is "
        f"{_of(other_size)}; resize them to one size, or let side=N do it"
    )


def _notes(files: Sequence[ImageFile], look: _Look, changed: Counter[str]) -> list[str]:
    """Return what was changed in pictures, with counts."""
    notes = []
    if number := changed["transparent"]:
        blank = changed["blank"]
        other = next(name for name in GROUNDS if name != look.ground)
        unseen = f", where {blank} show nothing (try ground={other})" if blank else ""
        notes.append(f"{counted(number, 'image')} with transparency put on {look.ground}{unseen}")
    if number := sum(file.header.is_sequence for file in files):
        notes.append(f"{counted(number, 'image')} taken as the first of several in a file")
    if number := sum(min(file.header.size) < (look.side or 0) for file in files):
        notes.append(f"{counted(number, 'image')} enlarged to {_of(look.size)}")
    return notes


def _of(size: Size) -> str:
    return f"{size[0]}×{size[1]}"
