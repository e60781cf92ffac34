"""Copies: rows that are one measurement, though they stand in several places."""

import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from greenbench.compare.csvs import number

Row = dict[str, Any]

POSITIONS = ("index",)
"""Columns that say where a row stands, and nothing of what was measured."""

FINE = 6
"""Digits of an energy in which two measurements are hardly ever equal."""
COARSEST = 3
"""Digits in which an energy may be another one of the same seed, written shorter."""
RARE = 0.01
"""How many pairs of measurements may be expected to be equal by chance, to call a pair copies."""


def without_copies(
    paths: Sequence[Path], tables: Sequence[list[Row]], *, apart: Collection[str] = ()
) -> tuple[list[Row], list[str]]:
    """Return the rows of several files, each measurement once, and what was left out.

    Equal rows of one file are as many measurements; see `once`.

    Parameters
    ----------
    paths : sequence of Path
        The files, for the notes.
    tables : sequence of list of dict
        The rows of each.
    apart : collection of str
        Columns that copies may differ in.
    """
    kept: list[Row] = []
    notes: list[str] = []
    known: Counter[Hashable] = Counter()
    for path, rows in zip(paths, tables, strict=True):
        own: Counter[Hashable] = Counter()
        before = len(kept)
        for row in rows:
            identity = _identity(row, apart)
            own[identity] += 1
            if own[identity] > known[identity]:
                kept.append(row)
        known |= own
        if copies := before + len(rows) - len(kept):
            notes.append(
                f"{copies} of {len(rows)} rows of {path} are in another file as well, and count "
                "once"
            )
    return kept, notes


def once(rows: Sequence[Row], energy: str | None) -> tuple[list[Row], list[str]]:
    """Return the rows of a table without those that are equal to one before, and how many.

    Measurements whose energies agree in many digits are one. Coarse figures may well be equal,
    and so may accuracies, which are counts over counts, however many digits they have.

    Parameters
    ----------
    rows : sequence of dict
        Of one table.
    energy : str or None
        Its column of what was measured, if there is one.
    """
    kept: dict[Hashable, Row] = {}
    for place, row in enumerate(rows):
        is_fine = energy is not None and _precision(row.get(energy))[0] >= FINE
        kept.setdefault(_identity(row, ()) if is_fine else place, row)
    copies = len(rows) - len(kept)
    if not copies:
        return list(rows), []
    return list(kept.values()), [
        f"{copies} of {len(rows)} rows are copies of others, and count once"
    ]


def measured_once(
    rows: Sequence[Row], apart: Sequence[str], energy: str, scored: str | None, seed: str | None
) -> tuple[list[Row], list[str]]:
    """Return results without those that have the figures of another one, and how many.

    Such a copy may have another number, session or time, or fewer digits. Trials are none of
    them: searches may replay what was recorded once.

    Parameters
    ----------
    rows : sequence of dict
        Of one table.
    apart : sequence of str
        Columns that copies agree in.
    energy, scored, seed : str or None
        Columns, as far as there are such.
    """
    groups = [tuple(str(row[name]) for name in apart) for row in rows]
    precisions = [_precision(row[energy]) for row in rows]
    places: dict[Hashable, list[int]] = {}
    for place, (row, (digits, depth)) in enumerate(zip(rows, precisions, strict=True)):
        if digits >= COARSEST:
            places.setdefault((groups[place], depth, row[energy]), []).append(place)
    depths = sorted({depth for _, depth in precisions})
    finest = _finest(groups, [row[energy] for row in rows])

    def copies_of(place: int) -> Iterator[int]:
        row, (digits, own) = rows[place], precisions[place]
        for depth in depths if digits >= COARSEST else ():
            if depth > own:
                break
            for other in places.get((groups[place], depth, round(row[energy], depth)), ()):
                is_shorter = depth < own and seed is not None and _agree(row, rows[other], seed)
                is_fine = depth >= finest[groups[place]] and (depth < own or place < other)
                if (is_fine or is_shorter) and _agree(row, rows[other], scored):
                    yield other

    copies: set[int] = set()
    for place in range(len(rows)):
        if place not in copies:
            copies.update(copies_of(place))
    if not copies:
        return list(rows), []
    return [row for place, row in enumerate(rows) if place not in copies], [
        f"{len(copies)} of {len(rows)} rows have the energy{' and score' if scored else ''} "
        "of another row to the last digit: they are copies, and count once"
    ]


def _finest(groups: Sequence[Hashable], energies: Sequence[Any]) -> dict[Hashable, float]:
    """Return, of each group, in how many decimals two of its energies are hardly ever equal.

    Of n values that are spread over k steps, about n² / 2k pairs are equal by chance.
    """
    found: dict[Hashable, list[float]] = {}
    for group, energy in zip(groups, energies, strict=True):
        if isinstance(energy, int | float) and math.isfinite(energy):
            found.setdefault(group, []).append(energy)
    spreads = {group: (len(own), max(own) - min(own)) for group, own in found.items()}
    return {
        group: math.log10(count**2 / (2 * RARE * spread)) if spread else math.inf
        for group, (count, spread) in spreads.items()
    }


def _agree(one: Row, other: Row, column: str | None) -> bool:
    """Return whether two cells are equal, but for digits that one of them does not have."""
    if column is None:
        return True
    values = one[column], other[column]
    if not all(isinstance(value, int | float) for value in values):
        return bool(values[0] == values[1])
    depth = min(_precision(value)[1] for value in values)
    return bool(round(values[0], depth) == round(values[1], depth))


def _identity(row: Mapping[str, Any], apart: Iterable[str]) -> Hashable:
    left_out = {*POSITIONS, *apart}
    return tuple(sorted((name, _value(v)) for name, v in row.items() if name not in left_out))


def _value(value: Any) -> str:
    # However it is written.
    found = number(value) if isinstance(value, str) else value
    return repr(float(found)) if isinstance(found, int | float) else str(value)


def _precision(value: Any) -> tuple[int, int]:
    """Return how many digits a number has, and how many of them are decimals."""
    if not isinstance(value, float):
        return 0, 0
    _, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    return len(digits), max(0, -int(exponent))
