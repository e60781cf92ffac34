"""Strategies that are run until it is known which finds more at equal energy, look after look."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenbench.cases import Case
from greenbench.compare.strategies import OWN_GROUP, compare_in
from greenbench.compare.strategy_course import StrategyCourse, look_again
from greenbench.compare.tolerance import Tolerance

Row = Mapping[str, Any]


@dataclass
class WhichStrategy:
    """Which strategy of a group finds more.

    It is settled when the best at equal energy is shown to be above each other, and above the
    control or below it.

    Attributes
    ----------
    cases : tuple of Case
        One a strategy.
    tolerance : Tolerance, float or None
        As `greenbench.compare.strategies.compare_strategies` takes it.
    include_disturbed : bool
        Whether the energy of disturbed searches counts.
    course : StrategyCourse
        Its looks so far.
    """

    cases: tuple[Case, ...]
    tolerance: Tolerance | float | None = None
    include_disturbed: bool = False
    course: StrategyCourse = field(default_factory=StrategyCourse)

    @property
    def going(self) -> Collection[Case]:
        """Those that are not dropped."""
        if self.is_settled:
            return ()
        return tuple(case for case in self.cases if case.strategy not in self.course.dropped)

    @property
    def is_settled(self) -> bool:
        """Whether the best is shown to be."""
        return self.course.is_settled

    def look(self, repeats: int, rows: Sequence[Row], trials: Sequence[Row]) -> None:
        """Look at so many repeats of its cases, which is the next number of `LOOKS`."""
        ids = {case.id for case in self.cases}
        own = [row for row in trials if row["case_id"] in ids]
        compare = compare_in(OWN_GROUP, self.tolerance, include_disturbed=self.include_disturbed)
        self.course = look_again(self.course, own, compare)

    def is_within_reach(self, repeats: int) -> bool:
        """Return whether it may be settled after so many repeats."""
        return self.course.is_within_reach(repeats)

    def fixed_design(self, rows: Sequence[Row]) -> str | None:
        """Return nothing: how strategies are spread is not known well enough."""

    @property
    def answer(self) -> str:
        """What is known, in words."""
        first, course = self.cases[0], self.course
        where = f"{first.network} ({first.backend_variant}, {first.dataset})"
        if not course.looks:
            return f"{where}: no look"
        shown = [f"{one} above {other} (p = {p:.2g})" for (one, other), p in course.shown.items()]
        said = ", ".join(shown) if shown else "no difference is shown"
        of = f"look {course.looks}, after {course.repeats} repeats, at {course.level:g} each"
        return f"{where}: at equal energy, {said} ({of})"
