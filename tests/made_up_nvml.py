"""A made-up NVML: cards that answer through the real ``pynvml``, whose functions it replaces."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED
NOT_FOUND = pynvml.NVML_ERROR_NOT_FOUND
LOST = pynvml.NVML_ERROR_GPU_IS_LOST


@dataclass
class Card:
    """A made-up card; a value that is an int in `fails` is the error that its function raises."""

    uuid: str
    name: str = "NVIDIA H200"
    bus: int = 0x10
    cores: int = 16896
    clock_mhz: int = 1980
    max_clock_mhz: int = 1980
    temperature: int = 40
    limit_mw: int = 700_000
    reasons: int = 0
    energy_mj: int = 1_000_000
    power_w: int = 0
    """By which the energy grows with time, too."""
    slices: Sequence[str] = ()
    is_sliced: bool = False
    processes: Sequence[int] = ()
    samples: Sequence[tuple[int, int]] = ()
    """Process ids and the percentages that they used of the multiprocessors' time."""
    fails: dict[str, int] = field(default_factory=dict)
    """By function, the error that it raises."""

    @property
    def is_mig(self) -> bool:
        return self.is_sliced or bool(self.slices)


@dataclass(frozen=True)
class Slice:
    uuid: str


class MadeUpNvml:
    """NVML of a machine with `cards`, in the order of the bus."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self.cards = list(cards)
        self.open = self.inits = 0
        self.reads: list[int] = []

    def answers(self) -> dict[str, Callable[..., Any]]:
        """Return what is answered, by function of `pynvml`."""
        of_card: dict[str, Callable[..., Any]] = {
            "nvmlDeviceGetName": lambda card: card.name,
            "nvmlDeviceGetUUID": lambda card: card.uuid,
            "nvmlDeviceGetPciInfo": lambda card: SimpleNamespace(
                busId=f"00000000:{card.bus:02X}:00.0"
            ),
            "nvmlDeviceGetNumGpuCores": lambda card: card.cores,
            "nvmlDeviceGetMaxClockInfo": lambda card, _kind: card.max_clock_mhz,
            "nvmlDeviceGetClockInfo": lambda card, _kind: card.clock_mhz,
            "nvmlDeviceGetTemperature": lambda card, _sensor: card.temperature,
            "nvmlDeviceGetEnforcedPowerLimit": lambda card: card.limit_mw,
            "nvmlDeviceGetPowerManagementLimitConstraints": lambda card: (1000, card.limit_mw),
            "nvmlDeviceGetPowerUsage": lambda card: 100_000,
            "nvmlDeviceGetMemoryInfo": lambda card: SimpleNamespace(total=1, free=1, used=0),
            "nvmlDeviceGetUtilizationRates": lambda card: SimpleNamespace(gpu=0, memory=0),
            "nvmlDeviceGetCurrentClocksEventReasons": lambda card: card.reasons,
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda card: card.reasons,
            "nvmlDeviceGetTotalEnergyConsumption": self._energy_mj,
            "nvmlDeviceGetArchitecture": lambda card: pynvml.NVML_DEVICE_ARCH_HOPPER,
            "nvmlDeviceGetMigMode": lambda card: (int(card.is_mig), int(card.is_mig)),
            "nvmlDeviceGetMaxMigDeviceCount": lambda card: 7,
            "nvmlDeviceGetMigDeviceHandleByIndex": _slice,
            "nvmlDeviceGetComputeRunningProcesses": lambda card: [
                SimpleNamespace(pid=pid, usedGpuMemory=0) for pid in card.processes
            ],
            "nvmlDeviceGetProcessUtilization": _samples,
            "nvmlDeviceGetC2cModeInfoV": _no_c2c,
        }
        return {
            **{name: _failing(name, function) for name, function in of_card.items()},
            "nvmlInit": self._init,
            "nvmlShutdown": self._shutdown,
            "nvmlDeviceGetCount": lambda: len(self.cards),
            "nvmlDeviceGetHandleByIndex": _by_index(self.cards),
            "nvmlDeviceGetHandleByUUID": _by_uuid(self.cards),
        }

    def _init(self) -> None:
        self.open += 1
        self.inits += 1

    def _shutdown(self) -> None:
        self.open -= 1

    def _energy_mj(self, card: Card) -> int:
        self.reads.append(self.cards.index(card))
        return card.energy_mj + int(1000 * card.power_w * time.perf_counter())


def _failing(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(card: Any, *arguments: Any) -> Any:
        if name in getattr(card, "fails", {}):
            raise pynvml.NVMLError(card.fails[name])
        return function(card, *arguments)

    return call


def _by_index(cards: Sequence[Card]) -> Callable[[int], Card]:
    def handle(index: int) -> Card:
        if not 0 <= index < len(cards):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        if error := cards[index].fails.get("nvmlDeviceGetHandleByIndex"):
            raise pynvml.NVMLError(error)
        return cards[index]

    return handle


def _by_uuid(cards: Sequence[Card]) -> Callable[[str], Card]:
    def handle(uuid: str) -> Card:
        for card in cards:
            if card.uuid == uuid:
                return card
        raise pynvml.NVMLError(NOT_FOUND)

    return handle


def _slice(card: Card, index: int) -> Slice:
    if index >= len(card.slices):
        raise pynvml.NVMLError(NOT_FOUND)
    return Slice(card.slices[index])


def _samples(card: Card, _since: int) -> list[SimpleNamespace]:
    if not card.samples:
        raise pynvml.NVMLError(NOT_FOUND)
    return [SimpleNamespace(pid=pid, smUtil=percent) for pid, percent in card.samples]


def _no_c2c(_card: Card) -> None:
    raise pynvml.NVMLError(NOT_SUPPORTED)


def install_for_good(*cards: Card) -> None:
    """Let `pynvml` answer for `cards` in this process."""
    for name, function in MadeUpNvml(cards).answers().items():
        setattr(pynvml, name, function)


def install(monkeypatch: pytest.MonkeyPatch, *cards: Card) -> MadeUpNvml:
    """Let `pynvml` answer for `cards` in place of the machine's own, for a test."""
    made_up = MadeUpNvml(cards)
    for name, function in made_up.answers().items():
        monkeypatch.setattr(pynvml, name, function)
    return made_up
