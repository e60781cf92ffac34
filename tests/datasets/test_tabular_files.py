"""The user's own tables, and what is wrong with them."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from greenbench.datasets import Dataset, LoadContext
from greenbench.datasets.tabular import load_tabular
from greenbench.errors import ConfigurationError

ROWS = 40
COLUMNS: dict[str, list[Any]] = {
    "age": [20 + row for row in range(ROWS)],
    "height": [1.5 + row / 100 for row in range(ROWS)],
    "city": [["Bonn", "Graz", "Zug"][row % 3] for row in range(ROWS)],
    "member": [row % 2 == 0 for row in range(ROWS)],
    "rooms": [row % 4 for row in range(ROWS)],
    "note": [f"note {row}" for row in range(ROWS)],
}
Load = Callable[..., Dataset]


@pytest.fixture
def load(context: LoadContext) -> Load:
    """Return what loads the columns above, some of them changed, from a file."""
    context.data_dir.mkdir()

    def loaded(target: str = "member", name: str = "x.csv", **options: Any) -> Dataset:
        columns = {**COLUMNS, **options.pop("columns", {})}
        path = context.data_dir / name
        table = pa.table(columns)
        if path.suffix == ".parquet":
            pyarrow.parquet.write_table(table, path)
        else:
            pyarrow.csv.write_csv(table, path)
        dataset = load_tabular(context, name, target, **{"ignore": "note", **options})
        dataset.check()
        return dataset

    return loaded


def test_csv_and_parquet_give_the_same(load: Load) -> None:
    csv, parquet = load(), load(name="x.parquet")
    assert (csv.digest, csv.notes) == (parquet.digest, parquet.notes)


def test_text_becomes_a_column_a_category(load: Load) -> None:
    dataset = load(ignore="note,age,height,rooms", standardise=False)
    assert dataset.input_shape == (3,)
    assert np.array_equal(dataset.train.inputs.sum(axis=1), np.ones(len(dataset.train)))
    assert "text as a column a category: city (3)" in dataset.notes


@pytest.mark.parametrize(
    ("target", "task", "classes", "note"),
    [
        ("member", "classification", 2, "since 'member' has 2 different whole numbers"),
        ("rooms", "classification", 4, "since 'rooms' has 4 different whole numbers"),
        ("city", "classification", 3, "since 'city' has 3 different texts"),
        ("age", "regression", 1, "since 'age' has 40 different whole numbers"),
        ("height", "regression", 1, "since 'height' has 40 different numbers"),
    ],
)
def test_task_follows_from_the_target(
    load: Load, target: str, task: str, classes: int, note: str
) -> None:
    dataset = load(target)
    assert (dataset.task, dataset.classes) == (task, classes)
    assert dataset.notes[0] == f"task {task}, {note}"


def test_task_can_be_told(load: Load) -> None:
    dataset = load("rooms", task="regression", standardise=False)
    assert sorted(np.unique(dataset.train.targets)) == [0, 1, 2, 3]
    assert dataset.train.targets.shape[1:] == (1,)


def test_semicolons_and_quotes_are_read(context: LoadContext) -> None:
    context.data_dir.mkdir()
    rows = [f"{row};'a, b {row % 2}'".replace("'", '"') for row in range(20)]
    (context.data_dir / "x.csv").write_text("\n".join(['"n";y', *rows]))
    assert load_tabular(context, "x.csv", "y").classes == 2


def test_missing_values_are_filled_in_by_the_training_split(load: Load) -> None:
    ages = [None if row in (3, 4) else float(row) for row in range(ROWS)]
    dataset = load(
        columns={"age": ages}, ignore="note,city,height,rooms", missing="mean", standardise=False
    )
    values = np.concatenate([split.inputs[:, 0] for split in dataset.splits.values()])
    (filled,) = {value for value in values.tolist() if value not in ages}
    known = [value for value in dataset.train.inputs[:, 0].tolist() if value != filled]
    assert filled == pytest.approx(np.mean(known))
    assert "missing values filled in from the training split: age (2)" in dataset.notes


GAPS = {"age": [None, *range(ROWS - 1)]}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "membr"}, "unknown column of table x.csv: 'membr'; did you mean member?"),
        ({"ignore": "nots"}, "unknown column of table x.csv: 'nots'; did you mean note?"),
        ({"ignore": "member"}, "'member' is the target; it cannot be ignored"),
        (
            {"columns": {"height": [float("inf"), *COLUMNS["height"][1:]]}},
            "column 'height' has inf in row 1; expected finite numbers: correct it, or give ignore",
        ),
        (
            {"columns": {"age": [2**62 + row for row in range(ROWS)]}},
            "column 'age' has 4.61169e+18 in row 1; expected whole numbers below 2**53",
        ),
        (
            {"columns": {"age": ["x7", *map(str, range(1, ROWS))]}, "target": "age"},
            "target column 'age' has text ('x7' in row 1); expected numbers for regression",
        ),
        (
            {"columns": {"height": [1.5] * ROWS}, "target": "height"},
            "target column 'height' has one value only; expected several to learn",
        ),
        ({"ignore": ""}, "column 'note' has 40 different texts; expected at most 20 categories"),
        ({"columns": GAPS}, "column 'age' has 1 missing value in 40 rows; give ignore=age"),
        ({"columns": GAPS, "target": "age"}, "target column 'age' has 1 missing value; leave out"),
        (
            {"target": "city", "task": "regression"},
            "target column 'city' has text ('Bonn' in row 1); expected numbers for regression",
        ),
        (
            {"columns": {"rooms": ["3"] * 30 + ["many"] * 10}, "target": "rooms"}
            | {"task": "regression"},
            "target column 'rooms' has text ('many' in row 31)",
        ),
        (
            {"columns": {"member": [True] * ROWS}},
            "dataset 'tabular' has 1 class(es); expected at least 2",
        ),
        (
            {"columns": {"city": ["Bonn"] * 38 + ["Zug"] * 2}, "target": "city"},
            "class 'Zug' has 2 sample(s); expected at least 4",
        ),
        ({"ignore": "note,age,height,city,rooms"}, "the target is the only column"),
        ({"task": "regresion"}, "task is 'regresion'; expected classification or regression"),
        ({"missing": "drop"}, "missing is 'drop'; expected refuse or mean"),
        ({"categories": 0}, "categories is 0; expected a whole number above 0"),
        (
            {"columns": {"age": [pa.scalar(0, pa.date32())] * ROWS}, "name": "x.parquet"},
            "column 'age' has the type date32[day]; expected numbers or text",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(load: Load, options: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)) as caught:
        load(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "x.csv does not exist; give the path of a CSV or Parquet file"),
        (b"", "x.csv begins with ''; expected the names of its columns in the first line"),
        (b"1,2\n3,4\n", "x.csv begins with '1,2'; expected the names of its columns"),
        (b"a,b\n", "x.csv has no rows; expected one a sample"),
        (b"a,b,a\n1,2,3\n", "x.csv has two columns 'a'; rename one of them"),
        (b"a,b\n1,2\n3\n", "x.csv cannot be read: "),
        (b"a,b\n1,\xff\n", "x.csv: column 'b' is not UTF-8; convert the file"),
    ],
)
def test_file_that_is_no_table_is_refused(
    context: LoadContext, content: bytes | None, said: str
) -> None:
    context.data_dir.mkdir()
    if content is not None:
        (context.data_dir / "x.csv").write_bytes(content)
    with pytest.raises(ConfigurationError, match=re.escape(said)) as caught:
        load_tabular(context, "x.csv", "y")
    assert "\n" not in str(caught.value)
