"""Keras computes the same as torch on every engine; each has a process of its own."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from greenbench.architectures import build_architecture
from greenbench.backends.base import AdamOptions, BuildRequest
from greenbench.backends.torch import TorchBackend, TorchModel
from greenbench.datasets.base import Dataset

ENGINES = {"keras": "torch", "keras_jax": "jax", "keras_tensorflow": "tensorflow"}
PROBE = Path(__file__).with_name("engine_probe.py")
STEP = AdamOptions(epsilon=1e-4, weight_decay=0.1)

Results = dict[str, Any]


def torch_model(dataset: Dataset) -> TorchModel:
    backend = TorchBackend("torch", threads=1)
    backend.load(dataset)
    spec = build_architecture("simple_cnn", dataset.input_shape, dataset.classes)
    return backend.build(BuildRequest(spec, STEP, batch_size=16, seed=1))


def trained_weights(dataset: Dataset) -> list[NDArray[np.float32]]:
    model = torch_model(dataset)
    model.train_epoch(np.arange(40))
    return model.get_weights()


def run_probe(name: str, dataset: Dataset, folder: Path) -> Results:
    source, target = folder / "input.npz", folder / "output.npz"
    # Keras adds epsilon before the bias correction: so chosen, the first step is torch's.
    options = replace(STEP, epsilon=STEP.epsilon * math.sqrt(1 - STEP.beta2))
    given: Results = {
        "images": dataset.train.images,
        "labels": dataset.train.labels,
        "options": np.array(json.dumps(asdict(options))),
    }
    given |= {f"weight_{i}": values for i, values in enumerate(trained_weights(dataset))}
    np.savez(source, **given)
    other = next(engine for engine in ENGINES.values() if engine != ENGINES[name])
    done = subprocess.run(
        [sys.executable, str(PROBE), name, str(source), str(target)],
        # The backend's name decides, whatever the user's shell says.
        env={**os.environ, "KERAS_BACKEND": other},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(target) as results:
        return dict(results)


@pytest.fixture(scope="module", params=ENGINES)
def probed(
    request: pytest.FixtureRequest, coloured: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Results]:
    name: str = request.param
    if importlib.util.find_spec(ENGINES[name]) is None:
        pytest.skip(f"{ENGINES[name]} is not installed, which {name} needs")
    return name, run_probe(name, coloured, tmp_path_factory.mktemp(name))


pytestmark = pytest.mark.integration


def test_engine_is_the_one_that_the_name_says(probed: tuple[str, Results]) -> None:
    name, results = probed
    description = json.loads(str(results["description"]))
    assert description["engine"] == ENGINES[name]
    assert {"device", "keras", ENGINES[name]} <= set(description)


def test_outputs_are_torchs_with_trained_weights(
    probed: tuple[str, Results], coloured: Dataset
) -> None:
    model = torch_model(coloured)
    model.set_weights(trained_weights(coloured))
    expected = model.predict(coloured.train.images)
    np.testing.assert_allclose(probed[1]["outputs"], expected, rtol=0, atol=1e-5)
    accuracy = np.mean(expected.argmax(axis=1) == coloured.train.labels)
    assert probed[1]["accuracy"] == pytest.approx(accuracy)


def test_counts_are_the_specs(probed: tuple[str, Results], coloured: Dataset) -> None:
    model = torch_model(coloured)
    assert probed[1]["parameters"] == model.parameters
    assert probed[1]["flops"] == model.count_train_flops()


def test_a_step_with_weight_decay_gives_torchs_loss_and_weights(
    probed: tuple[str, Results], coloured: Dataset
) -> None:
    model = torch_model(coloured)
    start = model.get_weights()
    assert probed[1]["loss"] == pytest.approx(model.train_epoch(np.arange(16)), abs=1e-5)
    stepped = model.get_weights()
    for i, (old, new) in enumerate(zip(start, stepped, strict=True)):
        np.testing.assert_array_equal(probed[1][f"start_{i}"], old)
        # Biases before a normalisation, 1 and 7, have rounding errors for a gradient; running
        # variances, 5 and 11, are unbiased in torch.
        atol = 2 * STEP.learning_rate if i in {1, 7} else 5e-6
        rtol = 1 / 190 if i in {5, 11} else 0
        np.testing.assert_allclose(probed[1][f"stepped_{i}"], new, rtol=rtol, atol=atol)


def test_losses_stay_torchs_over_epochs(probed: tuple[str, Results], coloured: Dataset) -> None:
    model = torch_model(coloured)
    for samples in (16, 40, 40):
        loss = model.train_epoch(np.arange(samples))
    assert probed[1]["epoch_loss"] == pytest.approx(loss, abs=1e-2)


@pytest.mark.parametrize("name", [each for each in ENGINES if each != "keras"])
def test_tasks_optimizers_and_data_are_the_same(name: str) -> None:
    if importlib.util.find_spec(ENGINES[name]) is None:
        pytest.skip(f"{ENGINES[name]} is not installed, which {name} needs")
    files = ("test_parity_optimizers.py", "test_parity_tasks.py", "test_keras_data.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        + [str(PROBE.with_name(each)) for each in files],
        env={**os.environ, "KERAS_TESTED": name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
