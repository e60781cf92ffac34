"""GPUs: which ones trained, and in which state they were at both ends of a repeat."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """A card that trains.

    Attributes
    ----------
    index : int
        NVML's, which is the order of the bus, and not CUDA's.
    uuid : str
        Of the card, as ``GPU-…``.
    name : str
        Its model.
    is_slice : bool
        Whether only a slice of it (MIG) trains. Counter, temperature and limit are the whole
        card's.
    """

    index: int
    uuid: str
    name: str
    is_slice: bool = False


@dataclass(frozen=True)
class GpuState:
    """What a card says of itself at a moment; None where it does not say.

    Attributes
    ----------
    temperature_c : float or None
        Of the GPU, in °C.
    sm_clock_mhz : float or None
        Of its multiprocessors, in MHz.
    power_limit_w : float or None
        The limit in force, in W.
    throttled_by : tuple of str or None
        What holds its clock down: of `SLOWDOWNS`, and ``power_limit``; empty if nothing does.
    others_share : float or None
        Share in [0, 1] of its multiprocessors' time that other processes used lately.
    """

    temperature_c: float | None = None
    sm_clock_mhz: float | None = None
    power_limit_w: float | None = None
    throttled_by: tuple[str, ...] | None = None
    others_share: float | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GpuState":
        """Rebuild a state from its `dataclasses.asdict` form."""
        reasons = values.get("throttled_by")
        return cls(**{**values, "throttled_by": None if reasons is None else tuple(reasons)})


@dataclass(frozen=True)
class TrainedGpu:
    """A card, and its state before the first and after the last window of a repeat."""

    gpu: Gpu
    before: GpuState
    after: GpuState

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainedGpu":
        """Rebuild it from its `dataclasses.asdict` form."""
        before, after = GpuState.from_dict(values["before"]), GpuState.from_dict(values["after"])
        return cls(Gpu(**values["gpu"]), before, after)


SLOWDOWNS = ("hardware_slowdown", "software_thermal", "hardware_thermal", "power_brake")
"""Reasons that make a sample ``throttled``: heat, or a supply that cannot give more.

``power_limit`` is none of them: at full load many cards are always at their limit, which is the
same in each sample, and recorded.
"""
