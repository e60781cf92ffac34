"""Real tables that scikit-learn ships, which need neither files nor network."""

from typing import Any

from greenbench.datasets.arrays import make_arrays
from greenbench.datasets.base import Dataset, LoadContext


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


def load_wine(context: LoadContext) -> Dataset:
    """Load 178 wines, described by 13 numbers, of three growers.

    "Wine" (S. Aeberhard and M. Forina, UCI, 1991) as scikit-learn ships it; inputs of shape
    (n, 13), standardised.
    """
    from sklearn.datasets import load_wine as load  # noqa: PLC0415

    return _classified("wine", load(), context)


def load_diabetes(context: LoadContext) -> Dataset:
    """Load 442 patients, described by 10 numbers; how far their disease was a year later.

    B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, "Least Angle Regression", 2004, as
    scikit-learn ships it, unscaled; inputs of shape (n, 10) and targets of shape (n, 1), both
    standardised.
    """
    from sklearn.datasets import load_diabetes as load  # noqa: PLC0415

    table = load(scaled=False)
    return make_arrays(
        "diabetes",
        "scikit-learn, diabetes",
        table.data,
        table.target,
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
