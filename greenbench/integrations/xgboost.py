"""XGBoost: boosting rounds, as the epochs of a case."""

from collections.abc import Generator
from contextlib import ExitStack
from typing import Any

from greenbench.integrations.bookkeeper import Bookkeeper
from greenbench.integrations.hand_over import handed_over
from greenbench.trainings import Report, Run


def train(
    run: Run, params: dict[str, Any], dtrain: Any, *, monitor: str, rounds: int = 1, **options: Any
) -> Generator[Report, None, Any]:
    """Yield a report an epoch of ``xgboost.train(params, dtrain, **options)``; return its booster.

    Parameters
    ----------
    run : Run
        What the training was given.
    params, dtrain, **options
        As `xgboost.train` takes them, ``evals`` among them.
    monitor : str
        Which metric of which of ``evals`` is the score, such as ``"validation-auc"``; one that was
        never logged is a `ProtocolError`.
    rounds : int
        Boosting rounds an epoch; each epoch costs about a millisecond besides.
    """
    import xgboost  # noqa: PLC0415

    options["num_boost_round"] = run.max_epochs * rounds

    def work(tell: Any) -> Any:
        ours = _callback(Bookkeeper(run, monitor, tell), rounds, dtrain.num_row())
        callbacks = [*(options.pop("callbacks", None) or ()), ours]
        return xgboost.train(params, dtrain, **options, callbacks=callbacks)

    return handed_over(work)


def fit(
    run: Run, estimator: Any, *data: Any, monitor: str, rounds: int = 1, **options: Any
) -> Generator[Report, None, Any]:
    """Yield a report an epoch of ``estimator.fit(*data, **options)``; return the estimator.

    Parameters
    ----------
    run, rounds
        As of `train`.
    estimator : xgboost.XGBModel
        Such as `XGBClassifier`.
    *data, **options
        As its `fit` takes them, ``eval_set`` among them.
    monitor : str
        Which metric of which of ``eval_set`` is the score, such as ``"validation_0-auc"``.
    """

    def work(tell: Any) -> Any:
        ours = _callback(Bookkeeper(run, monitor, tell), rounds, len(data[0]))
        theirs = estimator.get_params().get("callbacks")
        callbacks = [*(theirs or ()), ours]
        estimator.set_params(n_estimators=run.max_epochs * rounds, callbacks=callbacks)
        try:
            return estimator.fit(*data, **options)
        finally:
            estimator.set_params(callbacks=theirs)

    return handed_over(work)


def _callback(keeper: Bookkeeper, rounds: int, samples: int) -> Any:
    import xgboost  # noqa: PLC0415

    booked = ExitStack()

    class Books(xgboost.callback.TrainingCallback):
        """Tells the bookkeeper; evaluations, which no other callback tells of, are methods."""

        def before_training(self, model: Any) -> Any:
            booked.enter_context(keeper.booked(model, eval_set="evaluate"))
            return model

        def after_training(self, model: Any) -> Any:
            booked.close()
            return model

        def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            return epoch % rounds == 0 and not keeper.begin_epoch()

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if (epoch + 1) % rounds == 0:
                logged = {
                    f"{data}-{metric}": values[-1]
                    for data, metrics in evals_log.items()
                    for metric, values in metrics.items()
                }
                keeper.end_epoch(logged, loss="", samples=samples, is_last=True)
            return False

    return Books()
