"""Parts of a setting: results of different sessions that differ in one alone, as pairs."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from greenbench.compare.comparable import value_of

Row = Mapping[str, Any]

ACROSS = ("threads", "optimizer", "schedule", "devices")
"""Columns that are a part of a case's setting, and enter no seed."""
NUMBERED = {
    name: re.compile(rf"\+{name}\d+(?=\+|$)") for name in ("threads", "devices")
}  # fmt: skip
"""What the threads or devices of a case add to its name."""


def to_pairs(rows: Iterable[Row], compared: str = "threads") -> list[dict[str, Any]]:
    """Return results whose repeats are pairs if they differ in one part alone.

    Cases that differ in such a part have equal seeds: a repeat of one has the split, the initial
    weights and the order of samples of the other. So repeats are paired across sessions.

    Parameters
    ----------
    rows : iterable of mapping
        As `greenbench.results.table.to_row` gives them, oldest first.
    compared : str
        One of `ACROSS`.

    Returns
    -------
    list of dict
        Of each case, value of that part and host the latest session; with names that leave the
        part out, and no ``session``.
    """
    found: dict[tuple[str, str, Any, Any], list[dict[str, Any]]] = {}
    for row in rows:
        part = str(value_of(row, compared))
        bare = {name: _without(str(row[name]), compared, part) for name in ("case_id", "setting")}
        session = (bare["case_id"], part, row.get("host"), row.get("session"))
        changed = {**row, **bare, compared: part, "session": None}
        found.setdefault(session, []).append(changed)
    latest = {(case_id, part, host): rows for (case_id, part, host, _), rows in found.items()}
    return [row for rows in latest.values() for row in rows]


def _without(name: str, compared: str, part: str) -> str:
    if compared in NUMBERED:
        return NUMBERED[compared].sub("", name)
    return re.sub(rf"\+{re.escape(part)}(?=\+|$)", "", name)
