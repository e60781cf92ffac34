"""Runs that others put into our experiments keep nobody from reading ours."""

import logging
import re
from typing import TYPE_CHECKING

import pytest

from greenbench.tracking import Store
from tests.builders import make_result, make_trial

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def others(client: "MlflowClient", suite: str, kind: str) -> str:
    """Return the id of the last run of a kind: of the second repeat, or its last trial."""
    experiment = client.get_experiment_by_name(f"greenbench/{suite}")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], f"tags.kind = '{kind}'")
    cases = client.search_runs([experiment.experiment_id], "tags.kind = 'case'")
    starts = {run.info.run_id: run.info.start_time for run in cases}

    def started(run: "Run") -> tuple[int, str]:
        # Trials of both repeats start in the same millisecond.
        parent = run.data.tags.get("mlflow.parentRunId", run.info.run_id)
        return starts[parent], run.data.tags.get("trial", "")

    return str(max(found, key=started).info.run_id)


@pytest.fixture
def two(store: Store, suite: str) -> Store:
    """A store with two repeats, of two trials each; the second is somebody else's."""
    for repeat in range(2):
        trials = [make_trial(0), make_trial(1)]
        result = make_result(
            suite=suite, repeat=repeat, trials=trials, started_at=1.7e9 + 1000 * repeat
        )
        store.log_result(result, f"s/{repeat}")
    return store


@pytest.mark.parametrize(
    ("tag", "text", "expected"),
    [
        ("repeat", "soon", "repeat is 'soon'; expected a whole number"),
        ("repeat", "-1", "repeat is '-1'; expected a whole number"),
        ("repeat", "1.5", "repeat is '1.5'; expected a whole number"),
        ("repeat", "9" * 5000, "repeat is '999"),
        ("energy_provenance", "guessed", "energy_provenance is 'guessed'; expected one of counter"),
        ("energy_provenance", None, "energy_provenance is absent; expected"),
        ("options", "{", "options is '{'; expected a JSON object"),
        ("options", "[1]", r"options is '\[1\]'; expected a JSON object"),
        ("options", "[" * 4000, "options is "),
        ("case_id", None, "case_id is absent; expected a text"),
        ("suite", None, "suite is absent; expected a text"),
        ("architecture", None, "architecture is absent; expected a text"),
        ("backend", None, "backend is absent; expected a text"),
    ],
)
def test_run_with_a_tag_that_says_nothing_is_named_and_left_out(
    *,
    two: Store,
    client: "MlflowClient",
    suite: str,
    caplog: pytest.LogCaptureFixture,
    tag: str,
    text: str | None,
    expected: str,
) -> None:
    run_id = others(client, suite, "case")
    if text is None:
        client.delete_tag(run_id, tag)
    else:
        client.set_tag(run_id, tag, text)
    rows = two.read_rows(suite)
    assert [row["repeat"] for row in rows] == [0]
    assert len(two.read_trials(rows)) == 2
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    line = record.getMessage()
    assert line.startswith(f"run {run_id} of experiment ")
    assert line.endswith(": correct it, or delete the run")
    assert "\n" not in line
    assert re.search(expected, line)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("energy/total_wh", float("nan")),
        ("energy/total_wh", float("inf")),
        ("energy/total_wh", -1.0),
        ("score/test", float("nan")),
        ("cost/trials", float("nan")),
        ("cost/train_flops", float("-inf")),
        ("time/total_s", 1e300),
    ],
)
def test_run_with_a_figure_that_is_none_is_named_and_left_out(
    *,
    two: Store,
    client: "MlflowClient",
    suite: str,
    caplog: pytest.LogCaptureFixture,
    metric: str,
    value: float,
) -> None:
    run_id = others(client, suite, "case")
    client.log_metric(run_id, metric, value, timestamp=2 * 10**12, step=1)
    assert [row["repeat"] for row in two.read_rows(suite)] == [0]
    (record,) = caplog.records
    assert run_id in record.getMessage()


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("trial", "first"),
        ("trial", "-1"),
        ("reevaluates", "none"),
        ("lanes", "many"),
        ("segments", "{}"),
        ("segments", '{"position": "x"}'),
    ],
)
def test_trial_with_a_tag_that_says_nothing_is_named_and_left_out(
    *,
    two: Store,
    client: "MlflowClient",
    suite: str,
    caplog: pytest.LogCaptureFixture,
    tag: str,
    text: str,
) -> None:
    run_id = others(client, suite, "trial")
    client.set_tag(run_id, tag, text)
    found = two.read_trials(two.read_rows(suite))
    assert len(found) == 3
    (record,) = caplog.records
    assert f"run {run_id} of experiment " in record.getMessage()
    assert f"{tag} is " in record.getMessage()


