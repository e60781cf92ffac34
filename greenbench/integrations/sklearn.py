"""scikit-learn: an estimator's `fit`, or an epoch of its `partial_fit` at a time, as a case."""

from collections.abc import Callable, Generator
from typing import Any

from greenbench.errors import ProtocolError
from greenbench.integrations.bookkeeper import size_of
from greenbench.trainings import Report, Run


def fit(
    run: Run,
    estimator: Any,
    x: Any,
    y: Any,
    *,
    validation: tuple[Any, Any],
    scoring: str | Callable[..., float] | None = None,
    grow: str | None = None,
    **options: Any,
) -> Generator[Report, None, Any]:
    """Yield a report an epoch, and return the estimator.

    An epoch is a pass of `partial_fit`, if the estimator has it, or a step of what grows. Any
    other is fitted once, and has one epoch.

    Parameters
    ----------
    run : Run
        What the training was given.
    estimator : estimator
        Is fitted, in place.
    x, y : array-like
        As its `fit` takes them.
    validation : tuple of array-like
        What it is scored on.
    scoring : str or callable, optional
        A scorer by its name, or ``scorer(estimator, x, y)``; default: the estimator's own.
    grow : str, optional
        A parameter such as ``"n_estimators"`` of an estimator with ``warm_start=True``: what it is
        set to when this is called is added with each epoch.
    **options
        As `fit` or `partial_fit` takes them: the latter wants ``classes`` of classifiers.

    Raises
    ------
    ProtocolError
        If it cannot grow.
    """
    scored = _scorer(estimator, scoring)
    step = _step(run, estimator, grow)
    for epoch in run.epochs():
        if grow is not None:
            estimator.set_params(**{grow: step * (epoch + 1)})
        goes_on = grow is not None or hasattr(estimator, "partial_fit")
        learn = estimator.fit if grow or not goes_on else estimator.partial_fit
        learn(x, y, **options)
        with run.phase("evaluate"):
            score = float(scored(estimator, *validation))
        yield run.report(score=score, samples=size_of(x))
        if not goes_on:
            break
    return estimator


def _step(run: Run, estimator: Any, grow: str | None) -> int:
    if grow is None:
        return 1
    params = estimator.get_params()
    if not params.get("warm_start") or grow not in params:
        raise ProtocolError(
            f"{type(estimator).__name__} cannot grow by grow={grow!r}; expected warm_start=True "
            f"and one of {', '.join(params)}"
        )
    return int(params[grow])


def _scorer(estimator: Any, scoring: Any) -> Callable[..., float]:
    if scoring is None:
        return lambda its, *data: float(its.score(*data))
    if callable(scoring):
        return scoring  # type: ignore[no-any-return]
    from sklearn.metrics import get_scorer  # noqa: PLC0415

    return get_scorer(scoring)  # type: ignore[no-any-return]
