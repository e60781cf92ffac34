"""One repeat on one worker after another, as the driver sees it, without any cluster."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.cluster.attempt import Attempt, Repeat
from greenbench.cluster.relay import Piece
from greenbench.errors import ClusterError, ConfigurationError, WorkerError
from greenbench.results import TrialStatus
from greenbench.results.journal import Journal
from tests.builders import make_trial

CASE = Case(trials=4)
HERE = {"host": "0123", "torch": "2.7"}
ELSEWHERE = {"host": "4567", "torch": "2.7"}


@pytest.fixture
def repeat(tmp_path: Path) -> Repeat:
    return Repeat(CASE, 0, Journal.of(tmp_path, CASE, 0))


def begun(repeat: Repeat, name: str, conditions: Mapping[str, Any] = HERE) -> Attempt:
    attempt = Attempt(repeat, f"token-{name}", f"tcp://{name}", name)
    attempt.answer("hello", {"conditions": conditions, "scope": ["cpu"]})
    return attempt


def line(event: str, values: Any) -> bytes:
    return json.dumps({"event": event, "values": values}).encode() + b"\n"


def bring(attempt: Attempt, event: str, values: Any) -> None:
    """Let a worker send a line, twice, as one does whose answer was lost."""
    journal = attempt.repeat.journal
    piece = Piece(journal.path.name, journal.size(), line(event, values))
    sizes = [attempt.answer("piece", {"piece": piece.to_dict()}) for _ in range(2)]
    assert sizes == [{"size": journal.size()}] * 2


def start(attempt: Attempt, index: int) -> None:
    started = {"index": index, "hyperparameters": {"learning_rate": 0.1}, "reevaluates": None}
    attempt.hear("trial_started", started)


def achieve(attempt: Attempt, index: int) -> None:
    start(attempt, index)
    bring(attempt, "trial", dataclasses.asdict(make_trial(index)))


def begin(repeat: Repeat, name: str, conditions: Mapping[str, Any] = HERE) -> Attempt:
    attempt = begun(repeat, name, conditions)
    bring(attempt, "start", {"schema": 2, "at": 1.0})
    return attempt


def test_worker_that_dies_takes_its_running_trial_and_no_other(repeat: Repeat) -> None:
    first = begin(repeat, "first")
    achieve(first, 0)
    start(first, 1)
    first.lose()
    second = begin(repeat, "second")
    assert [trial.index for trial in repeat.journal.read().trials] == [0]
    assert second.error is None
    assert first.notices == [f"worker first is gone: {CASE.id}, repeat 1, goes on elsewhere"]


def test_trial_at_which_two_workers_die_is_recorded_as_crashed(repeat: Repeat) -> None:
    for name in ("first", "second"):
        attempt = begin(repeat, name)
        start(attempt, 0)
        attempt.lose()
    (trial,) = repeat.journal.read().trials
    assert (trial.index, trial.status) == (0, TrialStatus.CRASHED)
    assert trial.error == "worker second died of it, as another one did before"
    # Unknown, which is not 0.
    assert trial.account.total.energy_j is None
    assert "without that trial" in attempt.notices[-1]


def test_trials_that_end_are_not_to_blame_for_later_deaths(repeat: Repeat) -> None:
    first = begin(repeat, "first")
    start(first, 0)
    first.lose()
    second = begin(repeat, "second")
    achieve(second, 0)
    start(second, 1)
    second.lose()
    assert [trial.status for trial in repeat.journal.read().trials] == [TrialStatus.COMPLETED]


def test_trial_that_goes_on_from_what_it_has_saved_is_not_to_blame(repeat: Repeat) -> None:
    for epochs in range(4):
        attempt = begin(repeat, f"worker{epochs}")
        start(attempt, 0)
        repeat.journal.save_state(0, {"epochs": [{}] * epochs}, b"")
        attempt.lose()
    assert repeat.journal.read().trials == ()


def test_worker_that_is_told_to_go_blames_no_trial(repeat: Repeat) -> None:
    for name in ("first", "second", "third"):
        attempt = begin(repeat, name)
        start(attempt, 0)
        attempt.lose(has_left=True)
    assert repeat.journal.read().trials == ()
    assert attempt.notices == [f"worker third has left: {CASE.id}, repeat 1, goes on elsewhere"]


def test_repeat_that_kills_workers_before_any_trial_fails(repeat: Repeat) -> None:
    for name in ("first", "second", "third"):
        attempt = begun(repeat, name)
        attempt.lose()
    assert isinstance(attempt.error, WorkerError)
    assert "3 workers died during repeat 1" in str(attempt.error)


def test_repeat_starts_over_on_a_host_that_differs_and_says_why(repeat: Repeat) -> None:
    first = begin(repeat, "first")
    achieve(first, 0)
    kept = repeat.journal.path.read_bytes()
    first.lose()
    second = begun(repeat, "second", ELSEWHERE)
    (notice,) = second.notices
    assert "starts over on second, as host (0123, now 4567) differ" in notice
    assert repeat.journal.read().trials == ()
    (aside,) = repeat.journal.path.parent.glob("*.aside")
    assert aside.read_bytes() == kept
    assert aside.name in notice
    assert list(repeat.journal.path.parent.glob("*.jsonl")) == [repeat.journal.path]


def test_repeat_goes_on_where_the_host_is_equal(repeat: Repeat) -> None:
    first = begin(repeat, "first")
    achieve(first, 0)
    first.lose()
    second = begun(repeat, "second")
    assert second.notices == []
    assert second.taken_from == "first"
    answers = [
        second.answer("hello", {"conditions": HERE, "scope": ["cpu"]})["sizes"] for _ in range(2)
    ]
    assert answers == [{repeat.journal.path.name: repeat.journal.size()}] * 2


def test_what_other_repeats_rest_on_is_told_without_what_is_their_hosts(
    repeat: Repeat, tmp_path: Path
) -> None:
    basis = {"content": "abc", "device": "cuda"}
    for number, place in ((1, HERE), (2, ELSEWHERE)):
        other = Journal.of(tmp_path, CASE, number)
        other.place(place)
        other.start(1.0, basis)
    attempt = Attempt(repeat, "token", "tcp://a", "a")
    told = attempt.answer("hello", {"conditions": HERE, "scope": None})["siblings"]
    assert list(told.values()) == [basis, {"content": "abc"}]


def test_what_is_told_of_other_repeats_does_not_grow_with_their_number(tmp_path: Path) -> None:
    case = dataclasses.replace(CASE, repeats=40)
    for number in range(1, case.repeats):
        other = Journal.of(tmp_path, case, number)
        line_of_start = {"schema": 2, "at": 1.0, "basis": {"content": "abc"}}
        other.path.write_bytes(line("start", line_of_start))
    attempt = Attempt(Repeat(case, 0, Journal.of(tmp_path, case, 0)), "token", "tcp://a", "a")
    told = attempt.answer("hello", {"conditions": HERE, "scope": None})["siblings"]
    assert list(told) == [Journal.of(tmp_path, case, number).path.name for number in range(1, 9)]


@pytest.mark.parametrize(
    ("kind", "expected"), [("configuration", ConfigurationError), ("worker", WorkerError)]
)
def test_what_goes_wrong_on_a_worker_is_told_as_here(
    repeat: Repeat, kind: str, expected: type[Exception]
) -> None:
    attempt = begin(repeat, "first")
    attempt.answer("ended", {"kind": kind, "message": "no", "is_discarded": False, "gone": []})
    assert attempt.is_over
    assert type(attempt.error) is expected
    assert repeat.journal.read().starts == 1


def test_journal_that_does_not_hold_any_more_is_dropped(repeat: Repeat) -> None:
    attempt = begin(repeat, "first")
    attempt.answer(
        "ended", {"kind": "configuration", "message": "no", "is_discarded": True, "gone": []}
    )
    assert not repeat.journal.path.exists()


def test_what_nobody_of_ours_sends_is_refused(repeat: Repeat) -> None:
    attempt = begin(repeat, "first")
    with pytest.raises(ClusterError):
        attempt.answer("fetch", {"name": "../../etc/passwd", "offset": 0})
    with pytest.raises(ClusterError):
        attempt.answer("piece", {"piece": {"name": "x"}})


def test_worker_that_ends_says_at_once_what_nobody_needs_any_more(repeat: Repeat) -> None:
    attempt = begin(repeat, "first")
    checkpoint = repeat.journal.path.with_name(f"{repeat.journal.path.stem}.t0.npz")
    checkpoint.write_bytes(b"weights")
    gone = [checkpoint.name]
    attempt.answer("ended", {"kind": None, "message": "", "is_discarded": False, "gone": gone})
    assert attempt.is_over
    assert not checkpoint.exists()


def test_whoever_begins_is_told_with_what(repeat: Repeat) -> None:
    achieve(begin(repeat, "first"), 0)
    second = Attempt(repeat, "token-second", "tcp://second", "second")
    told = second.answer("hello", {"conditions": HERE, "scope": ["cpu"]})
    assert Piece.from_dict(told["lines"]).data == repeat.journal.path.read_bytes()


def test_repeats_of_a_case_do_not_rest_on_other_data_of_another_worker(repeat: Repeat) -> None:
    file, of_host = "the file images", {**HERE, "the file images": "a"}
    begun(repeat, "first", of_host)
    other = Repeat(CASE, 1, Journal.of(repeat.journal.path.parent, CASE, 1))
    refused = Attempt(other, "token", "tcp://second", "second")
    for _ in range(2):
        told = refused.answer("hello", {"conditions": {**of_host, file: "b"}, "scope": ["cpu"]})
        assert f"{file} of worker second differs from what other" in told["objection"]
    assert not other.journal.path.exists()
    same = Attempt(other, "token", "tcp://third", "third")
    told = same.answer("hello", {"conditions": {**ELSEWHERE, file: "a"}, "scope": ["cpu"]})
    assert told["objection"] is None


def test_repeat_whose_data_changed_starts_over(repeat: Repeat) -> None:
    file = "the file images"
    achieve(begin(repeat, "first", {**HERE, file: "a"}), 0)
    again = begun(repeat, "first", {**HERE, file: "b"})
    assert not repeat.journal.read().trials
    assert f"as {file} differ from where it began" in again.notices[0]
