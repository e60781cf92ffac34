"""Of several attempts to log a repeat one is kept, and nothing of anybody else's is touched."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from greenbench.errors import TrackingError
from greenbench.tracking import Store
from tests.builders import STARTED_AT, make_result, make_trial

if TYPE_CHECKING:
    from mlflow import MlflowClient


def statuses(client: "MlflowClient", suite: str, kind: str) -> dict[str, str]:
    experiment = client.get_experiment_by_name(f"greenbench/{suite}")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], f"tags.kind = '{kind}'")
    return {run.info.run_id: run.info.status for run in found}


def begin(client: "MlflowClient", run_id: str) -> None:
    """Make a logged repeat one that was cut off before its end."""
    client.update_run(run_id, status="RUNNING")


def test_a_run_of_another_machine_with_an_equal_key_is_left_alone(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    theirs = store.log_result(make_result(suite=suite, started_at=STARTED_AT + 0.5), "ci-7/a")
    begin(client, theirs)
    ours = store.log_result(make_result(suite=suite), "ci-7/a", may_exist=True)
    assert statuses(client, suite, "case") == {theirs: "RUNNING", ours: "FINISHED"}
    assert len(statuses(client, suite, "trial")) == 2


def test_a_run_that_ended_is_kept_and_one_that_did_not_is_deleted(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    result = make_result(suite=suite, trials=[make_trial(0), make_trial(1)])
    cut_off, kept = (store.log_result(result, "s/a") for _ in range(2))
    begin(client, cut_off)
    assert store.log_result(result, "s/a", may_exist=True) == kept
    assert statuses(client, suite, "case") == {kept: "FINISHED"}
    assert set(statuses(client, suite, "trial").values()) == {"FINISHED"}
    assert len(statuses(client, suite, "trial")) == 2


def test_of_two_runs_that_ended_one_is_kept(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    result = make_result(suite=suite)
    both = {store.log_result(result, "s/a") for _ in range(2)}
    kept = store.log_result(result, "s/a", may_exist=True)
    assert kept in both
    assert list(statuses(client, suite, "case")) == [kept]
    assert len(store.read_trials(store.read_rows(suite))) == 1


def test_a_result_that_does_not_say_when_it_began_is_found_by_its_key(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    result = replace(make_result(suite=suite), started_at=0.0)
    first = store.log_result(result, "s/a")
    assert store.log_result(result, "s/a", may_exist=True) == first


def test_who_may_not_delete_ends_what_was_cut_off(
    store: Store, client: "MlflowClient", suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = make_result(suite=suite)
    cut_off = store.log_result(result, "s/a")
    begin(client, cut_off)
    refuse(store, monkeypatch, "PERMISSION_DENIED")
    whole = store.log_result(result, "s/a", may_exist=True)
    assert statuses(client, suite, "abandoned")[cut_off] == "KILLED"
    assert set(statuses(client, suite, "abandoned").values()) == {"KILLED"}
    assert list(statuses(client, suite, "case")) == [whole]
    assert len(store.read_trials(store.read_rows(suite))) == 1
    assert store.log_result(result, "s/a", may_exist=True) == whole


def test_a_failure_to_delete_is_said(
    store: Store, client: "MlflowClient", suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = make_result(suite=suite)
    begin(client, store.log_result(result, "s/a"))
    refuse(store, monkeypatch, "INTERNAL_ERROR")
    with pytest.raises(TrackingError, match="not today"):
        store.log_result(result, "s/a", may_exist=True)
    assert store.read_rows(suite) == []


def refuse(store: Store, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from mlflow.protos.databricks_pb2 import ErrorCode  # noqa: PLC0415

    def delete_run(*_: Any) -> None:
        raise MlflowException("not today", ErrorCode.Value(code))

    monkeypatch.setattr(store._client, "delete_run", delete_run)


def test_a_local_store_is_asked_nothing_more_than_before(
    store: Store, suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.log_result(make_result(suite=suite), "s/a")
    for name in ("search_runs", "get_run"):
        monkeypatch.setattr(store._client, name, None)
    assert store.log_result(make_result(suite=suite, repeat=1), "s/b")
