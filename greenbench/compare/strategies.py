"""Strategies against each other, at equal energy and at equal trials: two different questions."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greenbench.compare.blocks import InBlock, in_blocks, notes_of
from greenbench.compare.comparable import (
    ENERGY,
    SCORED,
    check_agree,
    check_apart,
    check_definitions,
)
from greenbench.compare.control import NO_CONTROL, Control, judge_control
from greenbench.compare.doubts import AS_FAR, are_apart
from greenbench.compare.horizons import Horizon, cut_at_energy, cut_at_trials, judged_by
from greenbench.compare.hosts import host_column, on_host
from greenbench.compare.pairs import Pair
from greenbench.compare.searches import Search, Searches, read_searches
from greenbench.compare.standings import Standing, standings
from greenbench.compare.stats import Estimate
from greenbench.compare.strategy_course import Compare, replay
from greenbench.compare.strategy_looks import at_look, looked
from greenbench.compare.targets import compare_to_target, middle_of, targets_of
from greenbench.compare.tolerance import Tolerance, tolerance_for
from greenbench.compare.units import with_unit
from greenbench.errors import UnknownNameError
from greenbench.results.looks import CONFIDENCE, UNTIL_DECIDED, latest_look
from greenbench.results.scope import scope_of
from greenbench.tasks import ACCURACY, Score
from greenbench.tasks.score_format import remark

Row = Mapping[str, Any]

OWN_GROUP = ("architecture", "backend", "setting")
"""What greenbench's own searches must share; the setting begins with the data set."""

INPUTS = ("strategy", "energy_wh", "val_score")


