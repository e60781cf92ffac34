"""Of several attempts to log a repeat one is kept, and nothing of anybody else's is touched."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

import pytest

from greenbench.errors import TrackingError
from greenbench.results import CaseResult
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
    both = {store.log_result(result, "s/a") for _ in range(2)}
    for run_id in both:
        begin(client, run_id)
    refuse(store, monkeypatch, "PERMISSION_DENIED")
    whole = store.log_result(result, "s/a", may_exist=True)
    (cut_off,) = both - {whole}
    assert statuses(client, suite, "abandoned")[cut_off] == "KILLED"
    assert set(statuses(client, suite, "abandoned").values()) == {"KILLED"}
    assert list(statuses(client, suite, "case")) == [whole]
    assert len(store.read_trials(store.read_rows(suite))) == 1
    assert store.log_result(result, "s/a", may_exist=True) == whole


def test_a_failure_to_delete_is_said(
    store: Store, client: "MlflowClient", suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = make_result(suite=suite)
    for _ in range(2):
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


class CutOffError(Exception):
    """In the place of a kill."""


class Counting:
    """A client that counts what it is told, and is interrupted before one of those calls."""

    TOLD = ("create_run", "log_batch", "log_inputs", "set_terminated", "delete_run", "set_tag")

    def __init__(self, client: Any, before: int = 0) -> None:
        self._client, self._before, self.told = client, before, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        if name in self.TOLD:
            self.told[name] += 1
            if self.told.total() == self._before:
                raise CutOffError
        return getattr(self._client, name)


def interrupted(store: Store, before: int, use: Callable[[], object]) -> bool:
    """Use a store until the call with that number; return whether it came to that."""
    client = store._client
    store._client = Counting(client, before)  # type: ignore[assignment]
    try:
        use()
    except TrackingError as error:
        if "CutOffError" not in str(error):
            raise
        return True
    finally:
        store._client = client
    return False


def test_each_trial_is_there_once_wherever_a_delivery_and_the_next_one_are_cut_off(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    for before in count(1):
        # The second of a pair begins where the first was cut off.
        start = STARTED_AT + 100.0 * before
        result = make_result(suite=suite, trials=[make_trial(0), make_trial(1)], started_at=start)

        def log(result: CaseResult = result, key: str = f"s/{before}") -> str:
            return store.log_result(result, key, may_exist=True)

        was_cut_off = interrupted(store, before, log)
        interrupted(store, before // 2 + 1, log)
        log()
        rows = [row for row in store.read_rows(suite) if row["session"] == "s"]
        assert len(rows) == before
        assert [t["trial"] for t in store.read_trials(rows[-1:])] == [0, 1]
        if not was_cut_off:
            break
    assert before == 11
    for kind, times in (("case", 1), ("trial", 2)):
        found = statuses(client, suite, kind)
        assert set(found.values()) == {"FINISHED"}
        assert len(found) == times * before


def test_trials_that_had_ended_are_not_logged_again(store: Store, suite: str) -> None:
    result = make_result(suite=suite, trials=[make_trial(i) for i in range(3)])
    # Before the third trial ends, after 3 calls for the repeat and 3 for each of two trials.
    assert interrupted(store, 12, lambda: store.log_result(result, "s/a"))
    counting = Counting(store._client)
    store._client = counting  # type: ignore[assignment]
    try:
        store.log_result(result, "s/a", may_exist=True)
    finally:
        store._client = counting._client
    # The trial that was cut off is made anew, and the repeat ends.
    assert counting.told == {"delete_run": 1, "create_run": 1, "log_batch": 1, "set_terminated": 2}


def test_a_step_is_one_call_and_a_trial_takes_three(store: Store, suite: str) -> None:
    client, trials = store._client, [make_trial(i) for i in range(5)]
    store._client = counting = Counting(client)  # type: ignore[assignment]
    try:
        steps = store.steps(make_result(suite=suite, trials=trials), "s/a")
        told = [0]
        while steps.take():
            told.append(counting.told.total())
    finally:
        store._client = client
    assert max(after - before for before, after in pairwise(told)) == 1
    assert counting.told == {
        "create_run": 1 + 5,
        "log_batch": 1 + 5,
        "log_inputs": 1,
        "set_terminated": 1 + 5,
    }


def test_a_trial_that_lacks_figures_is_logged_again(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    result = make_result(suite=suite)
    begin(client, store.log_result(result, "s/a"))
    (trial,) = statuses(client, suite, "trial")
    longer = make_result(suite=suite, trials=[replace(make_trial(), hyperparameters={"more": 1})])
    store.log_result(longer, "s/a", may_exist=True)
    (again,) = statuses(client, suite, "trial")
    assert again != trial
    assert client.get_run(again).data.params == {"more": "1"}


def test_a_local_store_is_asked_nothing_more_than_before(
    store: Store, suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.log_result(make_result(suite=suite), "s/a")
    for name in ("search_runs", "get_run"):
        monkeypatch.setattr(store._client, name, None)
    assert store.log_result(make_result(suite=suite, repeat=1), "s/b")
