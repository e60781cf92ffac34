"""Pairs: the repeats that two variants share, and what one is beside the other."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from greenbench.compare.stats import Estimate, estimate
from greenbench.errors import NotComparableError
from greenbench.results.expected import LARGEST

Row = Mapping[str, Any]
Repeats = dict[tuple[Any, Any], Row]


def paired(variant: Repeats, baseline: Repeats) -> list[tuple[Row, Row]]:
    """Return the rows of both that share a repeat and a session."""
    return [(row, baseline[key]) for key, row in variant.items() if key in baseline]


def by_repeat(name: str, rows: Sequence[Row]) -> Repeats:
    """Return rows by session and repeat, or refuse them, by `name`, if two share both."""
    found: Repeats = {}
    for row in rows:
        key = (row.get("session"), row["repeat"])
        if key in found:
            raise NotComparableError(
                f"{name}: repeat {row['repeat']} comes twice, and one is paired with one; tell "
                "them apart with `--group`, or select some with `--where`"
            )
        found[key] = row
    return found


def estimate_of(pairs: Sequence[tuple[Row, Row]], column: str) -> Estimate | None:
    """Return the median ratio of figures that are measured anew in each pair."""
    ratios = [ratio for pair in pairs if (ratio := divided(pair, column)) is not None]
    # Sorted, so that the interval does not depend on the order of rows.
    return estimate(sorted(ratios)) if ratios else None


def estimate_once(
    pairs: Sequence[tuple[Row, Row]],
    column: str,
    compared: Callable[[tuple[Row, Row], str], float | None],
) -> Estimate | None:
    """Return the median of figures that seeds decide: once for each repeat."""
    found: dict[Any, list[float]] = {}
    for one, other in pairs:
        if (ratio := compared((one, other), column)) is not None:
            repeat = (one.get("case_hash"), other.get("case_hash"), one["repeat"])
            found.setdefault(repeat, []).append(ratio)
    return estimate(sorted(map(median, found.values()))) if found else None


def divided(pair: tuple[Row, Row], column: str) -> float | None:
    """Return one figure over the other, where that says something."""
    one, other = (row[column] for row in pair)
    # Nothing is divided by 0, nor by so little that it says nothing.
    if one is None or not other or (ratio := one / other) > LARGEST:
        return None
    return float(ratio)


def less(pair: tuple[Row, Row], column: str) -> float | None:
    """Return one figure less the other."""
    one, other = (row[column] for row in pair)
    return None if one is None or other is None else float(one - other)
