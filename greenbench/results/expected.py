"""What is expected of the values in our tables, wherever they are read from."""

import json
from typing import Any

from greenbench.errors import ConfigurationError
from greenbench.results.chronology import SEGMENT, read_segments
from greenbench.results.readings import Provenance
from greenbench.results.table import TAGS

TEXTS = frozenset(TAGS)
LARGEST = 1e100
"""Beyond it a sum of squares may have no finite value."""

NEEDED = ("case_id", "strategy", "architecture", "backend", "dataset", "energy_provenance")
"""Columns without which a row says nothing."""

LIMITS = {
    "energy_wh": (0.0, LARGEST),
    "uncertainty_wh": (0.0, LARGEST),
    "search_wh": (0.0, LARGEST),
    "duration_s": (0.0, LARGEST),
    "val_score": (0.0, 1.0),
    "test_score": (0.0, 1.0),
}


def missed(name: str, value: Any) -> str | None:
    """Return what is expected of a column's value, if that is not what it is.

    Parameters
    ----------
    name : str
        One of the columns of `greenbench.results.table`.
    value : object
        None, which is unknown, is expected of all columns but those of `NEEDED`.
    """
    if value is None and name not in NEEDED:
        return None
    if name == "energy_provenance":
        return None if value in list(Provenance) else f"one of {', '.join(Provenance)}"
    if name == "options":
        return None if _is_object(value) else "a JSON object as text"
    if name == "segments":
        return _missed_segments(value)
    if name in TEXTS:
        return None if isinstance(value, str) else "a text"
    least, most = LIMITS.get(name, (-LARGEST, LARGEST))
    # Not true of nan.
    is_within = isinstance(value, int | float) and least <= value <= most
    return None if is_within else f"a number from {least:g} to {most:g}"


def _missed_segments(value: Any) -> str | None:
    try:
        read_segments({"segments": value})
    except ConfigurationError:
        return f"JSON with a list for each of {', '.join(SEGMENT)}"
    return None


def _is_object(value: Any) -> bool:
    try:
        return isinstance(json.loads(value), dict)
    except (TypeError, ValueError, RecursionError):
        return False