def test_what_a_reader_need_not_know_is_passed_over(
    two: Store, client: "MlflowClient", suite: str, caplog: pytest.LogCaptureFixture
) -> None:
    run_id, trial_id = (others(client, suite, kind) for kind in ("case", "trial"))
    client.set_tag(run_id, "marks", "haunted")
    client.set_tag(run_id, "status", "postponed")
    client.set_tag(run_id, "of_a_later_version", "{")
    client.log_metric(run_id, "energy/npu_wh", float("nan"))
    client.set_tag(trial_id, "status", "postponed")
    rows = two.read_rows(suite)
    assert [row["marks"] for row in rows] == [None, "haunted"]
    trials = two.read_trials(rows)
    assert [trial["status"] for trial in trials].count("postponed") == 1
    assert caplog.records == []


def test_runs_of_others_that_are_none_of_ours_are_passed_over(
    two: Store, client: "MlflowClient", suite: str, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = client.get_experiment_by_name(f"greenbench/{suite}")
    assert experiment is not None
    orphan = {"kind": "trial", "trial": "x", "mlflow.parentRunId": "0" * 32}
    for tags in ({}, {"key": "k"}, {"kind": "later", "key": "k"}, orphan):
        run = client.create_run(experiment.experiment_id, tags=tags)
        client.set_terminated(run.info.run_id)
    rows = two.read_rows(suite)
    assert len(rows) == 2
    assert len(two.read_trials(rows)) == 4
    assert caplog.records == []


def test_deleted_runs_are_not_read(
    two: Store, client: "MlflowClient", suite: str, caplog: pytest.LogCaptureFixture
) -> None:
    client.delete_run(others(client, suite, "trial"))
    rows = two.read_rows(suite)
    assert len(two.read_trials(rows)) == 3
    client.delete_run(rows[-1]["run_id"])
    rows = two.read_rows(suite)
    assert [row["repeat"] for row in rows] == [0]
    assert len(two.read_trials(rows)) == 2
    assert caplog.records == []


def test_trial_that_was_made_twice_is_read_once(
    two: Store, client: "MlflowClient", suite: str
) -> None:
    rows = two.read_rows(suite)
    before = two.read_trials(rows)
    experiment = client.get_experiment_by_name(f"greenbench/{suite}")
    assert experiment is not None
    start_ms = client.get_run(rows[0]["run_id"]).info.start_time
    for ends in (False, True):
        tags = {"kind": "trial", "trial": "0", "mlflow.parentRunId": rows[0]["run_id"]}
        again = client.create_run(experiment.experiment_id, start_ms + ends, tags)
        if ends:
            client.set_terminated(again.info.run_id)
        assert two.read_trials(rows) == before


def test_repeat_that_does_not_say_how_many_trials_it_has_is_read_whole(
    two: Store, client: "MlflowClient", suite: str
) -> None:
    rows = [{**row, "trials": None} for row in two.read_rows(suite)]
    assert len(two.read_trials(rows)) == 4


def test_of_many_such_runs_the_first_are_named_and_the_others_counted(
    two: Store, client: "MlflowClient", suite: str, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = client.get_experiment_by_name(f"greenbench/{suite}")
    assert experiment is not None
    for _ in range(5):
        run = client.create_run(experiment.experiment_id, tags={"kind": "case", "key": "k"})
        client.set_terminated(run.info.run_id)
    assert len(two.read_rows(suite)) == 2
    assert len(caplog.records) == 4
    assert caplog.records[-1].getMessage() == "2 more runs like these are left out"


@pytest.mark.parametrize("text", ["{", "[]", "1", "[" * 4000])
def test_environment_that_is_none_is_passed_over(
    two: Store, client: "MlflowClient", suite: str, text: str
) -> None:
    experiment = client.get_experiment_by_name(f"greenbench/{suite}")
    assert experiment is not None
    client.set_experiment_tag(experiment.experiment_id, "environment.other", text)
    assert "other" not in two.environments({"other"})
