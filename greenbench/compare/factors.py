"""Factors: how much of a response each factor, and each interaction of factors, explains."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from greenbench.compare.anova import Effect, Factor, analyse, rank
from greenbench.compare.design import Design, Levels, make_design
from greenbench.compare.doubts import AS_FAR, are_apart
from greenbench.compare.pairs import ALPHA
from greenbench.compare.replicates import unequal_variances

Row = Mapping[str, Any]

NOTABLE = 0.01
LEAST_SHOWN = 0.001
TIMES = 1.1
MANY = 1e6
UNITS = {"_j": " J", "_wh": " Wh", "_s": " s", "_g": " g"}


@dataclass(frozen=True)
class Cell:
    """The samples that agree in all factors.

    Attributes
    ----------
    levels : tuple of str
        One of each factor.
    n : int
        Number of samples.
    mean, median : float
        Of the response, in its unit.
    uncertainty : float or None
        Half-width of the interval that the ticks of counters leave of one sample, median; None
        where it is not known.
    """

    levels: Levels
    n: int
    mean: float
    median: float
    uncertainty: float | None = None


@dataclass(frozen=True)
class Factors:
    """What a response depends on.

    Attributes
    ----------
    response : str
        Its column.
    provenance : str or None
        Of the response if it is an energy; None if the table does not say, or if provenance is
        a factor.
    n, left_out : int
        Samples that count (of a unit, their mean), and those that don't: failed, of unknown
        response, disturbed, or an accuracy that the same seeds gave again.
    effects : tuple of Effect
        Factors in the order given, then interactions of two, three, and so on.
    residual : Effect
        What they leave unexplained.
    factors : tuple of Factor
        In the order given.
    cells : tuple of Cell
        Combinations of levels that have samples, in the order of levels.
    reason : str or None
        Why figures of the effects are missing.
    scope : str or None
        The components that the energy figures cover, such as ``gpu``; None if the
        response is none, or if they differ.
    unit : str or None
        The column of what is independent, by which samples of equal levels were averaged.
    averaged : int
        Samples that were averaged into others.
    is_balanced : bool
        Whether each combination of levels has as many samples. Else the sums of squares add up to
        another total than the response's, and η² is a share of theirs.
    warnings : tuple of str
        What the tests take for granted, and is not so: samples that share their seeds with others
        of equal levels, variances that differ (Brown-Forsythe, p below 5%).
    """

    response: str
    provenance: str | None
    n: int
    left_out: int
    effects: tuple[Effect, ...]
    residual: Effect
    factors: tuple[Factor, ...]
    cells: tuple[Cell, ...]
    reason: str | None = None
    scope: str | None = None
    unit: str | None = None
    averaged: int = 0
    is_balanced: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The answer in words."""
        return f"{_effects_in_words(self)}; {_means_in_words(self)}."

    def records(self) -> list[dict[str, Any]]:
        """Return the effects and the residual, factors with their rank tests, as flat rows."""
        figures = ("h", "df", "p", "epsilon_sq", "reason")
        return [
            {
                "response": self.response,
                "energy_provenance": self.provenance,
                "energy_scope": self.scope,
                **asdict(effect),
                **{f"kruskal_{name}": getattr(factor, name, None) for name in figures},
                "reason": self.reason,
            }
            # The first effects are those of the factors.
            for effect, factor in zip_longest([*self.effects, self.residual], self.factors)
        ]


