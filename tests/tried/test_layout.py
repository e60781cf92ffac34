"""Native Keras networks as people write them: channels last, whatever a file says."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greenbench.architectures import Native
from greenbench.backends.base import BuildRequest, TrainableModel
from greenbench.backends.keras import KerasBackend
from greenbench.datasets import Dataset, LoadContext
from greenbench.datasets.digits import load_digits
from greenbench.datasets.synthetic import load_synthetic
from greenbench.errors import ArchitectureError

Build = Callable[[], Any]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_digits(LoadContext(seed=0, data_dir=Path()))


@pytest.fixture
def backend(digits: Dataset) -> KerasBackend:
    backend = KerasBackend("keras", threads=1)
    backend.load(digits)
    return backend


def model_of(backend: KerasBackend, build: Build, name: str = "mine") -> TrainableModel:
    return backend.build(BuildRequest(Native(name, "keras", build), seed=3))


def train(model: TrainableModel, dataset: Dataset, epochs: int) -> list[float]:
    orders = (np.random.default_rng(e).permutation(len(dataset.train)) for e in range(epochs))
    return [model.train_epoch(order) for order in orders]


def network(size: tuple[int, ...] | None = None, pool: int = 1, **options: Any) -> Any:
    import keras  # noqa: PLC0415
    from keras import layers  # noqa: PLC0415

    first = [] if size is None else [keras.Input(size)]
    body = [
        layers.Conv2D(8, 3, padding="same", activation="relu", **options),
        layers.MaxPooling2D(pool, data_format=options.get("data_format")),
        layers.Flatten(),
        layers.Dense(10),
    ]
    return keras.Sequential([*first, *body])


@pytest.mark.parametrize("size", [None, (16, 16, 1)])
def test_convolution_without_a_data_format_sees_channels(
    backend: KerasBackend, digits: Dataset, size: tuple[int, ...] | None
) -> None:
    model = model_of(backend, lambda: network(size=size))
    assert model.get_weights()[0].shape == (8, 1, 3, 3)
    train(model, digits, 4)
    assert model.evaluate("test") > 0.9
    images = digits.test.images
    assert (model.predict(images).argmax(axis=1) == digits.test.labels).mean() > 0.9


@pytest.mark.parametrize(
    "build",
    [
        lambda: network(size=(1, 16, 16)),
        lambda: network(size=(1, 16, 16), data_format="channels_first"),
        lambda: network(data_format="channels_first"),
        lambda: network(size=(1, 16, 16), pool=2),
        lambda: network(data_format="channels_first", pool=2),
    ],
    ids=["image_shape", "old", "old, no input", "does not fit", "pools"],
)
def test_network_of_another_layout_is_refused_in_one_line(
    backend: KerasBackend, build: Build
) -> None:
    with pytest.raises(ArchitectureError) as refused:
        model_of(backend, build, "old_net")
    message = str(refused.value)
    assert "\n" not in message
    assert "'old_net'" in message
    assert "(16, 16, 1)" in message
    assert "height, width, channels" in message


def test_layer_with_channels_first_behind_a_permutation_is_the_networks_own_affair(
    backend: KerasBackend,
) -> None:
    def build() -> Any:
        import keras  # noqa: PLC0415
        from keras import layers  # noqa: PLC0415

        return keras.Sequential(
            [
                keras.Input((16, 16, 1)),
                layers.Permute((3, 1, 2)),
                layers.Conv2D(8, 3, data_format="channels_first"),
                layers.Flatten(),
                layers.Dense(10),
            ]
        )

    assert model_of(backend, build).get_weights()[0].shape == (8, 1, 3, 3)


def test_spec_and_native_networks_take_turns(backend: KerasBackend, digits: Dataset) -> None:
    from greenbench.architectures import build_architecture  # noqa: PLC0415

    spec = build_architecture("simple_cnn", digits.image_shape, digits.classes, size="xs")
    alone = train(backend.build(BuildRequest(spec)), digits, 1)
    before = backend.digest()
    model_of(backend, network)
    assert train(backend.build(BuildRequest(spec)), digits, 1) == alone
    assert backend.digest() == before


def classifier(activation: str | None, name: str) -> Any:
    import keras  # noqa: PLC0415
    from keras import layers  # noqa: PLC0415

    last = layers.Dense(10, activation=activation, name=name)
    return keras.Sequential([layers.Flatten(), last])


@pytest.mark.parametrize("name", ["predictions", "small_head_dense"])
def test_softmax_that_keras_applications_end_in_trains_as_if_there_were_none(
    backend: KerasBackend, digits: Dataset, name: str
) -> None:
    without = model_of(backend, lambda: classifier(None, "out"))
    ending = model_of(backend, lambda: classifier("softmax", name))
    ending.set_weights(without.get_weights())
    losses = train(without, digits, 3)
    assert train(ending, digits, 3) == pytest.approx(losses, abs=1e-4)
    assert ending.evaluate("test") == pytest.approx(without.evaluate("test"), abs=0.01)
    assert ending.predict(digits.test.images).sum(axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.integration
def test_network_of_keras_applications_trains_as_pasted() -> None:
    dataset = load_synthetic(LoadContext(seed=0, data_dir=Path()), 400, 32, 3)
    backend = KerasBackend("keras", threads=1)
    backend.load(dataset)

    def build() -> Any:
        import keras  # noqa: PLC0415

        channels, height, width = dataset.input_shape
        shape = (height, width, channels)
        return keras.applications.MobileNetV2(
            weights=None, input_shape=shape, classes=dataset.classes, alpha=0.35
        )

    losses = train(model_of(backend, build), dataset, 5)
    # Probabilities that are taken for logits give no loss above that of guessing.
    assert losses[0] > np.log(10)
    assert losses[-1] < losses[0]


PROBE = """
import json, os, sys, numpy as np, torch
from pathlib import Path
from greenbench.architectures import Native
from greenbench.backends.base import BuildRequest
from greenbench.backends.keras import KerasBackend
from greenbench.datasets import LoadContext
from greenbench.datasets.digits import load_digits
data = load_digits(LoadContext(seed=0, data_dir=Path()))
def net():
    from keras import layers, Sequential
    first = layers.Conv2D(4, 3, activation="relu")
    return Sequential([first, layers.LayerNormalization(), layers.Flatten(), layers.Dense(10)])
