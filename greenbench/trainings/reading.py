"""What trainings of people's own read: digests of the files that they name."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from greenbench import registry
from greenbench.cases import Case

BLOCK = 2**20
VARIABLE = "$"
"""How what is read begins if it is a variable of the environment; such a file is ``./$…``."""


def reads_of(case: Case) -> tuple[str, ...] | None:
    """Return the files, folders and variables that a training says it reads.

    Parameters
    ----------
    case : Case
        The definition.

    Returns
    -------
    tuple of str or None
        None if it does not say, or a backend trains the case.
    """
    training = registry.training_of(case)
    return None if training is None else training.reads


def digest_of_data(path: Path) -> str | None:
    """Return the first 16 hex digits of the SHA-256 over a file, or all that lies in a folder.

    Parameters
    ----------
    path : pathlib.Path
        The names of files in a folder count, too; links are followed.

    Returns
    -------
    str or None
        None if it is not there, or not all of it can be read; see `why_unknown`.
    """
    try:
        return _digest(path)
    except OSError:
        return None


def digest_of_variable(name: str) -> str:
    """Return the first 16 hex digits of the SHA-256 of a variable's value; "not set" without."""
    value = os.environ.get(name)
    return "not set" if value is None else hashlib.sha256(os.fsencode(value)).hexdigest()[:16]


def why_unknown(path: Path) -> str:
    """Return why `digest_of_data` knows nothing, as a phrase, without reading it all again."""
    try:
        _digest(path, is_read=False)
    except FileNotFoundError as error:
        return "it is not there" if _is(path, error) else f"{error.filename} is not there"
    except OSError as error:
        where = "it" if _is(path, error) else error.filename
        return f"{where} cannot be read: {error.strerror}"
    return "it could not be read as a whole"


def _is(path: Path, error: OSError) -> bool:
    return error.filename is None or Path(error.filename) == path


def _digest(path: Path, *, is_read: bool = True) -> str:
    digest = hashlib.sha256()
    for each, kind in _inside(path) if path.is_dir() else [(path, b"file")]:
        name = os.fsencode(each.relative_to(path))
        digest.update(b"".join(len(text).to_bytes(8) + text for text in (name, kind)))
        if kind != b"file":
            continue
        found = each.stat()
        if not stat.S_ISREG(found.st_mode):
            # A pipe would be waited for, and nobody knows what comes of it.
            raise OSError(errno.EINVAL, "it is no plain file", str(each))
        digest.update(found.st_size.to_bytes(8))
        with each.open("rb") as file:
            while is_read and (block := file.read(BLOCK)):
                digest.update(block)
    return digest.hexdigest()[:16]


def _inside(root: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield all files and folders below one, in order; of a folder, also whether it came before."""
    seen: dict[tuple[int, int], str] = {}
    for place, folders, files in os.walk(root, onerror=_fail, followlinks=True):
        folder = Path(place)
        found = folder.stat()
        name = str(folder.relative_to(root))
        first = seen.setdefault((found.st_dev, found.st_ino), name)
        yield folder, b"folder" if first == name else b"is " + os.fsencode(first)
        if first != name:
            # By a link: there may be no end of it.
            folders.clear()
            continue
        folders.sort()
        yield from ((folder / each, b"file") for each in sorted(files))


def _fail(error: OSError) -> None:
    raise error