@dataclass(frozen=True)
class Strategies:
    """The strategies of one group.

    Attributes
    ----------
    group : dict of str to str
        What the searches have in common.
    provenance : str or None
        Of the energy figures, if known.
    tolerance : float
        How far below the best score the target is, in the score's unit.
    target : float or None
        Score to reach, the median of the blocks': the best that any search of a block found, less
        the tolerance; None if no trial completed.
    strategies : tuple of Standing
        By name.
    equal_trials : Horizon
        Cut at the fewest trials of any search of several trials, in each block.
    equal_energy : Horizon or None
        Cut at the least energy of any search of several trials, in each block.
    reason : str or None
        Why the question of equal energy has no answer.
    left_out : tuple of str
        Searches whose energy does not count, or that found nothing, and why.
    control : Control or None
        What searching gains over the published defaults; None if nobody ran those.
    scope : str or None
        The components that the energy figures cover, such as ``gpu``; None if not known.
    judged_by : Score
        What its scores are.
    within : str
        The tolerance, in words.
    targets : tuple of InBlock
        That of each block; empty where searches are not known to share any, and have one target.
    to_target : tuple of Pair
        Each two strategies by the energy at which they come to their block's target, each two
        searches of a block cut at the end of the one that spent less; the larger one is the one
        that comes there first.
    against : str or None
        The strategy that each other was tested against; all pairs are, if none was named.
    notes : tuple of str
        What must be known of how the searches were cut.
    look : int
        Which look at these repeats it is.
    level : float
        Of its tests: p of a pair must be below it.
    design : str or None
        How repeats came about: ``"until-decided"``, or None where somebody chose their number.
    host : str or None
        Which host it is of, in words, where the table has several.
    """

    group: dict[str, str]
    provenance: str | None
    tolerance: float
    target: float | None
    strategies: tuple[Standing, ...]
    equal_trials: Horizon
    equal_energy: Horizon | None
    reason: str | None
    left_out: tuple[str, ...]
    control: Control | None = None
    scope: str | None = None
    judged_by: Score = ACCURACY
    within: str = "1 point"
    targets: tuple[InBlock, ...] = ()
    to_target: tuple[Pair, ...] = ()
    against: str | None = None
    notes: tuple[str, ...] = ()
    look: int = 1
    level: float = 1 - CONFIDENCE
    design: str | None = None
    host: str | None = None

    @property
    def sentence(self) -> str:
        """The answer in words: what searching gains at all, then to both questions."""
        if self.target is None:
            return on_host(self.host, "No trial of any strategy completed.")
        if self.control is None:
            words = f"{self._in_words} {NO_CONTROL}{remark(self.judged_by)}"
        else:
            words = f"{self.control.sentence} {self._in_words}{remark(self.judged_by)}"
        return on_host(self.host, looked(words, self.look, self.level))

    @property
    def _in_words(self) -> str:
        trials, energy = self.equal_trials, self.equal_energy
        limit = trials.said(lambda number: f"{number:.3g}")
        at_trials = f"t equal trials ({limit}) {trials.ranking}"
        if energy is None:
            return f"A{at_trials}; {trials.verdict}; not at equal energy: {self.reason}."
        verdict = energy.verdict
        if verdict != trials.verdict:
            verdict = f"at equal energy {verdict}, at equal trials {trials.verdict}"
        return (
            f"At equal energy ({energy.said(with_unit)}) {energy.ranking}{energy.doubt}; "
            f"a{at_trials}; {self._failed}{self._to_target}; {verdict}."
        )

    @property
    def _failed(self) -> str:
        """What is said of searches that are left out since none of their trials completed."""
        failed = [
            f"{standing.failed_searches} of {standing.searches} of {standing.strategy}"
            for standing in self.strategies
            if standing.failed_searches
        ]
        return f"no trial completed in {listed(failed)}; " if failed else ""

    @property
    def _to_target(self) -> str:
        whose_best = "the repeat's best" if self.targets else "the best"
        comes = f"within {self.within} of {whose_best}"
        reaching = sorted(
            (s.energy_to_target_wh, s.strategy, s.uncertainty_wh or 0.0)
            for s in self.strategies
            if s.energy_to_target_wh is not None
        )
        whose = " whose energy counts" if any(s.counted == 0 for s in self.strategies) else ""
        if not reaching:
            return f"no strategy{whose} comes {comes} in most of its searches"
        least_wh, first, doubt_wh = reaching[0]
        words = f"{first} comes {comes} for {with_unit(least_wh)}"
        if len(reaching) > 1:
            next_wh, second, other_wh = reaching[1]
            if not are_apart(least_wh, next_wh, doubt_wh, other_wh):
                return f"{words}, the same as {second}, {AS_FAR}"
            share = f"{words}, {least_wh / next_wh:.0%} of {second}'s" if next_wh else words
            return f"{share}{self._how_sure(first, second)}"
        rivals = [s for s in self.strategies if s.strategy != first]
        how = " in most of its searches" if any(s.hit_rate for s in rivals) else ""
        return f"{words}, which no other{whose} does{how}"

    @property
    def estimates(self) -> list[Estimate]:
        """All medians that tables show, with what stands in brackets behind them."""
        horizons = (self.equal_energy, self.equal_trials)
        scores = [found.score for horizon in horizons if horizon for found in horizon.found]
        return [s.energy_wh for s in self.strategies if s.energy_wh is not None] + scores

    def _how_sure(self, first: str, second: str) -> str:
        pair = next((p for p in self.to_target if {p.one, p.other} == {first, second}), None)
        if pair is None:
            return ""
        if not pair.is_significant or pair.larger != first:
            return ", which is not proven"
        return f" (p = {pair.p:.2g}{', paired' if pair.is_paired else ''})"

    def records(self) -> list[dict[str, Any]]:
        """Return a flat row for each strategy."""
        common = {**host_column(self.host), **self.group}
        return [{**common, **self._record(standing)} for standing in self.strategies]

    def _record(self, standing: Standing) -> dict[str, Any]:
        record: dict[str, Any] = {}
        for name, value in vars(standing).items():
            if name != "curve":
                record |= _flat(name, value)
        record |= {
            "target": self.target,
            "energy_provenance": self.provenance,
            "energy_scope": self.scope,
        }
        for name, horizon in (("trials", self.equal_trials), ("wh", self.equal_energy)):
            found = horizon.found if horizon else ()
            one = next((f for f in found if f.strategy == standing.strategy), None)
            record |= {
                f"equal_{name}": horizon.limit if horizon else None,
                **_flat(f"score_at_equal_{name}", one and one.score),
                f"win_rate_at_equal_{name}": one and one.win_rate,
            }
        return record


def compare_strategies(
    trials: Iterable[Row],
    *,
    group: Sequence[str],
    tolerance: Tolerance | float | None = None,
    against: str | None = None,
    include_disturbed: bool = False,
) -> list[Strategies]:
    """Compare the strategies of every group that has at least two.

    Parameters
    ----------
    trials : iterable of mapping
        A row a trial, in the order in which they ran, such as
        `greenbench.results.table.to_trial_rows` gives them: ``strategy``, ``energy_wh`` (None if
        unknown) and ``val_score`` (None if the trial failed), with the columns that tell what
        score it is (see `greenbench.results.scores`), or else an accuracy in [0, 1]. Columns
        ``session`` and ``repeat`` tell the searches of a strategy apart, ``trial`` orders
        theirs, ``marks`` says which are disturbed, and the other columns say what energy went
        into; each may be lacking. Searches that name their ``prior`` are compared in pairs
        with those of the same session and repeat.
    group : sequence of str
        Columns whose values trials must share to be compared; `OWN_GROUP` for greenbench's
        own. The numbers of trials and of re-evaluations are no difference of ``setting``.
    tolerance : Tolerance or float, optional
        The target is so much below the best score that any strategy of the group found; a
        number is in the score's unit. None takes 0.01 of a share, and 1% of other scores.
    against : str, optional
        The strategy that is tested against each other, chosen before anything ran; all pairs
        are tested, if none is named. Of k strategies that are k − 1 tests instead of k(k − 1)/2,
        and that it is above (or below) all others needs no correction.
    include_disturbed : bool
        Whether the energy of disturbed searches counts.

    Returns
    -------
    list of Strategies
        By group.

    Raises
    ------
    NotComparableError
        If the trials of one group, or their energies, must not be put side by side; the
        message names what differs.
    UnknownNameError, ConfigurationError
        If a column is missing, or holds what is not a figure.
    """
    rows = list(trials)
    for column in (*INPUTS, *group):
        if rows and column not in rows[0]:
            raise UnknownNameError("column", column, rows[0])
    if against is not None and against not in (names := {str(row["strategy"]) for row in rows}):
        raise UnknownNameError("strategy", against, names)
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(without_budget(row, column) for column in group), []).append(row)
    compare = compare_in(group, tolerance, include_disturbed=include_disturbed)
    return [
        _looked_at(compare, members, against)
        for _, members in sorted(groups.items())
        if len(names := {str(row["strategy"]) for row in members}) > 1 and against in (None, *names)
    ]


