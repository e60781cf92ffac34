"""Diminishing returns: what each larger size of a family costs, and what it buys."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from greenbench.compare.comparable import ENERGY, check_agree
from greenbench.compare.samples import describe_samples
from greenbench.compare.stats import Estimate, estimate
from greenbench.errors import NotComparableError

Row = Mapping[str, Any]

TOLERANCE = 0.01
SMALL_WH = 0.1
SERIES = ("family", "strategy", "backend", "setting")


@dataclass(frozen=True)
class Size:
    """One size of a family.

    Attributes
    ----------
    network : str
        Such as ``simple_cnn.m``.
    case_id : str
        The case that trained it.
    energy_wh, accuracy : Estimate
        Headline energy, and test accuracy in [0, 1].
    train_flops : float
        Over all trials, median.
    parameters : int
        Trainable.
    points_per_wh : float or None
        Percentage points of accuracy gained a Wh more than the next smaller size; None for
        the smallest.
    is_on_front : bool
        Whether no other size has at least its accuracy for less energy.
    """

    network: str
    case_id: str
    energy_wh: Estimate
    accuracy: Estimate
    train_flops: float
    parameters: int
    points_per_wh: float | None
    is_on_front: bool


@dataclass(frozen=True)
class Returns:
    """The sizes of one family, under one strategy, backend and setting.

    Attributes
    ----------
    family, strategy, backend, setting : str
        What the sizes have in common; the setting is the data set and the budget.
    provenance : str
        Of the energy figures.
    sizes : tuple of Size
        By energy, least first.
    left_out : tuple of str
        Sizes without a sample whose energy counts.
    """

    family: str
    strategy: str
    backend: str
    setting: str
    provenance: str
    sizes: tuple[Size, ...]
    left_out: tuple[str, ...] = ()

    @property
    def choice(self) -> Size:
        """The size of least energy within 1 point of the best median accuracy."""
        best = max(size.accuracy.median for size in self.sizes)
        return next(s for s in self.sizes if s.accuracy.median >= best - TOLERANCE - 1e-12)

    @property
    def sentence(self) -> str:
        """The answer in words."""
        choice = self.choice
        best = max(self.sizes, key=lambda size: size.accuracy.median)
        reaches = (
            f"{choice.network} reaches {choice.accuracy.median:.1%} "
            f"for {with_unit(choice.energy_wh.median)}"
        )
        if best is choice:
            # One that is left out may be better still.
            rivals = "the sizes compared" if self.left_out else "its family"
            return f"{reaches}, the best of {rivals}; no smaller size comes within 1 point."
        points = 100 * (best.accuracy.median - choice.accuracy.median)
        spent, least = best.energy_wh.median, choice.energy_wh.median
        # A counter may read 0 over a window that is short enough.
        price = f"{spent / least:.1f} times the energy" if least else with_unit(spent)
        return f"{reaches}; {best.network} buys {points:.1f} points for {price}."


def with_unit(energy_wh: float) -> str:
    """Return an energy with a unit in which it has few zeros: Wh, or mWh below 0.1 Wh."""
    return f"{energy_wh:.3g} Wh" if energy_wh >= SMALL_WH else f"{energy_wh * 1000:.3g} mWh"


def compare_returns(rows: Iterable[Row], *, include_disturbed: bool = False) -> list[Returns]:
    """Return the diminishing returns of every family with at least two sizes.

    Parameters
    ----------
    rows : iterable of mapping
        As `greenbench.table.to_row` gives them; failed repeats are left out.
    include_disturbed : bool
        Whether the energy of disturbed samples counts.

    Raises
    ------
    NotComparableError
        If the figures of one family differ in provenance or host or, for one size, in the
        definition of the case; the message names what differs.
    """
    series: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        is_plain_size = row["architecture"] == f"{row['family']}.{row['size']}"
        if is_plain_size and row["test_accuracy"] is not None:
            series.setdefault(tuple(row[name] for name in SERIES), []).append(row)
    return [
        _returns(dict(zip(SERIES, key, strict=True)), members, include_disturbed)
        for key, members in series.items()
        if len({row["architecture"] for row in members}) > 1
    ]


def _returns(common: Mapping[str, str], rows: Sequence[Row], include_disturbed: bool) -> Returns:
    where = "{family} ({strategy}, {backend}, {setting})".format(**common)
    check_agree(where, [row for row in rows if row["energy_wh"] is not None], ENERGY)
    by_size: dict[str, list[Row]] = {}
    for row in rows:
        by_size.setdefault(row["architecture"], []).append(row)
    counted = {
        network: describe_samples(members, include_disturbed=include_disturbed).counted
        for network, members in by_size.items()
    }
    left_out = tuple(network for network, members in counted.items() if not members)
    by_size = {n: members for n, members in by_size.items() if n not in left_out}
    if not by_size:
        raise NotComparableError(f"{where}: {_why_none(rows)}")
    for network, members in by_size.items():
        check_agree(network, members, {"case_hash": "definition"})
    sizes = sorted(
        (_size(members, counted[network]) for network, members in by_size.items()),
        key=lambda size: size.energy_wh.median,
    )
    steps = [None, *(_points_per_wh(*pair) for pair in pairwise(sizes))]
    complete = tuple(
        Size(**{**vars(size), "points_per_wh": step, "is_on_front": _is_on_front(size, sizes)})
        for size, step in zip(sizes, steps, strict=True)
    )
    provenance = next(r["energy_provenance"] for r in rows if r["energy_wh"] is not None)
    return Returns(**common, provenance=provenance, sizes=complete, left_out=left_out)


def _why_none(rows: Sequence[Row]) -> str:
    if any(row["energy_wh"] is not None for row in rows):
        return (
            "every sample was disturbed by other processes; run it on a quiet host, or count "
            "them all the same with `--include-disturbed`"
        )
    return "no sample has an energy: no meter worked; `greenbench doctor` says why"


def _size(rows: Sequence[Row], counted: Sequence[Row]) -> Size:
    return Size(
        network=rows[0]["architecture"],
        case_id=rows[0]["case_id"],
        energy_wh=estimate([row["energy_wh"] for row in counted]),
        accuracy=estimate([row["test_accuracy"] for row in rows]),
        train_flops=estimate([row["train_flops"] for row in rows]).median,
        parameters=int(rows[0]["parameters"]),
        points_per_wh=None,
        is_on_front=False,
    )


def _points_per_wh(smaller: Size, larger: Size) -> float | None:
    energy_wh = larger.energy_wh.median - smaller.energy_wh.median
    if energy_wh <= 0:
        return None
    return 100 * (larger.accuracy.median - smaller.accuracy.median) / energy_wh


def _is_on_front(size: Size, sizes: Sequence[Size]) -> bool:
    return not any(
        other.accuracy.median >= size.accuracy.median
        and other.energy_wh.median <= size.energy_wh.median
        and (
            other.accuracy.median > size.accuracy.median
            or other.energy_wh.median < size.energy_wh.median
        )
        for other in sizes
    )
