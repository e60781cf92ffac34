"""Rows: what a run of MLflow says as a row of our tables; one that says none is left out.

Anybody may write to an experiment. What a later greenbench or somebody else put there must not keep
others from reading the rest.
"""

import json
import logging
import math
import reprlib
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from greenbench.errors import TrackingError
from greenbench.results.chronology import proposal_wh
from greenbench.results.expected import NEEDED, missed
from greenbench.results.scope import scope_of
from greenbench.results.scores import OLDER_NAMES, as_of_today, optimism_of, score_of
from greenbench.results.table import (
    ENDED_WELL,
    FURTHER,
    FURTHER_METRIC,
    METRICS,
    OF_CASE,
    TAGS,
    WHOLE,
    Row,
)

MOST_NAMED = 3
SCORES = ("val_score", "test_score")
OLDER_SCORE = "accuracy/validation"
Usual = TypeVar("Usual", int, None)
OF_TRIAL = ("energy_wh", "search_wh", "duration_s", "val_score", "segments")

logger = logging.getLogger(__name__)


class LeftOut:
    """The runs that are no rows: counted, and the first ones named, each in a line."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, error: TrackingError) -> None:
        """Say of a run that it is left out, and why."""
        self._count += 1
        if self._count <= MOST_NAMED:
            logger.warning("%s: correct it, or delete the run", error)

    def close(self) -> None:
        """Say how many there were that nobody named."""
        if self._count > MOST_NAMED:
            logger.warning("%d more runs like these are left out", self._count - MOST_NAMED)


def case_row(run: Any) -> Row:
    """Return the row of a repeat's run.

    Raises
    ------
    TrackingError
        If it is none; the message names the run.
    """
    tags, metrics = run.data.tags, run.data.metrics
    row = {
        **{name: shared(tags.get(name)) for name in TAGS},
        **{name: _whole(run, name, None) for name in WHOLE},
        **{name: metrics.get(metric) for name, metric in METRICS.items()},
        **_further(metrics),
        # Which older runs have under this name alone.
        "commit": shared(tags.get("commit") or tags.get("mlflow.source.git.commit")),
        # Which older runs do not tell.
        "energy_scope": shared(scope_of(tags)),
        "repeat": _whole(run, "repeat", 0),
        "session": shared(tags.get("session")),
        "started_at": (run.info.start_time or 0) / 1000 or None,
        "run_id": run.info.run_id,
    }
    row = as_of_today(row)
    for name in (*NEEDED, "suite"):
        if row[name] is None:
            raise _no_row(run, name, None, "a text")
    _check(run, row, (*TAGS, *(name for name in METRICS if name not in OLDER_NAMES.values())))
    return row


def trial_row(run: Any, parent: Mapping[str, Any], position: int) -> Row:
    """Return the row of a trial's run.

    Parameters
    ----------
    run : mlflow.entities.Run
        Of the trial.
    parent : mapping
        The repeat's row.
    position : int
        The trial's index, if it does not say it.

    Raises
    ------
    TrackingError
        If it is none; the message names the run.
    """
    tags, metrics = run.data.tags, run.data.metrics
    status = shared(tags.get("status"))
    energy_wh = metrics.get("energy/total_wh")
    reevaluates = None if tags.get("reevaluates") is None else _whole(run, "reevaluates", 0)
    row = {
        **{name: parent[name] for name in (*OF_CASE, "repeat", "look")},
        # Trials that were logged before they had this tag are in order of time.
        "trial": _whole(run, "trial", position),
        "status": status,
        "energy_wh": energy_wh,
        "search_wh": proposal_wh(energy_wh, metrics.get("energy/search_wh"), reevaluates),
        "duration_s": metrics.get("time/total_s"),
        "val_score": _validated(metrics) if status in ENDED_WELL else None,
        "segments": tags.get("segments"),
        "reevaluates": reevaluates,
        # Trained alone, unless the tag says otherwise.
        "lanes": _whole(run, "lanes", 1),
        "optimism": optimism_of(parent["val_score"], parent["test_score"], score_of(parent)),
        "test_score": parent["test_score"],
        "repeat_uncertainty_wh": parent["uncertainty_wh"],
        "session": parent["session"],
        "run_id": parent["run_id"],
    }
    _check(run, row, OF_TRIAL)
    return as_of_today(row)


def environments(
    client: Any, experiments: Iterable[str], hosts: Collection[str]
) -> dict[str, dict[str, str]]:
    """Return what experiments say of some hosts; see `greenbench.tracking.Store.environments`."""
    found: dict[str, dict[str, str]] = {}
    for number in experiments:
        tags = client.get_experiment(number).tags
        texts = {host: tags.get(f"environment.{host}") for host in hosts}
        found |= {host: read for host, text in texts.items() if (read := _environment(text))}
    return dict(sorted(found.items()))


def _environment(text: str | None) -> dict[str, str]:
    """Return what a text of an experiment says of a host; nothing if it says that to others."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def shared(text: str | None) -> str | None:
    """Return one and the same text for equal ones: there are few, in very many rows."""
    return None if text is None else sys.intern(text)


def _whole(run: Any, tag: str, usual: Usual) -> int | Usual:
    text = run.data.tags.get(tag)
    if text is None:
        return usual
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise _no_row(run, tag, text, "a whole number")
    return number


def _validated(metrics: Mapping[str, float]) -> float | None:
    """Return a trial's validation score, which older versions have as an accuracy alone."""
    return metrics.get("score/validation", metrics.get(OLDER_SCORE))


def _further(metrics: Mapping[str, float]) -> Row:
    """Return the columns of a task's further metrics."""
    return {
        f"{FURTHER}{name.removeprefix(FURTHER_METRIC)}": value
        for name, value in metrics.items()
        if name.startswith(FURTHER_METRIC)
    }


def _check(run: Any, row: Row, columns: Sequence[str]) -> None:
    score = score_of(row)
    for name in columns:
        expected = missed(name, value := row[name], score)
        # Whoever compares refuses one out of range: it is of a mistake that must be seen.
        if expected and not (name in SCORES and math.isfinite(value)):
            raise _no_row(run, name, value, expected)


def _no_row(run: Any, name: str, value: Any, expected: str) -> TrackingError:
    shown = "absent" if value is None else reprlib.repr(value)
    return TrackingError(
        f"run {run.info.run_id} of experiment {run.info.experiment_id} is left out: {name} is "
        f"{shown}; expected {expected}"
    )
