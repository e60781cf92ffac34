"""Tables that scikit-learn ships, or makes, which need neither files nor network."""

from typing import Any

from greenbench.datasets.arrays import make_arrays
from greenbench.datasets.base import Dataset, LoadContext
from greenbench.datasets.checks import check_number
from greenbench.datasets.loaders import NUMBERS, holds

TABLE_SEED = 0  # made-up rows depend on the options alone
MIN_SAMPLES, MIN_FEATURES = 10, 5


@holds(NUMBERS, task="classification")
def load_breast_cancer(context: LoadContext) -> Dataset:
    """Load 569 tumours, described by 30 numbers; benign or malignant.

    "Breast Cancer Wisconsin (Diagnostic)" (W. Wolberg et al., UCI, 1995) as scikit-learn ships it.

    Parameters
    ----------
    context : LoadContext
        Only its seed is used.

    Returns
    -------
    Dataset
        Inputs of shape (n, 30), standardised; 2 classes.
    """
    from sklearn.datasets import load_breast_cancer as load  # noqa: PLC0415

    return _classified("breast_cancer", load(), context)


@holds(NUMBERS, task="classification")
def load_wine(context: LoadContext) -> Dataset:
    """Load 178 wines, described by 13 numbers, of three growers.

    "Wine" (S. Aeberhard and M. Forina, UCI, 1991) as scikit-learn ships it; inputs of shape
    (n, 13), standardised.
    """
    from sklearn.datasets import load_wine as load  # noqa: PLC0415

    return _classified("wine", load(), context)


@holds(NUMBERS, task="regression")
def load_diabetes(context: LoadContext) -> Dataset:
    """Load 442 patients, described by 10 numbers; how far their disease was a year later.

    B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, "Least Angle Regression", 2004, as
    scikit-learn ships it, unscaled; inputs of shape (n, 10) and targets of shape (n, 1), both
    standardised.
    """
    from sklearn.datasets import load_diabetes as load  # noqa: PLC0415

    table = load(scaled=False)
    return _regressed("diabetes", "scikit-learn, diabetes", table.data, table.target, context)


def _check(_: LoadContext, samples: int, features: int) -> None:
    check_number("friedman", "samples", samples, MIN_SAMPLES)
    check_number("friedman", "features", features, MIN_FEATURES)


@holds(NUMBERS, task="regression", check=_check)
def load_friedman(context: LoadContext, samples: int = 20_640, features: int = 8) -> Dataset:
    """Make rows of numbers, and a figure that depends on five of them in a curved way.

    "Friedman #1" (J. Friedman, "Multivariate Adaptive Regression Splines", 1991) by scikit-learn,
    with noise of variance 1; by default as large as the table of Californian houses, which is not
    shipped. Noise leaves an R² of 0.96 at most. The same options give the same rows; the seed of
    the context draws the split.

    Parameters
    ----------
    context : LoadContext
        Only its seed is used.
    samples : int
        Number of rows in all splits together, at least 10.
    features : int
        Numbers a row, at least 5; those beyond 5 say nothing.

    Returns
    -------
    Dataset
        Inputs of shape (n, features) and targets of shape (n, 1), both standardised.

    Raises
    ------
    DatasetError
        If an option is out of range.
    """
    from sklearn.datasets import make_friedman1  # noqa: PLC0415

    _check(context, samples, features)
    rows, figures = make_friedman1(samples, features, noise=1.0, random_state=TABLE_SEED)
    return _regressed("friedman", "scikit-learn, Friedman #1", rows, figures, context)


def _regressed(name: str, source: str, rows: Any, figures: Any, context: LoadContext) -> Dataset:
    return make_arrays(
        name,
        source,
        rows,
        figures,
        task="regression",
        seed=context.seed,
        standardise=True,
        standardise_targets=True,
    )


def _classified(name: str, table: Any, context: LoadContext) -> Dataset:
    return make_arrays(
        name,
        f"scikit-learn, {name.replace('_', ' ')}",
        table.data,
        table.target,
        task="classification",
        seed=context.seed,
        class_names=[str(each) for each in table.target_names],
        standardise=True,
    )
