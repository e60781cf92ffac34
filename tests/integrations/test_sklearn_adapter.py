"""Estimators of scikit-learn, an epoch at a time where they can."""

from collections.abc import Callable

import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.svm import SVC

from greenbench.errors import ProtocolError
from greenbench.integrations.sklearn import fit
from tests.integrations.conftest import Booked

X, Y = load_iris(return_X_y=True)
HELD = X[::5], Y[::5]


def test_partial_fit_is_an_epoch(booked: Callable[..., Booked]) -> None:
    made, estimator = booked(), SGDClassifier(random_state=0)
    reports = made.reports(fit(made.run, estimator, X, Y, validation=HELD, classes=[0, 1, 2]))
    assert len(reports) == 3
    assert estimator.t_ == 1 + 3 * len(X)
    assert reports[-1].score == estimator.score(*HELD)


def test_estimator_grows_where_it_starts_warm(booked: Callable[..., Booked]) -> None:
    made = booked()
    forest = RandomForestClassifier(2, warm_start=True, random_state=0)
    made.reports(fit(made.run, forest, X, Y, validation=HELD, grow="n_estimators"))
    assert len(forest.estimators_) == 6


def test_any_other_is_fitted_once(booked: Callable[..., Booked]) -> None:
    made = booked()
    reports = made.reports(fit(made.run, SVC(), X, Y, validation=HELD, scoring="f1_macro"))
    assert [0.8 < report.score <= 1 for report in reports] == [True]
    assert reports[0].samples == len(X)


def test_estimator_that_cannot_grow_is_named(booked: Callable[..., Booked]) -> None:
    made = booked()
    with pytest.raises(ProtocolError, match=r"SVC cannot grow by grow='n_estimators'; expected"):
        made.reports(fit(made.run, SVC(), X, Y, validation=HELD, grow="n_estimators"))
