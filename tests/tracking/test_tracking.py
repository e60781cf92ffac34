import json
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from greenbench.cases import Case
from greenbench.errors import ConfigurationError, TrackingError
from greenbench.results import CaseResult, Epoch, Reconciliation, TrialStatus
from greenbench.results.account import Account
from greenbench.results.readings import Component, Provenance
from greenbench.results.table import METRICS, TAGS, to_row
from greenbench.tracking import Store, session_key
from tests.builders import STARTED_AT, make_reading, make_result, make_segmented, make_trial
from tests.mlflow_server import Server

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

ROOT = Path(__file__).parents[2]
SECRET = "hunter2"


def runs_of(client: "MlflowClient", suite: str, kind: str) -> "list[Run]":
    experiment = client.get_experiment_by_name(f"greenbench/{suite}")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], f"tags.kind = '{kind}'")
    return sorted(found, key=lambda run: run.info.start_time)


def logged(store: Store, client: "MlflowClient", result: CaseResult) -> "tuple[Run, list[Run]]":
    """Log a result; return its run, and the runs of its trials in order."""
    run = client.get_run(store.log_result(result, f"session/{result.repeat}"))
    return run, runs_of(client, result.suite, "trial")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"case": Case(strategy="grid", size="m", epochs=3), "repeat": 2},
        {"provenance": Provenance.COUNTER, "energy_j": 1e-9},
        {"energy_j": None},
        {"accuracy": None},
        {"accuracy": 0.0},
    ],
    ids=["plain", "sized", "counter", "without energy", "failed", "zero accuracy"],
)
def test_row_comes_back_as_it_went_in(store: Store, suite: str, fields: dict[str, Any]) -> None:
    result = make_result(suite=suite, **fields)
    run_id = store.log_result(result, "session-1/case")
    (row,) = store.read_rows(suite)
    assert {name: row[name] for name in (*METRICS, *TAGS, "repeat")} == to_row(result)
    assert (row["session"], row["run_id"]) == ("session-1", run_id)


def checked_result(suite: str, energy_j: float | None = 36.0) -> CaseResult:
    """Return a result of which everything is known that can be, with marks and a witness."""
    witness = {
        "gpu": Component(7200.0, Provenance.COUNTER, "zeus"),
        "cpu": Component(40.0, Provenance.COUNTER, "zeus"),
        "ram": Component(None, Provenance.NONE, "zeus", "no DRAM counter"),
    }
    reading = make_reading(energy_j, provenance=Provenance.COUNTER, ram_j=3.0)
    # Uncertain by over 5%, and still further from the other meter.
    doubtful = replace(reading.components["cpu"], uncertainty_j=2.0)
    reading = replace(reading, components={**reading.components, "cpu": doubtful})
    if energy_j is None:
        reading = replace(
            reading, components={"cpu": reading.components["cpu"].unknown("the clock jumped")}
        )
    reading = replace(reading, witnesses={"zeus": witness}, cpu_s=1.5, other_cpu_s=0.5)
    account = Account({"train": reading})
    return make_result(
        suite=suite,
        trials=[replace(make_trial(), account=account, passes=4)],
        environment={"host": "h", "cores": "2", "meter": "codecarbon,zeus"},
        reconciliation=Reconciliation(36.0, 40.0, 0.02),
        idle_w={"cpu": 4.0},
        peak_memory_bytes=3 * 2**20,
        wall_s=2.5,
    )


def test_every_check_comes_back_as_it_went_in(store: Store, suite: str) -> None:
    result = checked_result(suite)
    store.log_result(result, "s/a")
    (row,) = store.read_rows(suite)
    assert {name: row[name] for name in (*METRICS, *TAGS, "repeat")} == to_row(result)
    assert row["marks"] == "disturbed short unreconciled disagreeing"
    assert (row["cpu_provenance"], row["gpu_provenance"]) == ("counter", None)
    assert (row["ram_provenance"], row["meter"]) == ("model", "codecarbon,zeus")


