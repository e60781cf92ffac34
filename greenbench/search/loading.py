"""Loading: the data set of a repeat, read anew, or still there since another repeat read it."""

from greenbench import registry
from greenbench.backends import ReplayingBackend
from greenbench.backends.base import ReleasingBackend
from greenbench.cases import Case, Options
from greenbench.cases.case import SPLIT
from greenbench.datasets import Dataset, LoadContext
from greenbench.search.bench import Bench
from greenbench.search.kept_data import Loaded, Wanted, read


def wanted_by(bench: Bench, case: Case, repeat: int, options: Options | None = None) -> Wanted:
    """Return what a repeat asks its loader for, with options in place of the case's."""
    context = LoadContext(seed=case.derive_seed(repeat, SPLIT), data_dir=bench.data_dir)
    given = case.dataset_options if options is None else options
    return Wanted(case.dataset, registry.datasets.get(case.dataset), context, given)


def load_own(bench: Bench, case: Case, repeat: int) -> Loaded:
    """Return the data set of a repeat, which may be there since another one.

    Raises
    ------
    DatasetError
        As of `load_dataset`.
    """
    backend = bench.backend
    if bench.kept is None or isinstance(backend, ReplayingBackend):
        return Loaded(load_dataset(bench, case, repeat))
    release = backend.release if isinstance(backend, ReleasingBackend) else lambda: None
    return bench.kept.load(wanted_by(bench, case, repeat), release)


def load_dataset(bench: Bench, case: Case, repeat: int, options: Options | None = None) -> Dataset:
    """Read the data set of a repeat.

    Parameters
    ----------
    bench : Bench
        Whose backend it is for.
    case : Case
        The definition.
    repeat : int
        Which repeat; with the case it decides the split.
    options : tuple of (str, scalar), optional
        In place of those of the case.

    Raises
    ------
    DatasetError
        If its loader does not take the options, raises, or returns something else.
    """
    if isinstance(bench.backend, ReplayingBackend):
        return bench.backend.open(case)
    return read(wanted_by(bench, case, repeat, options))[0]
