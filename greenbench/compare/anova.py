"""Type III analysis of variance and rank tests of a factorial design, by statsmodels and SciPy."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, islice
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import gammaln
from scipy.stats import kruskal
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from greenbench.compare.design import Design, Levels
from greenbench.compare.pairs import ALPHA, Pair, compare_together

MOST_CELLS = 512


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


def analyse(design: Design) -> tuple[tuple[Effect, ...], str | None]:
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


def _why_undefined(design: Design) -> str | None:
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


def _why_untested(design: Design) -> str | None:
    if len(design.values) == len(design.cells):
        return "one sample for each combination of levels leaves no residual to test against"
    if all(map(design.are_equal, design.cells.values())):
        return "samples of equal levels are equal, which leaves no residual to test against"
    return None


def _figures(
    design: Design, terms: Sequence[tuple[int, ...]], *, is_tested: bool
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


def rank(design: Design) -> tuple[Factor, ...]:
    """Return each factor by itself, with its rank tests."""
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
