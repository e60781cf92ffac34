"""In which state GPUs are: heat, clocks, limits, and who else uses them."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from greenbench.energy.cards import Neighbours
from greenbench.energy.host import own_pids
from greenbench.energy.nvml import answer, nvml
from greenbench.results.gpus import Gpu, GpuState, TrainedGpu

MILLIWATTS = 1e3
MICROSECONDS = 1e6
PERCENT = 100
LATELY_S = 1.0
"""How far the look at others goes back before the first window; NVML keeps some seconds."""
REASONS = {
    0x04: "power_limit",
    0x08: "hardware_slowdown",
    0x20: "software_thermal",
    0x40: "hardware_thermal",
    0x80: "power_brake",
}
"""NVML's clock event reasons that matter, by bit; others are idling, or somebody's setting."""


class GpuWatch:
    """Looks at the cards that train before the first window of a repeat, and after the last.

    Nothing is asked in between: each answer would cost milliseconds of a window.

    Parameters
    ----------
    gpus : sequence of Gpu
        Which.
    clock : callable
        Seconds since 1970-01-01 UTC, by which NVML counts, too.
    host_lock : pathlib.Path, optional
        Of a host that is shared with those who measure on other cards.
    """

    def __init__(
        self,
        gpus: Sequence[Gpu],
        clock: Callable[[], float] = time.time,
        host_lock: Path | None = None,
    ) -> None:
        self._gpus = gpus
        uuids = [gpu.uuid for gpu in gpus]
        self._neighbours = Neighbours(host_lock, uuids) if host_lock and uuids else None
        self._began_s = clock()
        self._before = read_states(gpus, self._began_s - LATELY_S) if gpus else []

    def end(self) -> tuple[TrainedGpu, ...]:
        """Return the cards with their states at both ends."""
        after = read_states(self._gpus, self._began_s) if self._gpus else []
        has_neighbours = self._neighbours is not None and self._neighbours.were_there()
        return tuple(
            TrainedGpu(*each, has_neighbours)
            for each in zip(self._gpus, self._before, after, strict=True)
        )


def read_states(gpus: Sequence[Gpu], since_s: float | None = None) -> list[GpuState]:
    """Return the state of each card, in their order; unknown where NVML does not answer.

    Parameters
    ----------
    gpus : sequence of Gpu
        Which.
    since_s : float, optional
        Since when the use by other processes is asked for, in seconds since 1970-01-01 UTC;
        without, it is not.
    """
    own = own_pids() if since_s is not None else set()
    with nvml() as library:
        if library is None:
            return [GpuState() for _ in gpus]
        return [_state(library, gpu, since_s, own) for gpu in gpus]


def _state(library: Any, gpu: Gpu, since_s: float | None, own: set[int]) -> GpuState:
    handle = answer(library, "nvmlDeviceGetHandleByUUID", gpu.uuid)
    if handle is None:
        return GpuState()
    temperature = answer(library, "nvmlDeviceGetTemperature", handle, library.NVML_TEMPERATURE_GPU)
    clock = answer(library, "nvmlDeviceGetClockInfo", handle, library.NVML_CLOCK_SM)
    limit = answer(library, "nvmlDeviceGetEnforcedPowerLimit", handle)
    reasons = answer(library, "nvmlDeviceGetCurrentClocksEventReasons", handle)
    if reasons is None:  # Named so before 2023.
        reasons = answer(library, "nvmlDeviceGetCurrentClocksThrottleReasons", handle)
    throttled_by = [name for bit, name in REASONS.items() if reasons is not None and reasons & bit]
    return GpuState(
        temperature_c=None if temperature is None else float(temperature),
        sm_clock_mhz=None if clock is None else float(clock),
        power_limit_w=None if limit is None else limit / MILLIWATTS,
        throttled_by=None if reasons is None else tuple(throttled_by),
        others_share=None if since_s is None else _others_share(library, handle, since_s, own),
    )


def _others_share(library: Any, handle: Any, since_s: float, own: set[int]) -> float | None:
    """Return the share of the multiprocessors' time that others used; None if nobody can tell.

    A process that only holds a context, or a screen that stands still, uses none. In a container
    NVML counts by the host's numbers of processes, or tells of none: where it does not know us as
    one that computes, it cannot tell us from others.
    """
    computing = answer(library, "nvmlDeviceGetComputeRunningProcesses", handle)
    if computing is None or own.isdisjoint(process.pid for process in computing):
        return None
    since_us = int(since_s * MICROSECONDS)
    samples = answer(library, "nvmlDeviceGetProcessUtilization", handle, since_us, absent=[])
    if samples is None:
        return None
    used: dict[int, list[int]] = {}
    for sample in samples:
        # Some drivers fill up with entries of no process.
        if sample.pid and sample.pid not in own and sample.smUtil <= PERCENT:
            used.setdefault(sample.pid, []).append(sample.smUtil)
    return min(sum(map(fmean, used.values())) / PERCENT, 1.0)
