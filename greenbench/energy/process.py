"""The process meter: what this process and its own used of the CPU, and nobody else's work."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from greenbench.energy.amd import open_amd_counters
from greenbench.energy.codecarbon import TOLD, look_up_tdp
from greenbench.energy.counter import Counter
from greenbench.energy.gpus import Gpu, described
from greenbench.energy.limits import NVML_TICK_S, sum_w
from greenbench.energy.nvml_counters import open_nvml_counters
from greenbench.energy.process_tree import TreeClock
from greenbench.errors import EnergyError
from greenbench.machine.processes import adopt_orphans
from greenbench.results.readings import Component, Provenance, Reading

GPU_SOURCE = "GPU energy counter"


class ProcessMeter:
    """CPU seconds of this process and of all that it has started, times modelled watts.

    The CPU's joules are ``CPU seconds × TDP / logical cores``, both of the whole machine: each
    second that a core computes is charged its share of the power that the CPU is made for, as by
    Lannelongue et al. 2021 (Green Algorithms, https://doi.org/10.1002/advs.202100707: cores in use
    × TDP / cores × hours), but with logical cores, since CPU seconds are theirs. A process that
    waits is charged nothing: there is no idle share. What that may be wrong by, nobody states, so
    that there is no uncertainty.

    It is a model, but one of this process's work alone: what others do on the machine is not in it,
    as it is in the load of the whole machine. They may make a CPU second do less (shared caches,
    clock, hyperthreads), which is in it. Memory is not read: what it uses is the machine's.

    GPUs are read by their energy counters, which count for whoever uses the card.

    Parameters
    ----------
    gpus : sequence of Gpu, optional
        The cards that train, which alone are read; without, all that have a counter.
    cpu_tdp_w : float, optional
        The TDP of all CPUs of the machine together, in W; without, codecarbon's table tells, or
        its guess.

    Attributes
    ----------
    name : str
        ``"process"``.
    """

    name = "process"

    def __init__(
        self, *, gpus: Sequence[Gpu] | None = None, cpu_tdp_w: float | None = None
    ) -> None:
        adopt_orphans()
        tdp_w, origin = look_up_tdp() if cpu_tdp_w is None else (cpu_tdp_w, TOLD)
        cores = os.cpu_count() or 1
        self._core_w = tdp_w / cores
        self._components = {"cpu": _cpu(self._core_w, tdp_w, origin, cores)}
        self._counters = _open_counters(gpus)
        if gpus or self._counters:
            self._components["gpu"] = _gpu(self._counters, gpus)
        self._tree = TreeClock()
        self._began: tuple[float, Mapping[str, float]] | None = None
        self._fault: str | None = None

    def begin_window(self) -> None:
        """Read the clocks and counters."""
        if self._began is not None:
            raise EnergyError("process windows do not nest; end the open one first")
        self._fault = None
        self._began = time.perf_counter(), self._read_j()

    def end_window(self) -> Reading:
        """Read them again, and return the differences."""
        if self._began is None:
            raise EnergyError("no process window is open; begin one first")
        (began_s, before), self._began = self._began, None
        after = self._read_j()
        found = {
            name: part if part.reason else replace(part, energy_j=after[name] - before[name])
            for name, part in self._components.items()
        }
        if self._fault is not None:
            found["gpu"] = found["gpu"].unknown(self._fault)
        return Reading(time.perf_counter() - began_s, found)

    def describe(self) -> dict[str, Component]:
        """Return the components found, with provenance and source."""
        return dict(self._components)

    def close(self) -> None:
        """Forget an open window."""
        self._began = None

    def _read_j(self) -> dict[str, float]:
        gpu_j = 0.0
        try:
            gpu_j = sum(counter.read_j() for counter in self._counters)
        except Exception as error:
            # Whatever a driver raises: the CPU's figure is known all the same.
            self._fault = f"{GPU_SOURCE} does not answer ({type(error).__name__}: {error})"
        return {"cpu": self._core_w * self._tree.read_s(), "gpu": gpu_j}


def _cpu(core_w: float, tdp_w: float, origin: str, cores: int) -> Component:
    source = (
        f"CPU seconds of this process and its own at {core_w:.3g} W: "
        f"TDP {tdp_w:g} W {origin} / {cores} logical cores"
    )
    return Component(None, Provenance.MODEL, source, is_affected_by_others=False)


def _open_counters(gpus: Sequence[Gpu] | None) -> list[Counter]:
    if gpus is not None:
        return open_nvml_counters([gpu.uuid for gpu in gpus]) if gpus else []
    return open_nvml_counters(None) or open_amd_counters()


def _gpu(counters: Sequence[Counter], gpus: Sequence[Gpu] | None) -> Component:
    limit_w = sum_w(counter.limit_w for counter in counters)
    found = Component(None, Provenance.COUNTER, GPU_SOURCE, None, NVML_TICK_S, limit_w)
    return described(found if counters else None, gpus, "the meter process") if gpus else found
