"""Factors: how much of a response each factor, and each interaction of factors, explains."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import chain, combinations, islice, zip_longest
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import gammaln
from scipy.stats import kruskal
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from greenbench.compare.comparable import ENERGY, check_agree
from greenbench.compare.pairs import ALPHA, Pair, compare_together
from greenbench.compare.samples import marks_in
from greenbench.errors import ConfigurationError, NotComparableError, UnknownNameError
from greenbench.marks import DISTURBED

Row = Mapping[str, Any]
Levels = tuple[str, ...]

MOST_FACTORS = 6
MOST_LEVELS = 50
MOST_CELLS = 512
LARGEST = 1e100
ROUNDING = 1e-12
NOTABLE = 0.01
LEAST_SHOWN = 0.001
TIMES = 1.1
MANY = 1e6
UNITS = {"_j": " J", "_wh": " Wh", "_s": " s", "_g": " g"}
COMMON = {"dataset": "data set", "backend": "backend", "strategy": "strategy"}
PARTS_OF_SETTING = ("dataset", "trials", "epochs")


@dataclass(frozen=True)
class Effect:
    """A factor, an interaction or the residual, in a type III analysis of variance.

    Attributes
    ----------
    name : str
        Such as ``conv_layers``, ``conv_layers × relu`` or ``residual``.
    df : int
        Degrees of freedom.
    sum_sq : float or None
        Sum of squares, in the response's unit squared.
    f, p : float or None
        Of the F test against the residual; the residual has none.
    eta_sq : float or None
        η²: the share in the sum of all sums of squares, the residual's included.
    partial_eta_sq : float or None
        Partial η²: the share in its own sum of squares and the residual's.
    """

    name: str
    df: int
    sum_sq: float | None = None
    f: float | None = None
    p: float | None = None
    eta_sq: float | None = None
    partial_eta_sq: float | None = None


@dataclass(frozen=True)
class Factor:
    """One factor on its own, by ranks.

    Attributes
    ----------
    name : str
        Its column.
    levels : tuple of str
        Numbers by size, then texts.
    h, p : float or None
        Of the Kruskal-Wallis test, p by the chi-squared approximation.
    df : int
        Its degrees of freedom.
    epsilon_sq : float or None
        ε² = H / (n - 1), in [0, 1] (Tomczak and Tomczak, 2014).
    pairs : tuple of Pair
        Of its levels, Holm-corrected over the pairs of all factors.
    reason : str or None
        Why a figure of the test is missing.
    """

    name: str
    levels: Levels
    h: float | None
    df: int
    p: float | None
    epsilon_sq: float | None
    pairs: tuple[Pair, ...]
    reason: str | None = None


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
    """

    levels: Levels
    n: int
    mean: float
    median: float


@dataclass(frozen=True)
class Factors:
    """What a response depends on.

    Attributes
    ----------
    response : str
        Its column.
    n, left_out : int
        Samples that count, and those that don't: failed, of unknown response or disturbed.
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
    """

    response: str
    n: int
    left_out: int
    effects: tuple[Effect, ...]
    residual: Effect
    factors: tuple[Factor, ...]
    cells: tuple[Cell, ...]
    reason: str | None = None

    @property
    def sentence(self) -> str:
        """The answer in words."""
        return f"{_effects_in_words(self)}; {_means_in_words(self)}."

    def records(self) -> list[dict[str, Any]]:
        """Return the effects and the residual, factors with their rank tests, as flat rows."""
        figures = ("h", "df", "p", "epsilon_sq", "reason")
        return [
            {
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
    include_disturbed: bool = False,
) -> Factors:
    """Return how much of a response each factor and each interaction explains.

    Parameters
    ----------
    rows : iterable of mapping
        As `greenbench.table.to_row` gives them, or of a foreign table. Failed repeats and
        unknown figures of a store are left out.
    factors : sequence of str
        Columns of at most 6 factors; numbers and texts are categories alike.
    response : str
        A column of numbers.
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
        If a column cannot be a factor or a response.
    NotComparableError
        If samples differ in what is no factor, such as the host, or if none counts.
    """
    rows = list(rows)
    _check_names(rows, factors, response)
    counted = {
        number: row
        for number, row in enumerate(rows, 1)
        if _counts(row, response, include_disturbed)
    }
    if not counted:
        raise NotComparableError(_why_none(rows, response))
    _check_comparable(list(counted.values()), factors, response)
    design = _design(counted, factors, response)
    effects, reason = _analyse(design)
    return Factors(
        response=response,
        n=len(counted),
        left_out=len(rows) - len(counted),
        effects=effects[:-1],
        residual=effects[-1],
        factors=_rank(design),
        cells=tuple(
            Cell(levels, len(values), float(np.mean(values)), float(np.median(values)))
            for levels, values in design.cells.items()
        ),
        reason=reason,
    )


def _check_names(rows: Sequence[Row], factors: Sequence[str], response: str) -> None:
    if not rows:
        raise ConfigurationError("there are no rows to compare; check the file or `--where`")
    if not 1 <= len(factors) <= MOST_FACTORS:
        raise ConfigurationError(
            f"{len(factors)} factors are given, expected 1 to {MOST_FACTORS}; "
            "name them with `--factors`"
        )
    known = {name for row in rows for name in row}
    for name in [*factors, response]:
        if name not in known:
            raise UnknownNameError("column", name, known)
        if factors.count(name) > 1:
            raise ConfigurationError(f"factor {name!r} is given twice; name it once")
    if response in factors:
        raise ConfigurationError(
            f"{response!r} is both the response and a factor; leave it out of the factors"
        )


def _counts(row: Row, response: str, include_disturbed: bool) -> bool:
    # In a store a missing figure is an unknown one; in a foreign table, a mistake.
    if "case_hash" in row and (
        row.get(response) is None or row.get("status", "finished") not in ("finished", "completed")
    ):
        return False
    return include_disturbed or not _is_energy(response) or DISTURBED not in marks_in(row)


def _is_energy(response: str) -> bool:
    return response.startswith("energy") or response.endswith(("_wh", "_j"))


def _why_none(rows: Sequence[Row], response: str) -> str:
    if any(_counts(row, response, include_disturbed=True) for row in rows):
        why = "was disturbed by other processes; count them all the same with `--include-disturbed`"
    else:
        why = "failed or has no such figure; select others with `--where`"
    return f"{response}: each of {len(rows)} samples {why}"


def _check_comparable(rows: Sequence[Row], factors: Sequence[str], response: str) -> None:
    where = f"{response} by {', '.join(factors)}"
    columns = {**(ENERGY if _is_energy(response) else {}), **COMMON}
    check_agree(
        where, rows, {name: words for name, words in columns.items() if name not in factors}
    )
    if "setting" in factors:
        return
    # A setting names the data set and the budget: it must differ where those are factors.
    parts = [name for name in PARTS_OF_SETTING if name in factors]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row.get(name)) for name in parts), []).append(row)
    for members in groups.values():
        check_agree(where, members, {"setting": "setting"})


