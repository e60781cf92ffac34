"""Engines of Keras: the GPU that they name is the device that they say they compute on."""

from types import SimpleNamespace
from typing import Any

import pytest

from greenbench.backends import keras_engines
from greenbench.backends.keras_engines import JaxEngine, TensorflowEngine

JAX_CPU = SimpleNamespace(platform="cpu", device_kind="cpu")
JAX_GPU = SimpleNamespace(platform="gpu", device_kind="NVIDIA H200")


def put(monkeypatch: pytest.MonkeyPatch, **packages: Any) -> None:
    """Let engines find made-up packages; a dot in a name is two underscores here."""
    named = {name.replace("__", "."): package for name, package in packages.items()}
    monkeypatch.setattr(keras_engines, "_package", named.__getitem__)


@pytest.mark.parametrize(
    ("used", "device", "uuids"), [(JAX_CPU, "cpu", ()), (JAX_GPU, "NVIDIA H200", None)]
)
def test_jax_names_the_device_that_it_puts_arrays_on(
    monkeypatch: pytest.MonkeyPatch, used: Any, device: str, uuids: Any
) -> None:
    # What JAX_PLATFORMS leaves is one thing, `jax_default_device` another.
    array = SimpleNamespace(devices=lambda: [used])
    first = JAX_GPU if used is JAX_CPU else JAX_CPU
    put(
        monkeypatch,
        jax=SimpleNamespace(devices=lambda: [first]),
        jax__numpy=SimpleNamespace(zeros=lambda shape: array),
    )
    engine = JaxEngine()
    assert (engine.device(), engine.gpu_uuids()) == (device, uuids)


@pytest.mark.parametrize(
    ("visible", "device", "uuids"), [([], "cpu", ()), (["first"], "NVIDIA H200", None)]
)
def test_tensorflow_names_the_device_that_is_left_visible(
    monkeypatch: pytest.MonkeyPatch, visible: list[str], device: str, uuids: Any
) -> None:
    config = SimpleNamespace(
        get_visible_devices=lambda kind: visible,
        list_physical_devices=lambda kind: ["first"],
        experimental=SimpleNamespace(get_device_details=lambda gpu: {"device_name": device}),
    )
    put(monkeypatch, tensorflow=SimpleNamespace(config=config))
    engine = TensorflowEngine()
    assert (engine.device(), engine.gpu_uuids()) == (device, uuids)
