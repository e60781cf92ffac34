"""Kept data: the data set that a process loaded last, for the next repeat that wants the same."""

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from greenbench.backends.process_state import state_kept
from greenbench.cases import Options
from greenbench.datasets import Dataset, LoadContext
from greenbench.datasets.base import digest_splits
from greenbench.datasets.loaders import check_options
from greenbench.datasets.split import Split, each, named
from greenbench.errors import DatasetError
from greenbench.machine.places import at, calling
from greenbench.machine.reads import Reads, reads_watched

Digests = Mapping[str, str]
OURS = "greenbench."
"""How the modules of loaders begin of which it is known how they read."""
LARGE_BYTES = 1 << 26
"""From here on it pays to look through all of Python's memory for what holds a data set."""


@dataclass(frozen=True)
class Wanted:
    """A data set, before it is loaded: all that its loader is told.

    Attributes
    ----------
    name : str
        In the registry.
    load : callable
        What is registered there now.
    context : LoadContext
        Seed of the split, and the folder with local files.
    options : tuple of (str, scalar)
        Of the loader.
    """

    name: str
    load: Callable[..., Dataset]
    context: LoadContext
    options: Options

    @property
    def key(self) -> tuple[object, ...]:
        """What differs between two that may be loaded differently."""
        # 1, 1.0 and True are equal, and not the same to a loader.
        return self.name, self.load, self.context, repr(self.options)


@dataclass(frozen=True)
class Loaded:
    """A data set that was loaded.

    Attributes
    ----------
    dataset : Dataset
        For one repeat; its arrays may be those of another one, which is over.
    digests : mapping of str to str, or None
        Of its splits, if they were taken; see `digest_splits`.
    """

    dataset: Dataset
    digests: Digests | None = None


@dataclass(frozen=True)
class _Kept:
    wanted: Wanted
    dataset: Dataset
    digests: Digests
    reads: Reads


class KeptData:
    """The data set that this process loaded last, for the next repeat that wants the same.

    It is one, because a backend holds its data from one repeat to the next: no memory is taken
    that would be free otherwise. It is gone before another one is read. It is handed out again
    only while the files that it was read from are as they were, and its arrays, too, whatever was
    trained on them.
    """

    def __init__(self) -> None:
        self._last: _Kept | None = None
        self._bytes = 0

    def load(self, wanted: Wanted, release: Callable[[], None]) -> Loaded:
        """Return the data set that was kept, or read it, and keep it if it can be.

        Parameters
        ----------
        wanted : Wanted
            Which one.
        release : callable
            Lets go of what else holds the last one.

        Raises
        ------
        DatasetError
            If it cannot be loaded.
        """
        last = self._last
        if last is None or not _is_still(last, wanted):
            # Before the next one takes as much memory again.
            last = self._last = None
            release()
            if self._bytes > LARGE_BYTES:
                # Models that only cycles of references keep hold it, too.
                gc.collect()
            with reads_watched() as reads:
                dataset, is_drawn = read(wanted)
            self._bytes = _bytes_of(dataset)
            is_whole = _is_in_memory(dataset) and _is_explained(wanted, dataset, reads)
            if is_drawn or not is_whole or not reads.are_unchanged():
                return Loaded(dataset)
            last = self._last = _Kept(wanted, dataset, digest_splits(dataset.splits), reads)
        return Loaded(_views_of(last.dataset), last.digests)


def read(wanted: Wanted) -> tuple[Dataset, bool]:
    """Return a data set, and whether its loader drew from what all code draws from.

    Raises
    ------
    DatasetError
        If its loader does not take the options, raises, or returns something else.
    """
    load, given = wanted.load, dict(wanted.options)
    name = f"dataset {wanted.name!r}"
    check_options(wanted.name, load, given)
    with calling(name, load, DatasetError), state_kept(name) as state:
        dataset: Dataset = load(wanted.context, **given)
        is_drawn = state.has_drawn()
    if not isinstance(dataset, Dataset):
        raise DatasetError(
            f"{name} returned {type(dataset).__name__}; expected a Dataset{at(load)}"
        )
    try:
        dataset.check()
    except DatasetError as error:
        raise DatasetError(f"{error}{at(load)}") from error
    return dataset, is_drawn


def _is_still(last: _Kept, wanted: Wanted) -> bool:
    return (
        last.wanted.key == wanted.key
        and last.reads.are_unchanged()
        and digest_splits(last.dataset.splits) == last.digests
    )


def _is_explained(wanted: Wanted, dataset: Dataset, reads: Reads) -> bool:
    """Return whether what Python opened may be all that a loader has read: a byte a value.

    Else a library may have read files past Python. Ours let Python open each of them.
    """
    if str(getattr(wanted.load, "__module__", "")).startswith(OURS):
        return True
    inputs = [
        np.size(one) for each in dataset.splits.values() for one in named(each.inputs).values()
    ]
    return sum(inputs) <= reads.data_bytes


def _is_in_memory(dataset: Dataset) -> bool:
    """Return whether all that a data set has are arrays, of which digests tell everything."""
    parts = [dataset, *dataset.splits.values(), *_arrays_of(dataset)]
    return {type(part) for part in parts} == {Dataset, Split, np.ndarray}


def _bytes_of(dataset: Dataset) -> int:
    return sum(getattr(array, "nbytes", 0) for array in _arrays_of(dataset))


def _arrays_of(dataset: Dataset) -> list[Any]:
    splits = dataset.splits.values()
    return [array for one in splits for array in (*named(one.inputs).values(), one.targets)]


def _views_of(dataset: Dataset) -> Dataset:
    """Return a data set of the same memory, whose arrays may be given other shapes."""
    train, validation, test = (
        Split(each(split.inputs, lambda array: array.view()), split.targets.view())
        for split in dataset.splits.values()
    )
    return replace(dataset, train=train, validation=validation, test=test)
