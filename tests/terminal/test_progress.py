import re
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.results import Reconciliation
from greenbench.results.account import Account
from greenbench.results.readings import Provenance
from greenbench.terminal.progress import MOST_PLACES, Progress, _TimeLeft, outcome
from tests.builders import make_reading, make_result, make_trial


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"energy_j": 36.0}, "1 trial, test accuracy 90.0%, 10 mWh estimated"),
        ({"energy_j": None}, "1 trial, test accuracy 90.0%, energy unknown"),
        (
            {"trials": [make_trial(0), make_trial(1, accuracy=None)], "accuracy": 0.5},
            "2 trials (1 failed), test accuracy 50.0%, 20 mWh estimated",
        ),
        (
            {"accuracy": None, "energy_j": 3600.0, "provenance": Provenance.COUNTER},
            "1 trial (1 failed), test accuracy –, 1 Wh measured",
        ),
    ],
    ids=["plain", "without energy", "one failed", "all failed"],
)
def test_outcome_is_a_repeat_in_a_few_words(fields: dict[str, Any], expected: str) -> None:
    assert outcome(make_result(**fields)) == expected


def test_outcome_ends_with_the_marks_of_the_repeat() -> None:
    # Over 5% by others of 4 cores in 1 s, which is few ticks, and 50% beside the whole.
    reading = make_reading(36.0, duration_s=1.0, provenance=Provenance.COUNTER)
    reading = replace(reading, other_cpu_s=4.0)
    result = make_result(
        account=Account({"train": reading}),
        environment={"host": "here", "cores": "4"},
        reconciliation=Reconciliation(booked_j=36.0, whole_j=72.0, limit=0.02),
    )
    assert outcome(result).endswith("10 mWh measured (disturbed short unreconciled)")


def test_error_that_looks_like_markup_is_shown_as_it_is() -> None:
    text = StringIO()
    Progress([Case()], text).notice("Error: expected [/a] in [bold]")
    assert text.getvalue() == "Error: expected [/a] in [bold]\n"


def test_log_shows_case_repeat_trial_and_time_left() -> None:
    text = StringIO()
    case = Case(strategy="grid", trials=4, repeats=2)
    with Progress([case], text) as progress:
        progress.repeat_started(case, 0, done_trials=1)
        progress.event("trial_finished", {"index": 1})
        progress.repeat_finished(make_result(case))
        progress.repeat_started(case, 1, done_trials=0)
        progress.repeat_finished(None)
    first, *_, finished, failed = text.getvalue().splitlines()
    assert first == f"[1/2] {case.id} repeat 1/2 · trial 2/4 · unknown time left"
    assert finished.startswith(f"[1/2] {case.id} repeat 1/2: 1 trial, test accuracy 90.0%")
    assert finished.endswith("s left")
    assert failed == f"[2/2] {case.id} repeat 2/2: FAILED"


def test_log_has_no_terminal_codes_and_is_not_flooded() -> None:
    text = StringIO()
    case = Case(strategy="grid", trials=500, repeats=1)
    with Progress([case], text) as progress:
        progress.repeat_started(case, 0, done_trials=0)
        for index in range(500):
            progress.event("trial_finished", {"index": index})
    assert "\x1b" not in text.getvalue()
    assert len(text.getvalue().splitlines()) <= 2


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_terminal_shows_one_line_in_place_and_clears_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    text = Terminal()
    case = Case(strategy="grid", trials=4, repeats=1)
    with Progress([case], text) as progress:
        progress.repeat_started(case, 0, done_trials=2)
        assert f"[1/1] {case.id} · trial 3/4 · unknown time left" in text.getvalue()
        progress.repeat_finished(make_result(case))
    # The table that follows says what each repeat gave.
    assert "test accuracy" not in text.getvalue()
    assert text.getvalue().rstrip().endswith("\x1b[2K")


def test_case_that_is_dropped_is_no_longer_counted_or_waited_for() -> None:
    text = StringIO()
    dropped, other = Case(repeats=3), Case(seed=1, repeats=1)
    with Progress([dropped, other], text) as progress:
        progress.repeat_started(dropped, 0, done_trials=0)
        progress.repeat_finished(None)
        progress.case_dropped(dropped)
        progress.repeat_started(other, 0, done_trials=0)
        progress.repeat_finished(make_result(other))
    last = text.getvalue().splitlines()[-1]
    assert last.startswith(f"[2/2] {other.id}: 1 trial")
    assert last.endswith("· 0 s left")