def probe():
    backend = KerasBackend("keras", threads=1)
    backend.load(data)
    model = backend.build(BuildRequest(Native("n", "keras", net)))
    print(model.train_epoch(np.arange(320)), model.evaluate("test"), model.get_weights()[0].shape)
# What takes longest is imported once; Keras reads files and variables when a child imports it.
assert "keras" not in sys.modules
for variables in json.loads(sys.argv[1]):
    if not (child := os.fork()):
        os.environ.update(variables)
        probe()
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""

FILES = {
    "none": None,
    "other": {
        "image_data_format": "channels_first",
        "floatx": "float16",
        "epsilon": 0.5,
        "backend": "tensorflow",
    },
    "not JSON": "{",
    "a list": [],
    "of wrong values": {"epsilon": 1, "floatx": ["float32"]},
}

VARIABLES = {"KERAS_MAX_EPOCHS": "many", "KERAS_MAX_STEPS_PER_EPOCH": "1", "KERAS_BACKEND": "numpy"}


def make_home(home: Path, given: Any) -> dict[str, str]:
    """Return the variables of somebody at home, whose file of Keras holds what is given."""
    (home / ".keras").mkdir(parents=True)
    if given is not None:
        text = given if isinstance(given, str) else json.dumps(given)
        (home / ".keras" / "keras.json").write_text(text)
    return {"HOME": str(home)}


@pytest.mark.integration
def test_no_file_and_no_variable_changes_a_network(tmp_path: Path) -> None:
    homes = [make_home(tmp_path / name, given) for name, given in FILES.items()]
    homes.append(make_home(tmp_path / "variables", None) | VARIABLES)
    environment = {name: each for name, each in os.environ.items() if "KERAS" not in name}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(homes)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = done.stdout.splitlines()
    assert len(found) == len(homes)
    assert len(set(found)) == 1, found
    assert "(4, 1, 3, 3)" in found[0]
