"""Arrays of any shape and meaning, split, scaled and digested: what a loader returns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.base import Dataset
from greenbench.datasets.digests import content_of, content_of_stream, digest_of, probes
from greenbench.datasets.drawing import check_count, count_classes, draw_splits
from greenbench.datasets.sources import ArraySource, as_inputs, as_targets
from greenbench.datasets.split import Batch, Split, each, named
from greenbench.datasets.streaming import Source, Streamed
from greenbench.errors import DatasetError

MOST_NAMED = 3

Splits = tuple[Split, Split, Split]
"""Those to train on, to validate and to test."""


@dataclass(frozen=True)
class Scaling:
    """What is subtracted from numbers, and what they are divided by then."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[Any]) -> "Scaling":
        """Return means and standard deviations by column; of a constant one, the latter is 1."""
        mean = values.mean(axis=0, dtype=np.float64)
        deviation = values.std(axis=0, dtype=np.float64)
        return cls(mean, np.where(deviation > 0, deviation, 1.0))

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return values of shape (n, …), scaled."""
        scaled: NDArray[np.float32] = ((values - self.mean) / self.deviation).astype(np.float32)
        return scaled


def make_arrays(
    name: str,
    source: str,
    inputs: Any,
    targets: Any,
    *,
    task: str,
    seed: int,
    test: Batch | None = None,
    vocabulary: int | None = None,
    class_names: Sequence[str] | None = None,
    standardise: bool = False,
    standardise_targets: bool = False,
    notes: Sequence[str] = (),
) -> Dataset:
    """Split, scale and digest arrays of any shape.

    A fifth becomes the test split unless there is one, and a tenth of the rest the validation
    split; in proportion to the classes, where targets are one class a sample. An
    ``np.memmap`` is read batch by batch, as `make_streamed` does, and never as a whole.

    Parameters
    ----------
    name, source : str
        Passed on to the data set.
    inputs : array, shape (n, …), or mapping of str to such arrays
        Integers are token ids if there is a `vocabulary`; all other numbers become float32.
    targets : array, shape (n, …)
        Integers become int64: classes, or token ids; floats become float32. Those of the tasks
        ``regression`` and ``multilabel`` always do, of shape (n, k).
    task : str
        What is learned; a name in the registry.
    seed : int
        Seed of the split.
    test : pair of inputs and targets, optional
        The published test split.
    vocabulary : int, optional
        How many tokens there are.
    class_names : sequence of str, optional
        For messages.
    standardise, standardise_targets : bool
        Subtract the mean and divide by the standard deviation, of each column, both of the
        training split alone. A note says so.
    notes : sequence of str, optional
        Passed on to the data set.

    Returns
    -------
    Dataset
        Not yet checked against its task.

    Raises
    ------
    DatasetError
        If there are too few samples, or too few of a class, lengths differ, or a number is not
        finite.

    Examples
    --------
    >>> import numpy as np
    >>> inputs = np.arange(40.0).reshape(20, 2)
    >>> dataset = make_arrays(
    ...     "sums", "made up", inputs, inputs.sum(axis=1), task="regression", seed=0
    ... )
    >>> dataset.input_shape, dataset.train.targets.shape
    ((2,), (14, 1))
    """
    if any(isinstance(array, np.memmap) for array in named(inputs).values()):
        if standardise or standardise_targets or test is not None:
            raise DatasetError(
                f"dataset {name!r} is a memory map, which is neither standardised nor given a test "
                "split; write it standardised, or read it into memory with np.asarray"
            )
        stream = ArraySource(inputs, targets, task, has_tokens=vocabulary is not None)
        return make_streamed(
            name, source, stream, task=task, seed=seed, vocabulary=vocabulary, notes=notes
        )
    given = [(inputs, targets)] if test is None else [(inputs, targets), test]
    parts = [_converted(name, part, task, vocabulary) for part in given]
    pool = parts[0]
    classes = _classes(name, parts, task, vocabulary, class_names)
    labels = pool.targets if task == "classification" else len(pool)
    drawn = draw_splits(labels, seed, has_test=test is not None)
    train, validation, tested = (Split(*pool.batch(index.astype(np.int64))) for index in drawn)
    splits = (train, validation, tested if test is None else parts[1])
    said = list(notes)
    if standardise:
        splits = _standardised(splits, said)
    if standardise_targets:
        splits = _standardised_targets(splits, said)
    content = content_of((each(part[0], np.asarray), np.asarray(part[1])) for part in given)
    return assemble(
        name, source, splits, task, classes, vocabulary=vocabulary, content=content, notes=said
    )


def make_streamed(
    name: str,
    source: str,
    stream: Source,
    *,
    task: str,
    seed: int,
    classes: int | None = None,
    labels: NDArray[np.integer] | None = None,
    vocabulary: int | None = None,
    notes: Sequence[str] = (),
) -> Dataset:
    """Split samples that stay where they are.

    Parameters
    ----------
    name, source : str
        Passed on to the data set.
    stream : Source
        Where samples are read from.
    task : str
        What is learned; a name in the registry.
    seed : int
        Seed of the split.
    classes : int, optional
        Number of classes. Without it all targets are read once, where they are classes.
    labels : ndarray of int, shape (n,), optional
        The class of each sample, where it is known without reading the samples: splits are in
        proportion to the classes then, else at random.
    vocabulary : int, optional
        How many tokens there are.
    notes : sequence of str, optional
        Passed on to the data set.
    """
    check_count(name, len(stream))
    whole = Streamed(stream)
    if labels is None and classes is None and task == "classification":
        labels = np.concatenate([targets for _, targets in whole.batches(4096)])
    if labels is not None:
        classes = max(classes or 0, count_classes(name, labels, None, "sample"))
    if classes is None:
        classes = vocabulary or math.prod(whole.target_shape)
    drawn = draw_splits(len(stream) if labels is None else labels, seed)
    train, validation, test = (Streamed(stream, index.astype(np.int64)) for index in drawn)
    probed = len(probes(len(stream)))
    return assemble(
        name,
        source,
        (train, validation, test),
        task,
        classes,
        vocabulary=vocabulary,
        content=content_of_stream(whole),
        notes=(*notes, f"streamed; digests are of {probed} of {len(stream)} samples"),
    )


def assemble(
    name: str,
    source: str,
    splits: Splits,
    task: str,
    classes: int,
    *,
    vocabulary: int | None = None,
    content: str | None = None,
    notes: Sequence[str] = (),
) -> Dataset:
    """Return the data set of splits that a loader drew itself, with their digest."""
    train, validation, test = splits
    return Dataset(
        name,
        train,
        validation,
        test,
        classes=classes,
        source=source,
        digest=digest_of(splits),
        notes=tuple(notes),
        content=content,
        task=task,
        vocabulary=vocabulary,
    )


def _converted(name: str, given: Batch, task: str, vocabulary: int | None) -> Split:
    inputs = each(given[0], lambda array: as_inputs(array, has_tokens=vocabulary is not None))
    targets = as_targets(given[1], task)
    for key, array in named(inputs).items():
        if len(array) != len(targets):
            what = f"inputs {key!r}" if key else "inputs"
            raise DatasetError(
                f"dataset {name!r} has {len(array)} {what} and {len(targets)} targets; expected as "
                "many"
            )
    return Split(inputs, targets)


def _classes(
    name: str,
    parts: Sequence[Split],
    task: str,
    vocabulary: int | None,
    class_names: Sequence[str] | None,
) -> int:
    if task == "classification":
        labels = parts[0].targets
        if labels.ndim != 1 or labels.dtype != np.int64:
            raise DatasetError(
                f"dataset {name!r} has targets of shape {labels.shape} and type {labels.dtype}; "
                f"expected whole numbers of shape ({len(labels)},), a class a sample, or another "
                f"task than {task}"
            )
        return count_classes(name, labels, class_names, "sample")
    check_count(name, len(parts[0]))
    if vocabulary is not None:
        return vocabulary
    if task == "segmentation":
        return max(int(part.targets.max()) for part in parts) + 1
    return math.prod(parts[0].target_shape)


def _standardised(splits: Splits, notes: list[str]) -> Splits:
    """Return splits whose float inputs are standardised by those of the first; notes say so."""
    scalings = {
        key: Scaling.of(array)
        for key, array in named(splits[0].inputs).items()
        if array.dtype == np.float32
    }

    def scaled(split: Split) -> Split:
        arrays = {
            key: scalings[key].apply(array) if key in scalings else array
            for key, array in named(split.inputs).items()
        }
        return Split(arrays.get("", arrays), split.targets)

    notes.append("inputs standardised by mean and standard deviation of the training split")
    return scaled(splits[0]), scaled(splits[1]), scaled(splits[2])


def _standardised_targets(splits: Splits, notes: list[str]) -> Splits:
    scaling = Scaling.of(splits[0].targets)
    means, deviations = (
        ", ".join(f"{value:.6g}" for value in values.ravel()[:MOST_NAMED])
        for values in (scaling.mean, scaling.deviation)
    )
    notes.append(
        "targets standardised by the training split, so that errors are in its standard "
        f"deviations (mean {means}; standard deviation {deviations})"
    )
    train, validation, test = (
        Split(split.inputs, scaling.apply(split.targets)) for split in splits
    )
    return train, validation, test
