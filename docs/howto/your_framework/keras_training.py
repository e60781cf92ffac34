"""A compiled Keras model and its `fit`, as a case."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
from sklearn.datasets import load_digits

import greenbench
from greenbench.integrations.keras import fit


@greenbench.register_training("digits_k", sizes={"s": {"width": 16}, "m": {"width": 128}})
def digits_k(run, width=16):
    x, y = load_digits(return_X_y=True)
    x = x / 16
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(width, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(run["learning_rate"]),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    held = x[1200:1500], y[1200:1500]
    yield from fit(
        run, model, x[:1200], y[:1200], validation_data=held, verbose=0, monitor="val_accuracy"
    )
    run.final(model.evaluate(x[1500:], y[1500:], verbose=0)[1])
