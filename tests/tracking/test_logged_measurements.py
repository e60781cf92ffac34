"""Measurements in MLflow: in the user's active run, or in a run of our own."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest

from greenbench.machine.secrets import StoreUri
from greenbench.measuring import Measurement
from greenbench.measuring.kept import deliver_kept
from greenbench.measuring.logbook import KEPT, Entry, Logbook, place_now
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.settings import Settings
from greenbench.tracking import Store
from greenbench.tracking.measurements import MEASUREMENTS, Place, active_run

PART = Component(3600.0, Provenance.MODEL, "a model")
FOUND = Measurement(
    "fit", Reading(60.0, {"cpu": PART}), (), 0.0, 100.0, "made up", {"host": "h", "meter": "m"}
)


@pytest.fixture
def settings(store: Store, runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Those of the module's store, as MLflow's own, too."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri.reveal())
    monkeypatch.setattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", None)
    return Settings.from_environment(os.environ, runs_dir=runs_dir)


def logged(settings: Settings, *found: Measurement, **changed: Any) -> Logbook:
    logbook = Logbook()
    entries = [Entry(each, settings, place_now(), may_make=True) for each in found]
    logbook.write([replace(entry, **changed) for entry in entries])
    return logbook


def test_active_run_gets_metrics_by_step_and_tags_with_all_marks(
    settings: Settings, suite: str, client: Any
) -> None:
    mlflow.set_experiment(suite)
    with mlflow.start_run() as run:
        marked = replace(FOUND, marks=("disturbed",))
        logged(settings, FOUND, marked, replace(FOUND, marks=("short",)))
        # Another process that goes on with the run begins where this one ended.
        logged(settings, FOUND)
        assert mlflow.active_run().info.run_id == run.info.run_id
    data = client.get_run(run.info.run_id).data
    assert data.metrics["measure/fit/energy_wh"] == 1.0
    assert data.metrics["measure/fit/cpu_wh"] == 1.0
    assert "measure/fit/gpu_wh" not in data.metrics
    assert data.tags["measure/fit/energy_provenance"] == "model"
    history = client.get_metric_history(run.info.run_id, "measure/fit/energy_wh")
    assert sorted(metric.step for metric in history) == [0, 1, 2, 3]


def test_marks_of_all_measurements_of_a_name_are_kept(
    settings: Settings, suite: str, client: Any
) -> None:
    mlflow.set_experiment(suite)
    with mlflow.start_run() as run:
        logged(settings, replace(FOUND, marks=("short",)), FOUND)
    assert client.get_run(run.info.run_id).data.tags["measure/fit/marks"] == "short"


def test_without_active_run_all_of_a_process_are_in_one_new_run(
    settings: Settings, client: Any, store: Store
) -> None:
    logbook = logged(settings, FOUND, FOUND)
    experiment = store.experiments()[MEASUREMENTS]
    (run,) = client.search_runs([experiment])
    assert run.info.run_id in str(logbook.last)
    assert (run.data.tags["kind"], run.info.status) == ("measurement", "FINISHED")
    assert len(client.get_metric_history(run.info.run_id, "measure/fit/energy_wh")) == 2
    # Whoever reads results of cases reads none of them.
    assert store.read_rows() == []


def test_no_run_is_made_where_only_an_active_one_is_meant(
    settings: Settings, client: Any, suite: str
) -> None:
    logbook = logged(settings, FOUND, may_make=False)
    assert logbook.last is None


def test_mlflow_is_not_imported_to_find_an_active_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mlflow")
    assert active_run({}) is None
    assert "mlflow" not in sys.modules


def test_run_that_mlflow_run_started_is_active() -> None:
    found = active_run({"MLFLOW_RUN_ID": "abc", "MLFLOW_TRACKING_URI": "http://host:5000"})
    assert found is not None
    assert (found.run_id, found.uri) == ("abc", "http://host:5000")


def test_settings_of_the_users_mlflow_stay_as_they_are(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")
    logged(settings, FOUND)
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "7"


def test_active_run_that_is_gone_is_said_and_kept(
    settings: Settings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone = Entry(FOUND, replace(settings, runs_dir=tmp_path), None, may_make=True)
    place = active_run(
        {"MLFLOW_RUN_ID": "0" * 32, "MLFLOW_TRACKING_URI": str(settings.tracking_uri)}
    )
    Logbook().write([replace(gone, place=place)])
    assert "the measurement is kept in" in caplog.text
    assert (tmp_path / "measurements.jsonl").read_text().count("\n") == 1


def kept(settings: Settings, *found: Measurement, **changed: Any) -> Settings:
    """Let measurements be kept as if their store was away; return settings whose store is not."""
    away = replace(settings, tracking_uri=StoreUri("sqlite:////dev/null/mlflow.db"))
    logged(away, *found, **changed)
    return settings


def measured(client: Any, store: Store) -> list[Any]:
    experiment = store.experiments().get(MEASUREMENTS)
    return list(client.search_runs([experiment])) if experiment else []


def test_kept_measurements_are_delivered_once_and_a_damaged_line_is_named(
    settings: Settings, client: Any, store: Store
) -> None:
    before = len(measured(client, store))
    kept(settings, FOUND, replace(FOUND, name="load", started_at=7.0))
    file = settings.runs_dir / KEPT
    lines = file.read_text()
    file.write_text(lines + '{"name": "half", "durat\n')
    delivered, (error,) = deliver_kept(settings)
    assert delivered == 2
    assert f"{file}, line 3 is damaged" in str(error)
    assert error.exit_code == 1
    # What is left if the process is killed before the file was written.
    file.write_text(lines)
    assert deliver_kept(settings) == (2, [])
    assert not file.exists()
    assert deliver_kept(settings) == (0, [])
    runs = measured(client, store)
    assert len(runs) == before + 2
    assert {"fit", "load"} <= {run.info.run_name for run in runs}


def test_line_that_a_full_disk_has_cut_off_spoils_no_later_one(settings: Settings) -> None:
    settings.runs_dir.mkdir(exist_ok=True)
    (settings.runs_dir / KEPT).write_text('{"name": "half", "durat')
    assert deliver_kept(kept(settings, FOUND)) == (1, [])


def test_kept_measurements_of_an_active_run_go_there_once(
    settings: Settings, client: Any, store: Store, suite: str
) -> None:
    mlflow.set_experiment(suite)
    with mlflow.start_run() as run:
        logged(settings, FOUND)
        place = Place(run.info.run_id, str(store.uri))
    later = replace(FOUND, started_at=100.0)
    kept_in(settings, place, later)
    lines = (settings.runs_dir / KEPT).read_text()
    assert deliver_kept(settings) == (1, [])
    (settings.runs_dir / KEPT).write_text(lines)
    assert deliver_kept(settings) == (1, [])
    history = client.get_metric_history(run.info.run_id, "measure/fit/energy_wh")
    assert sorted(metric.step for metric in history) == [0, 1]


def test_kept_measurements_of_a_name_have_all_their_marks_and_are_looked_for_once(
    settings: Settings,
    client: Any,
    store: Store,
    suite: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mlflow.set_experiment(suite)
    with mlflow.start_run() as run:
        place = Place(run.info.run_id, str(store.uri))
    marks = (("nested",), ("disturbed",), ("nested",), ())
    found = [replace(FOUND, started_at=1e3 * i, marks=each) for i, each in enumerate(marks)]
    for each in (*found, found[1]):
        kept_in(settings, place, each)
    asked: list[str] = []

    def look(self: Any, run_id: str, name: str) -> Any:
        asked.append(name)
        return get_history(self, run_id, name)

    get_history = mlflow.MlflowClient.get_metric_history
    monkeypatch.setattr(mlflow.MlflowClient, "get_metric_history", look)
    assert deliver_kept(settings) == (4, [])
    assert asked == ["measure/fit/duration_s"]
    history = get_history(client, run.info.run_id, "measure/fit/energy_wh")
    assert sorted(metric.step for metric in history) == [0, 1, 2, 3]
    tags = client.get_run(run.info.run_id).data.tags
    assert set(tags["measure/fit/marks"].split()) == {"nested", "disturbed"}


def test_kept_measurements_of_a_run_of_another_store_stay_and_say_where_they_belong(
    settings: Settings,
) -> None:
    kept_in(settings, Place("0" * 32, "http://elsewhere:5000"), FOUND)
    delivered, (error,) = deliver_kept(settings)
    assert delivered == 0
    assert "of http://elsewhere:5000: set MLFLOW_TRACKING_URI to that" in str(error)
    assert (settings.runs_dir / KEPT).exists()


def kept_in(settings: Settings, place: Place, found: Measurement) -> None:
    """Keep a measurement that is of an active run."""
    Logbook()._keep(Entry(found, settings, place, may_make=True), "")
