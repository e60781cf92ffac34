"""The device of a backend: one choice for torch and keras, and the name that results carry."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from greenbench.backends.keras_engines import TorchEngine
from greenbench.backends.torch_compute import read_options
from greenbench.backends.torch_device import choose_device, name_of, synchronize
from greenbench.backends.torch_state import settings
from greenbench.errors import ConfigurationError

CPU, CUDA, MPS = map(torch.device, ("cpu", "cuda", "mps"))

KERAS = """
import json, os
from greenbench.backends.keras import KerasBackend
backend = KerasBackend("keras", threads=1)
import keras
found = str(keras.ops.zeros(()).device), backend.describe()["device"]
print(json.dumps([*found, os.environ.get("KERAS_TORCH_DEVICE")]))
"""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets torch believe in devices that are not here."""

    def has(*, cuda: bool = False, mps: bool = False, hip: str | None = None) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Card 7")
        monkeypatch.setattr(torch.version, "hip", hip)

    return has


@pytest.mark.parametrize(
    ("devices", "environment", "expected"),
    [
        ({}, {}, CPU),
        ({"cuda": True}, {}, CUDA),
        ({"cuda": True, "hip": "6.4"}, {}, CUDA),
        ({"mps": True}, {}, MPS),
        ({"mps": True, "cuda": True}, {}, CUDA),
        ({"mps": True}, {"CUDA_VISIBLE_DEVICES": ""}, CPU),
        ({"mps": True}, {"CUDA_VISIBLE_DEVICES": "-1"}, CPU),
        ({"mps": True}, {"CUDA_VISIBLE_DEVICES": "0"}, MPS),
        # Neither does Keras's own variable make its backend differ from torch's.
        ({"mps": True}, {"KERAS_TORCH_DEVICE": "cpu"}, MPS),
    ],
)
def test_device_is_a_gpu_unless_the_user_hides_it(
    machine: Any, devices: dict[str, Any], environment: Mapping[str, str], expected: torch.device
) -> None:
    machine(**devices)
    assert choose_device(environment) == expected


def test_keras_is_told_the_device_that_torch_takes(
    machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    machine(mps=True, cuda=True)
    # In its own order, Keras would take MPS.
    assert TorchEngine().variables() == {"KERAS_TORCH_DEVICE": "cuda"}
    machine(mps=True)
    assert TorchEngine().variables() == {"KERAS_TORCH_DEVICE": "mps"}


@pytest.mark.integration
def test_keras_computes_where_torch_does_whatever_its_variable_says() -> None:
    done = subprocess.run(
        [sys.executable, "-c", KERAS],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "KERAS_TORCH_DEVICE": "meta"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == ["cpu", "cpu", None]


def test_name_says_by_what_a_gpu_is_reached(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(cuda=True)
    assert name_of(CUDA) == "Card 7"
    machine(cuda=True, hip="6.4.43482")
    assert name_of(CUDA) == "Card 7 (ROCm 6.4.43482)"
    monkeypatch.setattr(torch.backends.mps, "get_name", lambda: "Apple M4 Pro", raising=False)
    assert name_of(MPS) == "Apple M4 Pro (MPS)"
    monkeypatch.delattr(torch.backends.mps, "get_name")
    assert name_of(MPS) == "Apple GPU (MPS)"
    assert name_of(CPU) == "cpu"


@pytest.mark.parametrize(
    ("device", "expected"), [(CPU, []), (CUDA, ["cuda"]), (MPS, ["mps"])], ids=str
)
def test_each_device_is_waited_for_in_its_own_way(
    monkeypatch: pytest.MonkeyPatch, device: torch.device, expected: list[str]
) -> None:
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: waited.append("cuda"))
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append("mps"))
    synchronize(device)
    assert waited == expected


@pytest.mark.parametrize("options", [{"cuda_graphs": True}, {"precision": "float16"}])
def test_mps_has_no_cuda_graphs_and_no_float16(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="without a CUDA GPU"):
        read_options(options, MPS, captures=False)


def test_random_state_of_mps_is_put_back(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(mps=True)
    state = torch.arange(4, dtype=torch.uint8)
    found: list[torch.Tensor] = []
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: state)
    monkeypatch.setattr(torch.mps, "set_rng_state", found.append)
    seed = next(each for each in settings() if each.name == "torch.mps.manual_seed")
    seed.put(seed.get())
    assert found[0].tolist() == state.tolist()
    machine()
    assert "torch.mps.manual_seed" not in [each.name for each in settings()]
