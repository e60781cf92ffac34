"""Held data: the data set that the backend has, where a search chooses among its options."""

from collections.abc import Callable, Mapping

import numpy as np

from greenbench.backends import Backend
from greenbench.cases import Options, Scalar, freeze_options
from greenbench.datasets import Dataset
from greenbench.errors import ArchitectureError, ChangedError, DatasetError
from greenbench.search.intact import Intact

MOST = 3
"""Data sets that are kept in memory besides the case's own; more would have to be paid for."""

Load = Callable[[Options], Dataset]


class HeldData:
    """The data sets of a repeat, one of which the backend has loaded.

    Parameters
    ----------
    backend : Backend
        Has loaded `own`.
    own : Dataset
        With the options of the case.
    options : tuple of (str, scalar)
        Those options.
    load : callable
        Returns the data set with other options.
    user : str
        Name of the architecture that trains on them.
    """

    def __init__(
        self, backend: Backend, own: Dataset, options: Options, load: Load, user: str
    ) -> None:
        self._backend, self._own, self._own_options = backend, own, options
        self._load, self._user = load, user
        self._others: dict[Options, tuple[Dataset, Intact]] = {}
        self.loaded = options
        self.dataset = own

    def bring(self, options: Mapping[str, Scalar]) -> None:
        """Let the backend have the data with these options, and `dataset` be them.

        Raises
        ------
        DatasetError
            If they cannot be loaded, or trials on them could not be compared with the others.
        ChangedError
            If what was trained on the data before has changed them.
        """
        wanted = freeze_options(options)
        if wanted == self.loaded:
            return
        if self.loaded in self._others:
            self._check_intact(self._others[self.loaded][1])
        dataset = self._own if wanted == self._own_options else self._other(wanted)
        self._backend.load(dataset)
        self.loaded, self.dataset = wanted, dataset

    def _check_intact(self, intact: Intact) -> None:
        try:
            intact.check(self._user)
        except ArchitectureError as error:
            # It is not the network of the next trial that did it.
            raise ChangedError(str(error)) from error

    def _other(self, options: Options) -> Dataset:
        if options not in self._others:
            dataset = self._load(options)
            _check_like(dataset, self._own, options)
            while len(self._others) >= MOST:
                self._others.pop(next(iter(self._others)))
            self._others[options] = (dataset, Intact(self._backend, dataset))
        return self._others[options][0]


def _check_like(dataset: Dataset, own: Dataset, options: Options) -> None:
    """Refuse data on which a trial would be judged by other samples than the others are."""
    for name in ("train", "validation", "test"):
        split, other = getattr(dataset, name), getattr(own, name)
        targets, others = (getattr(each, "targets", None) for each in (split, other))
        # Those of a streamed split are in no memory.
        if isinstance(targets, np.ndarray) and isinstance(others, np.ndarray):
            differ = name != "train" and not np.array_equal(targets, others)
        else:
            differ = False
        if differ or len(split) != len(other):
            raise DatasetError(
                f"dataset {own.name!r} with {dict(options)} has another {name} split "
                f"({len(split)} samples) than with the case's options ({len(other)}): its trials "
                "could not be compared; search options that leave samples and targets alone"
            )
