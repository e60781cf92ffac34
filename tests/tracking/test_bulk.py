import gc
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench.errors import TrackingError
from greenbench.results import CaseResult, Epoch, TrialStatus
from greenbench.results.table import Row, to_trial_rows
from greenbench.tracking import Store, bulk
from tests.builders import STARTED_AT, make_result, make_segmented, make_trial

if TYPE_CHECKING:
    from mlflow import MlflowClient

PAGES = (1, 2, 3, 7, 1000)
DAY_S = 86_400.0

DIVERGED = replace(
    make_trial(1, accuracy=None, status=TrialStatus.DIVERGED),
    epochs=(Epoch(0, 2.0), Epoch(1, 1.0, 0.5), Epoch(2, 9.0)),
)
"""Validated in its second of three epochs, and then diverged."""


def expected_trials(result: CaseResult, session: str, run_id: str) -> list[Row]:
    return [{**row, "session": session, "run_id": run_id} for row in to_trial_rows(result)]


def made_later(result: CaseResult, seconds: float) -> CaseResult:
    """Return a result that ran later, with its trials."""
    trials = tuple(replace(t, started_at=t.started_at + seconds) for t in result.trials)
    return replace(result, started_at=result.started_at + seconds, trials=trials)


@pytest.mark.parametrize(
    "trials",
    [
        [make_trial()],
        [make_trial(i, accuracy=0.5 + i / 10, energy_j=36.0 + i) for i in range(12)],
        [make_trial(), DIVERGED, make_trial(2, accuracy=None, epochs=0, error="no")],
        [make_trial(energy_j=None), make_trial(1, energy_j=1e-9)],
        [replace(make_trial(), started_at=0.0)],
        [replace(make_trial(i), started_at=STARTED_AT - i) for i in range(3)],
        [],
        [
            make_segmented(0, (0, 36.0, 0.5), status=TrialStatus.STOPPED, proposal_j=3.0),
            make_segmented(1, (1, 36.0, 0.6), (2, 72.0, 0.55), status=TrialStatus.COMPLETED),
            make_segmented(2, (3, 36.0, None), status=TrialStatus.DIVERGED),
            make_segmented(3, (4, None, 0.4), status=TrialStatus.STOPPED),
            replace(make_trial(4), reevaluates=1),
        ],
        [replace(make_trial(i), lanes=lanes) for i, lanes in enumerate([2, 2, 1])],
    ],
    ids=[
        "one",
        "twelve",
        "failed",
        "energies",
        "never started",
        "clock set back",
        "none",
        "segmented",
        "batched",
    ],
)
def test_trials_come_back_as_they_went_in(store: Store, suite: str, trials: list[Any]) -> None:
    result = make_result(suite=suite, trials=trials, repeat=2)
    run_id = store.log_result(result, "session-1/case")
    found = store.read_trials(store.read_rows(suite))
    assert found == expected_trials(result, "session-1", run_id)


def test_trials_are_those_of_the_repeats_asked_for_in_their_order(store: Store, suite: str) -> None:
    trials = [make_trial(0), make_trial(1)]
    results = [
        made_later(make_result(suite=suite, repeat=i, trials=trials), DAY_S * i) for i in range(4)
    ]
    ids = [store.log_result(result, f"s{i}/a") for i, result in reversed([*enumerate(results)])]
    other = make_result(suite=f"{suite}_2", trials=trials)
    store.log_result(other, "s1/a")
    rows = store.read_rows(suite)
    expected = [
        expected_trials(result, f"s{i}", run_id)
        for i, (result, run_id) in enumerate(zip(results, reversed(ids), strict=True))
    ]
    assert store.read_trials(rows) == [*chain(*expected)]
    assert store.read_trials(rows[1:3]) == expected[1] + expected[2]
    both = [*rows[:1], *store.read_rows(f"{suite}_2")]
    assert [row["suite"] for row in store.read_trials(both)] == [suite] * 2 + [f"{suite}_2"] * 2


def test_no_repeats_have_no_trials(store: Store) -> None:
    assert store.read_trials([]) == []