def test_split_seed_comes_back_as_a_number_and_older_results_have_none(
    store: Store, suite: str
) -> None:
    store.log_result(make_result(suite=suite, split_seed=2**32 - 1), "s/a")
    store.log_result(make_result(suite=suite, repeat=1), "s/b")
    rows = store.read_rows(suite)
    for found in (rows, store.read_trials(rows)):
        assert {row["repeat"]: row["split_seed"] for row in found} == {0: 2**32 - 1, 1: None}


def test_reason_for_unknown_energy_comes_back(store: Store, suite: str) -> None:
    store.log_result(checked_result(suite, energy_j=None), "s/a")
    (row,) = store.read_rows(suite)
    assert (row["energy_wh"], row["energy_reason"]) == (None, "the clock jumped")
    assert row["energy_provenance"] == row["cpu_provenance"] == "none"


def test_what_witnesses_read_is_kept_beside_the_energy(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    run, _ = logged(store, client, checked_result(suite))
    witnessed = {k: v for k, v in run.data.metrics.items() if k.startswith("energy/zeus/")}
    assert witnessed == {"energy/zeus/gpu_wh": 2.0, "energy/zeus/cpu_wh": pytest.approx(1 / 90)}
    assert run.data.metrics["energy/total_wh"] == 0.01
    assert "energy/gpu_wh" not in run.data.metrics


def test_trial_has_its_cpu_seconds_where_they_are_known(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    unknown = Account({"train": replace(make_reading(), cpu_s=None)})
    trials = [
        checked_result(suite).trials[0],
        replace(make_trial(1), account=unknown),
    ]
    _, children = logged(store, client, make_result(suite=suite, trials=trials))
    assert [child.data.metrics.get("cost/cpu_s") for child in children] == [1.5, None]


@pytest.mark.parametrize(("drift", "mark"), [(0.05, ""), (0.2, " drifted")], ids=["steady", "high"])
def test_idle_drift_is_logged_with_all_results_of_its_session_alone(
    store: Store, client: "MlflowClient", suite: str, drift: float, mark: str
) -> None:
    marked, plain = checked_result(suite), make_result(suite=suite)
    store.log_result(marked, "ours/a")
    store.log_result(plain, "ours/b")
    store.log_result(plain, "ours-2/a")
    store.log_result(make_result(suite=f"{suite}_2"), "ours/a")
    store.log_idle_drift(suite, "ours", drift)
    rows = [*store.read_rows(suite), *store.read_rows(f"{suite}_2")]
    found = [(row["session"], row["idle_drift"], row["marks"] or "") for row in rows]
    assert sorted(found, key=str) == sorted(
        [
            ("ours", drift, f"{to_row(marked)['marks']}{mark}"),
            ("ours", drift, mark.strip()),
            ("ours-2", None, ""),
            ("ours", None, ""),
        ],
        key=str,
    )
    for child in runs_of(client, suite, "trial"):
        assert METRICS["idle_drift"] not in child.data.metrics
        assert "marks" not in child.data.tags


def test_idle_drift_is_logged_with_the_repeats_that_were_added_whatever_the_clock_said(
    store: Store, suite: str
) -> None:
    for repeat in range(3):
        # Each earlier than the one before.
        result = make_result(suite=suite, repeat=repeat, started_at=STARTED_AT - 3600 * repeat)
        store.log_result(result, f"s/{repeat}")
    store.log_idle_drift(suite, "s", 0.2, first={result.case.hash: 2})
    found = {row["repeat"]: row["idle_drift"] for row in store.read_rows(suite)}
    assert found == {0: None, 1: None, 2: 0.2}


def test_idle_drift_logged_twice_marks_once(store: Store, suite: str) -> None:
    store.log_result(checked_result(suite), "s/a")
    for drift in (0.3, 0.2):
        store.log_idle_drift(suite, "s", drift)
    (row,) = store.read_rows(suite)
    assert row["idle_drift"] == 0.2
    assert row["marks"].split().count("drifted") == 1


def test_reused_repeat_is_a_run_that_says_so_and_has_no_drift_of_its_new_session(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    store.log_result(make_result(suite=suite), "a/x")
    again = make_result(
        suite=suite, reused_from="a'b", conditions="c" * 64, started_at=STARTED_AT + 60
    )
    store.log_result(again, "b/x")
    store.log_idle_drift(suite, "b", 0.2)
    original, reused = store.read_rows(suite)
    assert (original["reused_from"], original["marks"]) == (None, None)
    assert reused["energy_wh"] == original["energy_wh"]
    assert (reused["session"], reused["reused_from"], reused["marks"]) == ("b", "a_b", "reused")
    assert (reused["conditions"], reused["idle_drift"]) == ("c" * 64, None)
    run = client.get_run(reused["run_id"])
    assert "Reused from session a'b." in run.data.tags["mlflow.note.content"]
    assert len(store.read_trials([reused])) == len(again.trials)


def test_idle_drift_of_a_session_without_results_is_no_error(store: Store, suite: str) -> None:
    store.log_idle_drift(suite, "s", 0.2)
    assert store.read_rows(suite) == []


def test_rows_are_oldest_first_and_of_the_suite_asked_for(store: Store, suite: str) -> None:
    for repeat, started_at in [(0, 300.0), (1, 100.0), (2, 200.0)]:
        result = make_result(suite=suite, repeat=repeat, started_at=STARTED_AT + started_at)
        store.log_result(result, f"s/{repeat}")
    store.log_result(make_result(suite=f"{suite}_2", repeat=7), "s/7")
    assert [row["repeat"] for row in store.read_rows(suite)] == [1, 2, 0]
    everything = store.read_rows()
    assert {row["suite"] for row in everything} >= {suite, f"{suite}_2"}
    assert len(everything) >= 4


def test_other_peoples_runs_in_the_store_are_no_rows(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    theirs = client.create_experiment(f"theirs-{suite}")
    client.create_run(theirs, tags={"kind": "case", "suite": suite})
    assert [row for row in store.read_rows() if row["suite"] == suite] == []


def test_case_has_its_definition_as_parameters_and_a_description(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    case = Case(strategy="grid", size="m", dataset_options=(("samples", 500),), epochs=3)
    run, _ = logged(store, client, make_result(case, suite=suite, repeat=1))
    expected = {"strategy": "grid", "epochs": "3", "dataset_options": "{'samples': 500}"}
    assert expected.items() <= run.data.params.items()
    found = {"best/learning_rate", "best/beta_1"}
    assert set(run.data.params) == {*case.to_dict(), "repeat", *found}
    description = run.data.tags["mlflow.note.content"]
    for part in ("grid search over 1 trials of simple_cnn.m", "0.01 Wh (estimated", "400 g CO2e"):
        assert part in description
    assert run.info.run_name == case.id
    assert run.info.status == "FINISHED"


def test_notes_on_how_was_computed_are_a_tag_and_in_the_description(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    result = replace(make_result(suite=suite), compute_notes=("without a CUDA graph: it waits",))
    run, _ = logged(store, client, result)
    assert run.data.tags["compute_notes"] == "without a CUDA graph: it waits"
    description = run.data.tags["mlflow.note.content"]
    assert description.endswith("Compute: without a CUDA graph: it waits.")


def test_case_run_spans_the_time_in_which_it_ran(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    run, _ = logged(store, client, make_result(suite=suite))
    assert run.info.start_time == 1000 * STARTED_AT
    assert run.info.end_time == 1000 * (STARTED_AT + 2.0)


def test_trials_are_children_of_their_case(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    result = make_result(suite=suite, trials=[make_trial(i) for i in range(3)])
    run, children = logged(store, client, result)
    assert [child.info.run_name for child in children] == ["trial 0", "trial 1", "trial 2"]
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {run.info.run_id}
    for trial, child in zip(result.trials, children, strict=True):
        expected = {name: str(value) for name, value in trial.hyperparameters.items()}
        assert child.data.params == expected


def test_epochs_of_a_trial_are_steps(store: Store, client: "MlflowClient", suite: str) -> None:
    _, (child,) = logged(store, client, make_result(suite=suite, trials=[make_trial(epochs=4)]))
    losses = client.get_metric_history(child.info.run_id, "loss/train")
    assert [(m.step, m.value) for m in losses] == [(0, 1.0), (1, 1 / 2), (2, 1 / 3), (3, 1 / 4)]
    accuracies = client.get_metric_history(child.info.run_id, "accuracy/validation")
    assert [(m.step, m.value) for m in accuracies] == [(3, 0.9)]
    times = [metric.timestamp for metric in losses]
    assert times == sorted(times)
    assert child.info.start_time < times[0] < times[-1] == child.info.end_time


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("auc", "metrics/auc"),
        ("val/acc@5 (top)", "metrics/val/acc_5 _top_-6b0a5b"),
        ("../a//b/", "metrics/_/a/_/b/_-a425ce"),
        ("ü", "metrics/ü"),
        ("long" * 100, "metrics/" + ("long" * 100)[:235] + "-0184fa"),
    ],
)
def test_whatever_a_training_calls_its_metrics_is_logged_under_a_name_that_the_store_takes(
    store: Store, client: "MlflowClient", suite: str, name: str, metric: str
) -> None:
    told = tuple(Epoch(epoch, 1.0, 0.5, {name: 2.0 * epoch}) for epoch in range(2))
    trial = replace(make_trial(), epochs=told)
    result = replace(make_result(suite=suite, trials=[trial]), metrics={name: 3.0})
    run, (child,) = logged(store, client, result)
    assert run.data.metrics[metric] == 3.0
    steps = client.get_metric_history(child.info.run_id, metric)
    assert [(each.step, each.value) for each in steps] == [(0, 0.0), (1, 2.0)]


def test_metrics_that_differ_in_letters_that_the_store_refuses_are_logged_apart(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    names = ["acc@5", "acc#5", "acc_5", "acc_5 ", "long" * 100, "long" * 101]
    told = {name: float(number) for number, name in enumerate(names)}
    trial = replace(make_trial(), epochs=(Epoch(0, 1.0, 0.5, told),))
    run, (child,) = logged(
        store, client, replace(make_result(suite=suite, trials=[trial]), metrics=told)
    )
    for logged_to in (run, child):
        found = {n: v for n, v in logged_to.data.metrics.items() if n.startswith("metrics/")}
        assert sorted(found.values()) == sorted(told.values())
        assert found["metrics/acc_5"] == told["acc_5"]
    # Whichever others there are.
    alone = replace(make_result(suite=suite, repeat=1), metrics={"acc@5": 9.0})
    other, *_ = logged(store, client, alone)
    (name,) = (n for n in other.data.metrics if n.startswith("metrics/"))
    assert run.data.metrics[name] == told["acc@5"]


def test_search_is_a_curve_of_best_accuracy_over_energy(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    accuracies = [0.5, None, 0.4, 0.8]
    trials = [make_trial(i, accuracy=a, energy_j=3600.0) for i, a in enumerate(accuracies)]
    run, _ = logged(store, client, make_result(suite=suite, trials=trials))
    best = client.get_metric_history(run.info.run_id, "search/incumbent_validation")
    spent = client.get_metric_history(run.info.run_id, "search/cumulative_wh")
    assert [(m.step, m.value) for m in best] == [(0, 0.5), (1, 0.5), (2, 0.5), (3, 0.8)]
    assert [(m.step, m.value) for m in spent] == [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)]


def test_curve_of_a_scheduler_has_a_step_a_segment_in_the_order_of_time(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    trials = [
        make_segmented(0, (0, 3600.0, 0.5), (2, 7200.0, 0.9)),
        make_segmented(1, (1, 3600.0, 0.6), status=TrialStatus.STOPPED),
    ]
    case = Case("random+asha")
    run, children = logged(store, client, make_result(case, suite=suite, trials=trials))
    best = client.get_metric_history(run.info.run_id, "search/incumbent_validation")
    spent = client.get_metric_history(run.info.run_id, "search/cumulative_wh")
    assert [(m.step, m.value) for m in best] == [(2, 0.9)]
    assert [(m.step, m.value) for m in spent] == [(0, 1.0), (1, 2.0), (2, 4.0)]
    assert {child.info.status for child in children} == {"FINISHED"}
    assert json.loads(children[0].data.tags["segments"]) == {
        "position": [0, 2],
        "epochs": [1, 2],
        "energy_wh": [1.0, 2.0],
        "val_score": [0.5, 0.9],
    }


def test_strategy_with_a_scheduler_is_found_by_its_name_and_its_parts(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    result = make_result(Case("bayesian+asha"), suite=suite, prior="log")
    run_id = store.log_result(result, "s/bayesian+asha-a.r0", may_exist=True)
    assert store.log_result(result, "s/bayesian+asha-a.r0", may_exist=True) == run_id
    for wanted in (("strategy", "bayesian+asha"), ("proposer", "bayesian"), ("scheduler", "asha")):
        (row,) = store.read_rows(suite, wanted)
        assert (row["run_id"], row["prior"]) == (run_id, "log")


def test_data_set_is_an_input_of_the_run(store: Store, client: "MlflowClient", suite: str) -> None:
    run, _ = logged(store, client, make_result(suite=suite))
    assert run.inputs is not None
    (given_input,) = run.inputs.dataset_inputs
    assert (given_input.dataset.name, given_input.dataset.digest) == ("digits", "d" * 12)
    assert json.loads(str(given_input.dataset.profile)) == {
        "train": 1000,
        "validation": 200,
        "test": 200,
    }


def test_failed_trials_have_failed_and_say_why(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    diverged = make_trial(
        1, accuracy=None, status=TrialStatus.DIVERGED, error="the loss is not finite"
    )
    run, children = logged(store, client, make_result(suite=suite, trials=[make_trial(), diverged]))
    assert run.info.status == "FINISHED"
    assert [child.info.status for child in children] == ["FINISHED", "FAILED"]
    assert children[1].data.tags["status"] == "diverged"
    assert children[1].data.tags["mlflow.note.content"] == "the loss is not finite"


def test_case_without_a_completed_trial_has_failed(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    run, _ = logged(store, client, make_result(suite=suite, accuracy=None))
    assert run.info.status == "FAILED"


@pytest.mark.parametrize(
    "error",
    [
        'it\'s a "quoted" `name`; DROP TABLE runs; --',
        "<script>alert('x')</script> & <b>bold</b>",
        "two\nlines\tand {braces} [markup] %s",
        "long " * 5000,
    ],
    ids=["quotes", "html", "layout", "long"],
)
def test_any_error_text_is_kept(
    store: Store, client: "MlflowClient", suite: str, error: str
) -> None:
    result = make_result(suite=suite, trials=[make_trial(accuracy=None, error=error)])
    _, (child,) = logged(store, client, result)
    kept = child.data.tags["mlflow.note.content"]
    assert error.startswith(kept.removesuffix("…"))
    assert len(kept) >= min(len(error), 1000)


def test_more_steps_than_mlflow_takes_at_once_are_all_kept(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    curve = tuple(Epoch(epoch, 1.0, 0.5) for epoch in range(1200))
    long = make_result(suite=suite, trials=[replace(make_trial(), epochs=curve)])
    _, (child,) = logged(store, client, long)
    assert len(client.get_metric_history(child.info.run_id, "loss/train")) == 1200
    assert len(client.get_metric_history(child.info.run_id, "accuracy/validation")) == 1200


def test_result_that_is_marked_later_is_marked_in_the_store(store: Store, suite: str) -> None:
    result = make_result(suite=suite)
    run_id = store.log_result(result, "s/a")
    mixed = replace(result, mixed=("threads (1, now 2)",))
    for _ in range(2):
        assert store.log_result(mixed, "s/a", may_exist=True) == run_id
    (row,) = store.read_rows(suite)
    assert row["marks"].split().count("mixed") == 1


def test_result_that_may_exist_is_logged_once(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    result = make_result(suite=suite)
    first = store.log_result(result, "s/a", may_exist=True)
    assert store.log_result(result, "s/a", may_exist=True) == first
    assert store.log_result(result, "s/b", may_exist=True) != first
    assert len(runs_of(client, suite, "case")) == 2
    assert len(runs_of(client, suite, "trial")) == 2


def break_off(client: "MlflowClient", run_id: str, suite: str) -> None:
    """Leave of a logged result what is there if its process is killed while logging."""
    client.update_run(run_id, status="RUNNING")
    client.delete_run(runs_of(client, suite, "trial")[-1].info.run_id)


def test_half_written_result_is_completed(store: Store, client: "MlflowClient", suite: str) -> None:
    result = make_result(suite=suite, trials=[make_trial(i) for i in range(3)])
    half = store.log_result(result, "s/a")
    break_off(client, half, suite)
    whole = store.log_result(result, "s/a", may_exist=True)
    assert [run.info.run_id for run in runs_of(client, suite, "case")] == [whole]
    children = runs_of(client, suite, "trial")
    assert [child.data.tags["mlflow.parentRunId"] for child in children] == [whole] * 3


def test_half_written_result_is_not_read(store: Store, client: "MlflowClient", suite: str) -> None:
    break_off(client, store.log_result(make_result(suite=suite), "s/a"), suite)
    assert store.read_rows(suite) == []


def test_environment_is_recorded_once_for_each_host(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    for host in ("one", "two"):
        store.log_result(make_result(suite=suite, host=host), f"s/{host}")
    experiment = client.get_experiment_by_name(f"greenbench/{suite}")
    assert experiment is not None
    recorded = json.loads(experiment.tags["environment.two"])
    assert (recorded["cpu"], recorded["commit"]) == ("fake CPU", "abc+")
    assert json.loads(experiment.tags["environment.one"])["host"] == "one"


def test_commit_is_recorded_where_mlflow_shows_it(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    run = client.get_run(store.log_result(make_result(suite=suite), "s/a"))
    assert run.data.tags["mlflow.source.git.commit"] == "abc+"


def test_key_of_a_repeat_is_its_run_and_journal() -> None:
    assert session_key(Path("/runs/journal/ci-1/grid.r0.jsonl")) == "ci-1/grid.r0"


def test_local_store_is_in_wal_mode(store: Store, runs_dir: Path) -> None:
    assert str(store.uri).endswith("mlflow.db")
    with closing(sqlite3.connect(runs_dir / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_artifacts_lie_beside_the_database(
    store: Store, client: "MlflowClient", suite: str, runs_dir: Path
) -> None:
    run, _ = logged(store, client, make_result(suite=suite))
    assert run.info.artifact_uri.startswith((runs_dir / "artifacts").as_uri())


def test_relative_database_is_found_from_where_we_stand(
    store: Store, runs_dir: Path, suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs_dir.parent)
    relative = Store(f"sqlite:///{runs_dir.name}/mlflow.db")
    relative.log_result(make_result(suite=suite), "s/a")
    assert len(store.read_rows(suite)) == 1


def test_absent_store_is_reported_and_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"no store at .*mlflow\.db yet"):
        Store.existing(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert list(tmp_path.iterdir()) == []


def test_existing_store_is_opened(store: Store) -> None:
    assert isinstance(Store.existing(store.uri).read_rows(), list)


@pytest.mark.parametrize("form", ["{}", "{}/", "file:{}", "file://{}"])
def test_plain_folder_is_refused_with_what_to_use(tmp_path: Path, form: str) -> None:
    fix = f"use sqlite:///{tmp_path}/mlflow.db or"
    with pytest.raises(ConfigurationError, match=r"MLFLOW_TRACKING_URI is .*plain folder") as error:
        Store(form.format(tmp_path))
    assert fix in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["mlruns", "./mlruns", "file:mlruns"])
def test_relative_folder_is_refused_with_what_to_use(uri: str) -> None:
    folder = uri.removeprefix("file:")
    with pytest.raises(ConfigurationError, match=f"use sqlite:///{re.escape(folder)}/mlflow"):
        Store(uri)


def test_database_that_is_none_is_reported(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database " * 100)
    with pytest.raises(TrackingError, match="not a database"):
        Store(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_store_below_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrackingError, match=r"MLflow store .* failed"):
        Store(f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nothing listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield int(reserved.getsockname()[1])


def test_unreachable_server_is_reported_without_the_password(closed_port: int) -> None:
    with pytest.raises(TrackingError, match=rf"127\.0\.0\.1:{closed_port}") as error:
        Store(f"http://bob:{SECRET}@127.0.0.1:{closed_port}")
    assert SECRET not in str(error.value)
    assert "http://bob:***@127.0.0.1" in str(error.value)


@pytest.mark.integration
def test_row_comes_back_from_a_server_as_it_went_in(
    mlflow_server: Server, suite: str, capfd: pytest.CaptureFixture[str]
) -> None:
    curve = tuple(Epoch(epoch, 1.0, 0.5) for epoch in range(1200))
    trial = replace(make_trial(), epochs=curve)
    result = make_result(Case(strategy="grid", size="m"), suite=suite, trials=[trial])
    store = Store(mlflow_server.url(f"bob:{SECRET}@"))
    first = store.log_result(result, "s/a", may_exist=True)
    assert store.log_result(result, "s/a", may_exist=True) == first
    (row,) = store.read_rows(suite)
    assert {name: row[name] for name in (*METRICS, *TAGS, "repeat")} == to_row(result)
    # MLflow would print where the run is, with user and password.
    assert SECRET not in "".join(capfd.readouterr())


@pytest.mark.integration
def test_server_that_never_answers_is_given_up_on() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(TrackingError, match="MLflow store http"):
            Store(f"http://127.0.0.1:{mute.getsockname()[1]}")
        mute.setblocking(False)
        tried = 0
        with suppress(BlockingIOError):
            while True:
                mute.accept()[0].close()
                tried += 1
        # MLflow's own eight would take minutes.
        assert tried == 2


@pytest.mark.parametrize("suite", ["raced", "reports"])
def test_experiment_that_another_process_makes_meanwhile_is_used(
    suite: str, store: Store, client: "MlflowClient", tmp_path: Path, monkeypatch: Any
) -> None:
    look = type(client).get_experiment_by_name

    def look_and_be_late(ours: "MlflowClient", name: str) -> "Experiment | None":
        if (found := look(ours, name)) is None:
            client.create_experiment(name)
        return found

    monkeypatch.setattr(type(client), "get_experiment_by_name", look_and_be_late)
    if suite == "reports":
        (tmp_path / "report.html").touch()
        store.log_report(tmp_path, [Path("report.html")])
    else:
        store.log_result(make_result(suite=suite), "s/a")
    experiment = look(client, f"greenbench/{suite}")
    assert experiment is not None
    assert client.search_runs([experiment.experiment_id])


def test_deleted_experiment_is_named_with_what_to_do(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    number = client.create_experiment(f"greenbench/{suite}")
    client.delete_experiment(number)
    with pytest.raises(TrackingError, match=f"{suite}' was deleted .*--experiment-id {number}$"):
        store.log_result(make_result(suite=suite), "s/a")


PROCESS = """
import sys
from greenbench.tracking import Store
from tests.builders import make_result
import mlflow
print("ready", flush=True)
sys.stdin.readline()
Store(sys.argv[1]).log_result(make_result(suite="both", repeat=int(sys.argv[2])), sys.argv[2])
"""


@pytest.mark.integration
def test_two_processes_may_start_on_one_fresh_store(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, uri, str(repeat)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for repeat in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=400)
        assert process.returncode == 0, errors
    assert {row["repeat"] for row in Store(uri).read_rows("both")} == {0, 1}


def test_only_our_own_database_commits_without_waiting_for_the_disk(
    store: Store, tmp_path: Path
) -> None:
    from sqlalchemy import create_engine  # noqa: PLC0415

    found = {}
    for uri in (store.uri.reveal(), f"sqlite:///{tmp_path}/theirs.db"):
        engine = create_engine(uri)
        with engine.connect() as connection:
            found[uri] = connection.exec_driver_sql("PRAGMA synchronous").scalar()
        engine.dispose()
    normal, full = 1, 2
    assert list(found.values()) == [normal, full]
