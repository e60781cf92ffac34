"""What only the Keras backend does."""

import importlib.util
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from greenbench.architectures import Native
from greenbench.backends.base import BuildRequest, TrainableModel, sample_order
from greenbench.backends.keras import KerasBackend
from greenbench.datasets.base import Dataset
from greenbench.errors import ConfigurationError, MissingPackageError, UnknownNameError


def dropout_layers() -> list[Any]:
    from keras import layers  # noqa: PLC0415

    return [
        layers.Flatten(data_format="channels_last"),
        layers.Dropout(0.5),
        layers.Dropout(0.1, seed=1),
        layers.BatchNormalization(),
        layers.Dense(10),
    ]


def unbuilt() -> Any:
    import keras  # noqa: PLC0415

    return keras.Sequential(dropout_layers())


def built() -> Any:
    import keras  # noqa: PLC0415

    return keras.Sequential([keras.Input((16, 16, 1)), *dropout_layers()])


def train(model: TrainableModel, dataset: Dataset) -> None:
    model.train_epoch(sample_order(len(dataset.train), 64, 0, 0))


@pytest.mark.parametrize("build", [unbuilt, built])
def test_native_model_trains(keras_backend: KerasBackend, digits: Dataset, build: Any) -> None:
    model = keras_backend.build(BuildRequest(Native("mine", "keras", build), seed=2**40))
    assert model.parameters == 2 * 256 + 256 * 10 + 10
    assert model.count_train_flops() == 3 * 2 * 256 * 10
    for _ in range(8):
        train(model, digits)
    assert model.evaluate("validation") > 0.5


def test_native_model_depends_on_the_seed_alone(
    keras_backend: KerasBackend, digits: Dataset
) -> None:
    weights = []
    for seed, is_counted in ((1, True), (1, False), (2, False)):
        model = keras_backend.build(BuildRequest(Native("mine", "keras", unbuilt), seed=seed))
        if is_counted:
            model.count_train_flops()
        train(model, digits)
        weights.append(np.concatenate([values.ravel() for values in model.get_weights()]))
    counted, plain, another = weights
    np.testing.assert_array_equal(counted, plain)
    assert (plain != another).any()


def test_engine_that_is_not_installed_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"'keras_jax'.*'jax'.*greenbench\[jax\]"):
        KerasBackend("keras_jax", threads=1)


@pytest.mark.usefixtures("keras_backend")
def test_second_engine_in_a_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with pytest.raises(ConfigurationError, match=r"'keras_jax'.*on torch.*new process"):
        KerasBackend("keras_jax", threads=1)
    assert os.environ["KERAS_BACKEND"] == "torch"


def test_name_without_an_engine_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="keras_jax"):
        KerasBackend("keras_jx", threads=1)


def test_module_imports_no_framework() -> None:
    code = (
        "import sys, greenbench.backends.keras\n"
        "print({'keras', 'torch', 'jax', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