@dataclass(frozen=True)
class _Design:
    factors: tuple[str, ...]
    levels: tuple[Levels, ...]
    keys: tuple[Levels, ...]
    values: tuple[float, ...]

    @cached_property
    def rounding(self) -> float:
        """By how much arithmetic may have set equal figures apart."""
        return ROUNDING * max(map(abs, self.values))

    @cached_property
    def cells(self) -> dict[Levels, list[float]]:
        """The response by combination of levels, in the order of levels."""
        found: dict[Levels, list[float]] = {}
        for key, value in zip(self.keys, self.values, strict=True):
            found.setdefault(key, []).append(value)
        return {key: found[key] for key in sorted(found, key=lambda key: [*map(_order, key)])}

    def by_level(self, factor: int) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {level: [] for level in self.levels[factor]}
        for key, value in zip(self.keys, self.values, strict=True):
            found[key[factor]].append(value)
        return found

    def are_equal(self, values: Sequence[float]) -> bool:
        return max(values) - min(values) <= self.rounding


def _design(rows: Mapping[int, Row], factors: Sequence[str], response: str) -> _Design:
    columns = [[_level(row, name, number) for number, row in rows.items()] for name in factors]
    values = tuple(_figure(row, response, number) for number, row in rows.items())
    levels = tuple(tuple(sorted(set(column), key=_order)) for column in columns)
    for name, own in zip(factors, levels, strict=True):
        _check_levels(name, own, len(rows))
    return _Design(tuple(factors), levels, tuple(zip(*columns, strict=True)), values)


def _level(row: Row, name: str, number: int) -> str:
    value = row.get(name)
    if pd.isna(value) or value == "":
        raise ConfigurationError(
            f"row {number} has no level of factor {name!r}; fill it in or leave the row out"
        )
    # So that 1 and 1.0, or 0.3 and 0.1 + 0.2, are one level.
    return f"{value:.15g}" if isinstance(value, Real) else str(value)


def _order(level: str) -> tuple[bool, float, str]:
    try:
        size = float(level)
    except ValueError:
        size = math.nan
    return (False, size, level) if math.isfinite(size) else (True, 0.0, level)


def _figure(row: Row, response: str, number: int) -> float:
    value = row.get(response)
    # Beyond the largest its square has no finite value.
    if isinstance(value, bool) or not isinstance(value, Real) or not abs(float(value)) < LARGEST:
        raise ConfigurationError(
            f"{response} is {value!r} in row {number}, expected a number; "
            "mend it or leave the row out"
        )
    return float(value)


def _check_levels(name: str, levels: Levels, n: int) -> None:
    if len(levels) == 1:
        raise ConfigurationError(
            f"factor {name!r} has the level {levels[0]!r} in each of {n} samples that count, "
            "expected at least 2 levels; leave the factor out or select other rows"
        )
    if len(levels) == n or len(levels) > MOST_LEVELS:
        raise ConfigurationError(
            f"factor {name!r} has {len(levels)} levels in {n} samples, expected at most "
            f"{MOST_LEVELS} and fewer than samples; it looks like an id or a measured quantity: "
            "name a factor, or put its values into groups"
        )


