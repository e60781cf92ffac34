"""History: when a metric changed over past sessions, and by how much."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from greenbench.compare.comparable import check_scores, value_of
from greenbench.compare.samples import is_left_out
from greenbench.compare.units import energy_unit, mass_unit
from greenbench.errors import UnknownNameError
from greenbench.gate.changepoints import CONFIRMING, Found, find_places, medians_of, size_of
from greenbench.gate.controlled import controlled
from greenbench.gate.correlation import Floats
from greenbench.gate.metrics import METRICS, Kind, Metric
from greenbench.gate.wording import number
from greenbench.results.scores import score_of
from greenbench.tasks import ACCURACY, Score
from greenbench.tasks.score_format import is_share, words
from greenbench.tasks.score_format import value as score_text
from greenbench.text import clean

Row = Mapping[str, Any]

USUAL = ("train_flops", "parameters", "accuracy", "score", "energy_wh", "duration_s")
"""The metrics that are looked at, if nobody says."""

FEWEST = {Kind.COUNT: 2, **dict.fromkeys((Kind.SCORE, Kind.ENERGY, Kind.TIME), 2 * CONFIRMING)}
"""Sessions without which no step is looked for: two segments."""

SMALLEST = {Kind.ENERGY: 0.05, Kind.TIME: 0.05, Kind.SCORE: 0.01}
"""Steps that matter. 5% is by how much repeats, and two meters, may differ without a mark."""

COMPARABLE: Mapping[Kind, tuple[str, ...]] = {
    Kind.COUNT: (),
    Kind.SCORE: (),
    Kind.ENERGY: ("host", "threads", "meter", "cpu_tdp_w", "energy_provenance", "energy_scope"),
    Kind.TIME: ("host", "threads"),
}
"""Columns that must agree in a series, beside the definition of the case."""

CONTROL = {Kind.ENERGY: "control_j", Kind.TIME: "control_s"}
"""Columns of what the control workload cost, by the metrics that a machine's state affects."""

UNKNOWN_CAUSE = "whether the code changed or the machine is not known, as no control workload tells"

DIGITS = {Kind.COUNT: 15}
FEW_DIGITS = 3


@dataclass(frozen=True)
class Point:
    """A session in a series.

    Attributes
    ----------
    session, run_id : str
        The session, and the first of its runs that counts.
    commit : str or None
        What ran; None if the store does not say.
    value : float
        Median over the repeats, in the unit of the metric.
    n : int
        Repeats that count.
    control : float or None
        Median of what the control workload cost, in joules or seconds; None where a repeat
        does not know.
    """

    session: str
    run_id: str
    commit: str | None
    value: float
    n: int
    control: float | None = None


@dataclass(frozen=True)
class Step:
    """A change that lasted.

    Attributes
    ----------
    index : int
        Of the first point after it, counted from 0.
    session, run_id, commit : str or None
        Those of that point.
    before, after : float
        Medians from the step before it, and until the step after it; of a series that is divided
        by its control, what they would be at the median of that.
    change : float or None
        A share, where 0.2 is 20% more; a difference for accuracies; None if `before` is 0.
    previous_commit : str or None
        That of the last point before it.
    """

    index: int
    session: str
    run_id: str
    commit: str | None
    before: float
    after: float
    change: float | None
    previous_commit: str | None


