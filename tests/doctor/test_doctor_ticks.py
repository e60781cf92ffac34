"""What the doctor says of counters that tick."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greenbench.doctor import doctor, ticks
from greenbench.doctor.ticks import find_ticks
from greenbench.energy.counter_values import Ticks
from greenbench.errors import EnergyError
from greenbench.results.gpus import Gpu
from greenbench.results.readings import Component, Provenance
from greenbench.settings import Settings


class MadeUpCounters:
    """A GPU whose counter was reset, a CPU whose counter is fine, or nobody who reads them."""

    def __init__(self, share: float, error: str | None = None) -> None:
        self.share = share
        self.pid = None
        self.is_closed = False
        self._error = error

    def describe(self) -> dict[str, Component]:
        return {
            name: Component(None, Provenance.COUNTER, name, None, tick_s)
            for name, tick_s in (("cpu", 0.04), ("gpu", 0.09981))
        }

    def ticks(self, since_s: float) -> dict[str, list[Ticks]]:
        if self._error:
            raise EnergyError(self._error)
        return {"cpu": [Ticks(np.array([since_s]), np.array([1.0]))]}

    def faults(self, since_s: float) -> dict[str, str]:
        return {"gpu": "the counter of GPU-a fell by 7 J"}

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(
    ("share", "tail"),
    [
        (0.004, "takes 0.4% of a core"),
        (0.051, "takes 5.1% of a core, more than 1%: each look takes long here"),
    ],
)
def test_doctor_says_how_often_counters_are_read(
    monkeypatch: pytest.MonkeyPatch, share: float, tail: str
) -> None:
    counters = MadeUpCounters(share)
    monkeypatch.setattr(ticks, "open_counters", lambda **_: counters)
    monkeypatch.setattr(ticks, "WATCHED_S", 0.0)
    said, components = find_ticks(Path())
    assert components == counters.describe()
    assert said.startswith("cpu read every 40 ms; gpu: none, the counter of GPU-a fell by 7 J; ")
    assert said.endswith(tail)
    assert counters.is_closed


def test_doctor_says_that_nobody_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = MadeUpCounters(0.0, "the process that reads counters ended (-9)")
    monkeypatch.setattr(ticks, "open_counters", lambda **_: counters)
    monkeypatch.setattr(ticks, "WATCHED_S", 0.0)
    assert find_ticks(Path())[0] == "none: the process that reads counters ended (-9)"
    assert counters.is_closed


def test_doctor_says_that_there_are_none(tmp_path: Path) -> None:
    said, components = find_ticks(tmp_path, [])
    assert "no counter" in said
    assert components == {}


def test_doctor_reads_the_counters_of_cards_that_train(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(ticks, "open_counters", lambda gpus, powercap: asked.append(gpus))
    find_ticks(Path(), [Gpu(1, "GPU-b", "NVIDIA H200")])
    assert asked == [["GPU-b"]]


def test_doctor_counts_what_counters_read_though_the_meter_does_not_find_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    part = Component(None, Provenance.COUNTER, "NVML energy counter, read at its ticks")
    monkeypatch.setattr(doctor, "find_ticks", lambda *_: ("gpu read every 100 ms", {"gpu": part}))
    monkeypatch.setattr(doctor, "LISTENING_S", 0.0)
    found = doctor.examine(
        Settings(tmp_path, "sqlite:///mlflow.db", tmp_path, tmp_path / "lock", country="NLD")
    )
    assert found["gpu"] == part.source
    assert found["headline"][0].startswith("of training on the GPU: gpu: what is measured")
