"""Which GPU a torch device is."""

from types import SimpleNamespace

import pytest
import torch

from greenbench.backends.base import LocatingBackend
from greenbench.backends.torch import TorchBackend
from greenbench.backends.torch_gpus import gpu_uuids


def test_backend_tells_the_uuid_of_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", None)
    for properties, expected in (
        (SimpleNamespace(uuid="abcd-1"), ("abcd-1",)),
        (SimpleNamespace(), None),
    ):
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, p=properties: p)
        assert gpu_uuids(torch.device("cuda")) == expected
    assert gpu_uuids(torch.device("cpu")) == ()
    assert gpu_uuids(torch.device("mps")) is None
    monkeypatch.setattr(torch.version, "hip", "6.2")
    assert gpu_uuids(torch.device("cuda")) is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="trains on a GPU here")
def test_backend_that_trains_on_the_cpu_names_no_gpu() -> None:
    backend = TorchBackend("torch", threads=1)
    assert isinstance(backend, LocatingBackend)
    assert backend.gpu_uuids() == ()
