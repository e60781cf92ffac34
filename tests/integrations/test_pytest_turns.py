"""Cases of tests take turns, with a session that measures nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.errors import CaseFailedError, ConfigurationError
from greenbench.integrations.pytest_turns import Asked, Turns
from greenbench.results import CaseResult
from tests.builders import make_result, make_trial

ONE, TWO, THREE = (Case(architecture="dense", size=size, repeats=3) for size in ("s", "m", "l"))
CLOCK: Iterator[int] = count()


@dataclass
class FakeSession:
    """Runs repeats at once, in the order of their names; some fail."""

    fails: dict[tuple[Case, int], Exception] = field(default_factory=dict)
    without_trial: Case | None = None
    folder: Path = Path("a-session")
    ran: list[tuple[str, int]] = field(default_factory=list)
    delivered: list[tuple[str, int]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def in_turn(self, cases: Sequence[Case], repeat: int) -> list[Case]:
        return sorted(cases, key=lambda case: case.id, reverse=bool(repeat % 2))

    def run_repeat(self, case: Case, repeat: int, suite: str) -> CaseResult:
        self.ran.append((str(case.size), repeat))
        if error := self.fails.pop((case, repeat), None):
            raise error
        trials = [make_trial(accuracy=None)] if case == self.without_trial else None
        return make_result(case, repeat=repeat, suite=suite, trials=trials)

    def deliver(self, result: CaseResult) -> None:
        self.delivered.append((str(result.case.size), result.repeat))

    def notice(self, message: str) -> None:
        self.said.append(message)

    def case_dropped(self, case: Case) -> None:
        self.said.append(f"dropped {case.size}")


def of(*cases: Case) -> list[Asked]:
    """What tests ask for, each a second after the other by its timer."""
    return [
        Asked(case, "ci", lambda: float(next(CLOCK)), place) for place, case in enumerate(cases)
    ]


def turns(session: FakeSession, *announced: Case, **options: Any) -> Turns:
    anything: Any = session
    return Turns(anything, anything, of(*announced), **options)


def test_cases_run_round_by_round_and_each_gets_its_own() -> None:
    session = FakeSession()
    taking = turns(session, ONE, TWO)
    taking.measure(*of(TWO), rounds=3)

    assert session.ran == [("m", 0), ("s", 0), ("s", 1), ("m", 1), ("m", 2), ("s", 2)]
    assert session.delivered == session.ran
    taking.measure(*of(ONE), rounds=3)
    assert len(session.ran) == 6
    mine = [taking.measured[ONE.hash, repeat] for repeat in range(3)]
    assert [(each.result.case, each.result.repeat, each.seconds) for each in mine] == [
        (ONE, 0, 1.0), (ONE, 1, 1.0), (ONE, 2, 1.0),
    ]  # fmt: skip
    (line,) = session.said
    assert line.startswith("2 cases take turns, round by round, under the first test")


def test_case_that_fails_fails_its_own_test_alone_and_is_tried_again_if_that_is() -> None:
    session = FakeSession({(TWO, 1): ConfigurationError("it cannot work")})
    taking = turns(session, ONE, TWO)
    taking.measure(*of(ONE), rounds=3)
    assert session.ran.count(("m", 2)) == 0
    assert "dropped m" in session.said

    with pytest.raises(ConfigurationError, match="it cannot work"):
        taking.measure(*of(TWO), rounds=3)
    taking.measure(*of(TWO), rounds=3)
    assert session.ran[-2:] == [("m", 1), ("m", 2)]


@pytest.mark.parametrize("is_untold", [False, True])
def test_run_that_stops_at_a_failure_measures_for_no_test_after_it(*, is_untold: bool) -> None:
    failure = {} if is_untold else {(TWO, 0): CaseFailedError("no")}
    session = FakeSession(failure, without_trial=TWO)
    turns(session, ONE, TWO, THREE, stops_at_failure=True).measure(*of(ONE), rounds=3)
    rest = [("m", 2), ("m", 1)] if is_untold else []
    assert [each for each in session.ran if each[0] == "l"] == [("l", 0)]
    assert sorted(session.ran) == sorted([("s", 0), ("s", 1), ("s", 2), ("m", 0), ("l", 0), *rest])


def test_case_that_nobody_announced_is_measured_alone() -> None:
    session = FakeSession()
    turns(session, ONE, TWO).measure(*of(THREE), rounds=3)
    assert session.ran == [("l", 0), ("l", 1), ("l", 2)]
    assert session.said == []


def test_a_test_that_asks_for_fewer_repeats_has_nobody_run_more() -> None:
    session = FakeSession()
    taking = turns(session, ONE, TWO)
    taking.measure(*of(replace(ONE, repeats=1)), rounds=1)
    assert sorted(session.ran) == [("m", 0), ("s", 0)]
    taking.measure(*of(TWO), rounds=3)
    assert len(session.ran) == 6


def test_interrupt_keeps_what_was_measured() -> None:
    stop: Any = KeyboardInterrupt()
    session = FakeSession({(TWO, 1): stop})
    taking = turns(session, ONE, TWO)
    with pytest.raises(KeyboardInterrupt):
        taking.measure(*of(ONE), rounds=3)
    assert session.delivered == [("m", 0), ("s", 0), ("s", 1)]
    assert len(taking.measured) == 3


def test_rounds_keep_the_order_of_tests_if_asked() -> None:
    session = FakeSession()
    turns(session, THREE, TWO, ONE, keeps_order=True).measure(*of(THREE), rounds=2)
    assert [size for size, _ in session.ran] == ["l", "m", "s"] * 2
