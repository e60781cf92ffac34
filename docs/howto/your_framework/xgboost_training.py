"""Boosted trees of XGBoost, as a case: an epoch is five boosting rounds."""

import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

import greenbench
from greenbench.integrations.xgboost import fit


@greenbench.register_training("trees", sizes={"s": {"depth": 2}, "m": {"depth": 6}}, score="auroc")
def trees(run, depth=2):
    x, y = load_breast_cancer(return_X_y=True)
    model = xgboost.XGBClassifier(
        max_depth=depth, learning_rate=run["learning_rate"], eval_metric="auc", n_jobs=1
    )
    held = [(x[300:400], y[300:400])]
    yield from fit(
        run,
        model,
        *(x[:300], y[:300]),
        eval_set=held,
        verbose=False,
        monitor="validation_0-auc",
        rounds=5,
    )
    run.final(roc_auc_score(y[400:], model.predict_proba(x[400:])[:, 1]))