def compare_factors(
    rows: Iterable[Row],
    factors: Sequence[str],
    response: str,
    *,
    unit: str | None = None,
    include_disturbed: bool = False,
) -> Factors:
    """Return how much of a response each factor and each interaction explains.

    Parameters
    ----------
    rows : iterable of mapping
        As `greenbench.results.table.to_row` gives them, or of a foreign table. Failed repeats and
        unknown figures of a store are left out.
    factors : sequence of str
        Columns of at most 6 factors; numbers and texts are categories alike.
    response : str
        A column of numbers.
    unit : str, optional
        A column of what is independent, such as ``"repeat"``; samples of one unit and equal levels
        are averaged before the tests.
    include_disturbed : bool
        Whether the energy of disturbed samples counts.

    Returns
    -------
    Factors
        Of a type III analysis of variance with sum contrasts and all interactions, rank
        tests, and what the samples are on average. What the data cannot give is None.

    Raises
    ------
    ConfigurationError
        If a column cannot be a factor, a response or a unit.
    NotComparableError
        If samples differ in what is no factor, such as the host, or if none counts.
    """
    rows = list(rows)
    design = make_design(rows, factors, response, unit=unit, include_disturbed=include_disturbed)
    effects, reason = analyse(design)
    return Factors(
        response=response,
        provenance=design.provenance,
        n=len(design.values),
        left_out=len(rows) - design.averaged - len(design.values),
        effects=effects[:-1],
        residual=effects[-1],
        factors=rank(design),
        cells=tuple(
            Cell(
                key,
                len(found),
                float(np.mean(found)),
                float(np.median(found)),
                design.doubt_of[key],
            )
            for key, found in design.cells.items()
        ),
        reason=reason,
        scope=design.scope,
        unit=unit,
        averaged=design.averaged,
        is_balanced=design.is_balanced,
        warnings=_warnings(design, is_tested=reason is None),
    )


def _warnings(design: Design, *, is_tested: bool) -> tuple[str, ...]:
    varied = (
        unequal_variances(design.cells.values(), is_balanced=design.is_balanced)
        if is_tested
        else None
    )
    return tuple(filter(None, (design.dependence, varied)))


def _effects_in_words(found: Factors) -> str:
    shares = {effect.name: effect.eta_sq for effect in found.effects if effect.eta_sq is not None}
    if not shares:
        return f"effects on {found.response} are not analysed: {found.reason}"
    first, *others = sorted(shares, key=lambda name: -shares[name])
    mains = [factor.name for factor in found.factors]
    also = "".join(
        f", {name} {_percent(shares[name])}"
        for name in others
        if name in mains or shares[name] >= NOTABLE
    )
    whole = "variance" if found.is_balanced else "effects' sum of squares"
    of_all = f"{_percent(shares[first])} of the {whole} of {found.response}"
    effect = next(effect for effect in found.effects if effect.name == first)
    if effect.f is None or effect.p is None:
        return f"{first} makes up {of_all}{also} (untested: {found.reason})"
    chance = f"p = {effect.p:.3f}" if effect.p >= LEAST_SHOWN else f"p < {LEAST_SHOWN}"
    explains = f"{first} explains {of_all} (F = {_number(effect.f)}, {chance}){also}"
    if all(each.p is not None and each.p >= ALPHA for each in found.effects):
        return f"no effect is significant at {ALPHA:.0%}: {explains}"
    return explains


def _means_in_words(found: Factors) -> str:
    cells = sorted(found.cells, key=lambda cell: cell.mean)
    least, most = (_cell_in_words(found, cell) for cell in (cells[0], cells[-1]))
    smallest, largest = cells[0].mean, cells[-1].mean
    if not are_apart(smallest, largest, cells[0].uncertainty, cells[-1].uncertainty):
        return f"cell means run from {least} to {most}, which is the same {AS_FAR}"
    if smallest > 0 and largest >= TIMES * smallest:
        times = _number(largest / smallest)
        return f"the largest cell mean, {most}, is {times} times the smallest, {least}"
    return f"cell means run from {least} to {most}"


def _cell_in_words(found: Factors, cell: Cell) -> str:
    unit = next((unit for end, unit in UNITS.items() if found.response.endswith(end)), "")
    levels = zip((factor.name for factor in found.factors), cell.levels, strict=True)
    return f"{_number(cell.mean, 4)}{unit} ({', '.join(map(' '.join, levels))})"


def _number(value: float, digits: int = 3) -> str:
    return f"{value:,.0f}" if 10 ** (digits - 1) <= abs(value) < MANY else f"{value:.{digits}g}"


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= LEAST_SHOWN / 2 else f"under {LEAST_SHOWN:.1%}"
