"""Checks: whether options make sense, and splits can be trained on, whoever made them."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.digests import probes
from greenbench.datasets.split import Split, named
from greenbench.datasets.streaming import Streamed
from greenbench.errors import DatasetError

if TYPE_CHECKING:
    from greenbench.datasets.base import Dataset

IMAGE_AXES = 4


def check_number(name: str, option: str, value: int, least: int) -> None:
    """Refuse what is no whole number, or too small, for an option of a data set.

    Raises
    ------
    DatasetError
        If it is.
    """
    if type(value) is not int or value < least:
        raise DatasetError(
            f"dataset {name!r}: {option} is {value!r}; expected a whole number of at least {least}"
        )


def check_dataset(dataset: "Dataset") -> None:
    """Check lengths, types and values; of streamed splits, those of some samples.

    Raises
    ------
    DatasetError
        If nobody could train on them, or count what is right.
    """
    for name, split in dataset.splits.items():
        who = f"dataset {dataset.name!r}: {name}"
        if len(split) == 0 and dataset.task != "classification":
            raise DatasetError(f"{who} has no samples; expected some")
        held = split
        if isinstance(split, Streamed):
            held = Split(*split.batch(probes(len(split))))
        for key, inputs in named(held.inputs).items():
            label = f"inputs {key!r}" if key else "inputs"
            _check_inputs(who, label, inputs, dataset)
            if len(inputs) != len(held.targets) and dataset.task != "classification":
                raise DatasetError(
                    f"{who} has {len(inputs)} {label} and {len(held.targets)} targets; expected "
                    "as many"
                )
        _check_targets(who, held, dataset)
        if split.input_shape != dataset.input_shape:
            raise DatasetError(
                f"{who} has samples of shape {split.input_shape}, and train has "
                f"{dataset.input_shape}; expected one shape"
            )
    _check_augmentation(dataset)


def _check_inputs(who: str, label: str, inputs: NDArray[Any], dataset: "Dataset") -> None:
    if not isinstance(inputs, np.ndarray):
        raise DatasetError(
            f"{who} has {label} of type {type(inputs).__name__}; expected a NumPy array"
        )
    if inputs.dtype == np.int64 and dataset.vocabulary is not None:
        _check_tokens(who, label, inputs, dataset.vocabulary)
    elif inputs.ndim == IMAGE_AXES and inputs.dtype != np.float32:
        raise DatasetError(
            f"{who} has images of shape {inputs.shape} and type {inputs.dtype}; expected "
            "float32 of shape (n, channels, height, width); `make_dataset` makes them"
        )
    elif inputs.dtype != np.float32:
        raise DatasetError(
            f"{who} has {label} of shape {inputs.shape} and type {inputs.dtype}; expected float32, "
            "or int64 with a `vocabulary` for token ids; `make_arrays` makes them"
        )
    else:
        check_finite(who, label, inputs)


def _check_tokens(who: str, label: str, ids: NDArray[Any], vocabulary: int) -> None:
    low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, 0)
    if low < 0 or high >= vocabulary:
        raise DatasetError(
            f"{who} has the token id {low if low < 0 else high} among its {label}; expected 0 to "
            f"{vocabulary - 1}, since the vocabulary has {vocabulary} tokens"
        )


def check_finite(who: str, label: str, array: NDArray[Any]) -> None:
    """Raise `DatasetError` if a number is NaN or infinite, which no training survives."""
    # The sum is as finite as they are, and takes no memory.
    if not np.isfinite(np.sum(array, dtype=np.float64)):
        where = tuple(int(place[0]) for place in np.nonzero(~np.isfinite(array)))
        raise DatasetError(
            f"{who} has {label} that are no numbers: {array[where]} in sample {where[0]}; expected "
            "finite ones: leave such samples out, or fill them in"
        )


def _check_targets(who: str, held: Split, dataset: "Dataset") -> None:
    targets = held.targets
    if dataset.task == "classification":
        _check_labels(who, held, dataset.classes)
    elif targets.dtype == np.float32:
        check_finite(who, "targets", targets)
    elif targets.dtype != np.int64:
        raise DatasetError(
            f"{who} has targets of shape {targets.shape} and type {targets.dtype}; expected int64 "
            "for classes and tokens, float32 for numbers; `make_arrays` makes them"
        )


def _check_labels(who: str, held: Split, classes: int) -> None:
    labels, first = held.targets, next(iter(named(held.inputs).values()))
    if labels.shape != first.shape[:1] or labels.dtype != np.int64:
        what = "an image" if first.ndim == IMAGE_AXES else "a sample"
        raise DatasetError(
            f"{who} has labels of shape {labels.shape} and type {labels.dtype}; expected int64 "
            f"of shape ({len(first)},), a class {what}"
        )
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= classes:
        shown = f"{labels.min()} to {labels.max()}" if len(labels) else "none"
        raise DatasetError(
            f"{who} has these labels: {shown}; expected 0 to {classes - 1}, since the "
            f"data set says that it has {classes} classes"
        )


def _check_augmentation(dataset: "Dataset") -> None:
    if dataset.augmentation is None:
        return
    who = f"dataset {dataset.name!r}"
    dataset.augmentation.check(who, dataset.input_shape)
    if dataset.train.targets.ndim > 2:  # noqa: PLR2004
        raise DatasetError(
            f"{who} has targets of shape {dataset.train.target_shape}, which crop, flip and "
            "randaugment would not vary alike; leave them out"
        )
