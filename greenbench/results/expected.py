"""What is expected of the values in our tables, wherever they are read from."""

import json
from typing import Any

from greenbench.errors import ConfigurationError
from greenbench.results.chronology import SEGMENT, read_segments
from greenbench.results.readings import Provenance
from greenbench.results.scores import HIGHER, LOWER, columns_of, read_range
from greenbench.results.table import TAGS, WHOLE
from greenbench.tasks import ACCURACY, Score

TEXTS = frozenset(TAGS) - frozenset(WHOLE)
LARGEST = 1e100
"""Beyond it a sum of squares may have no finite value."""

NEEDED = ("case_id", "strategy", "architecture", "backend", "dataset", "energy_provenance")
"""Columns without which a row says nothing."""

LIMITS = {
    "energy_wh": (0.0, LARGEST),
    "uncertainty_wh": (0.0, LARGEST),
    "repeat_uncertainty_wh": (0.0, LARGEST),
    "search_wh": (0.0, LARGEST),
    "duration_s": (0.0, LARGEST),
    "test_samples": (0.0, LARGEST),
    "control_j": (0.0, LARGEST),
    "control_s": (0.0, LARGEST),
}
SCORES = ("val_score", "test_score", "val_accuracy", "test_accuracy")
"""Columns whose limits are those of the score."""


def missed(name: str, value: Any, score: Score = ACCURACY) -> str | None:
    """Return what is expected of a column's value, if that is not what it is.

    Parameters
    ----------
    name : str
        One of the columns of `greenbench.results.table`.
    value : object
        None, which is unknown, is expected of all columns but those of `NEEDED`.
    score : Score
        What the scores of its row are.
    """
    if value is None and name not in NEEDED:
        return None
    if name == "energy_provenance":
        return None if value in list(Provenance) else f"one of {', '.join(Provenance)}"
    if name == "options":
        return None if _is_object(value) else "a JSON object as text"
    if name == "segments":
        return _missed_segments(value, score)
    if name == "score_direction":
        return None if value in (HIGHER, LOWER) else f"{HIGHER} or {LOWER}"
    if name == "score_range":
        is_range = isinstance(value, str) and read_range(value)
        return None if is_range else "two numbers, such as 0 to 1"
    if name in WHOLE:
        is_whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return None if is_whole else "a whole number"
    if name in TEXTS:
        return None if isinstance(value, str) else "a text"
    least, most = LIMITS.get(name, (-LARGEST, LARGEST))
    if name in SCORES:
        least, most = max(score.low, least), min(score.high, most)
    # Not true of nan.
    is_within = isinstance(value, int | float) and least <= value <= most
    return None if is_within else f"a number from {least:g} to {most:g}"


def _missed_segments(value: Any, score: Score) -> str | None:
    try:
        read_segments({"segments": value, **columns_of(score)})
    except ConfigurationError:
        return f"JSON with a list for each of {', '.join(SEGMENT)}"
    return None


def _is_object(value: Any) -> bool:
    try:
        return isinstance(json.loads(value), dict)
    except (TypeError, ValueError, RecursionError):
        return False
