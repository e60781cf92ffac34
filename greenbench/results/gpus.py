"""GPUs: which ones trained, and in which state they were at both ends of a repeat."""

from collections.abc import Iterable, Mapping, Sequence
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
    """A card, and its state before the first and after the last window of a repeat.

    Attributes
    ----------
    gpu : Gpu
        The card.
    before, after : GpuState
        What it said of itself.
    has_neighbours : bool
        Whether others measured on other cards of the host meanwhile.
    """

    gpu: Gpu
    before: GpuState
    after: GpuState
    has_neighbours: bool = False

    @property
    def states(self) -> tuple[GpuState, GpuState]:
        """Both states."""
        return self.before, self.after

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainedGpu":
        """Rebuild it from its `dataclasses.asdict` form."""
        before, after = GpuState.from_dict(values["before"]), GpuState.from_dict(values["after"])
        return cls(Gpu(**values["gpu"]), before, after, bool(values.get("has_neighbours")))


def is_shared(gpus: Sequence[TrainedGpu]) -> bool:
    """Return whether only a slice of a card trained, whose counter is the whole card's."""
    return any(each.gpu.is_slice for each in gpus)


def had_neighbours(gpus: Sequence[TrainedGpu]) -> bool:
    """Return whether others measured on other cards of the host meanwhile."""
    return any(each.has_neighbours for each in gpus)


def is_throttled(gpus: Sequence[TrainedGpu]) -> bool:
    """Return whether heat or its supply held a card's clock down at either end."""
    return not set(SLOWDOWNS).isdisjoint(throttled_by(gpus) or ())


def throttled_by(gpus: Sequence[TrainedGpu]) -> list[str] | None:
    """Return what held clocks down at either end, each once; None if no card says."""
    known = [state.throttled_by for each in gpus for state in each.states]
    found = [reasons for reasons in known if reasons is not None]
    return list(dict.fromkeys(reason for each in found for reason in each)) if found else None


def others_gpu_share(gpus: Sequence[TrainedGpu]) -> float | None:
    """Return the largest share of a card that others used at either end; None if unknown."""
    return _most(state.others_share for each in gpus for state in each.states)


def state_figures(gpus: Sequence[TrainedGpu]) -> dict[str, float | None]:
    """Return the columns of a result's row that say in which state its cards were.

    Of several cards it is the warmest one's temperature, the slowest one's clock, and the sum of
    their limits.
    """
    figures: dict[str, float | None] = {}
    for suffix, states in (("", [g.after for g in gpus]), ("_before", [g.before for g in gpus])):
        clocks = [s.sm_clock_mhz for s in states if s.sm_clock_mhz is not None]
        limits = [s.power_limit_w for s in states if s.power_limit_w is not None]
        figures[f"gpu_temperature{suffix}_c"] = _most(s.temperature_c for s in states)
        figures[f"gpu_sm_clock{suffix}_mhz"] = min(clocks, default=None)
        is_known = states and len(limits) == len(states)
        figures[f"gpu_power_limit{suffix}_w"] = sum(limits) if is_known else None
    return {**figures, "gpu_others_share": others_gpu_share(gpus)}


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


SLOWDOWNS = ("hardware_slowdown", "software_thermal", "hardware_thermal", "power_brake")
"""Reasons that make a sample ``throttled``: heat, or a supply that cannot give more.

``power_limit`` is none of them: at full load many cards are always at their limit, which is the
same in each sample, and recorded.
"""
