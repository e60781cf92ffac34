"""`greenbench run --until-decided`: which repeats run next, and what the answer took."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenbench.cases import Case
from greenbench.cli.output import say
from greenbench.errors import ConfigurationError, GreenbenchError

if TYPE_CHECKING:
    from greenbench.compare.plan import Plan
    from greenbench.results import CaseResult
    from greenbench.running.session import Session
    from greenbench.terminal.progress import Progress

OPTION = "--until-decided"


@dataclass(frozen=True)
class Until:
    """What the options say.

    Attributes
    ----------
    max_wh, max_minutes : float or None
        What the run may take in all.
    """

    max_wh: float | None = None
    max_minutes: float | None = None


def until_of(is_asked: bool, max_wh: float | None, max_minutes: float | None) -> Until | None:
    """Return what the options say; None if a run has fixed repeats.

    Parameters
    ----------
    is_asked : bool
        Whether the option is given.
    max_wh, max_minutes : float or None
        Its limits.

    Raises
    ------
    ConfigurationError
        If a limit is none, or limits nothing.
    """
    from greenbench.compare.plan import Limits  # noqa: PLC0415

    if not is_asked:
        for option, limit in (("--max-wh", max_wh), ("--max-minutes", max_minutes)):
            if limit is not None:
                raise ConfigurationError(
                    f"{option} limits a run that goes on until it knows; add {OPTION}"
                )
        return None
    Limits(max_wh, max_minutes)
    return Until(max_wh, max_minutes)


def warn_of_seen(root: Path, cases: Sequence[Case]) -> None:
    """Say where the repeats of a run were seen by hand before, which its looks don't count.

    Parameters
    ----------
    root : pathlib.Path
        Where the folders of runs are.
    cases : sequence of Case
        Of which something is to be decided.
    """
    from greenbench.running.seen import seen_before  # noqa: PLC0415

    if seen := seen_before(root, cases):
        say(
            f"Warning: {len(seen)} of {len(cases)} cases ran with fixed repeats before, such as "
            f"{seen[0].id}: this run meets their seeds again, and its 5% does not count that look; "
            f"`--seed {max(case.seed for case in cases) + 1}` draws others",
            err=True,
        )


@dataclass
class Rounds:
    """Runs a plan's repeats, round by round.

    Attributes
    ----------
    plan : Plan
        Says which.
    cases : sequence of Case
        All of them, each with as many repeats as there may be.
    results : list of CaseResult
        So far.
    failures : list of GreenbenchError
        What went wrong.
    took_s : float
        Seconds that the repeats took; those of an interrupted run that were finished, too.
    """

    plan: "Plan"
    cases: Sequence[Case]
    results: "list[CaseResult]" = field(default_factory=list)
    failures: list[GreenbenchError] = field(default_factory=list)
    took_s: float = 0.0
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, until: Until, cases: Sequence[Case], *, include_disturbed: bool) -> "Rounds":
        """Return the rounds of cases.

        Raises
        ------
        ConfigurationError
            If nothing can be decided of them.
        """
        from greenbench.compare.asked import plan_of  # noqa: PLC0415
        from greenbench.compare.plan import Limits  # noqa: PLC0415
        from greenbench.results.looks import MOST_REPEATS  # noqa: PLC0415

        limits = Limits(until.max_wh, until.max_minutes)
        others = plan_of(cases, limits).others
        most = [c if c in others else replace(c, repeats=MOST_REPEATS) for c in cases]
        return cls(plan_of(most, limits, include_disturbed=include_disturbed), most)

    @property
    def asked(self) -> list[Case]:
        """The cases that something is to be decided of."""
        return list(dict.fromkeys(c for question in self.plan.questions for c in question.cases))

    def run(
        self, session: "Session", progress: "Progress"
    ) -> tuple[list[dict[str, Any]], list[GreenbenchError]]:
        """Run and deliver repeats until the plan has no more; return their rows, and failures."""
        from greenbench.running.repeats import outcomes  # noqa: PLC0415

        since = self.clock()
        for outcome in outcomes(session, progress, self._due):
            now = self.clock()
            if isinstance(outcome, GreenbenchError):
                self.failures.append(outcome)
                self.took_s += now - since
            else:
                self.results.append(outcome)
                # One that was there takes no time now.
                self.took_s += max(now - since, outcome.wall_s)
            since = now
        return self.tables()[0], [*self.failures]

    def _due(self, repeats: int) -> frozenset[Case]:
        rows, trials = self.tables()
        return self.plan.due(repeats, rows, trials, self.took_s)

    def tables(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the results so far, and their trials, as rows."""
        from greenbench.results.table import to_row, to_trial_rows  # noqa: PLC0415

        rows = [to_row(result) for result in self.results]
        return rows, [row for result in self.results for row in to_trial_rows(result)]

    @property
    def may_go_on(self) -> bool:
        """Whether higher limits would let it go on."""
        from greenbench.results.looks import MOST_SAID  # noqa: PLC0415

        return any(why != MOST_SAID for why in self.plan.ended.values())

    def tell(self) -> None:
        """Say what is decided, what it took, and what fixed repeats would have taken."""
        from greenbench.compare.plan import took  # noqa: PLC0415
        from greenbench.compare.units import with_unit  # noqa: PLC0415

        rows, _ = self.tables()
        for place, question in enumerate(self.plan.questions):
            why = self.plan.ended.get(place)
            say(f"{question.answer}{f'; not all is decided: {why}' if why else ''}")
            if told := question.fixed_design(rows):
                say(f"Estimated by simulation: {told}.")
        found = took(rows, self.took_s)
        energy = "unknown energy" if found.energy_wh is None else with_unit(found.energy_wh)
        say(f"This took {found.repeats} repeats, {energy} and {found.seconds / 60:.1f} min.")
