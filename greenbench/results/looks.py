"""Looks at a question: how often its repeats were looked at, and the level that each look has.

Who looks at the same repeats again after some more errs more often than a test of one look says. So
each look has a level of its own, and all of them together err in 5% of experiments at most.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CONFIDENCE = 0.95
UNTIL_DECIDED = "until-decided"
"""The design of a run that goes on until it knows."""

LOOKS = (3, 4, 5, 6, 8, 10, 13, 17, 22, 29, 38, 49, 60)
"""Repeats after which such a run looks."""
MOST_REPEATS = LOOKS[-1]
MOST_SAID = f"{MOST_REPEATS} repeats are the most"
LEVEL = 0.0065
"""Of a test at each of `LOOKS`: a boundary of constant level (Pocock 1977), found by simulation."""
OUT = 0.0005
"""Of the test, at each of `LOOKS`, by which a size or a strategy is dropped."""
BY_HAND = (0.04, 0.0045, 0.002, 0.001, 0.0007, 0.0005, 0.0004, 0.0003, 0.0003, 0.0003)
"""Of the first look, the second, … where somebody adds repeats to an answer that was seen."""
LATER = 0.00001
"""Of each look by hand after these."""
MOST = 999
"""Looks that are counted; anybody may write to a store."""


@dataclass(frozen=True)
class Look:
    """Which look at a question it is.

    Attributes
    ----------
    number : int
        From 1; 0 where results don't say, such as those of a CSV: they count as looked at once.
    design : str or None
        `UNTIL_DECIDED`, or None where somebody adds repeats by hand.
    """

    number: int = 1
    design: str | None = None

    @property
    def level(self) -> float:
        """Error probability that a test has now."""
        if self.design == UNTIL_DECIDED:
            return LEVEL
        if not self.number:
            return 1 - CONFIDENCE
        return BY_HAND[self.number - 1] if self.number <= len(BY_HAND) else LATER

    @property
    def spent(self) -> float:
        """Error probability that all looks so far have together, at most."""
        each = [Look(number, self.design).level for number in range(self.number + 1) if number]
        # That dependent looks add up to less than their sum, simulations show.
        return min(sum(each), 1 - CONFIDENCE)


def look_of(row: Mapping[str, Any]) -> Look:
    """Return which look a result came before, as its row says; 0 if it does not."""
    return Look(min(max(int(row.get("look") or 0), 0), MOST), row.get("design") or None)


def latest_look(rows: Iterable[Mapping[str, Any]]) -> Look:
    """Return which look an answer from some results is; 0, if they do not say."""
    looks = [look_of(row) for row in rows]
    return max(looks, key=lambda look: (look.design is not None, look.number), default=Look(0))


def number_looks(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return results that say which look they came before, over all sessions of a store.

    What was added to a run says so itself. But a later session with more repeats has the seeds of
    the earlier ones, whose answers were seen: only its further repeats are new, and come before a
    further look.

    Parameters
    ----------
    rows : sequence of mapping
        Of all sessions, oldest first.
    """
    found = [dict(row) for row in rows]
    steps: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in found:
        key = (row.get("case_hash"), row.get("session"), look_of(row))
        steps.setdefault(key, []).append(row)
    seen: dict[Any, dict[Any, int]] = {}
    for (case, _, look), members in steps.items():
        known = seen.setdefault(case, {})
        following = max(max(known.values(), default=0) + 1, look.number if not known else 1)
        if look.design:
            following = look.number
        for row in members:
            row["look"] = max(look.number, known.setdefault(row.get("repeat"), following))
    return found


def look_after(repeats: int) -> int:
    """Return the number of the first look of `LOOKS` at so many repeats or more."""
    return next((k for k, n in enumerate(LOOKS, 1) if n >= repeats), len(LOOKS))
