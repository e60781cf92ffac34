"""Two revisions in turn: what is run how often, and what becomes of failures."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.errors import ConfigurationError
from greenbench.gate import interleave as module
from greenbench.gate.baselines import Baseline
from greenbench.gate.interleave import Alternation, interleave
from greenbench.results import CaseResult
from greenbench.results.account import Account
from greenbench.running.checkout import Checkout
from greenbench.settings import Settings
from greenbench.terminal.progress import Progress
from tests.builders import make_reading, make_result

SMALL, MEDIUM = Case("default", "dense", size="s"), Case("default", "dense", size="m")

Answer = Callable[[str, Case, int], CaseResult]


def fine(side: str, case: Case, repeat: int) -> CaseResult:
    return make_result(case, repeat=repeat)


def disturbed(case: Case, repeat: int) -> CaseResult:
    reading = replace(make_reading(), cpu_s=1.0, other_cpu_s=100.0)
    return make_result(case, repeat=repeat, account=Account({"train": reading}))


@dataclass
class Bench:
    """Stands for sessions: answers as it is told, and notes what is asked."""

    answer: Answer = fine
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    delivered: list[CaseResult] = field(default_factory=list)
    folder: Path = Path("ci-1")
    listener: Any = None

    @contextmanager
    def __call__(self, *arguments: Any, **options: Any) -> "Iterator[Bench]":
        self.listener = arguments[3]
        yield self

    def run_repeat(self, case: Case, repeat: int) -> CaseResult:
        return self._run("here", case, repeat)

    def run_base(self, case: Case, repeat: int) -> CaseResult:
        return self._run("base", case, repeat)

    def deliver(self, result: CaseResult) -> None:
        self.delivered.append(result)

    def _run(self, side: str, case: Case, repeat: int) -> CaseResult:
        self.asked.append((side, case.id, repeat))
        return self.answer(side, case, repeat)

    def repeats(self, side: str, case: Case = SMALL) -> list[int]:
        return [repeat for where, name, repeat in self.asked if (where, name) == (side, case.id)]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench()

    @contextmanager
    def checked_out(revision: str, working: Path) -> Iterator[Checkout]:
        yield Checkout(revision, "0123456789ab", working, working)

    monkeypatch.setattr(module, "checked_out", checked_out)
    monkeypatch.setattr(module, "Session", bench)
    return bench


def measure(cases: Sequence[Case] = (SMALL,), **options: Any) -> Alternation:
    settings = Settings.from_environment({})
    options = {"is_open": lambda *_: True, "most": 3, **options}
    with Progress(cases) as progress:
        return interleave(settings, cases, "main", progress, **options)


def test_each_round_runs_each_case_once_with_each_revision(bench: Bench) -> None:
    found = measure([SMALL, MEDIUM])
    for number in range(3):
        turns = bench.asked[4 * number : 4 * number + 4]
        assert {repeat for _, _, repeat in turns} == {number}
        assert len({(side, case) for side, case, _ in turns}) == 4
        # One after the other, so that both meet the same weather.
        assert turns[0][1] == turns[1][1]
    assert (len(found.rows), len(found.baseline.rows)) == (6, 6)
    assert found.baseline.is_interleaved
    assert found.baseline.update is None
    assert found.baseline.label == "main (0123456789ab), measured in turn with this"
    assert found.notes == (f"pairs that it took: {MEDIUM.id} 3, {SMALL.id} 3",)
    assert not found.has_failures


def test_the_revisions_take_turns_in_being_the_first(bench: Bench) -> None:
    measure([SMALL, MEDIUM], most=4)
    for case in (SMALL, MEDIUM):
        sides = [side for side, name, _ in bench.asked if name == case.id]
        assert sides == ["base", "here", "here", "base"] * 2


def test_a_case_that_is_decided_runs_no_further_pair(bench: Bench) -> None:
    asked: list[tuple[str, int, int]] = []

    def is_open(case_id: str, rows: Sequence[Any], baseline: Baseline) -> bool:
        asked.append((case_id, len(rows), len(baseline.of(case_id))))
        return case_id == MEDIUM.id and len(rows) < 4

    found = measure([SMALL, MEDIUM], is_open=is_open, most=20)

    assert bench.repeats("here", SMALL) == bench.repeats("base", SMALL) == [0]
    assert bench.repeats("here", MEDIUM) == bench.repeats("base", MEDIUM) == [0, 1, 2, 3]
    assert asked == [(SMALL.id, 1, 1), *((MEDIUM.id, count, count) for count in (1, 2, 3, 4))]
    assert found.notes == (f"pairs that it took: {MEDIUM.id} 4, {SMALL.id} 1",)


def test_no_pair_begins_when_time_is_over_and_that_is_said(bench: Bench) -> None:
    late = iter([False, True])
    found = measure([SMALL], is_late=lambda: next(late), most=20)
    assert bench.repeats("here") == [0, 1]
    assert found.notes[1:] == (f"--max-minutes are over, before this was decided: {SMALL.id}",)


def test_only_results_of_the_working_folder_are_delivered(bench: Bench) -> None:
    measure()
    assert [result.repeat for result in bench.delivered] == [0, 1, 2]


@pytest.mark.parametrize(("include", "rounds"), [(False, 5), (True, 3)])
def test_rounds_are_added_for_disturbed_samples_unless_they_count(
    bench: Bench, include: bool, rounds: int
) -> None:
    def answer(side: str, case: Case, repeat: int) -> CaseResult:
        is_disturbed = side == "base" and repeat in (0, 2)
        return disturbed(case, repeat) if is_disturbed else fine(side, case, repeat)

    bench.answer = answer
    found = measure(include_disturbed=include)
    assert bench.repeats("here") == bench.repeats("base") == list(range(rounds))
    assert len(found.baseline.rows) == rounds


def test_at_most_as_many_rounds_are_added(bench: Bench) -> None:
    bench.answer = lambda side, case, repeat: disturbed(case, repeat)
    measure()
    assert bench.repeats("here") == list(range(6))


def test_a_case_that_the_base_lacks_is_said_and_still_run_here(bench: Bench) -> None:
    def answer(side: str, case: Case, repeat: int) -> CaseResult:
        if side == "base" and case.id == SMALL.id:
            raise ConfigurationError("unknown architecture 'dense'")
        return fine(side, case, repeat)

    bench.answer = answer
    found = measure([SMALL, MEDIUM])
    assert found.notes == (
        f"{SMALL.id} cannot run at main (0123456789ab): unknown architecture 'dense'",
        f"pairs that it took: {MEDIUM.id} 3",
    )
    assert not found.has_failures
    assert (bench.repeats("base"), bench.repeats("here")) == ([0], [0, 1, 2])
    assert {row["case_id"] for row in found.baseline.rows} == {MEDIUM.id}
    assert len(found.rows) == 6


def test_a_case_that_fails_here_is_a_failure_and_not_run_again(bench: Bench) -> None:
    def answer(side: str, case: Case, repeat: int) -> CaseResult:
        failed = side == "here" and repeat == 1
        return make_result(case, repeat=repeat, accuracy=None if failed else 0.9)

    bench.answer = answer
    found = measure()
    assert found.has_failures
    assert len(found.rows) == 1
    note, took = found.notes
    assert took == f"pairs that it took: {SMALL.id} 1"
    assert note.startswith(
        f"{SMALL.id} cannot run here: {SMALL.id}: no trial of repeat 1 completed"
    )
    assert max(bench.repeats("base")) <= 1
