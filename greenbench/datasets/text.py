"""Texts, as characters or bytes, of which each next one is to be predicted."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.arrays import assemble
from greenbench.datasets.base import Dataset, LoadContext
from greenbench.datasets.digests import content_of
from greenbench.datasets.loaders import TOKENS, holds
from greenbench.datasets.split import Split
from greenbench.datasets.wording import counted, shown
from greenbench.errors import DatasetError

TRAIN_SHARE = 0.8
VALIDATION_SHARE = 0.1
BYTES = 256
UNITS = ("characters", "bytes")

Ids = NDArray[np.int64]


def _check_options(
    loading: LoadContext, /, path: object, unit: object, context: object, limit: object
) -> None:
    _check("unit", unit, unit in UNITS, " or ".join(UNITS))
    for name, value in (("context", context), ("limit", 1 if limit is None else limit)):
        _check(name, value, type(value) is int and value > 0, "a whole number above 0")
    if path is not None and not (file := _file(loading.data_dir, path)).is_fifo():
        with _reading(file):
            file.open("rb").close()


@holds(TOKENS, task="language_modelling", check=_check_options)
def load_text(
    loading: LoadContext,
    /,
    path: str | None = None,
    unit: str = "characters",
    context: int = 64,
    limit: int | None = None,
) -> Dataset:
    """Load a text, cut in samples of one length; the target of each token is the next one.

    The first four fifths are trained on, the next tenth validates, the last one tests, so that
    nothing of a sample that is judged was trained on; and all repeats have the same split.

    Parameters
    ----------
    loading : LoadContext
        The folder that a relative `path` starts from.
    path : str, optional
        A text file in UTF-8. Without it, the documentation of Python's language that Python
        ships (``pydoc_data.topics``), some half a million characters.
    unit : str
        A token is one of the ``"characters"`` of the training part, or unknown; or one of the 256
        ``"bytes"``.
    context : int
        Tokens in a sample.
    limit : int, optional
        Take only so many tokens, from the beginning.

    Returns
    -------
    Dataset
        Inputs and targets int64 of shape (n, context).

    Raises
    ------
    DatasetError
        If the file is missing, no UTF-8 or too short, or an option is out of range.
    """
    _check_options(loading, path, unit, context, limit)
    source, content = _read(loading.data_dir, path)
    tokens = _tokens(content, unit, path)[:limit]
    least = round((context + 1) / VALIDATION_SHARE)
    if len(tokens) <= least:
        raise DatasetError(
            f"{source} has {len(tokens)} {unit}; expected more than {least} for context={context}"
        )
    ends = [round(len(tokens) * share) for share in (TRAIN_SHARE, TRAIN_SHARE + VALIDATION_SHARE)]
    parts = np.split(tokens, ends)
    vocabulary, notes = BYTES, list[str]()
    if unit == "characters":
        parts, vocabulary, notes = _numbered(parts)
    train, validation, test = (_samples(part, context) for part in parts)
    return assemble(
        "text",
        source,
        (train, validation, test),
        "language_modelling",
        vocabulary,
        vocabulary=vocabulary,
        content=content_of([(tokens, np.array(context))]),
        notes=notes,
    )


def _check(name: str, value: object, is_valid: bool, expected: str) -> None:
    if not is_valid:
        raise DatasetError(f"dataset 'text': {name} is {value!r}; expected {expected}")


def _read(data_dir: Path, path: object) -> tuple[str, bytes]:
    """Return where a text comes from, and its bytes."""
    if path is None:
        from pydoc_data.topics import topics  # noqa: PLC0415

        text = "\n\n".join(topics[name] for name in sorted(topics))
        version = platform.python_version()
        return f"Python {version}, documentation (pydoc_data.topics)", text.encode()
    file = _file(data_dir, path)
    with _reading(file):
        return f"text {shown(path)}", file.read_bytes()


def _file(data_dir: Path, path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise DatasetError(f"dataset 'text': path is {path!r}; expected a file's name")
    return data_dir / Path(path).expanduser()


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        # A name with a NUL is a ValueError.
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DatasetError(
            f"text {shown(file)} cannot be read ({reason}); give the path of a text file"
        ) from error


def _tokens(content: bytes, unit: str, path: object) -> Ids:
    """Return the numbers of bytes, or of characters in Unicode."""
    if unit == "bytes":
        return np.frombuffer(content, np.uint8).astype(np.int64)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"text {shown(path)} is not UTF-8 (byte {error.start}); give unit=bytes, or convert it"
        ) from error
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)


def _numbered(parts: list[Ids]) -> tuple[list[Ids], int, list[str]]:
    """Return parts with characters numbered, the vocabulary's size and notes."""
    known = np.unique(parts[0])
    numbered, strange = [], 0
    for part in parts:
        places = np.minimum(np.searchsorted(known, part), len(known) - 1)
        is_unknown = known[places] != part
        strange += int(is_unknown.sum())
        numbered.append(np.where(is_unknown, len(known), places).astype(np.int64))
    notes = [f"{counted(len(known), 'character')} of the training part, and one for unknown ones"]
    if strange:
        notes.append(f"{counted(strange, 'unknown character')} in the other parts")
    return numbered, len(known) + 1, notes


def _samples(part: Ids, context: int) -> Split:
    count = (len(part) - 1) // context
    inputs = part[: count * context].reshape(count, context)
    targets = part[1 : count * context + 1].reshape(count, context)
    return Split(np.ascontiguousarray(inputs), np.ascontiguousarray(targets))