@dataclass(frozen=True)
class Series:
    """One metric of one case over sessions that are comparable.

    Attributes
    ----------
    case_id, metric : str
        What was looked at.
    host : str or None
        Where; None for metrics that do not depend on it.
    points : tuple of Point
        Oldest first.
    steps : tuple of Step
        Oldest first.
    reason : str or None
        Why no steps were looked for.
    score : Score
        What the case's score is.
    divided_by : str or None
        The column of the control workload by which sessions are divided, because they vary less
        then.
    notes : tuple of str
        What a reader must know of the answer: why no step can be proven, or nothing is divided.
    """

    case_id: str
    metric: str
    host: str | None
    points: tuple[Point, ...]
    steps: tuple[Step, ...]
    reason: str | None = None
    score: Score = ACCURACY
    divided_by: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The answer in words."""
        of_score = METRICS[self.metric].kind is Kind.SCORE and self.score.name != "accuracy"
        name = f"{words(self.score) if of_score else self.metric} of {self.case_id}"
        if self.reason:
            return clean(f"{name}: no step was looked for ({self.reason}).")
        divided = f", divided by {self.divided_by}," if self.divided_by else ""
        notes = "".join(f"; {note}" for note in self.notes)
        if not self.steps:
            return clean(f"{name}{divided} has no step in {len(self.points)} sessions{notes}.")
        steps = "; by ".join(map(self._in_words, self.steps))
        return clean(f"{name}{divided} changed by {steps}{notes}.")

    def records(self) -> list[dict[str, Any]]:
        """Return the steps, a row each."""
        of_series = {"case_id": self.case_id, "metric": self.metric, "host": self.host}
        return [{**of_series, **asdict(step)} for step in self.steps]

    def _in_words(self, step: Step) -> str:
        before, after = (
            value_text(self.metric, value, self.score) for value in (step.before, step.after)
        )
        commit = f", commit {step.commit}" if step.commit else ""
        previous = f" after {step.previous_commit}" if step.previous_commit else ""
        return (
            f"{change_text(self.metric, step.change, self.score)} from {before} to {after} "
            f"in session {step.session} (run {step.run_id}{commit}{previous})"
        )


def find_steps(
    rows: Sequence[Row], metrics: Sequence[str] = USUAL, *, include_disturbed: bool = False
) -> list[Series]:
    """Return when metrics changed from one session to the next, and stayed so.

    Every change of a count is a step. Other metrics are noisy: a step of theirs lasts 3 sessions,
    matters (5%, or 1 point of accuracy), and stands out from the noise so clearly that at most
    2% of series without a step get one: also where sessions are correlated, or the machine
    changes slowly. Energies and times are compared by ratio, and divided by those of the control
    workload where each session has run it, and they vary less then.

    Parameters
    ----------
    rows : sequence of mapping
        As `greenbench.tracking.Store.read_rows` gives them, oldest first; failed repeats are
        left out.
    metrics : sequence of str
        Names in `greenbench.gate.metrics.METRICS`.
    include_disturbed : bool
        Whether energies and times of disturbed samples count.

    Returns
    -------
    list of Series
        By case, then in the order of `metrics`. One of its own for each definition of a case,
        and for each host, number of threads, and meter, on which the metric depends: a change of
        these is no step.
        A metric that no session knows has none.

    Raises
    ------
    UnknownNameError
        If there is no such metric.
    ConfigurationError
        If an accuracy is no share.
    """
    for name in metrics:
        if name not in METRICS:
            raise UnknownNameError("metric", name, METRICS)
    rows = [row for row in rows if row.get("status") != "failed"]
    check_scores(rows)
    found = [
        _series(metric, members, include_disturbed)
        for metric in (METRICS[name] for name in dict.fromkeys(metrics))
        for members in _grouped(rows, metric)
    ]
    return sorted(found, key=lambda series: series.case_id)


def value_text(metric: str, value: float, score: Score = ACCURACY) -> str:
    """Return a value of a metric with its unit."""
    kind, unit, scale = METRICS[metric].kind, METRICS[metric].unit, 1.0
    if kind is Kind.SCORE:
        return score_text(score, value, ".2f")
    if kind is Kind.ENERGY:
        scale = (energy_unit if unit == "Wh" else mass_unit)([value])[1]
        unit = unit if scale == 1 else f"m{unit}"
    return f"{number(value * scale, DIGITS.get(kind, FEW_DIGITS))} {unit}".strip()


def change_text(metric: str, change: float | None, score: Score = ACCURACY) -> str:
    """Return a change of a metric with its sign, in per cent, or in the unit of a score."""
    if change is None:
        return "+∞%"
    if METRICS[metric].kind is not Kind.SCORE:
        return f"{number(100 * change, FEW_DIGITS, '+')}%"
    times, unit = (100, "points") if is_share(score) else (1, score.unit)
    return f"{number(times * change, FEW_DIGITS, '+')} {unit}".strip()


def _grouped(rows: Iterable[Row], metric: Metric) -> list[list[Row]]:
    """Return the samples of each series."""
    columns = ("case_id", "case_hash", *COMPARABLE[metric.kind])
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        value = row.get(metric.column)
        if value is not None and math.isfinite(value):
            if metric.kind is Kind.SCORE and metric.is_accuracy != (_score_name(row) == "accuracy"):
                # A case has one series of its score: of an accuracy under that name.
                continue
            alike = tuple(value_of(row, name) for name in columns)
            groups.setdefault((*alike, _score_name(row)), []).append(row)
    return list(groups.values())


def _score_name(row: Row) -> str:
    return score_of(row).name


def _series(metric: Metric, rows: Sequence[Row], include_disturbed: bool) -> Series:
    kind, first = metric.kind, rows[0]
    if kind in (Kind.ENERGY, Kind.TIME) and not include_disturbed:
        rows = [row for row in rows if not is_left_out(row, metric.column)]
    points = tuple(_points(rows, metric.column, CONTROL.get(kind)))
    host = first.get("host") if "host" in COMPARABLE[kind] else None
    series = Series(first["case_id"], metric.name, host, points, (), score=score_of(first))
    if len(points) < FEWEST[kind]:
        reason = f"{len(points)} of {FEWEST[kind]} sessions that a step needs"
        return replace(series, reason=reason)
    if kind is Kind.COUNT:
        values = np.array([point.value for point in points])
        places = [int(place) + 1 for place in np.flatnonzero(np.diff(values))]
        return replace(series, steps=_steps(points, values, places, kind))
    return _with_noisy_steps(series, kind)


def _with_noisy_steps(series: Series, kind: Kind) -> Series:
    points, score = series.points, series.score
    values = np.array([point.value for point in points])
    smallest, is_ratio = SMALLEST[kind], kind is not Kind.SCORE
    if kind is Kind.SCORE and not is_share(score):
        # Of a score in any unit, as great a share of what it usually is.
        smallest *= float(np.median(np.abs(values)))
    control = controlled(values, [point.control for point in points], smallest)
    # What a session learns is not what state its machine was in.
    has_states = is_ratio and not control.shows_states
    found = find_places(control.values, smallest, is_ratio=is_ratio, has_states=has_states)
    doubt = UNKNOWN_CAUSE if found.places and has_states else _why_hidden(found, is_ratio=is_ratio)
    notes = (control.note, doubt)
    return replace(
        series,
        steps=_steps(points, control.values, found.places, kind),
        divided_by=CONTROL[kind] if control.is_divided else None,
        notes=tuple(note for note in notes if note),
    )


def _why_hidden(found: Found, *, is_ratio: bool) -> str | None:
    """Return why there are no steps where there seem to be some."""
    if found.turns:
        times = f"it goes from one of two levels to the other {found.turns} times"
        return f"what looks like steps is not proven: {times}, as a machine in two states does"
    if (hidden := found.hidden) is None:
        return None
    if hidden.drift is None:
        of = f" ({hidden.correlation:.1f})" if hidden.correlation else ""
        return f"what looks like one is not proven: its sessions are correlated{of}"
    by = f" by {number(100 * math.expm1(hidden.drift), FEW_DIGITS, '+')}%" if is_ratio else ""
    return f"what looks like one is not proven: it changes slowly{by} from first to last"


def _points(rows: Iterable[Row], column: str, control: str | None) -> list[Point]:
    sessions: dict[str, list[Row]] = {}
    for row in rows:
        sessions.setdefault(row.get("session") or row["run_id"], []).append(row)
    return [_point(session, members, column, control) for session, members in sessions.items()]


def _point(session: str, rows: Sequence[Row], column: str, control: str | None) -> Point:
    first = min(rows, key=lambda row: row["repeat"])
    value = float(statistics.median(row[column] for row in rows))
    known = [cost for row in rows if control and (cost := row.get(control))]
    # A resumed session has run it twice, and each repeat has the one before it.
    costs = float(statistics.median(known)) if len(known) == len(rows) else None
    return Point(session, first["run_id"], first.get("commit"), value, len(rows), costs)


def _steps(
    points: Sequence[Point], values: Floats, places: Sequence[int], kind: Kind
) -> tuple[Step, ...]:
    medians = medians_of(values, places)
    return tuple(
        Step(
            index=place,
            session=points[place].session,
            run_id=points[place].run_id,
            commit=points[place].commit,
            before=before,
            after=after,
            change=_change(before, after, kind),
            previous_commit=points[place - 1].commit,
        )
        for place, (before, after) in zip(places, pairwise(medians), strict=True)
    )


def _change(before: float, after: float, kind: Kind) -> float | None:
    if kind is not Kind.SCORE and not before:
        return None
    return size_of(before, after, is_ratio=kind is not Kind.SCORE)
