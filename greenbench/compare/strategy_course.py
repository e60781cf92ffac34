"""The course of strategies whose run looks again and again, from their trials."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import TYPE_CHECKING, Any

from scipy.special import ndtri

from greenbench.compare.control import CONTROL
from greenbench.compare.pairs import Pair, floor_of
from greenbench.compare.strategy_looks import at_look, with_pairs
from greenbench.compare.until import HOPE
from greenbench.results.looks import LEVEL, LOOKS, OUT, UNTIL_DECIDED, Look

if TYPE_CHECKING:
    from greenbench.compare.strategies import Strategies

Row = Mapping[str, Any]
Compare = Callable[[Sequence[Row], str | None], "Strategies"]
"""Compares the strategies of some trials: all pairs, or one against each other."""
Key = tuple[str, frozenset[str]]
"""A question, and the two strategies that it is about."""


@dataclass(frozen=True)
class StrategyCourse:
    """What looks at strategies have shown.

    Attributes
    ----------
    looks, repeats : int
        That were made, and the repeats of the last.
    dropped : mapping of str to int
        Strategies that are run no further, and the repeats that they have.
    shown : mapping
        Pairs of which a look has shown that the first is above the second, and p of the first
        look that did.
    best : str
        The best at equal energy at the last look; empty before there is one.
    open : mapping of str to Pair
        Strategies of which it is not known whether the best is above them.
    couples : int
        Pairs that the last look tested together.
    level : float
        Of its tests.
    tests : mapping of (str, frozenset of str) to Pair
        Of each question and two strategies the first test that was significant, or else the last.
    """

    looks: int = 0
    repeats: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    shown: Mapping[tuple[str, str], float] = field(default_factory=dict)
    best: str = ""
    open: Mapping[str, Pair] = field(default_factory=dict)
    couples: int = 0
    level: float = LEVEL
    tests: Mapping[Key, Pair] = field(default_factory=dict)

    @property
    def is_settled(self) -> bool:
        """Whether the best is shown to be above each other, or below the control."""
        return bool(self.best) and not self.open

    def is_within_reach(self, repeats: int) -> bool:
        """Return whether it may be settled after so many repeats, if all is as good as it can be.

        Each pair is taken at the best truth that its p leaves, and must not need more than ranks
        of so many repeats can show.
        """
        if not self.repeats:
            return True
        for rival, pair in self.open.items():
            of_control = rival == CONTROL
            least = floor_of(
                repeats,
                1 if of_control else self.couples,
                paired=pair.is_paired,
                shares_one=of_control,
            )
            p = 1.0 if pair.p is None else pair.p
            then = (HOPE - ndtri(p / 2)) * sqrt(repeats / self.repeats)
            if least >= pair.level or then < -ndtri(pair.level / 2):
                return False
        return True


def look_at(
    course: StrategyCourse,
    repeats: int,
    best: str,
    pairs: Sequence[Pair],
    of_control: Sequence[Pair] = (),
) -> StrategyCourse:
    """Return the course with a further look.

    Parameters
    ----------
    course : StrategyCourse
        So far.
    repeats : int
        That the look has.
    best : str
        The strategy of the best median at equal energy.
    pairs, of_control : sequence of Pair
        The strategies that go on, each two at equal energy, and the control against each at their
        ends; tested at the level of a look.
    """
    shown, dropped, left = dict(course.shown), dict(course.dropped), dict[str, Pair]()
    known = {frozenset(two) for two in shown}
    for pair in (*pairs, *of_control):
        two = frozenset((pair.one, pair.other))
        if pair.is_significant and pair.p is not None and two not in known:
            known.add(two)
            shown[pair.larger, pair.other if pair.larger == pair.one else pair.one] = pair.p
    for pair in pairs:
        if best not in (pair.one, pair.other):
            continue
        rival = pair.other if pair.one == best else pair.one
        if frozenset((best, rival)) not in known:
            left[rival] = pair
        elif pair.p is not None and pair.p <= OUT and rival != CONTROL and pair.larger == best:
            dropped[rival] = repeats
    return replace(
        course,
        looks=course.looks + 1,
        repeats=repeats,
        dropped=dropped,
        shown=shown,
        best=best,
        open=left,
        couples=len(pairs),
        level=pairs[0].level,
    )


def look_again(
    course: StrategyCourse,
    trials: Sequence[Row],
    compare: Compare,
    *,
    against: str | None = None,
) -> StrategyCourse:
    """Return the course with the look that follows, at the trials of the strategies that go on.

    Parameters
    ----------
    course : StrategyCourse
        So far.
    trials : sequence of row
        All of them; those of later repeats are not seen.
    compare : callable
        Compares strategies.
    against : str, optional
        The strategy whose tests against each other are told.
    """
    repeats = LOOKS[course.looks]
    own = [
        row
        for row in trials
        if int(row["repeat"]) < repeats and str(row["strategy"]) not in course.dropped
    ]
    look = Look(course.looks + 1, UNTIL_DECIDED)
    names = {str(row["strategy"]) for row in own}
    if len(names) <= 1:
        return replace(course, looks=look.number, repeats=repeats)
    found = at_look(compare(own, None), look)
    told = found if against is None else at_look(compare(own, against), look)
    tests = dict(course.tests)
    for key, pair in _tests(told):
        if key not in tests or not tests[key].is_significant:
            tests[key] = pair
    course = replace(course, tests=tests)
    if found.equal_energy is None:
        return replace(course, looks=look.number, repeats=repeats)
    ends = found.control.at_their_ends if found.control else ()
    horizon = found.equal_energy
    return look_at(course, repeats, horizon.found[0].strategy, horizon.pairs, ends)


def replay(
    answer: "Strategies", trials: Sequence[Row], compare: Compare, against: str | None
) -> "Strategies":
    """Return an answer that claims no more than the looks of the run did.

    Its figures are of all trials; of each pair it has the first test of a look that was
    significant, or else that of the last look.

    Parameters
    ----------
    answer : Strategies
        From all trials.
    trials, compare, against
        As `look_again` takes them.
    """
    most = max(int(row["repeat"]) + 1 for row in trials)
    course = StrategyCourse()
    while course.looks < len(LOOKS) and LOOKS[course.looks] <= most and not course.is_settled:
        course = look_again(course, trials, compare, against=against)
    number = course.looks
    why = "no look had both" if number else f"the first look is after {LOOKS[0]} repeats"

    def seen(question: str, pair: Pair) -> Pair:
        found = course.tests.get((question, frozenset((pair.one, pair.other))))
        return found or replace(pair, p=None, reason=why)

    return with_pairs(answer, seen, Look(number, UNTIL_DECIDED))


def _tests(answer: "Strategies") -> Iterator[tuple[Key, Pair]]:
    """Return the tests of an answer, with the names by which `with_pairs` asks for them."""
    found: list[tuple[Key, Pair]] = []

    def note(question: str, pair: Pair) -> Pair:
        found.append(((question, frozenset((pair.one, pair.other))), pair))
        return pair

    with_pairs(answer, note, Look(answer.look, answer.design))
    return iter(found)