def without_budget(row: Row, column: str) -> str:
    """Return what trials of one group share; ``default`` has one trial, whatever the others.

    Parameters
    ----------
    row : mapping
        A trial, or a result.
    column : str
        One of a group's.
    """
    text = str(row[column])
    return re.sub(r"\+(trials|reevaluate)\d+(?=\+|$)", "", text) if column == "setting" else text


def compare_in(
    group: Sequence[str], tolerance: Tolerance | float | None, *, include_disturbed: bool
) -> Compare:
    """Return what compares the strategies of one group, as if nobody had looked before.

    It takes what `compare_strategies` does.
    """

    def compare(rows: Sequence[Row], against: str | None) -> Strategies:
        own = {column: without_budget(rows[0], column) for column in group}
        return _compare(own, rows, tolerance, against, include_disturbed)

    return compare


def _looked_at(compare: Compare, rows: Sequence[Row], against: str | None) -> Strategies:
    answer, look = compare(rows, against), latest_look(rows)
    if look.design == UNTIL_DECIDED:
        return replay(answer, rows, compare, against)
    return at_look(answer, look)


def _compare(
    group: dict[str, str],
    rows: Sequence[Row],
    tolerance: Tolerance | float | None,
    against: str | None,
    include_disturbed: bool,
) -> Strategies:
    where = ", ".join(group.values()) or "all trials"
    check_apart(where, rows, group)
    check_definitions(where, rows, group)
    check_agree(where, rows, SCORED)
    searches = read_searches(rows, include_disturbed=include_disturbed)
    everything = [search for found in searches.values() for search in found]
    counted = [row for search in everything if search.curve for row in search.rows]
    check_agree(where, counted, ENERGY)
    score = judged_by(searches)
    allowed = tolerance_for(score, tolerance)
    far = allowed.of(max(float(search.best[-1]) for search in everything))
    targets = targets_of(searches, allowed)
    equal_energy, reason = _equal_energy(searches, against)
    found = standings(searches, targets, equal_energy)
    return Strategies(
        group=group,
        provenance=next((str(p) for r in counted if (p := r.get("energy_provenance"))), None),
        tolerance=far if targets else allowed.amount,
        target=middle_of(searches, targets),
        strategies=found,
        equal_trials=cut_at_trials(searches, against),
        equal_energy=equal_energy,
        reason=reason,
        left_out=tuple(f"{s.name}: {why}" for s in everything if (why := _why_left_out(s))),
        control=judge_control(searches, found, equal_energy, far),
        scope=next((s for r in counted if (s := scope_of(r))), None),
        judged_by=score,
        within=allowed.words(score),
        targets=in_blocks({block: score.gain(gain) for block, gain in targets.items()}),
        to_target=compare_to_target(searches, targets, against),
        against=against,
        notes=notes_of(searches),
    )


def _why_left_out(search: Search) -> str | None:
    return search.reason or (None if search.has_completed else "no trial completed")


def _equal_energy(searches: Searches, against: str | None) -> tuple[Horizon | None, str | None]:
    """Return the answer, or why there is none."""
    counted = {name: found for name, of in searches.items() if (found := _counted(of))}
    others = [name for name in searches if name not in counted]
    if len(counted) <= 1 or against in others:
        why = sorted({s.reason for name in others for s in searches[name] if s.reason})
        return None, f"no energy of {listed(others)} counts ({', '.join(why)})"
    horizon = cut_at_energy(counted, against)
    return horizon, None if horizon else "no search has more than one trial"


def _counted(searches: Sequence[Search]) -> list[Search]:
    return [search for search in searches if search.curve]


def listed(names: Sequence[str]) -> str:
    """Return names as a reader says them: one, two and three."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _flat(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Estimate):
        return dict(value.columns(name))
    return {name: value}
