"""Repeats of the working folder alone: what is run how often, and when nothing further is."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greenbench.cases import Case
from greenbench.gate import until as module
from greenbench.gate.baselines import Baseline
from greenbench.gate.budgets import read_budgets
from greenbench.gate.judgement import Judgement, Verdict
from greenbench.gate.judging import judge, needs_more
from greenbench.gate.rules import judge_cost, judge_increase
from greenbench.gate.until import Measured, measure_until
from greenbench.results import CaseResult
from greenbench.results.table import to_row
from greenbench.settings import Settings
from greenbench.terminal.progress import Progress
from tests.builders import make_result

SMALL, MEDIUM = Case("default", "dense", size="s"), Case("default", "dense", size="m")
Rows = list[dict[str, Any]]


@dataclass
class Bench:
    """Stands for a session without another revision, and notes what is asked."""

    asked: list[tuple[str, int]] = field(default_factory=list)
    delivered: list[int] = field(default_factory=list)
    failing: str | None = None
    folder: Path = Path("gate-1")
    suite: str | None = None

    @contextmanager
    def __call__(self, settings: Settings, suite: str, *_: Any, **__: Any) -> "Iterator[Bench]":
        self.suite = suite
        yield self

    def run_repeat(self, case: Case, repeat: int) -> CaseResult:
        self.asked.append((case.id, repeat))
        return make_result(case, repeat=repeat, accuracy=None if case.id == self.failing else 0.9)

    def deliver(self, result: CaseResult) -> None:
        self.delivered.append(result.repeat)

    def repeats(self, case: Case) -> list[int]:
        return [repeat for name, repeat in self.asked if name == case.id]


@pytest.fixture(autouse=True)
def _away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench()
    monkeypatch.setattr(module, "Session", bench)
    return bench


def measure(needs: Callable[[str, Sequence[Any]], bool], **options: Any) -> Measured:
    cases = [SMALL, MEDIUM]
    with Progress(cases, is_open=True) as progress:
        return measure_until(Settings.from_environment({}), cases, progress, needs, **options)


def test_a_case_of_which_nothing_is_open_runs_no_further_repeat(bench: Bench) -> None:
    seen: list[tuple[str, int]] = []

    def needs(case_id: str, rows: Sequence[Any]) -> bool:
        seen.append((case_id, len(rows)))
        return case_id == MEDIUM.id and len(rows) < 4

    found = measure(needs)

    assert (bench.repeats(SMALL), bench.repeats(MEDIUM)) == ([0], [0, 1, 2])
    # Results of all cases share the error.
    assert seen == [(SMALL.id, 2), (MEDIUM.id, 2), (MEDIUM.id, 3), (MEDIUM.id, 4)]
    assert found.notes == (f"repeats that it took: {MEDIUM.id} 3, {SMALL.id} 1",)
    assert (len(found.rows), len(bench.delivered), bench.suite) == (4, 4, "gate")


def test_it_ends_after_most_repeats_and_no_repeat_begins_when_time_is_over(bench: Bench) -> None:
    measure(lambda *_: True, most=3)
    assert bench.repeats(SMALL) == bench.repeats(MEDIUM) == [0, 1, 2]
    found = measure(lambda *_: True, is_late=lambda: True)
    assert len(found.rows) == 2
    assert found.notes[1].startswith("--max-minutes are over, before this was decided: ")


def test_a_case_that_fails_is_a_failure_and_not_run_again(bench: Bench) -> None:
    bench.failing = SMALL.id
    found = measure(lambda *_: True, most=2)
    assert found.has_failures
    assert (bench.repeats(SMALL), bench.repeats(MEDIUM)) == ([0], [0, 1])
    assert found.notes[0].startswith(f"{SMALL.id} cannot run here: ")


def energies(values: Sequence[float], session: str = "now") -> Rows:
    results = [make_result(SMALL, repeat=n, energy_j=3600 * e) for n, e in enumerate(values)]
    return [{**to_row(result), "session": session} for result in results]


def asked(text: str, rows: Rows, known: Rows | None = None) -> tuple[bool, Judgement]:
    """Return whether more is needed, and the verdict as it stands."""
    path = Path("budgets.toml")
    path.write_text(f'[[budget]]\ncase = "*"\non_estimated = "error"\n{text}\n')
    budgets = read_budgets(path)
    baseline = Baseline("stored.json", tuple(known)) if known else None
    found = judge(rows, budgets, baseline, is_repeated=True)
    return needs_more(SMALL.id, rows, budgets, baseline), found.all[0]


STEADY = tuple(np.exp(np.random.default_rng(1).normal(0, 0.01, 20)).tolist())
NOISY = tuple(np.exp(np.random.default_rng(1).normal(0, 0.08, 20)).tolist())


def test_repeats_are_added_until_a_stored_baseline_decides() -> None:
    known = energies(NOISY[10:], "before")
    text = 'session_noise = "1%"\nenergy_wh = { max_increase = "10%" }'
    took = [n for n in range(1, 21) if asked(text, energies(NOISY[:n]), known)[0]]
    assert took[:6] == [1, 2, 3, 4, 5, 6]
    assert 20 not in took
    needs, found = asked(text, energies(NOISY), known)
    assert (needs, found.verdict) == (False, Verdict.PASS)


def test_what_noise_between_sessions_leaves_open_is_hopeless_and_names_the_way_out() -> None:
    known = energies(STEADY[10:], "before")
    needs, found = asked('energy_wh = { max_increase = "10%" }', energies(STEADY[:5]), known)
    assert (needs, found.verdict) == (False, Verdict.INCONCLUSIVE)
    assert "more repeats cannot decide it" in found.reason
    assert "--baseline interleaved:auto" in found.reason


def test_growth_that_only_the_noise_between_sessions_leaves_unsure_is_hopeless_too() -> None:
    rows = energies([1.27 * each for each in STEADY[:10]])
    needs, found = asked('energy_wh = { max_increase = "0%" }', rows, energies(STEADY, "before"))
    assert (needs, found.verdict) == (False, Verdict.INCONCLUSIVE)
    assert found.low is not None
    assert found.low > 1
    assert found.reason.startswith("that it grew at all is less certain than 98%; more repeats")


def test_no_repeat_brings_what_the_stored_baseline_lacks() -> None:
    text = 'energy_wh = { max_increase = "10%" }'
    assert not asked(text, energies(STEADY[:1]))[0]
    assert not asked(text, energies(STEADY[:1]), energies(STEADY[:4], "before"))[0]
    assert asked(text, energies(STEADY[:1]), energies(STEADY[:5], "before"))[0]
    drop = "accuracy = { max_drop = 0.01 }"
    assert not asked(drop, energies(STEADY[:1]), energies(STEADY[:2], "before"))[0]
    assert asked(drop, energies(STEADY[:1]), energies(STEADY[:3], "before"))[0]
    gone = [{**row, "repeat": row["repeat"] + 30} for row in energies(STEADY[:2], "before")]
    known = [*energies(STEADY[:1], "before"), *gone]
    assert not asked(drop, [{**r, "repeat": 31} for r in energies(STEADY[:1])], known)[0]


def test_absolute_budgets_need_no_baseline() -> None:
    text = 'session_noise = "1%"\nenergy_wh = { max = 1.1 }'
    assert asked(text, energies(NOISY[:5]))[0]
    needs, found = asked(text, energies(STEADY[:8]))
    assert (needs, found.verdict) == (False, Verdict.PASS)
    assert not asked("train_flops = { max = 1 }", energies(STEADY[:1]))[0]


def alarms(sessions: int, between: float, *, is_repeated: bool) -> float:
    """Return the share of unchanged builds that a limit of 0% fails at any of four looks."""
    rng, count, of = np.random.default_rng(19), 0, 400 if sessions > 1 else 2_000
    for _ in range(of):
        costs = np.exp(
            rng.normal(0, between, (sessions + 1, 1)) + rng.normal(0, 0.05, (sessions + 1, 20))
        )
        here, stored = (
            costs[0].tolist(),
            {str(n): each[:5].tolist() for n, each in enumerate(costs[1:])},
        )
        for looks in (5, 7, 10, 20):
            found = (
                judge_increase(here[:looks], stored, 1.0, between, is_repeated=is_repeated)
                if stored
                else judge_cost(here[:looks], 1.0, between, is_repeated=is_repeated)
            )
            if found.is_violated:
                count += 1
                break
    return count / of


@pytest.mark.simulated
@pytest.mark.parametrize(("sessions", "between"), [(0, 0.0), (1, 0.0), (1, 0.1), (5, 0.05)])
def test_unchanged_code_fails_at_most_2_percent_of_builds_over_all_looks(
    sessions: int, between: float
) -> None:
    # Within what 2,000 simulations tell.
    assert alarms(sessions, between, is_repeated=True) <= 0.025


@pytest.mark.simulated
def test_looks_that_spend_nothing_fail_more() -> None:
    assert alarms(0, 0.0, is_repeated=False) > 0.035
