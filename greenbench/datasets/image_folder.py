"""The user's own images, in one folder a class."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from greenbench.datasets.base import MIN_CLASSES, Dataset, LoadContext, RawImages, make_dataset
from greenbench.errors import DatasetError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
SPLITS = ("train", "test")
GREY_MODES = {"1", "L", "LA"}
COLOUR_MODES = {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}


@dataclass(frozen=True)
class _File:
    path: Path
    label: int


@dataclass(frozen=True)
class _Layout:
    """What all images have in common."""

    width: int
    height: int
    is_grey: bool


def load_image_folder(context: LoadContext, path: str, side: int | None = None) -> Dataset:
    """Load PNG, JPEG, BMP and WebP files of one size.

    ``path`` holds a folder a class, or a ``train`` and a ``test`` folder that do. Without
    these two, the test split is drawn from all images; the validation split always is.
    Classes are numbered in the order of their names. If all images are grey there is one
    channel, else there are three. Transparency is dropped. Hidden files and folders, and
    files of other types, are skipped.

    Parameters
    ----------
    context : LoadContext
        Seed of the split, and the folder that a relative `path` starts from.
    path : str
        The folder.
    side : int, optional
        Shrink the images to so many pixels a side; each is the mean of those that it covers.

    Returns
    -------
    Dataset
        Images of shape (n, 1 or 3, height, width).

    Raises
    ------
    DatasetError
        If the folder is missing or has fewer than two classes, a class has too few images,
        the classes of the two folders differ, an image is unreadable or of another size
        than the others, or `side` is above that size.
    """
    if not isinstance(path, str | os.PathLike):
        raise DatasetError(f"dataset 'image_folder': path is {path!r}; expected a folder's name")
    folder = context.data_dir / Path(path).expanduser()
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise DatasetError(f"image folder {folder} {problem}; give the path of a folder")
    roots = _split_folders(folder)
    names = [_class_names(root) for root in roots]
    _check_same_classes(folder, names)
    listed = [_list_files(root, names[0]) for root in roots]
    layout = _shrunk(_common_layout([file for files in listed for file in files]), side)
    splits = [_read(files, layout) for files in listed]
    return make_dataset(
        "image_folder",
        f"image folder {path}",
        splits[0],
        seed=context.seed,
        test=splits[1] if len(splits) > 1 else None,
        class_names=names[0],
    )


def _split_folders(folder: Path) -> list[Path]:
    """Return the folder itself, or its train and test folders."""
    present = {entry.name: entry for entry in _subfolders(folder)}
    found = [name for name in SPLITS if name in present and _subfolders(present[name])]
    if not found:
        return [folder]
    if missing := sorted({*SPLITS} - {*found}):
        raise DatasetError(
            f"image folder {folder} has {found[0]}/, but no class folders in {missing[0]}/; "
            f"add them, or put the class folders directly into {folder}"
        )
    if extra := sorted(present.keys() - {*SPLITS}):
        raise DatasetError(
            f"image folder {folder} has {extra[0]}/ beside train/ and test/; move its images "
            "into train/, from which the validation split is drawn, or elsewhere"
        )
    return [folder / name for name in SPLITS]


def _class_names(root: Path) -> list[str]:
    names = [entry.name for entry in _subfolders(root)]
    if not names:
        raise DatasetError(
            f"image folder {root} has no class folders; put the images of each class "
            "into a folder of its own"
        )
    if len(names) < MIN_CLASSES:
        raise DatasetError(
            f"image folder {root} has one class, {names[0]!r}; expected at least {MIN_CLASSES} "
            "folders with images"
        )
    return names


def _check_same_classes(folder: Path, names: Sequence[Sequence[str]]) -> None:
    for here, there, have, lack in (("train", "test", 0, -1), ("test", "train", -1, 0)):
        if only := sorted({*names[have]} - {*names[lack]}):
            raise DatasetError(
                f"image folder {folder}: class {only[0]!r} is in {here}/ but not in {there}/; "
                "expected the same class folders in both"
            )


def _list_files(root: Path, classes: Sequence[str]) -> list[_File]:
    listed: list[_File] = []
    for label, name in enumerate(classes):
        paths = sorted(
            path
            for path in (root / name).iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
        if not paths:
            raise DatasetError(
                f"class folder {root / name} has no images ({', '.join(sorted(SUFFIXES))}); "
                "add some or remove the folder"
            )
        listed += [_File(path, label) for path in paths]
    return listed


def _subfolders(folder: Path) -> list[Path]:
    return sorted(
        entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )


def _common_layout(files: Sequence[_File]) -> _Layout:
    """Read the headers only, so that a wrong size is found before memory is taken."""
    first, size, is_grey = files[0].path, (0, 0), True
    for file in files:
        with _opened(file.path) as image:
            if file.path == first:
                size = image.size
            if image.size != size:
                raise DatasetError(
                    f"images differ in size: {first} is {_shown(size)}, "
                    f"{file.path} is {_shown(image.size)}; resize them to one size"
                )
            if image.mode not in GREY_MODES | COLOUR_MODES:
                raise DatasetError(
                    f"image {file.path} has pixels of the kind {image.mode!r}; "
                    "save it with 8 bits a channel"
                )
            is_grey = is_grey and image.mode in GREY_MODES
    return _Layout(*size, is_grey)


def _shrunk(layout: _Layout, side: int | None) -> _Layout:
    if side is None:
        return layout
    most = min(layout.width, layout.height)
    if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= most:
        raise DatasetError(
            f"dataset 'image_folder': side is {side!r}; expected a whole number from 1 to {most}, "
            f"since the images are {_shown((layout.width, layout.height))}"
        )
    return _Layout(side, side, layout.is_grey)


def _read(files: Sequence[_File], layout: _Layout) -> RawImages:
    channels, mode = (1, "L") if layout.is_grey else (3, "RGB")
    pixels: NDArray[np.uint8] = np.empty(
        (len(files), channels, layout.height, layout.width), np.uint8
    )
    for target, file in zip(pixels, files, strict=True):
        with _opened(file.path) as image:
            # The same image, where it has that size already.
            box = image.convert(mode).resize((layout.width, layout.height), Image.Resampling.BOX)
            decoded = np.asarray(box)
        target[:] = decoded.reshape(layout.height, layout.width, channels).transpose(2, 0, 1)
    return RawImages(pixels, np.array([file.label for file in files]))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    # Pillow raises SyntaxError for a broken PNG and ValueError for some broken headers.
    try:
        with Image.open(path) as image:
            yield image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(
            f"image {path} cannot be read ({reason}); replace or remove it"
        ) from error


def _shown(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"
