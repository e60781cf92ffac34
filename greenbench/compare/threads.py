"""Numbers of threads: results of different sessions that differ in nothing else, as pairs."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from greenbench.compare.comparable import value_of

Row = Mapping[str, Any]

LABEL = re.compile(r"\+threads\d+(?=\+|$)")
"""What the threads of a case add to its name."""


def to_pairs(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return results whose repeats are pairs if they differ in threads alone.

    Cases that differ in threads have equal seeds: a repeat of one has the split, the initial
    weights and the order of samples of the other. So repeats are paired across sessions.

    Parameters
    ----------
    rows : iterable of mapping
        As `greenbench.results.table.to_row` gives them, oldest first.

    Returns
    -------
    list of dict
        Of each case and number of threads the latest session; with names that leave the
        threads out, and no ``session``.
    """
    found: dict[tuple[str, str, Any], list[dict[str, Any]]] = {}
    for row in rows:
        bare = {name: LABEL.sub("", str(row[name])) for name in ("case_id", "setting")}
        threads = str(value_of(row, "threads"))
        session = (bare["case_id"], threads, row.get("session"))
        found.setdefault(session, []).append({**row, **bare, "threads": threads, "session": None})
    latest = {(case_id, threads): rows for (case_id, threads, _), rows in found.items()}
    return [row for rows in latest.values() for row in rows]
