"""Rows that scikit-learn makes up: as asked for, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from greenbench.datasets import LoadContext
from greenbench.datasets.scikit_tables import load_friedman
from greenbench.errors import DatasetError


@pytest.mark.parametrize(
    ("options", "said"),
    [({"samples": 9}, "samples is 9; expected a whole number of at least 10"),
     ({"features": 4}, "features is 4; expected a whole number of at least 5"),
     ({"features": 8.0}, r"features is 8\.0; expected a whole number of at least 5")],
)  # fmt: skip
def test_options_out_of_range_are_refused(
    options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=f"dataset 'friedman': {said}"):
        load_friedman(LoadContext(0, tmp_path), **options)


def test_there_are_as_many_rows_as_california_has_houses(tmp_path: Path) -> None:
    made = load_friedman(LoadContext(0, tmp_path))
    assert made.input_shape == (8,)
    assert sum(len(split.targets) for split in (made.train, made.validation, made.test)) == 20_640
