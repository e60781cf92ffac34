"""An estimator of scikit-learn, as a case: an epoch is a pass of `partial_fit`."""

from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

import greenbench
from greenbench.integrations.sklearn import fit


@greenbench.register_training("digits_sk", sizes={"s": {"width": 16}, "m": {"width": 128}})
def digits_sk(run, width=16):
    x, y = load_digits(return_X_y=True)
    x = x / 16
    network = MLPClassifier(width, learning_rate_init=run["learning_rate"], random_state=run.seed)
    held = x[1200:1500], y[1200:1500]
    yield from fit(run, network, x[:1200], y[:1200], validation=held, classes=range(10))
    run.final(network.score(x[1500:], y[1500:]))
