"""Heat: whether a sample's GPU was as warm as before the family's other samples.

A warm chip leaks more: the same training costs it more energy. Only samples that are together can
tell, and so no sample has the mark before others are there.
"""

from collections.abc import MutableMapping, Sequence
from typing import Any

from greenbench.results.marks import HOT, HOT_C, add_mark

TEMPERATURE = "gpu_temperature_before_c"
"""Before training, as the sample found it, which a pause mends: how warm it gets is its own."""
ALIKE = ("family", "backend", "setting", "host", "device")
"""Columns in which the samples agree that are compared in a family."""

Row = MutableMapping[str, Any]


def mark_hot(rows: Sequence[Row]) -> None:
    """Mark the samples whose GPU was warmer or cooler than the median of its family's others.

    Parameters
    ----------
    rows : sequence of mapping
        The samples that are shown or compared, as `greenbench.results.table.to_row` gives them;
        those of older results and of machines without a GPU have no temperature, and no mark.
    """
    families: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row.get(TEMPERATURE) is not None:
            families.setdefault(tuple(row.get(name) for name in ALIKE), []).append(row)
    for members in families.values():
        members.sort(key=lambda row: float(row[TEMPERATURE]))
        ordered = [float(row[TEMPERATURE]) for row in members]
        for place, row in enumerate(members if len(members) > 1 else ()):
            if abs(ordered[place] - _median_without(ordered, place)) > HOT_C:
                row["marks"] = add_mark(row.get("marks"), HOT)


def _median_without(ordered: Sequence[float], place: int) -> float:
    """Return the median of sorted values, all but the one at `place`."""
    count = len(ordered) - 1
    middle = {(count - 1) // 2, count // 2}
    chosen = [ordered[each if each < place else each + 1] for each in middle]
    return sum(chosen) / len(chosen)
