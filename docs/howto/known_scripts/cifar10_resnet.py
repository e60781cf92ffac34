"""CIFAR-10 as most train it: a residual network, SGD, weight decay, cosine, crop and flip."""

import pytest

from greenbench.cases import Case

CASE = Case(
    architecture="resnet_small",
    architecture_options={"width": 8},
    dataset="cifar10",
    dataset_options={"limit": 5000, "crop": 4, "flip": True},
    optimizer="sgd",
    optimizer_options={"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 5e-4},
    schedule="cosine",
    epochs=3,
    batch_size=100,
    repeats=5,
)


@pytest.mark.greenbench([CASE])
def test_cifar10_resnet(greenbench_case, greenbench_run):
    greenbench_run(greenbench_case)
