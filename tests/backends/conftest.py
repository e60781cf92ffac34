"""One small data set, and both backends loaded with it."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from greenbench.backends.base import Backend
from greenbench.backends.keras import KerasBackend
from greenbench.backends.torch import TorchBackend
from greenbench.datasets.base import Dataset, RawImages, make_dataset


@pytest.fixture(scope="session")
def digits() -> Dataset:
    pixels, labels = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 1, 8, 8).repeat(2, axis=2).repeat(2, axis=3)
    return make_dataset("digits", "scikit-learn", RawImages(images, labels, 16.0), seed=0)


@pytest.fixture(scope="session")
def coloured() -> Dataset:
    """Images that are neither square nor grey, so that no two axes can be taken for another."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (80, 2, 9, 12)).astype(np.float32)
    return make_dataset("coloured", "random", RawImages(pixels, np.arange(80) % 4), seed=0)


@pytest.fixture(scope="session")
def torch_backend(digits: Dataset) -> TorchBackend:
    backend = TorchBackend("torch", threads=1)
    backend.load(digits)
    return backend


@pytest.fixture(scope="session")
def keras_backend(digits: Dataset) -> KerasBackend:
    backend = KerasBackend("keras", threads=1)
    backend.load(digits)
    return backend


@pytest.fixture(params=["torch", "keras"])
def backend(request: pytest.FixtureRequest) -> Backend:
    loaded: Backend = request.getfixturevalue(f"{request.param}_backend")
    return loaded
