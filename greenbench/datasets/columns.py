"""Columns of a CSV or Parquet file, read by pyarrow."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from greenbench.datasets.split import Batch
from greenbench.datasets.streaming import Indices
from greenbench.datasets.wording import shown
from greenbench.errors import DatasetError, UnknownNameError

PARQUET = (".parquet", ".pq")
DELIMITERS = ",;\t|"
HELD_GROUPS = 4
"""Row groups of a streamed file that stay in memory."""
_NUMBER = re.compile(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : str
        Its name in the header.
    values : ndarray of float64, or of str, shape (n,)
        NaN, or the empty text, where one is missing; a truth value is 0 or 1.
    missing : ndarray of bool, shape (n,)
        Where none is given.
    is_whole : bool
        Whether all are whole numbers or truth values by type.
    """

    name: str
    values: NDArray[Any]
    missing: NDArray[np.bool_]
    is_whole: bool

    @property
    def is_text(self) -> bool:
        """Whether it holds text."""
        return self.values.dtype.kind == "U"


def read_columns(path: Path) -> dict[str, Column]:
    """Read all columns of a file, by name.

    Parameters
    ----------
    path : pathlib.Path
        A Parquet file if it is called ``.parquet``; else a text file with a line a row, the first
        of which names the columns, separated by comma, semicolon, tab or ``|``.

    Raises
    ------
    DatasetError
        If the file cannot be read, has no header or no rows, two columns have one
        name, or a column has neither numbers nor text.
    """
    try:
        table = _read_parquet(path) if path.suffix.lower() in PARQUET else _read_csv(path)
    except (OSError, pa.ArrowException) as error:
        reason = shown(" ".join(str(error).split()))
        raise DatasetError(f"table {shown(path)} cannot be read: {reason}") from error
    names = table.column_names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DatasetError(
            f"table {shown(path)} has two columns {shown(twice[0])!r}; rename one of them"
        )
    if not len(table):
        raise DatasetError(f"table {shown(path)} has no rows; expected one a sample")
    return {name: _column(path, name, table[name]) for name in names}


def _read_parquet(path: Path) -> Any:
    # pyarrow opens it past Python: whoever watches what is read would not see which file it is.
    with path.open("rb"):
        return pyarrow.parquet.read_table(path)


def _read_csv(path: Path) -> Any:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline().strip()
    delimiter = max(DELIMITERS, key=header.count)
    names = [name.strip().strip('"') for name in header.split(delimiter)]
    if not header or all(_NUMBER.fullmatch(name) for name in names):
        raise DatasetError(
            f"table {shown(path)} begins with {shown(header[:40])!r}; expected the names of its "
            "columns in the first line"
        )
    return pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
        convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True),
    )


def _column(path: Path, name: str, column: Any) -> Column:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    missing = np.asarray(column.is_null(nan_is_null=True))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = np.array([text or "" for text in column.to_pylist()], dtype=np.str_)
        return Column(name, texts, missing, is_whole=False)
    if pa.types.is_binary(kind):
        raise DatasetError(
            f"table {shown(path)}: column {shown(name)!r} is not UTF-8; convert the file"
        )
    is_flag = pa.types.is_boolean(kind)
    is_whole = is_flag or pa.types.is_integer(kind)
    if not (is_whole or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise DatasetError(
            f"table {shown(path)}: column {shown(name)!r} has the type {kind}; expected numbers or "
            f"text: leave it out with ignore={shown(name)}"
        )
    numbers = column.cast(pa.int8()) if is_flag else column
    values = np.asarray(numbers.cast(pa.float64(), safe=False), dtype=np.float64)
    return Column(name, values, missing, is_whole)


class ParquetSource:
    """Rows of a Parquet file, read by row groups, of which a few stay in memory.

    It is quick for orders that go through the file, and slow for mixed ones: each row that is
    asked for has its whole group read. `Streamed.prefetch` reads a block's groups once each.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    inputs : sequence of str
        Columns of numbers, which become a vector; or one column of lists of one length.
    target : str
        A column of numbers.
    has_classes : bool
        Whether targets become int64, and not float32 of shape (n, 1).
    """

    def __init__(
        self, path: Path, inputs: list[str], target: str, *, has_classes: bool = True
    ) -> None:
        self._file = pyarrow.parquet.ParquetFile(path, memory_map=True)
        for name in (*inputs, target):
            if name not in self._file.schema_arrow.names:
                raise UnknownNameError("column", name, self._file.schema_arrow.names)
        self._inputs = inputs
        self._target = target
        self._has_classes = has_classes
        groups = map(self._file.metadata.row_group, range(self._file.num_row_groups))
        self._ends = np.cumsum([group.num_rows for group in groups])
        self._groups: dict[int, Batch] = {}

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def read(self, indices: Indices) -> Batch:
        """Return the rows at these positions."""
        groups = np.searchsorted(self._ends, indices, side="right")
        inputs: NDArray[Any] | None = None
        targets: NDArray[Any] | None = None
        for group in np.unique(groups):
            rows = np.flatnonzero(groups == group)
            start = self._ends[group - 1] if group else 0
            whole_inputs, whole_targets = self._group(int(group))
            if inputs is None or targets is None:
                inputs = np.empty((len(indices), *whole_inputs.shape[1:]), np.float32)
                targets = np.empty((len(indices), *whole_targets.shape[1:]), whole_targets.dtype)
            inputs[rows] = whole_inputs[indices[rows] - start]
            targets[rows] = whole_targets[indices[rows] - start]
        if inputs is None or targets is None:
            return tuple(array[:0] for array in self._group(0))  # type: ignore[return-value]
        return inputs, targets

    def _group(self, group: int) -> Batch:
        if group not in self._groups:
            while len(self._groups) >= HELD_GROUPS:
                del self._groups[next(iter(self._groups))]
            table = self._file.read_row_group(group, columns=[*self._inputs, self._target])
            targets = np.asarray(table[self._target])
            self._groups[group] = (
                np.column_stack([_numbers(table[name]) for name in self._inputs]),
                targets.astype(np.int64)
                if self._has_classes
                else targets.astype(np.float32).reshape(-1, 1),
            )
        return self._groups[group]


def _numbers(column: Any) -> NDArray[np.float32]:
    """Return a column of numbers, or of lists of one length, as float32."""
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        return np.stack(column.to_numpy()).astype(np.float32)
    return np.asarray(column, dtype=np.float32)
