"""The basis: what the figures of a repeat rest on, and all repeats of a case must share."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from greenbench.cases import Case
from greenbench.datasets import Dataset
from greenbench.errors import ChangedDataError, ChangedError
from greenbench.results.journal import Journal

Basis = Mapping[str, Any]

OF_DATA = ("content", "digest")
DIGITS = 12
"""How much of a digest is said."""
OF_ALL = {
    "parameters": "trainable parameters",
    "train_flops_per_sample": "training FLOPs of a sample",
    "device": "device",
    "training_source": "source of the training",
}
"""What is equal in all repeats, and how people call it."""


def data_basis(dataset: Dataset) -> Basis:
    """Return what a data set gives to the basis: its content, and how that was split."""
    return {"content": dataset.content, "digest": dataset.digest}


def check_basis(
    case: Case, journal: Journal, basis: Basis, content_of: Callable[[int], str | None]
) -> Basis:
    """Make sure that a repeat rests on what the case's repeats in this run rest on so far.

    Parameters
    ----------
    case : Case
        What is run.
    journal : Journal
        Of the repeat; those of the others lie beside it.
    basis : mapping
        Of the repeat: the values of `OF_ALL` and `OF_DATA`.
    content_of : callable
        Tells the content of the data set as another repeat loads it.

    Returns
    -------
    mapping
        The basis; its content is None if the images differ by repeat because the loader draws
        them with the seed of the split, so that they are no sign of a change.

    Raises
    ------
    ChangedError
        If something has changed since.
    """
    for earlier, repeat in _earlier(journal):
        for name, label in OF_ALL.items():
            if differ(earlier.get(name), basis.get(name)):
                raise _changed(case, f"{label} ({earlier[name]}, now {basis[name]})")
        if repeat is None:
            # The same repeat, and so the same split.
            for name in OF_DATA:
                if differ(earlier.get(name), basis.get(name)):
                    raise _changed_data(case, earlier[name], basis[name])
        elif differ(earlier.get("content"), basis.get("content")):
            if content_of(repeat) != earlier["content"]:
                raise _changed_data(case, earlier["content"], basis["content"])
            basis = {**basis, "content": None}
    return basis


def differ(before: object, now: object) -> bool:
    """Return whether two figures differ; one that is not known is no difference."""
    return before is not None and now is not None and before != now


def _earlier(journal: Journal) -> Iterator[tuple[Basis, int | None]]:
    """Yield the basis of each repeat that was begun, and its number; None is this one's."""
    yield journal.last_start().get("basis", {}), None
    for sibling in journal.siblings():
        yield sibling.last_start().get("basis", {}), sibling.repeat


def _changed_data(case: Case, before: object, now: object) -> ChangedError:
    digests = f" (was {str(before)[:DIGITS]}, is {str(now)[:DIGITS]})"
    return _changed(case, f"the data set {case.dataset}", digests, ChangedDataError)


def _changed(
    case: Case, what: str, detail: str = "", kind: type[ChangedError] = ChangedError
) -> ChangedError:
    return kind(
        f"{case.id}: {what} changed since the run began{detail}, and repeats of one case must not "
        "differ; run it anew with `--fresh`"
    )
