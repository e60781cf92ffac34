"""Pairs: the repeats that two variants share, and what one is beside the other."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from greenbench.compare.paired_means import PairedMean, mean_difference, mean_ratio
from greenbench.errors import NotComparableError
from greenbench.results.expected import LARGEST

Row = Mapping[str, Any]
Repeats = dict[tuple[Any, Any], Row]

SCORE = "test_score"


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


def ratio_of(pairs: Sequence[tuple[Row, Row]], column: str) -> PairedMean | None:
    """Return the mean ratio of figures that are measured anew in each pair."""
    ratios = [ratio for pair in pairs if (ratio := divided(pair, column)) is not None]
    return mean_ratio(ratios) if ratios else None


def score_ratio_of(pairs: Sequence[tuple[Row, Row]]) -> PairedMean | None:
    """Return the mean ratio of scores, once for each repeat; None unless all are above 0."""
    scores = [row[SCORE] for pair in pairs for row in pair if row[SCORE] is not None]
    if not all(score > 0 for score in scores):
        return None
    ratios = _once(pairs, divided)
    return mean_ratio(ratios, is_counted=True) if ratios else None


def score_difference_of(pairs: Sequence[tuple[Row, Row]]) -> PairedMean | None:
    """Return the mean difference of scores, once for each repeat."""
    differences = _once(pairs, less)
    return mean_difference(differences) if differences else None


def _once(
    pairs: Sequence[tuple[Row, Row]],
    compared: Callable[[tuple[Row, Row], str], float | None],
) -> list[float]:
    """Return what scores of pairs are beside each other. Seeds decide them: once a repeat."""
    found: dict[Any, list[float]] = {}
    for one, other in pairs:
        if (figure := compared((one, other), SCORE)) is not None:
            repeat = (one.get("case_hash"), other.get("case_hash"), one["repeat"])
            found.setdefault(repeat, []).append(figure)
    return list(map(median, found.values()))


def divided(pair: tuple[Row, Row], column: str) -> float | None:
    """Return one figure over the other, where that says something."""
    one, other = (row[column] for row in pair)
    # Of 0, or of so little that it says nothing, there is no ratio either way round.
    if not one or not other or not 1 / LARGEST < (ratio := one / other) < LARGEST:
        return None
    return float(ratio)


def less(pair: tuple[Row, Row], column: str) -> float | None:
    """Return one figure less the other."""
    one, other = (row[column] for row in pair)
    return None if one is None or other is None else float(one - other)
