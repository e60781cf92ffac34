"""A delivery over a network that fails at any of its requests ends with each figure once.

Each kind of fault is tried at each request, by one fault of that kind; with
``GREENBENCH_TRY_ALL=1``, all faults are tried at all requests, in some minutes.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

import pytest

from greenbench.errors import TrackingError
from greenbench.results import CaseResult
from greenbench.results.table import to_row, to_trial_rows
from greenbench.tracking import Store
from tests.builders import STARTED_AT, make_result, make_trial
from tests.faults.fault_proxy import FAULTS, KINDS, FaultProxy, proxied
from tests.mlflow_server import Server

pytestmark = pytest.mark.integration

TRIALS = 2
ALL = bool(os.environ.get("GREENBENCH_TRY_ALL"))
SUITES = count()


@pytest.fixture(scope="module")
def proxy(mlflow_server: Server) -> Iterator[FaultProxy]:
    with proxied(mlflow_server.port) as found:
        yield found


@pytest.fixture(scope="module")
def behind(mlflow_server: Server) -> Store:
    """The server's own database, in which nothing is hidden by the proxy."""
    return Store(mlflow_server.database)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine an answer may take seconds."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")


@pytest.fixture
def suite() -> str:
    return a_suite()


def a_suite() -> str:
    """Return a suite, and so an experiment, that this server has not yet."""
    return f"proxied{next(SUITES)}"


def result_of(suite: str, repeat: int, trials: int = TRIALS) -> CaseResult:
    later_s = 1000.0 * repeat
    made = [
        replace(trial, started_at=trial.started_at + later_s)
        for trial in (make_trial(i, accuracy=0.5 + i / 10) for i in range(trials))
    ]
    return make_result(suite=suite, repeat=repeat, trials=made, started_at=STARTED_AT + later_s)


def goes(store: Store, result: CaseResult, *, may_exist: bool = False) -> bool:
    """Deliver a result as a run or, if it may exist, as `sync` does; return whether it went."""
    said = ""
    try:
        store.log_result(result, f"session/{result.repeat}", may_exist=may_exist)
    except TrackingError as error:
        said = str(error)
    assert "\n" not in said
    if said:
        print(said)
    return not said


def check(behind: Store, results: Sequence[CaseResult], *, is_whole: bool) -> list[int]:
    """See that readers find repeats with all their trials, once; return which."""
    rows = behind.read_rows(results[0].suite)
    trials = behind.read_trials(rows)
    found = [row["repeat"] for row in rows]
    assert len(found) == len(set(found))
    for row in rows:
        result = results[row["repeat"]]
        assert {name: row[name] for name in to_row(result)} == to_row(result)
        own = {"session": "session", "run_id": row["run_id"]}
        expected = [{**trial, **own} for trial in to_trial_rows(result)]
        assert [trial for trial in trials if trial["run_id"] == row["run_id"]] == expected
    if is_whole:
        assert found == [result.repeat for result in results]
        for run in runs_of(behind, results[0].suite):
            assert run.info.status == "FINISHED", run.data.tags
            assert run.data.tags["kind"] == "trial" or run.inputs.dataset_inputs
    return found


def runs_of(store: Store, suite: str) -> list[Any]:
    experiment = store.experiments()[f"greenbench/{suite}"]
    return list(store._client.search_runs([experiment], max_results=1000))


def tried(kind: str, request: int) -> Sequence[str]:
    """Return which faults of a kind are tried at a request: all, or one, always the same."""
    faults = KINDS[kind]
    return faults if ALL else [Random(f"{kind} {request}").choice(faults)]


def impatient(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Let the client give up after a second where that is what is tried."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1" if kind == "delayed" else "60")


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_trial_is_there_once_whichever_request_of_a_delivery_fails(
    proxy: FaultProxy, behind: Store, suite: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    store = Store(proxy.url)
    results = [result_of(suite, 0)]
    assert goes(store, results[0])
    proxy.harm()
    results.append(result_of(suite, 1))
    assert goes(store, results[1])
    delivered = {0, 1}
    requests = list(enumerate(proxy.requests, 1))
    impatient(monkeypatch, kind)
    for number, request in requests:
        for fault in tried(kind, number):
            results.append(result_of(suite, len(results)))
            proxy.harm(fault, number)
            print(f"repeat {results[-1].repeat}: {fault} at request {number}, {request}")
            if goes(store, results[-1]):
                delivered.add(results[-1].repeat)
    proxy.settle()
    impatient(monkeypatch, "")
    # What is read meanwhile: an answer that was lost at the very end is of a whole repeat, too.
    assert delivered <= set(check(behind, results, is_whole=False))
    proxy.harm()
    for result in results:
        if result.repeat not in delivered:
            assert goes(store, result, may_exist=True)
    check(behind, results, is_whole=True)


def test_every_fault_is_of_a_kind_and_tried() -> None:
    assert sorted(FAULTS) == sorted(fault for faults in KINDS.values() for fault in faults)
    assert {fault for kind in KINDS for n in range(1, 14) for fault in tried(kind, n)} == {*FAULTS}


def test_what_is_asked_back_does_not_grow_with_the_trials(proxy: FaultProxy, suite: str) -> None:
    store = Store(proxy.url)
    assert goes(store, result_of(suite, 0))
    proxy.harm()
    assert goes(store, result_of(suite, 1))
    few = list(proxy.requests)
    proxy.harm()
    more = make_result(suite=suite, repeat=2, trials=[make_trial(i) for i in range(TRIALS + 3)])
    assert goes(store, more)
    # For each trial to make it, to say its figures, and to end it.
    assert len(proxy.requests) == len(few) + 3 * 3
    # For its trials and its own figures before it ends, and for itself after that.
    assert sum("search" in request or "get" in request for request in few) == 3, few


@pytest.mark.parametrize("kinds", KINDS if ALL else [" ".join(KINDS)])
def test_sync_that_fails_at_any_request_is_finished_by_the_next(
    proxy: FaultProxy, behind: Store, suite: str, monkeypatch: pytest.MonkeyPatch, kinds: str
) -> None:
    store = Store(proxy.url)
    results: list[CaseResult] = []
    for first in count(1):
        kind = Random(f"{kinds} {first}").choice(kinds.split())
        for fault in tried(kind, first):
            result = result_of(suite, len(results))
            results.append(result)
            # What a kill leaves after the first trial was made.
            proxy.harm("dropped", 10, 10**6)
            assert not goes(store, result)
            impatient(monkeypatch, kind)
            proxy.harm(fault, first)
            print(f"repeat {result.repeat}: {fault} at request {first}")
            went = goes(store, result, may_exist=True)
            proxy.settle()
            asked = len(proxy.requests)
            impatient(monkeypatch, "")
            proxy.harm()
            assert went or goes(store, result, may_exist=True)
        if asked < first:
            break
    check(behind, results, is_whole=True)


@pytest.mark.parametrize("kind", list(KINDS))
def test_opening_and_a_new_experiment_may_fail_at_any_request(
    proxy: FaultProxy, behind: Store, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    for first in range(1, 7):
        for fault in tried(kind, first):
            result = result_of(a_suite(), 0, trials=1)
            impatient(monkeypatch, kind)
            proxy.harm(fault, first)
            went = False
            try:
                went = goes(Store(proxy.url), result)
            except TrackingError as error:
                said = str(error)
                # A busy server may take longer for any request than this client waits.
                assert first == 1 or kind == "delayed", said
            proxy.settle()
            impatient(monkeypatch, "")
            proxy.harm()
            assert went or goes(Store(proxy.url), result, may_exist=True)
            check(behind, [result], is_whole=True)
