"""Cases take turns: when the first test asks, the session measures all of theirs, round by round.

Repeats of a case in a row would have the machine's state of that minute in common: under a slow
drift their intervals cover much less than they say.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from greenbench.cases import Case
from greenbench.cases.spelling import spelled_once
from greenbench.errors import GreenbenchError
from greenbench.integrations.pytest_items import CASE, parameters
from greenbench.integrations.pytest_marks import suite_of

if TYPE_CHECKING:
    from greenbench.results import CaseResult
    from greenbench.running.repeats import Follower
    from greenbench.running.session import Session

Key = tuple[str, int]


@dataclass(frozen=True)
class Asked:
    """A case that a test asks for, or will.

    Attributes
    ----------
    case : Case
        In the one spelling of its folder.
    suite : str
        Under which its results are kept.
    timer : callable
        Returns seconds; that of pytest-benchmark's options.
    place : int
        Of the test among all.
    """

    case: Case
    suite: str
    timer: Callable[[], float] = perf_counter
    place: int = 0


@dataclass(frozen=True)
class Sample:
    """One repeat: what came out, the name of its session, and how many seconds it took."""

    result: "CaseResult"
    session: str
    seconds: float


@dataclass
class Turns:
    """Measures what tests ask for, and keeps it for whichever asks next.

    Attributes
    ----------
    session : Session
        Runs a repeat.
    follower : Follower
        Is told of cases that take turns, and of those that fail.
    announced : sequence of Asked
        What tests will ask for, as far as one can know, in their order.
    keeps_order : bool
        Whether a round runs in that order, and not in random order.
    stops_at_failure : bool
        Whether no test runs after one that fails, so that their cases need not, either.
    measured : dict of (hash, repeat) to Sample
        What was measured, whichever test asked for it.
    told : set of (hash, repeat)
        Those that are in a test's report.
    """

    session: "Session"
    follower: "Follower"
    announced: Sequence[Asked] = ()
    keeps_order: bool = False
    stops_at_failure: bool = False
    measured: dict[Key, Sample] = field(default_factory=dict)
    told: set[Key] = field(default_factory=set)
    _failed: dict[str, GreenbenchError] = field(default_factory=dict, init=False)
    _last_place: float = field(default=float("inf"), init=False)
    _is_said: bool = field(default=False, init=False)

    def measure(self, asked: Asked, rounds: int) -> None:
        """Measure what is due of a case, each round with all that take turns with it.

        Parameters
        ----------
        asked : Asked
            What a test asks for now.
        rounds : int
            How many repeats of it.

        Raises
        ------
        GreenbenchError
            If this case fails; errors of others wait for their own tests.
        """
        others = {each.case.hash: each for each in reversed(self.announced)}
        taking = others if asked.case.hash in others else {}
        taking = {**taking, asked.case.hash: asked}
        for repeat in range(rounds):
            due = [each for each in taking.values() if self._is_due(each, repeat)]
            self._say(due)
            for each in self._ordered(due, repeat):
                # A failure meanwhile may have left it without a test.
                if self._is_due(each, repeat):
                    self._take(each, repeat)
        if error := self._failed.pop(asked.case.hash, None):
            raise error

    def _is_due(self, each: Asked, repeat: int) -> bool:
        is_open = (each.case.hash, repeat) not in self.measured and repeat < each.case.repeats
        return is_open and each.case.hash not in self._failed and each.place <= self._last_place

    def _ordered(self, due: Sequence[Asked], repeat: int) -> Sequence[Asked]:
        if self.keeps_order:
            return sorted(due, key=lambda each: each.place)
        of_case = {each.case: each for each in due}
        return [of_case[case] for case in self.session.in_turn([*of_case], repeat)]

    def _take(self, each: Asked, repeat: int) -> None:
        case = each.case
        try:
            begun_s = each.timer()
            result = self.session.run_repeat(case, repeat, each.suite)
            seconds = each.timer() - begun_s
            self.measured[case.hash, repeat] = Sample(result, self.session.folder.name, seconds)
            # Logging is none of a repeat's time.
            self.session.deliver(result)
        except GreenbenchError as error:
            self._failed[case.hash] = error
            self.follower.case_dropped(case)
            self._fails(each)
        else:
            if result.incumbent is None:
                self._fails(each)

    def _fails(self, each: Asked) -> None:
        if self.stops_at_failure:
            self._last_place = min(self._last_place, each.place)

    def _say(self, due: Sequence[Asked]) -> None:
        if len(due) > 1 and not self._is_said:
            self._is_said = True
            self.follower.notice(
                f"{len(due)} cases take turns, round by round, under the first test that asks for "
                "one; the others get their results when it is their turn"
            )


TURNS = pytest.StashKey[Turns]()


def asked(item: pytest.Item, case: Case, suite: str, data_dir: Path, place: int = 0) -> Asked:
    """Return what a test asks for.

    Parameters
    ----------
    item : pytest.Item
        The test.
    case : Case
        As it spells it.
    suite : str
        That options ask for.
    data_dir : Path
        Where data sets are.
    place : int, optional
        Of the test among all.
    """
    mark = item.get_closest_marker("benchmark")
    named = mark.kwargs.get("timer") if mark else None
    option = item.config.getoption("benchmark_timer", None)
    timer = named or (resolve_name(option) if option else perf_counter)
    return Asked(spelled_once(case, data_dir), suite_of(item, suite), timer, place)


def announced(items: Iterable[pytest.Item], suite: str, data_dir: Path) -> list[Asked]:
    """Return what tests that will run are parametrised with, in their order.

    A test with a time limit of its own is none of them: it must not pay for others' repeats.
    """
    return [
        asked(item, parameters(item)[CASE], suite, data_dir, place)
        for place, item in enumerate(items)
        if CASE in parameters(item) and not _will_not_run(item) and not _has_time_limit(item)
    ]


def takes_turns(config: pytest.Config) -> bool:
    """Return whether this process runs all tests, and all repeats: not under xdist, say."""
    is_short = config.getoption("benchmark_disable", False)
    return not is_short and not hasattr(config, "workerinput")


def _will_not_run(item: pytest.Item) -> bool:
    skips = [mark for mark in item.iter_markers("skipif") if mark.args[:1] in ((True,), (1,))]
    unrun = [mark for mark in item.iter_markers("xfail") if mark.kwargs.get("run", True) is False]
    return bool(skips or unrun or item.get_closest_marker("skip"))


def _has_time_limit(item: pytest.Item) -> bool:
    """Return whether pytest-timeout stops it, by a mark, an option, a variable or a file."""
    config = item.config
    if not config.pluginmanager.hasplugin("timeout"):
        return False
    given = os.environ.get("PYTEST_TIMEOUT") or config.getini("timeout")
    option = config.getoption("timeout", None)
    return bool(item.get_closest_marker("timeout") or option or given)
