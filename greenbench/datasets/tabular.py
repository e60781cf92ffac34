"""The user's own tables: CSV or Parquet, with a column that is to be predicted."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.arrays import make_arrays
from greenbench.datasets.base import Dataset, LoadContext
from greenbench.datasets.drawing import draw_splits
from greenbench.datasets.loaders import NUMBERS, holds
from greenbench.datasets.wording import counted, shown
from greenbench.errors import DatasetError, UnknownNameError

MOST_CLASSES = 20
"""Values that a column of whole numbers may have to be taken for classes unless told."""
TASKS = ("classification", "regression")
MISSING = ("refuse", "mean")
LARGEST_WHOLE = 2.0**53
"""Beyond it, floats no longer tell whole numbers apart."""


def _check(
    context: LoadContext,
    *,
    path: object,
    task: object,
    missing: object,
    categories: object,
    standardise: object,
) -> None:
    _check_options(task, missing, categories, standardise)
    _file(context.data_dir, path)


@holds(NUMBERS, check=_check)
def load_tabular(
    context: LoadContext,
    path: str,
    target: str,
    *,
    task: str | None = None,
    ignore: str = "",
    missing: str = "refuse",
    categories: int = 20,
    standardise: bool = True,
) -> Dataset:
    """Load a table from a CSV or Parquet file.

    Columns of text become one column a category, 0 or 1, in alphabetical order. The ``notes`` of
    the data set say what was done.

    Parameters
    ----------
    context : LoadContext
        Seed of the split, and the folder that a relative `path` starts from.
    path : str
        The file: Parquet, or text whose first line names the columns.
    target : str
        The column to predict.
    task : str, optional
        ``"classification"`` or ``"regression"``. Without it, text, truth values and at most 20
        different whole numbers are classes.
    ignore : str
        Columns to leave out, separated by commas.
    missing : str
        ``"refuse"`` missing values, or fill in the ``"mean"`` of the training split; text that is
        missing is of no category then.
    categories : int
        Most categories that a column of text may have.
    standardise : bool
        Standardise inputs, and the targets of a regression, by the training split.

    Returns
    -------
    Dataset
        Inputs of shape (n, columns). Targets of classes are numbered in the order of their names.

    Raises
    ------
    DatasetError
        If the file cannot be read, a column is missing, has missing values or too many categories,
        the target of a regression has text, or there is one class only.
    """
    _check_options(task, missing, categories, standardise)
    ignored = [name.strip() for name in str(ignore).split(",") if name.strip()]
    columns = _columns(context.data_dir, path, target, ignored)
    notes: list[str] = []
    for name in columns.keys() - ignored:
        _check_numbers(columns[name], is_target=name == target)
    task = task or _task_of(columns[target], notes)
    values, names = _targets(columns.pop(target), task)
    features = [column for name, column in columns.items() if name not in ignored]
    inputs = _inputs(features, categories, missing, notes)
    if np.isnan(inputs).any():
        train, _, _ = draw_splits(values if names else len(values), context.seed)
        inputs = np.where(np.isnan(inputs), np.nanmean(inputs[train], axis=0), inputs)
    return make_arrays(
        "tabular",
        f"table {shown(path)}, column {shown(target)}",
        inputs,
        values,
        task=task,
        seed=context.seed,
        class_names=names,
        standardise=standardise,
        standardise_targets=standardise and task == "regression",
        notes=notes,
    )


def _check_options(task: object, missing: object, categories: object, standardise: object) -> None:
    for name, value, known in (
        ("task", task, (None, *TASKS)),
        ("missing", missing, MISSING),
        ("standardise", standardise, (True, False)),
    ):
        if value not in known:
            expected = " or ".join(str(each).lower() for each in known if each is not None)
            raise DatasetError(f"dataset 'tabular': {name} is {value!r}; expected {expected}")
    if type(categories) is not int or categories < 1:
        raise DatasetError(
            f"dataset 'tabular': categories is {categories!r}; expected a whole number above 0"
        )


def _columns(data_dir: Path, path: str, target: str, ignored: Sequence[str]) -> dict[str, Any]:
    """Return the columns of a file, among which are the target and those to ignore."""
    file = _file(data_dir, path)
    # pyarrow takes a while to import, and is needed for files only.
    from greenbench.datasets.columns import read_columns  # noqa: PLC0415

    columns = read_columns(file)
    for name in (target, *ignored):
        if name not in columns:
            raise UnknownNameError(f"column of table {shown(path)}:", str(name), columns)
    if target in ignored:
        raise DatasetError(f"dataset 'tabular': {target!r} is the target; it cannot be ignored")
    return columns


def _file(data_dir: Path, path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise DatasetError(f"dataset 'tabular': path is {path!r}; expected a file's name")
    file = data_dir / Path(path).expanduser()
    if not file.is_file():
        problem = "is not a file" if file.exists() else "does not exist"
        raise DatasetError(f"table {shown(file)} {problem}; give the path of a CSV or Parquet file")
    if not os.access(file, os.R_OK):
        raise DatasetError(f"table {shown(file)} cannot be read; give yourself the right to do so")
    return file


def _check_numbers(column: Any, *, is_target: bool) -> None:
    """Raise `DatasetError` if a column has a number that is infinite, or that floats round."""
    if column.is_text:
        return
    expected, wrong = "finite numbers: correct it", np.isinf(column.values)
    if column.is_whole and not wrong.any():
        wrong = np.abs(column.values) >= LARGEST_WHOLE
        expected = "whole numbers below 2**53, since floats round others: write names as text"
    if wrong.any():
        name, row = shown(column.name), int(wrong.argmax())
        raise DatasetError(
            f"column {name!r} has {column.values[row]:g} in row {row + 1}; expected {expected}"
            + ("" if is_target else f", or give ignore={name}")
        )


def _task_of(column: Any, notes: list[str]) -> str:
    """Return what a target column is for, and say why."""
    different = len(np.unique(column.values[~column.missing]))
    what = "texts" if column.is_text else "whole numbers" if column.is_whole else "numbers"
    is_class = column.is_text or (column.is_whole and different <= MOST_CLASSES)
    if column.is_text and different > MOST_CLASSES and _are_mostly_numbers(column.values):
        # A slip of the pen among numbers, which `_targets` tells by its row.
        is_class = False
    task = "classification" if is_class else "regression"
    notes.append(f"task {task}, since {shown(column.name)!r} has {different} different {what}")
    return task


def _targets(column: Any, task: str) -> tuple[NDArray[Any], Sequence[str] | None]:
    """Return targets, and names of classes where they are some."""
    name = shown(column.name)
    if count := int(column.missing.sum()):
        raise DatasetError(
            f"target column {name!r} has {counted(count, 'missing value')}; leave out these rows"
        )
    if task == "classification":
        different, labels = np.unique(column.values, return_inverse=True)
        return labels, [shown(_plain(value)) for value in different]
    if column.is_text:
        raise DatasetError(
            f"target column {name!r} has text ({shown(column.values[_first_text(column.values)])!r}"
            f" in row {_first_text(column.values) + 1}); expected numbers for regression: correct "
            "it, or choose task=classification"
        )
    if len(np.unique(column.values)) == 1:
        raise DatasetError(f"target column {name!r} has one value only; expected several to learn")
    return column.values, None


def _are_mostly_numbers(texts: NDArray[Any]) -> bool:
    return 2 * sum(map(_is_number, texts)) > len(texts)


def _first_text(values: NDArray[Any]) -> int:
    return next((row for row, value in enumerate(values) if not _is_number(value)), 0)


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(value: Any) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _inputs(
    columns: Sequence[Any], categories: int, missing: str, notes: list[str]
) -> NDArray[np.float64]:
    """Return columns as numbers, NaN where one is missing; notes say what was done."""
    if not columns:
        raise DatasetError("dataset 'tabular': the target is the only column; expected others")
    parts, spread, filled = [], [], []
    for column in columns:
        name = shown(column.name)
        if column.missing.any():
            count = int(column.missing.sum())
            if missing == "refuse" or count == len(column.missing):
                remedy = "" if missing == "mean" else ", or missing=mean to fill in the mean"
                raise DatasetError(
                    f"column {name!r} has {counted(count, 'missing value')} in "
                    f"{counted(len(column.missing), 'row')}; give ignore={name} to leave it out"
                    f"{remedy}"
                )
            filled.append(f"{name} ({count})")
        if column.is_text:
            different = np.unique(column.values[~column.missing])
            if len(different) > categories:
                raise DatasetError(
                    f"column {name!r} has {len(different)} different texts; expected at most "
                    f"{categories} categories: give ignore={name} to leave it out, or "
                    f"categories={len(different)}"
                )
            spread.append(f"{name} ({len(different)})")
            parts.append((column.values[:, None] == different).astype(np.float64))
        else:
            parts.append(column.values[:, None])
    if spread:
        notes.append(f"text as a column a category: {', '.join(spread)}")
    if filled:
        notes.append(f"missing values filled in from the training split: {', '.join(filled)}")
    return np.concatenate(parts, axis=1)
