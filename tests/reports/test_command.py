"""`greenbench report` as a user meets it."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from greenbench.cli import cli
from greenbench.tracking import Store
from tests.builders import make_result
from tests.reports.tables import family, table_of


def report(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["report", *map(str, arguments)])


@pytest.fixture
def benchmarks(tmp_path: Path) -> Path:
    """What `pytest --benchmark-json` writes, of a family of sizes."""
    rows, trials = table_of(family(repeats=2))
    path = tmp_path / "bench.json"
    path.write_text(
        json.dumps({"benchmarks": [{"extra_info": {"repeats": rows, "trials": trials}}]})
    )
    return path


@pytest.fixture(scope="module")
def stored(store: Store, runs_dir: Path) -> Path:
    """A store with a result, to copy."""
    for repeat in range(2):
        store.log_result(make_result(repeat=repeat), f"s1/r{repeat}")
    with closing(sqlite3.connect(runs_dir / "mlflow.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return runs_dir / "mlflow.db"


@pytest.fixture
def uri(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "mlruns").mkdir()
    shutil.copy(stored, tmp_path / "mlruns" / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}"


def client_of(uri: str) -> Any:
    from mlflow import MlflowClient  # noqa: PLC0415

    return MlflowClient(uri)


def test_report_of_a_file_says_where_it_is_and_needs_no_store(
    benchmarks: Path, tmp_path: Path
) -> None:
    done = report(benchmarks, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert done.output == f"report: {tmp_path / 'out' / 'report.html'}\n"
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "simple_cnn" in page
    assert "Energy is ESTIMATED (model) by fake meter." in page
    assert not (tmp_path / "mlruns").exists()


def test_report_of_the_store_is_a_run_with_all_files_and_no_result(
    uri: str, tmp_path: Path
) -> None:
    done = report()
    assert done.exit_code == 0, done.output
    folder = tmp_path / "mlruns" / "report"
    assert (folder / "report.html").exists()
    client = client_of(uri)
    experiment = client.get_experiment_by_name("greenbench/reports")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.data.tags["kind"]) == ("report", "report")
    assert run.info.status == "FINISHED"
    logged = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert logged == {"report.html", "figures", "tables"}
    path = f"#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}/artifacts/report.html"
    assert f"in the UI (`greenbench ui`): http://127.0.0.1:5000/{path}" in done.output
    rows = Store(uri).read_rows()
    assert [row["suite"] for row in rows] == ["ci", "ci"]
    # A second one is another run.
    assert report("-o", tmp_path / "again").exit_code == 0
    assert len(client.search_runs([experiment.experiment_id])) == 2


def test_the_environment_comes_from_the_store(uri: str, tmp_path: Path) -> None:
    assert report("--no-log").exit_code == 0
    page = (tmp_path / "mlruns" / "report" / "report.html").read_text(encoding="utf-8")
    assert "fake CPU" in page
    assert "abc+" in page


def test_without_log_the_store_is_only_read(uri: str) -> None:
    done = report("--no-log")
    assert done.exit_code == 0, done.output
    assert "in the UI" not in done.output
    assert client_of(uri).get_experiment_by_name("greenbench/reports") is None


def test_a_store_that_cannot_be_written_leaves_the_files(uri: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON runs BEGIN SELECT RAISE(FAIL, 'disk full'); END"
        )
        database.commit()
    done = report("-o", tmp_path / "out")
    assert done.exit_code == 2
    assert f"report: {tmp_path / 'out' / 'report.html'}" in done.output
    assert (tmp_path / "out" / "report.html").exists()
    (error,) = [line for line in done.output.splitlines() if line.startswith("Error:")]
    assert "disk full" in error
    assert "Traceback" not in done.output


def test_a_deleted_experiment_of_reports_is_named_with_what_to_do(uri: str, tmp_path: Path) -> None:
    client = client_of(uri)
    number = client.create_experiment("greenbench/reports")
    client.delete_experiment(number)
    done = report("-o", tmp_path / "out")
    assert done.exit_code == 2
    assert f"mlflow experiments restore --experiment-id {number}" in done.output
    assert (tmp_path / "out" / "report.html").exists()


def test_a_csv_is_refused_with_what_to_ask_instead(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("energy_j,accuracy\n1,0.9\n")
    done = report(table)
    assert done.exit_code == 2
    assert "mine.csv: a report needs results of greenbench" in done.output
    assert "greenbench compare" in done.output


def test_no_store_is_said_in_one_line(tmp_path: Path) -> None:
    done = report()
    assert done.exit_code == 2
    assert "there is no store" in done.output
    assert not (tmp_path / "mlruns" / "report").exists()


def test_a_file_where_the_folder_belongs_is_said_in_one_line(
    benchmarks: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("mine")
    done = report(benchmarks, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert done.output.startswith(f"Error: report folder {tmp_path / 'out'} cannot be written")
    assert len(done.output.splitlines()) == 1


def test_tolerance_and_selection_reach_the_report(benchmarks: Path, tmp_path: Path) -> None:
    done = report(benchmarks, "-o", tmp_path / "out", "--tolerance", "0.02", "--where", "repeat=0")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "within 2 points" in page
    assert "5 cases, 5 samples" in page