def test_trials_of_older_versions_are_numbered_by_time(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    result = make_result(suite=suite, trials=[make_trial(i) for i in range(11)])
    run_id = store.log_result(result, "s/a")
    experiment = store.experiments()[f"greenbench/{suite}"]
    for child in client.search_runs([experiment], "tags.kind = 'trial'"):
        client.delete_tag(child.info.run_id, "trial")
    assert store.read_trials(store.read_rows(suite)) == expected_trials(result, "s", run_id)


def test_results_of_older_versions_are_read_as_far_as_they_go(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    trials = [make_trial(0, accuracy=0.5), make_trial(1, accuracy=0.9)]
    result = make_result(suite=suite, trials=trials, accuracy=0.85, prior="log")
    run_id = store.log_result(result, "s/a")
    for tag in ("prior", "proposer"):
        client.delete_tag(run_id, tag)
    (row,) = store.read_rows(suite)
    assert (row["prior"], row["proposer"], row["scheduler"]) == (None, None, None)
    first, _ = store.read_trials([row])
    assert (first["prior"], first["segments"], first["reevaluates"]) == (None, None, None)
    assert first["optimism"] == pytest.approx(0.05)
    assert first["search_wh"] is None


def test_trials_that_are_missing_are_done_without(
    store: Store, client: "MlflowClient", suite: str
) -> None:
    result = make_result(suite=suite, trials=[make_trial(i) for i in range(3)])
    run_id = store.log_result(result, "s/a")
    experiment = store.experiments()[f"greenbench/{suite}"]
    (second,) = client.search_runs([experiment], "tags.trial = '1'")
    client.delete_run(second.info.run_id)
    first, _, third = expected_trials(result, "s", run_id)
    assert store.read_trials(store.read_rows(suite)) == [first, third]


def test_trials_of_an_old_session_do_not_take_reading_all_later_ones(
    store: Store, suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(8):
        store.log_result(made_later(make_result(suite=suite), DAY_S * i), f"s{i}/a")
    rows = store.read_rows(suite)
    monkeypatch.setattr(bulk, "PAGE", 2)
    asked = count_searches(store, monkeypatch)
    for row in (rows[1], rows[-1]):
        assert len(store.read_trials([row])) == 1
    assert len(asked) <= 4, asked


def count_searches(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the filters of searches be appended to the list that is returned."""
    asked: list[str] = []
    search_runs: Callable[..., Any] = store._client.search_runs

    def counted(ids: Sequence[str], filter_string: str, **more: Any) -> Any:
        asked.append(filter_string)
        return search_runs(ids, filter_string, **more)

    monkeypatch.setattr(store._client, "search_runs", counted)
    return asked


def test_pages_are_asked_for_by_time_from_one_to_another(
    store: Store, suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(7):
        store.log_result(made_later(make_result(suite=suite), 100.0 * i), f"s/{i}")
    monkeypatch.setattr(bulk, "PAGE", 3)
    asked = count_searches(store, monkeypatch)
    assert len(store.read_rows(suite)) == 7
    _, first, second, *_ = asked
    assert "start_time <" not in first
    third_ms = int(1000 * (STARTED_AT + 200.0))
    assert f"start_time >= {third_ms} AND attributes.start_time < " in second


def test_garbage_is_not_collected_while_runs_are_read(
    store: Store, suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.log_result(make_result(suite=suite), "s/a")
    while_read: list[bool] = []
    search = bulk.search

    def watched(*given: Any, **more: Any) -> Any:
        while_read.append(gc.isenabled())
        return search(*given, **more)

    monkeypatch.setattr(bulk, "search", watched)
    assert store.read_trials(store.read_rows(suite))
    assert while_read == [False, False]


@pytest.mark.parametrize("kind", ["quick", "as before MLflow 3.12"])
def test_rows_are_the_same_whatever_the_length_of_a_page(
    store: Store, suite: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    starts = [0, 0, 5, 5, 5, 5, 5, 6, 9_000, 9_000, 9_001, 50]
    ids = {
        store.log_result(make_result(suite=suite, started_at=STARTED_AT + s / 1000), f"s/{i}"): s
        for i, s in enumerate(starts)
    }
    if kind != "quick":
        monkeypatch.setattr(store._client, "search_runs", without_null_tests(store))
    for page in PAGES:
        monkeypatch.setattr(bulk, "PAGE", page)
        found = [row["run_id"] for row in store.read_rows(suite)]
        assert len(found) == len(set(found)) == len(starts), page
        assert [ids[run_id] for run_id in found] == sorted(starts), page
        trials = store.read_trials(store.read_rows(suite))
        assert [row["run_id"] for row in trials] == found, page


def without_null_tests(store: Store, code: str = "INVALID_PARAMETER_VALUE") -> Callable[..., Any]:
    """Return a search that refuses to test whether a tag is there."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415
    from mlflow.protos.databricks_pb2 import ErrorCode  # noqa: PLC0415

    search_runs: Callable[..., Any] = store._client.search_runs

    def refusing(ids: Sequence[str], filter_string: str, **more: Any) -> Any:
        if "NULL" in filter_string:
            raise MlflowException("no such test", ErrorCode.Value(code))
        return search_runs(ids, filter_string, **more)

    return refusing


def test_other_failures_of_a_search_are_reported(
    store: Store, suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.log_result(make_result(suite=suite), "s/a")
    search = without_null_tests(store, "TEMPORARILY_UNAVAILABLE")
    monkeypatch.setattr(store._client, "search_runs", search)
    with pytest.raises(TrackingError, match="no such test"):
        store.read_rows(suite)


def test_runs_of_another_kind_are_no_rows(store: Store, client: "MlflowClient", suite: str) -> None:
    run_id = store.log_result(make_result(suite=suite), "s/a")
    experiment = store.experiments()[f"greenbench/{suite}"]
    stray = client.create_run(experiment, tags={"kind": "report", "key": "k", "session": "s"})
    client.set_terminated(stray.info.run_id)
    assert [row["run_id"] for row in store.read_rows(suite)] == [run_id]


@pytest.mark.parametrize("is_enabled", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_python_and_sqlalchemy_are_left_as_they_were(
    store: Store, suite: str, monkeypatch: pytest.MonkeyPatch, is_enabled: bool, fails: bool
) -> None:
    from sqlalchemy.orm import Session  # noqa: PLC0415

    store.log_result(make_result(suite=suite), "s/a")
    listeners = list(Session().dispatch.before_commit)
    if fails:
        search = without_null_tests(store, "INTERNAL_ERROR")
        monkeypatch.setattr(store._client, "search_runs", search)
    was_enabled = gc.isenabled()
    try:
        (gc.enable if is_enabled else gc.disable)()
        try:
            store.read_rows(suite)
        except TrackingError:
            assert fails
        assert gc.isenabled() is is_enabled
        assert list(Session().dispatch.before_commit) == listeners
    finally:
        (gc.enable if was_enabled else gc.disable)()


class Page(list[Any]):
    token: str | None = None


class Runs:
    """What `bulk.search` asks of MLflow, on a list of start times."""

    def __init__(self, starts: Sequence[int]) -> None:
        runs = [SimpleNamespace(start_time=s, run_id=f"{i:03}") for i, s in enumerate(starts)]
        self.runs = sorted(runs, key=lambda run: (run.start_time, run.run_id))

    def search_runs(
        self, _: object, filter_string: str, *, page_token: str | None, **more: Any
    ) -> Page:
        since, until = (
            int(found.group(1)) if (found := re.search(rf"{sign} (\d+)", filter_string)) else None
            for sign in (">=", "<")
        )
        wanted = [
            SimpleNamespace(info=run)
            for run in self.runs
            if run.start_time >= (since or 0) and (until is None or run.start_time < until)
        ]
        end = int(page_token or 0) + more["max_results"]
        page = Page(wanted[int(page_token or 0) : end])
        page.token = str(end) if end < len(wanted) else None
        return page


@given(
    st.lists(st.integers(0, 12) | st.integers(0, 10**13), max_size=40),
    st.integers(1, 8),
    st.integers(0, 5),
)
def test_no_run_is_lost_or_doubled_at_the_edge_of_a_page(
    starts: list[int], page: int, since: int
) -> None:
    client = Runs(starts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "PAGE", page)
        found = [run.info for run in bulk.search(client, ["1"], "x = 'y'", since_ms=since)]
    assert found == [run for run in client.runs if run.start_time >= since]


def test_what_is_written_while_rows_are_read_is_kept(
    store: Store, client: "MlflowClient", suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [store.log_result(make_result(suite=suite, repeat=0), "s/0")]
    search = bulk.search

    def writing(*given: Any, **more: Any) -> Any:
        yield from search(*given, **more)
        ids.append(store.log_result(make_result(suite=suite, repeat=1), "s/1"))
        client.set_tag(ids[0], "note", "written meanwhile")

    with monkeypatch.context() as patch:
        patch.setattr(bulk, "search", writing)
        assert len(store.read_rows(suite)) == 1
    rows = store.read_rows(suite)
    assert sorted(row["run_id"] for row in rows) == sorted(ids)
    assert [len(store.read_trials([row])) for row in rows] == [1, 1]
    assert client.get_run(ids[0]).data.tags["note"] == "written meanwhile"
