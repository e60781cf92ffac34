"""MNIST as in many a first script: two convolutions, dropout, Adadelta, StepLR."""

import pytest

from greenbench import register_architecture
from greenbench.architectures import native
from greenbench.cases import Case


@register_architecture("mnist_lenet")
@native("torch")
def mnist_lenet(image_shape, classes):
    from torch import nn  # noqa: PLC0415
    from torchvision.transforms import Normalize  # noqa: PLC0415

    return nn.Sequential(
        *(Normalize((0.1307,), (0.3081,)), nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten()),
        *(nn.Linear(32 * 5 * 5, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, classes)),
        nn.LogSoftmax(dim=1),
    )


CASE = Case(
    architecture="mnist_lenet",
    dataset="mnist",
    dataset_options={"limit": 1280},
    optimizer="adadelta",
    schedule="step",
    schedule_options={"gamma": 0.7},
    epochs=6,
    batch_size=64,
    repeats=5,
)


@pytest.mark.greenbench([CASE])
def test_mnist_lenet(greenbench_case, greenbench_run):
    greenbench_run(greenbench_case)
