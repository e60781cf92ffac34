"""What an older greenbench wrote is read as it was, with the same answers."""

import csv
import io
import json
import lzma
import math
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from greenbench.cli import cli
from greenbench.gate.baselines import read_baseline
from greenbench.results.journal import Journal
from greenbench.results.scores import score_of
from greenbench.results.table import to_row
from greenbench.tasks import ACCURACY
from tests.tracking.older import revisions

OLDER = Path(__file__).parents[1] / "older"
FACTORS = (
    "--where", "strategy=default", "--where", "setting=digits+epochs2", "--factors", "architecture",
)  # fmt: skip
QUESTIONS = {"returns": (), "strategies": (), "factors": FACTORS}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a store as the older greenbench filled it."""
    path = tmp_path_factory.mktemp("older") / "mlflow.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(lzma.decompress((OLDER / "store.sql.xz").read_bytes()).decode())
        (revision,) = database.execute("select version_num from alembic_version").fetchone()
    if revision not in revisions():
        pytest.skip("the installed MLflow is older than that of the store")
    return path


def ask(*arguments: str) -> str:
    done = CliRunner().invoke(cli, ["compare", *arguments, "--include-disturbed"])
    assert done.exit_code == 0, done.output
    return done.stdout


def assert_said(now: Any, before: Any, but: Sequence[str] = ()) -> None:
    """Assert that all that was said before is said now, under the same names, but for some."""
    if isinstance(before, Mapping):
        for name, value in before.items():
            assert name in now, name
            if name in but:
                continue
            # Nothing was said of two samples, which have a range now.
            if value not in (None, "") or not name.endswith(("low", "high")):
                assert_said(now[name], value, but)
    elif isinstance(before, Sequence) and not isinstance(before, str):
        for one, other in zip(now, before, strict=True):
            assert_said(one, other, but)
    elif isinstance(before, float):
        assert math.isclose(now, before, rel_tol=1e-9)
    else:
        assert now == before


@pytest.mark.parametrize("question", QUESTIONS)
def test_older_store_gives_the_same_answers(
    question: str, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    found = json.loads(ask(question, "--all-sessions", *QUESTIONS[question], "--json"))
    assert_said(found, json.loads((OLDER / f"answers/{question}.json").read_text()))


@pytest.mark.parametrize("question", ["returns", "strategies"])
def test_tables_of_an_older_store_have_their_columns_still(
    question: str, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    now = csv.DictReader(io.StringIO(ask(question, "--all-sessions", "--csv")))
    before = csv.DictReader(io.StringIO((OLDER / f"answers/{question}.csv").read_text()))
    assert_said([*now], [*before])


@pytest.mark.parametrize("question", ["returns", "strategies"])
def test_older_benchmark_file_gives_the_same_answers(question: str) -> None:
    found = json.loads(ask(question, str(OLDER / "benchmark.json"), "--json"))
    before = json.loads((OLDER / f"answers/benchmark-{question}.json").read_text())
    # Two repeats without pairs are no more taken to prove a size.
    proof = ("p", "choice", "reason", "proof", "sentence") if question == "returns" else ()
    assert_said(found, before, proof)


def test_older_journal_is_read_with_accuracies_as_scores() -> None:
    (path,) = OLDER.glob("*.jsonl")
    found = Journal(path).read()
    assert found.result is not None
    assert found.result.test_score == pytest.approx(0.8077994428969359)
    assert all(trial.val_score is not None for trial in found.trials)
    row = to_row(found.result)
    assert score_of(row) == ACCURACY
    assert (row["test_accuracy"], row["task"], row["optimizer"], row["schedule"]) == (
        row["test_score"],
        "classification",
        "adam",
        "constant",
    )


def test_answers_of_an_older_table_may_be_read_as_a_table() -> None:
    found = json.loads(ask("returns", str(OLDER / "answers/returns.csv"), "--json"))
    best = found["answers"][0]["sizes"][-1]
    assert (best["network"], best["accuracy"]["median"]) == (
        "dense.m",
        pytest.approx(0.8718662952646239),
    )


def test_older_baseline_is_read() -> None:
    rows = read_baseline(OLDER / "baseline.json").rows
    assert len(rows) == 6
    assert all(row["test_score"] is not None for row in rows)