def _analyse(design: _Design) -> tuple[tuple[Effect, ...], str | None]:
    """Return the effects and, as the last one, the residual."""
    of_each = range(len(design.factors))
    terms = [term for size in of_each for term in combinations(of_each, size + 1)]
    effects = [
        Effect(
            name=" × ".join(design.factors[i] for i in term),
            df=math.prod(len(design.levels[i]) - 1 for i in term),
        )
        for term in terms
    ]
    effects.append(Effect("residual", len(design.values) - len(design.cells)))
    if reason := _why_undefined(design):
        return tuple(effects), reason
    reason = _why_untested(design)
    figures = _figures(design, terms, is_tested=reason is None)
    return tuple(replace(e, **f) for e, f in zip(effects, figures, strict=True)), reason


def _why_undefined(design: _Design) -> str | None:
    possible, found = math.prod(map(len, design.levels)), len(design.cells)
    if design.are_equal(design.values):
        return f"all {len(design.values)} samples are equal: there is no variance to explain"
    if found < possible:
        return (
            f"only {found} of {possible} combinations of levels have samples, "
            "so that interactions are not defined"
        )
    if possible > MOST_CELLS:
        return f"{possible} combinations of levels are more than the {MOST_CELLS} allowed"
    return None


def _why_untested(design: _Design) -> str | None:
    if len(design.values) == len(design.cells):
        return "one sample for each combination of levels leaves no residual to test against"
    if all(map(design.are_equal, design.cells.values())):
        return "samples of equal levels are equal, which leaves no residual to test against"
    return None


def _figures(
    design: _Design, terms: Sequence[tuple[int, ...]], *, is_tested: bool
) -> list[dict[str, Any]]:
    """Return the figures of each term, then those of the residual."""
    # Codes for names and levels: a formula is evaluated, and must hold nothing foreign.
    codes = {
        f"f{i}": [levels.index(key[i]) for key in design.keys]
        for i, levels in enumerate(design.levels)
    }
    deviations = np.array(design.values) - np.mean(design.values)
    # So that neither a large offset nor a small unit costs digits.
    scale = float(np.abs(deviations).max())
    factors = [f"C({name}, Sum)" for name in codes]
    model = ols(f"y ~ {' * '.join(factors)}", pd.DataFrame({**codes, "y": deviations / scale}))
    # With the residual's variance taken as 1, F is the mean square of an effect.
    fitted = model.fit() if is_tested else model.fit(cov_type="fixed scale")
    with np.errstate(divide="ignore", invalid="ignore"):
        table = anova_lm(fitted, typ=3)
    if not is_tested:
        table["sum_sq"] = (table["F"] * table["df"]).fillna(0.0)
    labels = [":".join(factors[i] for i in term) for term in terms]
    table = table.loc[[*labels, "Residual"]]
    squares = table["sum_sq"].tolist()
    total, rest = sum(squares), squares[-1]
    found = [{"sum_sq": own * scale**2, "eta_sq": own / total} for own in squares]
    if is_tested:
        for figures, own, f, p in zip(
            found[:-1], squares, table["F"], table["PR(>F)"], strict=False
        ):
            figures |= {"f": float(f), "p": float(p), "partial_eta_sq": own / (own + rest)}
    return found


def _rank(design: _Design) -> tuple[Factor, ...]:
    groups = [design.by_level(i) for i in range(len(design.factors))]
    couples = [list(combinations(by_level.items(), 2)) for by_level in groups]
    pairs = iter(compare_together(chain.from_iterable(couples)))
    return tuple(
        Factor(
            name=name,
            levels=tuple(by_level),
            df=len(by_level) - 1,
            pairs=tuple(islice(pairs, len(own))),
            **_kruskal(list(by_level.values())),
        )
        for name, by_level, own in zip(design.factors, groups, couples, strict=True)
    )


def _kruskal(groups: Sequence[Sequence[float]]) -> dict[str, Any]:
    sizes = np.array([len(group) for group in groups])
    n, k = int(sizes.sum()), len(sizes)
    if np.ptp(np.concatenate(groups)) == 0:
        return {"h": None, "p": None, "epsilon_sq": None, "reason": f"all {n} samples are equal"}
    h, p = map(float, kruskal(*groups))
    # No overlap, in whatever order of groups, is the most extreme of all equally likely ranks.
    least_p = math.exp(gammaln(k + 1) + gammaln(sizes + 1).sum() - gammaln(n + 1))
    if least_p < ALPHA:
        return {"h": h, "p": p, "epsilon_sq": h / (n - 1)}
    reason = f"{n} samples of {k} levels cannot reach {ALPHA:.0%}"
    return {"h": h, "p": None, "epsilon_sq": h / (n - 1), "reason": reason}


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
    of_all = f"{_percent(shares[first])} of the variance of {found.response}"
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
