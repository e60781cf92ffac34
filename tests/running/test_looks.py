"""Which look a repeat comes before, and rounds that end when nothing more is due."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from greenbench.cases import Case
from greenbench.results import CaseResult
from greenbench.results.looks import BY_HAND, UNTIL_DECIDED, Look
from greenbench.running.manifest import Manifest
from greenbench.running.repeats import Follower, outcomes
from greenbench.running.run_folder import Request, RunFolder
from greenbench.running.session import Session
from tests.builders import make_result

ONE, OTHER = Case(size="s", repeats=5), Case(size="m", repeats=5)


class Ready:
    """A session whose repeats are all there."""

    cases = (ONE, OTHER)

    def repeats(self) -> Iterator[tuple[Case, int]]:
        return ((case, repeat) for repeat in range(5) for case in self.cases)

    def run_repeat(self, case: Case, repeat: int) -> CaseResult:
        return make_result(case, repeat=repeat)

    def deliver(self, result: CaseResult) -> None:
        pass


def ran(due: Any) -> list[tuple[str | None, int]]:
    found = outcomes(cast(Session, Ready()), cast(Follower, None), due)
    return [(each.case.size, each.repeat) for each in found if isinstance(each, CaseResult)]


def test_what_is_due_is_asked_before_each_round_and_nothing_runs_after_the_last() -> None:
    def due(repeats: int) -> Collection[Case]:
        return [(ONE, OTHER), (ONE,), ()][repeats]

    assert ran(due) == [("s", 0), ("m", 0), ("s", 1)]
    assert len(ran(None)) == 10


def test_last_round_is_looked_at_too() -> None:
    asked: list[int] = []

    def due(repeats: int) -> Collection[Case]:
        asked.append(repeats)
        return (ONE,)

    assert len(ran(due)) == 5
    assert asked == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("repeat", "number"), [(0, 1), (1, 1), (2, 2), (3, 3), (4, 3)])
def test_repeats_that_were_added_come_before_a_further_look(repeat: int, number: int) -> None:
    folder = RunFolder(Path("run"), Request("ci", [ONE], {}), added=(1, 2))
    assert folder.look_of(ONE, repeat) == Look(number)


def test_rounds_until_it_is_decided_come_before_the_next_look_of_the_design() -> None:
    folder = RunFolder(Path("run"), Request("ci", [ONE], {}, design=UNTIL_DECIDED))
    numbers = [folder.look_of(ONE, repeat).number for repeat in range(7)]
    assert numbers == [1, 1, 1, 2, 3, 4, 5]


def test_run_of_another_design_is_another_run(tmp_path: Path) -> None:
    plain, until = (Request("ci", [ONE], {}, design=d) for d in (None, UNTIL_DECIDED))
    RunFolder(tmp_path, until).begin()
    asked = Manifest.read(tmp_path).asked
    assert asked == until.to_dict() != plain.to_dict()


def test_all_looks_by_hand_spend_5_percent() -> None:
    assert sum(BY_HAND) == pytest.approx(0.05)
    assert Look(10).spent == pytest.approx(0.05)
    assert Look(1).spent == Look(1).level == BY_HAND[0]
    assert Look(999).level < min(BY_HAND)
