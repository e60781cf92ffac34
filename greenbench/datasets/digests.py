"""Digests: whether two splits hold the same, whatever holds them."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.split import Batch, Split, named
from greenbench.datasets.streaming import Streamed

PROBES = 1024
"""Samples of a streamed split that its digest looks at, evenly spread."""
DIGITS = 16
_ROWS = 4096


def digest_splits(splits: Mapping[str, Split]) -> dict[str, str]:
    """Return the SHA-256 of each split, in hexadecimal.

    Equal ones have equal digests, however they lie in memory, and in how many bits.
    """
    return {name: _digest((split,)) for name, split in splits.items()}


def digest_of(splits: Iterable[Split]) -> str:
    """Return the first 16 hex digits of the SHA-256 over splits."""
    return _digest(splits)[:DIGITS]


def content_of(parts: Iterable[Batch]) -> str:
    """Return the first 16 hex digits of the SHA-256 over inputs and targets as they were loaded.

    Parameters
    ----------
    parts : iterable of (inputs, targets)
        Arrays of any type; inputs may be a mapping of names to arrays.
    """
    digest = hashlib.sha256()
    for inputs, targets in parts:
        for name, array in [*sorted(named(inputs).items()), ("", targets)]:
            whole = np.ascontiguousarray(array)
            digest.update(f"{name} {whole.dtype} {whole.shape}".encode())
            digest.update(whole.data)
    return digest.hexdigest()[:DIGITS]


def content_of_stream(split: Streamed) -> str:
    """Return `content_of` what is probed of a streamed split, and of how long it is."""
    inputs, targets = split.batch(probes(len(split)))
    return content_of([(inputs, targets), (np.array(len(split)), np.array(0))])


def probes(size: int) -> NDArray[np.int64]:
    """Return positions evenly spread over so many samples, at most `PROBES`."""
    return np.unique(np.linspace(0, size - 1, min(size, PROBES)).astype(np.int64))


def _digest(splits: Iterable[Split]) -> str:
    digest = hashlib.sha256()
    for split in splits:
        inputs, targets = split.inputs, split.targets
        if isinstance(split, Streamed):
            inputs, targets = split.batch(probes(len(split)))
        for name, array in [*sorted(named(inputs).items()), ("", targets)]:
            digest.update(name.encode())
            # A part at a time: a whole split in another layout would be copied.
            for start in range(0, len(array), _ROWS):
                part = array[start : start + _ROWS]
                digest.update(np.ascontiguousarray(part, _canonical(part)).data)
    return digest.hexdigest()


def _canonical(array: NDArray[Any]) -> type[np.generic]:
    """Return the type that backends hold such values in, or a wider one."""
    return np.float32 if np.issubdtype(array.dtype, np.floating) else np.int64
