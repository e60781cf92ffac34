"""Keras as its own guides have it: a convnet, `compile`, and `fit` with callbacks."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")

import greenbench
import keras
import numpy as np
from greenbench.integrations.keras import fit
from keras import layers
from sklearn.datasets import load_digits


def load_data():
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images, labels = digits.images[order, ..., None] / 16.0, digits.target[order]
    labels = keras.utils.to_categorical(labels, 10)
    return (images[:1400], labels[:1400]), (images[1400:], labels[1400:])


def make_model():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


@greenbench.register_training("keras_fit")
def main(run):
    (x_train, y_train), (x_test, y_test) = load_data()
    model = make_model()
    model.summary()
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=run["learning_rate"]),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    yield from fit(
        run,
        model,
        x_train,
        y_train,
        batch_size=64,
        monitor="val_accuracy",
        validation_split=0.1,
        verbose=2,
        callbacks=[
            keras.callbacks.ReduceLROnPlateau(patience=2),
            keras.callbacks.EarlyStopping(patience=50),
            keras.callbacks.ModelCheckpoint("model.keras", save_best_only=True),
        ],
    )
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"test: loss {loss:.4f}, accuracy {accuracy:.2%}")
    run.final(accuracy)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
