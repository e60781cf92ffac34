"""Chronology: the trials of one search in the order of time, and what its energy went into.

A trial under a scheduler is trained in segments, between which other trials run. All functions
take rows of the trials of one search, as `greenbench.results.table.to_trial_rows` gives them;
columns that older rows lack are taken as unknown.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greenbench.errors import ConfigurationError
from greenbench.results.scores import OLDER_NAMES, score_of, score_of_all, worst_gain
from greenbench.tasks import Score

Row = Mapping[str, Any]

COMPLETED = "completed"
"""Status of a trial that was trained to its end."""

SEGMENT = ("position", "epochs", "energy_wh", "val_score")
"""What is kept of a segment, a list over the segments for each."""


@dataclass(frozen=True)
class Step:
    """A trial, or a segment of one: after it the search may have found more.

    Attributes
    ----------
    trial : int
        Which of the rows it is of.
    energy_wh : float or None
        What it took; None if unknown.
    val_score : float or None
        What it found; None if it failed, was not trained to its end, or trains again what the
        search has chosen.
    """

    trial: int
    energy_wh: float | None
    val_score: float | None


@dataclass(frozen=True)
class Spending:
    """What the energy of a search went into, as shares of it; None where that is unknown.

    Attributes
    ----------
    proposal_share : float or None
        Spent on proposals.
    wasted_share : float or None
        Spent on trials that were never the incumbent; re-evaluations are none of them.
    """

    proposal_share: float | None
    wasted_share: float | None


def to_text(segments: Sequence[Sequence[Any]]) -> str | None:
    """Return segments as the compact JSON that rows have; None without any.

    Parameters
    ----------
    segments : sequence of sequence
        The values of `SEGMENT` of each.
    """
    if not segments:
        return None
    columns = dict(zip(SEGMENT, map(list, zip(*segments, strict=True)), strict=True))
    return json.dumps(columns, separators=(",", ":"))


def read_segments(row: Row) -> list[dict[str, Any]]:
    """Return the segments of a trial, each with the values of `SEGMENT`.

    Parameters
    ----------
    row : mapping
        Of the trial; without segments there are none.

    Raises
    ------
    ConfigurationError
        If they are not what `to_text` gives.
    """
    text = row.get("segments")
    if text is None:
        return []
    try:
        columns = json.loads(text)
        if SEGMENT[-1] not in columns:
            columns[SEGMENT[-1]] = columns[OLDER_NAMES[SEGMENT[-1]]]
        members = zip(*(columns[name] for name in SEGMENT), strict=True)
        segments = [dict(zip(SEGMENT, values, strict=True)) for values in members]
    except (ValueError, TypeError, KeyError, RecursionError):
        segments = []
    score = score_of(row)
    if not segments or not all(_is_segment(segment, score) for segment in segments):
        raise ConfigurationError(
            f"segments of trial {row.get('trial')} are {str(text)[:60]!r}; expected JSON with a "
            f"list for each of {', '.join(SEGMENT)}: run the search again"
        )
    return segments


def candidate(row: Row) -> float | None:
    """Return the score with which a trial may become the incumbent; else None.

    A trial that was stopped is no candidate: of many early figures the best is mostly luck.
    Nor is one that trains again what the search has chosen.

    Parameters
    ----------
    row : mapping
        Of the trial.
    """
    is_completed = row.get("status") in (None, COMPLETED)
    score: float | None = row["val_score"]
    return score if is_completed and row.get("reevaluates") is None else None


def chronology(rows: Sequence[Row]) -> list[Step]:
    """Return the steps of a search in the order of time.

    Segments are in the order of their positions; a trial without any stands before the first
    segment of the next trial that has some. Re-evaluations come last.

    Parameters
    ----------
    rows : sequence of mapping
        Trials, in the order in which they started.
    """
    steps: list[tuple[tuple[float, ...], Step]] = []
    following = float("inf")
    for number, row in reversed(list(enumerate(rows))):
        segments = read_segments(row)
        if segments:
            following = segments[0]["position"]
        if row.get("reevaluates") is not None:
            steps.append(((1, number), Step(number, row["energy_wh"], candidate(row))))
        elif segments:
            places = [(0, segment["position"], 1, number) for segment in segments]
            steps += zip(places, _segment_steps(number, row, segments), strict=True)
        else:
            step = Step(number, row["energy_wh"], candidate(row))
            steps.append(((0, following, 0, number), step))
    return [step for _, step in sorted(steps, key=lambda placed: placed[0])]


def spending(rows: Sequence[Row]) -> Spending:
    """Return what the energy of a search went into.

    Parameters
    ----------
    rows : sequence of mapping
        Trials, in the order in which they started.
    """
    energies = [row["energy_wh"] for row in rows]
    total_wh = None if None in energies else sum(energies)
    if not total_wh:
        return Spending(None, None)
    proposals = [row.get("search_wh") for row in rows]
    score = score_of_all(rows)
    best, chosen = worst_gain(score), set()
    for step in chronology(rows):
        if step.val_score is not None and score.gain(step.val_score) > best:
            best = score.gain(step.val_score)
            chosen.add(step.trial)
    wasted_wh = sum(
        row["energy_wh"]
        for number, row in enumerate(rows)
        if number not in chosen and row.get("reevaluates") is None
    )
    known = [wh for wh in proposals if wh is not None]
    is_known = len(known) == len(rows)
    return Spending(sum(known) / total_wh if is_known else None, wasted_wh / total_wh)


def _is_segment(segment: Row, score: Score) -> bool:
    limits = zip(SEGMENT, (*[(0.0, math.inf)] * 3, (score.low, score.high)), strict=True)
    return all(
        isinstance(value, int | float) and least <= value <= most
        for name, (least, most) in limits
        if (value := segment[name]) is not None or name in SEGMENT[:2]
    )


def _segment_steps(number: int, row: Row, segments: Sequence[Row]) -> list[Step]:
    """Return a step a segment; together they take what the trial took."""
    total_wh = row["energy_wh"]
    found = [*[None] * (len(segments) - 1), candidate(row)]
    energies = [segment["energy_wh"] for segment in segments]
    if total_wh is None or None in energies:
        # Nothing is booked before it was surely spent.
        energies = [0.0] * len(segments)
    energies[-1] = None if total_wh is None else max(total_wh - sum(energies[:-1]), 0.0)
    return [
        Step(number, energy_wh, val_score)
        for energy_wh, val_score in zip(energies, found, strict=True)
    ]


def proposal_wh(
    energy_wh: float | None, search_wh: float | None, reevaluates: int | None
) -> float | None:
    """Return the energy of a trial's proposal: none of one that trains another's again."""
    is_none = search_wh is None and energy_wh is not None and reevaluates is not None
    return 0.0 if is_none else search_wh
