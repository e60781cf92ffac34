"""What stands beside a headline: components that are in no total, and how their energy is known."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from greenbench.compare.units import with_unit
from greenbench.results.readings import Provenance
from greenbench.results.scope import PARTS, scope_of, total_of

Row = Mapping[str, Any]


def beside_lines(rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each scope that leaves out more than modelled RAM.

    Parameters
    ----------
    rows : sequence of row
        Of one provenance, one a repeat.
    """
    scopes: dict[str, list[Row]] = {}
    for row in rows:
        if scope := scope_of(row):
            scopes.setdefault(scope, []).append(row)
    return [
        f"It covers {_upper(scope)} alone, and so do emissions; beside it, never in it: "
        f"{', '.join(beside)} (median of a repeat)."
        for scope, members in sorted(scopes.items())
        if (beside := [*filter(None, (_beside(part, members) for part in _left_out(members)))])
    ]


def _left_out(rows: Sequence[Row]) -> list[str]:
    found = set()
    for row in rows:
        found |= set((total_of(row) or "").split("+")) - set((scope_of(row) or "").split("+"))
    return [part for part in PARTS if part in found]


def _beside(part: str, rows: Sequence[Row]) -> str | None:
    known = [row for row in rows if row.get(f"{part}_wh") is not None]
    if not known:
        return None
    how = Provenance.worst(Provenance(row[f"{part}_provenance"]) for row in known)
    return f"{part.upper()} {with_unit(median(row[f'{part}_wh'] for row in known))} {how.label}"


def _upper(scope: str) -> str:
    return " and ".join(part.upper() for part in scope.split("+"))
