"""What targets are, for the checks of tasks: classes, labels or numbers."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.base import Dataset
from greenbench.errors import TaskError

Array = NDArray[np.generic]


def known_targets(dataset: Dataset) -> Iterator[tuple[str, Array]]:
    """Yield each split's name and targets, but of those that are streamed."""
    for split, held in dataset.splits.items():
        if isinstance(held.targets, np.ndarray):
            yield split, held.targets


def check_classes(task: str, dataset: Dataset, *, axes: int, what: str) -> None:
    """Raise `TaskError` unless targets are class indices below `dataset.classes`.

    Parameters
    ----------
    task : str
        For messages.
    dataset : Dataset
        Whose targets.
    axes : int
        Of the targets, that of samples included.
    what : str
        What has a class, for messages: ``"sample"``.
    """
    for split, held in dataset.splits.items():
        targets = held.targets
        if not np.issubdtype(targets.dtype, np.integer) or targets.ndim != axes:
            expected, advice = f"a class (int64) for each {what}", _advice(targets)
            raise unfit(task, dataset, split, targets, expected=expected, advice=advice)
    for split, targets in known_targets(dataset):
        if targets.size and not 0 <= int(targets.min()) <= int(targets.max()) < dataset.classes:
            raise TaskError(
                f"task {task!r} does not fit dataset {dataset.name!r}: {split} has targets from "
                f"{targets.min()} to {targets.max()}; expected 0 to {dataset.classes - 1}, since "
                f"it says that it has {dataset.classes} classes"
            )


def check_numbers(task: str, dataset: Dataset, *, expected: str) -> None:
    """Raise `TaskError` unless targets are finite floating-point numbers."""
    for split, held in dataset.splits.items():
        targets = held.targets
        if not np.issubdtype(targets.dtype, np.floating):
            advice = _advice(targets)
            raise unfit(task, dataset, split, targets, expected=expected, advice=advice)
    for split, targets in known_targets(dataset):
        if not np.isfinite(targets).all():
            raise TaskError(
                f"task {task!r} does not fit dataset {dataset.name!r}: "
                f"{np.count_nonzero(~np.isfinite(targets))} targets of {split} are not finite "
                "(nan or infinite); leave these samples out, or fill them in"
            )


def unfit(
    task: str, dataset: Dataset, split: str, targets: Array, *, expected: str, advice: str
) -> TaskError:
    """Return the error that names a data set, what its targets are, and what they should be."""
    return TaskError(
        f"task {task!r} does not fit dataset {dataset.name!r}: targets of {split} are "
        f"{targets.dtype} of shape {targets.shape}; expected {expected}: {advice}"
    )


def _advice(targets: Array) -> str:
    if np.issubdtype(targets.dtype, np.floating):
        return "choose `--task regression`, or give the data set classes"
    if np.issubdtype(targets.dtype, np.integer):
        return "choose a task for classes, such as `--task classification`, or give it numbers"
    return "convert them to numbers"
