"""Questions that a run can go on asking until they are decided: which size, and which strategy."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenbench.cases import Case
from greenbench.compare.contest import WhichStrategy
from greenbench.compare.courses import estimate_fixed, follow
from greenbench.compare.designs import MOST
from greenbench.compare.plan import OPTION, Limits, Plan, Question
from greenbench.compare.strategies import OWN_GROUP, without_budget
from greenbench.compare.tolerance import Tolerance, tolerance_for
from greenbench.compare.units import with_unit
from greenbench.compare.until import Course
from greenbench.errors import ConfigurationError
from greenbench.results.looks import LOOKS
from greenbench.results.scores import score_of
from greenbench.tasks import Score

Row = Mapping[str, Any]


def plan_of(
    cases: Sequence[Case],
    limits: Limits,
    *,
    tolerance: Tolerance | float | None = None,
    include_disturbed: bool = False,
) -> Plan:
    """Return what is asked of cases.

    Raises
    ------
    ConfigurationError
        If neither sizes of a family nor strategies are among them.
    """
    sizes: dict[tuple[str, ...], list[Case]] = {}
    searches: dict[tuple[str, ...], list[Case]] = {}
    for case in cases:
        if case.size and case.network in (f"{case.architecture}.{case.size}", case.size):
            key = (case.architecture, case.strategy, case.backend_variant, case.setting)
            sizes.setdefault(key, []).append(case)
        row = {
            "architecture": case.network,
            "backend": case.backend_variant,
            "setting": case.setting,
        }
        group = tuple(without_budget(row, column) for column in OWN_GROUP)
        searches.setdefault(group, []).append(case)
    questions: list[Question] = [
        WhichSize(tuple(members), tolerance, include_disturbed)
        for members in sizes.values()
        if len(members) > 1
    ]
    questions += [
        WhichStrategy(tuple(members), tolerance, include_disturbed)
        for members in searches.values()
        if len({case.strategy for case in members}) > 1
    ]
    if not questions:
        raise ConfigurationError(
            f"{OPTION}: these cases have neither two sizes of a family nor two strategies, which "
            "is all that can be decided step by step; run them without it"
        )
    asked = {case for question in questions for case in question.cases}
    return Plan(questions, [case for case in cases if case not in asked], limits)


@dataclass
class WhichSize:
    """Which size of a family to train.

    Attributes
    ----------
    cases : tuple of Case
        One a size.
    tolerance : Tolerance, float or None
        How far below the best is good enough.
    include_disturbed : bool
        Whether the energy of disturbed samples counts.
    course : Course
        Its looks so far.
    """

    cases: tuple[Case, ...]
    tolerance: Tolerance | float | None = None
    include_disturbed: bool = False
    course: Course = field(default_factory=Course)

    @property
    def going(self) -> Collection[Case]:
        """Those that are not dropped."""
        if self.is_settled:
            return ()
        return tuple(case for case in self.cases if case.network not in self.course.dropped)

    @property
    def is_settled(self) -> bool:
        """Whether the size is known."""
        return self.course.is_settled

    def look(self, repeats: int, rows: Sequence[Row], trials: Sequence[Row]) -> None:
        """Look at so many repeats of its cases."""
        members = self._members(rows)
        if members:
            score, allowed = self._judged(members)
            self.course = follow(
                members,
                score,
                allowed,
                include_disturbed=self.include_disturbed,
                repeats=repeats,
            )

    def fixed_design(self, rows: Sequence[Row]) -> str | None:
        """Return in words what fixed repeats of equal power would have taken; None if unknown."""
        members = self._members(rows)
        if not self.is_settled or not members:
            return None
        score, allowed = self._judged(members)
        found = estimate_fixed(
            members, self.course, score, allowed, include_disturbed=self.include_disturbed
        )
        if found is None or not found[1].power:
            return None
        round_wh, compared = found
        power = f"equal power ({compared.power:.0%})"
        if compared.fixed_repeats is None:
            return f"fixed repeats of {power} would have taken over {MOST} of each size"
        n = compared.fixed_repeats
        return (
            f"fixed repeats of {power} would have taken about {n} of each size, "
            f"{with_unit(n * round_wh)}"
        )

    def _members(self, rows: Sequence[Row]) -> dict[str, list[Row]]:
        ids = {case.id: case.network for case in self.cases}
        members: dict[str, list[Row]] = {}
        for row in rows:
            if row["case_id"] in ids:
                members.setdefault(ids[row["case_id"]], []).append(row)
        return members

    def _judged(self, members: Mapping[str, Sequence[Row]]) -> tuple[Score, Tolerance]:
        score = score_of(next(iter(members.values()))[0])
        return score, tolerance_for(score, self.tolerance)

    def is_within_reach(self, repeats: int) -> bool:
        """Return whether it may be settled after so many repeats."""
        return self.course.is_within_reach(repeats)

    @property
    def answer(self) -> str:
        """What is known, in words."""
        first = self.cases[0]
        where = f"{first.architecture} ({first.strategy}, {first.backend_variant}, {first.setting})"
        decision = self.course.decision
        if decision is None:
            return f"{where}: no look, the first is after {LOOKS[0]} repeats"
        found = f"{decision.choice} is proven" if decision.choice else "no size is proven"
        gone = ", ".join(
            f"{name} dropped after {repeats}" for name, repeats in self.course.dropped.items()
        )
        looks = f"look {self.course.looks}, after {self.course.repeats} repeats"
        return f"{where}: {found} ({looks}{'; ' if gone else ''}{gone})"
