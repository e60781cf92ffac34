"""MNIST as keras' own examples have it: a small convnet with dropout, Adam, batches of 128."""

import pytest

from greenbench import register_architecture
from greenbench.architectures import native
from greenbench.cases import Case


@register_architecture("mnist_keras")
@native("keras")
def mnist_keras(image_shape, classes):
    import keras  # noqa: PLC0415
    from keras import layers  # noqa: PLC0415

    channels, height, width = image_shape
    return keras.Sequential(
        [
            *(keras.Input((height, width, channels)), layers.Conv2D(16, 3, activation="relu")),
            *(layers.MaxPooling2D(), layers.Conv2D(32, 3, activation="relu")),
            *(layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.5)),
            layers.Dense(classes),  # no softmax: the loss applies it
        ]
    )


CASE = Case(
    architecture="mnist_keras",
    backend="keras",
    dataset="mnist",
    dataset_options={"limit": 1280},
    epochs=10,
    batch_size=128,
    repeats=5,
)


@pytest.mark.greenbench([CASE])
def test_mnist_keras(greenbench_case, greenbench_run):
    greenbench_run(greenbench_case)
