"""Which files of a folder are images of which class, and what is passed over."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from greenbench.datasets.base import MIN_CLASSES
from greenbench.datasets.image_files import SUFFIXES, Header, counted, read_header, shown
from greenbench.errors import DatasetError

SPLITS = ("train", "test")
CALLED_LIKE_A_SPLIT = re.compile(
    r"(.*[^a-z])?(train|training|test|testing|val|valid|validation|dev|eval|holdout)([^a-z].*)?"
)
OF_SYSTEMS = {"__MACOSX", "@eaDir", "__pycache__", "$RECYCLE.BIN", "lost+found"}
"""Folders that unpackers and file servers leave, some with previews of the images."""
MOST_NAMED = 5


@dataclass(frozen=True)
class ImageFile:
    """An image on the disk.

    Attributes
    ----------
    path : pathlib.Path
        Where it is.
    label : int
        Index of its class.
    header : Header
        What it says of itself.
    """

    path: Path
    label: int
    header: Header


@dataclass(frozen=True)
class ImageTree:
    """The images of a folder.

    Attributes
    ----------
    classes : sequence of str
        Names, sorted.
    splits : sequence of list of ImageFile
        All images, or those of ``train`` and those of ``test``.
    notes : sequence of str
        What was passed over, with counts, and what may surprise.
    """

    classes: Sequence[str]
    splits: Sequence[list[ImageFile]]
    notes: Sequence[str]


@dataclass
class _Seen:
    """What else than images in class folders there was, as counts by kind or by name."""

    files: Counter[str] = field(default_factory=Counter)
    folders: Counter[str] = field(default_factory=Counter)
    nested: Counter[str] = field(default_factory=Counter)

    def add(self, other: "_Seen") -> None:
        self.files += other.files
        self.folders += other.folders
        self.nested += other.nested


def read_tree(folder: Path) -> ImageTree:
    """Find the images of each class, reading headers only.

    Parameters
    ----------
    folder : pathlib.Path
        It holds a folder a class, or a ``train`` and a ``test`` folder that do.

    Raises
    ------
    DatasetError
        If there are fewer than two classes, one has no images, the two folders differ in their
        classes, or an image cannot be read.
    """
    seen = _Seen()
    roots = _split_folders(folder)
    for root in {folder, *roots}:
        seen.add(_beside_classes(root))
    names = [_class_names(root) for root in roots]
    _check_same_classes(folder, names)
    splits = [_list_images(root, names[0], seen) for root in roots]
    return ImageTree(names[0], splits, _notes(names[0], seen))


# ---------------------------------------------------------------- folders


def _split_folders(folder: Path) -> list[Path]:
    """Return the folder itself, or its train and test folders."""
    inside = _subfolders(folder)
    found = {entry.name.lower(): entry for entry in inside if _is_split(entry)}
    if not found:
        return [folder]
    here = next((name for name in SPLITS if name in found), None)
    if here is None:
        other = shown(next(iter(found.values())).name)
        raise DatasetError(
            f"image folder {shown(folder)} has {other}/ with folders instead of images, like a "
            "split of the data; call the two splits train and test, or put the images of a "
            "class directly into its folder"
        )
    if missing := sorted({*SPLITS} - {*found}):
        raise DatasetError(
            f"image folder {shown(folder)} has {found[here].name}/, but no class folders in "
            f"{missing[0]}/; add them, or put the class folders directly into {shown(folder)}"
        )
    chosen = [found[name] for name in SPLITS]
    if extra := [entry.name for entry in inside if entry not in chosen]:
        raise DatasetError(
            f"image folder {shown(folder)} has {shown(extra[0])}/ beside train/ and test/; move "
            "its images into train/, from which the validation split is drawn, or elsewhere"
        )
    return chosen


def _is_split(folder: Path) -> bool:
    """Return whether a folder is called like a split, and holds classes rather than images."""
    if not CALLED_LIKE_A_SPLIT.fullmatch(folder.name.lower()):
        return False
    inside = _subfolders(folder)
    has_images = any(entry.suffix.lower() in SUFFIXES for entry in _entries(folder))
    return len(inside) >= MIN_CLASSES or (bool(inside) and not has_images)


def _class_names(root: Path) -> list[str]:
    names = [entry.name for entry in _subfolders(root)]
    if not names:
        raise DatasetError(
            f"image folder {shown(root)} has no class folders; put the images of each class "
            "into a folder of its own"
        )
    if len(names) < MIN_CLASSES:
        raise DatasetError(
            f"image folder {shown(root)} has one class, {names[0]!r}; expected at least "
            f"{MIN_CLASSES} folders with images"
        )
    return names


def _check_same_classes(folder: Path, names: Sequence[Sequence[str]]) -> None:
    for here, there, have, lack in (("train", "test", 0, -1), ("test", "train", -1, 0)):
        if only := sorted({*names[have]} - {*names[lack]}):
            raise DatasetError(
                f"image folder {shown(folder)}: class {only[0]!r} is in {here}/ but not in "
                f"{there}/; expected the same class folders in both"
            )


def _subfolders(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if entry.is_dir() and not _is_skipped(entry)]


def _beside_classes(folder: Path) -> _Seen:
    seen = _Seen()
    for entry in _entries(folder):
        if not entry.is_dir():
            seen.files["hidden" if _is_hidden(entry) else "outside of classes"] += 1
        elif _is_skipped(entry):
            seen.folders[entry.name] += 1
    return seen


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise _unreadable(folder, error) from error


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _is_skipped(folder: Path) -> bool:
    """Return whether a folder is no class; a link to what it lies in would be one of them all."""
    here = folder.parent.resolve()
    return _is_passed_over(folder.name) or folder.resolve() in (here, *here.parents)


def _is_passed_over(folder_name: str) -> bool:
    return folder_name.startswith(".") or folder_name in OF_SYSTEMS


# ---------------------------------------------------------------- files


def _list_images(root: Path, classes: Sequence[str], seen: _Seen) -> list[ImageFile]:
    listed: list[ImageFile] = []
    for label, name in enumerate(classes):
        of_class = _Seen()
        headers = _images(root / name, of_class)
        found = [ImageFile(path, label, header) for path, header in headers]
        if not found:
            skipped = _counts(of_class.files)
            raise DatasetError(
                f"class folder {shown(root / name)} has no images{skipped and f', {skipped}'}; "
                "add some or remove the folder"
            )
        listed += found
        seen.add(of_class)
    return listed


def _images(folder: Path, seen: _Seen) -> Iterator[tuple[Path, Header]]:
    """Yield the images of a class in the order of their names, those in folders inside last."""
    for path in _files(folder, seen):
        if _is_hidden(path):
            seen.files["hidden"] += 1
        elif path.suffix and path.suffix.lower() not in SUFFIXES:
            seen.files[path.suffix.lower()] += 1
        elif path.exists() and not path.is_file():
            seen.files["special"] += 1  # reading from a pipe would wait for ever
        elif header := read_header(path):
            if path.parent != folder:
                seen.nested[str(path.parent.relative_to(folder.parent))] += 1
            yield path, header
        else:
            seen.files["without suffix"] += 1


def _files(folder: Path, seen: _Seen) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise _unreadable(Path(error.filename), error) from error

    visited: set[Path] = set()
    for name, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(name)
        if here.resolve() in visited:  # links may lead back to where they are
            seen.folders[here.name] += 1
            folders.clear()
            continue
        visited.add(here.resolve())
        skipped = {each for each in folders if _is_passed_over(each)}
        seen.folders.update(skipped)
        folders[:] = sorted({*folders} - skipped)
        yield from (here / file for file in sorted(files))


def _unreadable(folder: Path, error: OSError) -> DatasetError:
    return DatasetError(
        f"folder {shown(folder)} cannot be read ({error.strerror}); make it readable or move it"
    )


# ---------------------------------------------------------------- what is said


def _notes(classes: Sequence[str], seen: _Seen) -> list[str]:
    notes = []
    if seen.files:
        notes.append(_counts(seen.files))
    if seen.folders:
        notes.append(f"folders skipped: {_names(seen.folders)}")
    if seen.nested:
        deeper = counted(seen.nested.total(), "image")
        notes.append(f"{deeper} found deeper, in {_names(seen.nested)}")
    alike = Counter(name.casefold() for name in classes)
    if twice := [name for name in classes if alike[name.casefold()] > 1]:
        notes.append(f"classes that differ in case alone: {_names(twice)}")
    return notes


def _counts(files: Mapping[str, int]) -> str:
    """Return how many files were skipped, and of which kinds; the empty text for none."""
    if not files:
        return ""
    total = sum(files.values())
    kinds = sorted(files.items(), key=lambda kind: (-kind[1], kind[0]))
    named = [f"{number} {shown(kind)}" for kind, number in kinds[:MOST_NAMED]]
    if rest := sum(number for _, number in kinds[MOST_NAMED:]):
        named.append(f"{rest} others")
    return f"{counted(total, 'file')} skipped ({', '.join(named)})"


def _names(found: Iterable[str]) -> str:
    names = sorted(map(shown, found))
    rest = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {rest} others" if rest > 0 else "")