class Clock:
    """Stands still until it is advanced."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize("announced", [[], [Case(repeats=1)]])
def test_repeats_that_nobody_announced_are_counted_when_they_come(announced: list[Case]) -> None:
    own = Case(strategy="random", trials=2, repeats=2)
    stream = StringIO()
    with Progress(announced, stream) as progress:
        for repeat in range(own.repeats):
            progress.repeat_started(own, repeat, 0)
            progress.event("trial_finished", {"index": 0})
            progress.repeat_finished(make_result(case=own, repeat=repeat))
    known = len(announced)
    text = stream.getvalue()
    assert f"[1/{known + 1}] {own.id} repeat 1/2" in text
    assert f"[2/{known + 2}] {own.id} repeat 2/2" in text


def test_time_left_is_unknown_until_something_is_done() -> None:
    left = _TimeLeft([Case()], Clock())
    assert left.seconds() is None
    assert left.text() == "unknown time"


def test_time_left_follows_the_work_of_each_case() -> None:
    clock = Clock()
    short, long = Case(epochs=10, repeats=1), Case(epochs=30, repeats=2)
    left = _TimeLeft([short, long], clock)
    left.start(short)
    clock.now_s += 10
    left.finish()
    assert left.seconds() == pytest.approx(60)


def test_time_left_prefers_what_a_case_took_before() -> None:
    clock = Clock()
    short, long = Case(epochs=10, repeats=2), Case(epochs=30, repeats=1)
    left = _TimeLeft([short, long], clock)
    for case, took_s in ((short, 5), (long, 100)):
        left.start(case)
        clock.now_s += took_s
        left.finish()
    assert left.seconds() == pytest.approx(5)


def test_time_left_counts_down_within_a_repeat_and_ends_at_zero() -> None:
    clock = Clock()
    case = Case(strategy="grid", trials=4, repeats=2)
    left = _TimeLeft([case], clock)
    seen: list[float] = []
    for _ in range(case.repeats):
        left.start(case)
        for trial in range(case.trials):
            clock.now_s += 15
            left.progress((trial + 1) / case.trials)
            seconds = left.seconds()
            assert seconds is not None
            seen.append(seconds)
        left.finish()
    assert seen == pytest.approx([105, 90, 75, 60, 45, 30, 15, 0])
    assert left.text() == "0 s"


def test_resumed_repeat_does_not_make_whole_ones_look_quick() -> None:
    clock = Clock()
    case = Case(strategy="grid", trials=4, repeats=2)
    left = _TimeLeft([case], clock)
    left.start(case, done_share=0.5)
    clock.now_s += 10
    left.progress(0.75)
    assert left.seconds() == pytest.approx(10 + 40)
    clock.now_s += 10
    left.finish()
    assert left.seconds() == pytest.approx(40)


def test_repeats_that_were_finished_before_say_nothing_about_time() -> None:
    text = StringIO()
    case = Case(strategy="grid", trials=4, repeats=3)
    with Progress([case], text) as progress:
        progress.repeat_started(case, 0, done_trials=4)
        progress.repeat_finished(make_result(case))
    assert text.getvalue().endswith("unknown time left\n")


def test_time_left_recovers_from_a_slow_start() -> None:
    clock = Clock()
    case = Case(repeats=10)
    left = _TimeLeft([case], clock)
    errors = []
    for repeat, took_s in enumerate([60.0, *[10.0] * 9]):
        left.start(case)
        clock.now_s += took_s
        left.finish()
        seconds = left.seconds()
        assert seconds is not None
        errors.append(abs(seconds - 10.0 * (9 - repeat)))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0


def test_time_left_never_turns_negative() -> None:
    clock = Clock()
    case = Case(repeats=2)
    left = _TimeLeft([case], clock)
    left.start(case)
    clock.now_s += 10
    left.finish()
    left.start(case)
    clock.now_s += 1000
    assert left.seconds() == 0


def test_long_times_are_said_in_minutes() -> None:
    clock = Clock()
    left = _TimeLeft([Case(repeats=2)], clock)
    left.start(Case())
    clock.now_s += 125
    left.finish()
    assert left.text() == "2 min 05 s"


def places(text: StringIO, count: int) -> tuple[Progress, Case]:
    case = Case(strategy="grid", trials=4, repeats=count)
    return Progress([case], text), case


def test_log_says_of_several_at_once_where_each_is() -> None:
    text = StringIO()
    progress, case = places(text, 3)
    with progress:
        progress.at("a").repeat_started(case, 0, 1)
        progress.at("b").repeat_started(case, 1, 0)
        progress.at("b").event("trial_finished", {"index": 0})
        progress.at("b").repeat_finished(make_result(case, repeat=1))
        progress.at("a").repeat_lost()
        progress.at("b").repeat_started(case, 0, 1)
        progress.at("b").repeat_finished(make_result(case))
    lines = text.getvalue().splitlines()
    assert lines[0].startswith("[0/3 finished] 1 at once")
    assert lines[1] == f"a: {case.id} repeat 1/3 · trial 2/4"
    finished = [line for line in lines if "test accuracy" in line]
    assert finished[0].startswith(f"[1/3] {case.id} repeat 2/3 on b: 1 trial")
    assert finished[1].startswith(f"[2/3] {case.id} repeat 1/3 on b: 1 trial")


def test_terminal_has_a_line_for_each_of_several_and_none_is_too_wide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    text = Terminal()
    progress, case = places(text, 40)
    with progress:
        for number in range(20):
            progress.at(f"a-worker-with-a-long-name-{number}").repeat_started(case, number, 0)
        shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.getvalue()).split("\r")[-1]
        last = [line.rstrip() for line in shown.split("\n")][-MOST_PLACES - 1 :]
        assert last[0].startswith("[0/40 finished] 20 at once · and 8 more")
        assert len(last) == MOST_PLACES + 1
        assert all(len(line) <= 80 for line in last)
        assert all(line.endswith("trial 1/4") for line in last[1:])


def test_time_left_is_that_of_all_places_together() -> None:
    now = [0.0]
    case = Case(strategy="grid", trials=4, repeats=8)
    left = _TimeLeft([case], clock=lambda: now[0])
    for place in ("a", "b"):
        left.start(case, place=place)
    now[0] = 10.0
    for place in ("a", "b"):
        left.finish(place)
        left.start(case, place=place)
    # Six are left, of which two have just begun, at 10 s each on two places.
    assert left.seconds() == 30.0
    left.stop("b")
    assert left.seconds() == 60.0


def test_warning_that_all_places_give_is_shown_once() -> None:
    text = StringIO()
    progress, _ = places(text, 1)
    for name in ("a", "b"):
        progress.at(name).event("warning", {"message": "so it is"})
    assert text.getvalue() == "Warning: so it is\n"
