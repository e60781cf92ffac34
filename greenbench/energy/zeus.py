"""The zeus meter: GPU and CPU energy counters, as a second opinion. Needs the extra ``zeus``."""

import logging
import multiprocessing
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

from greenbench.energy.gpus import Gpu, described
from greenbench.energy.limits import (
    NVML_TICK_S,
    PACKAGE_W,
    RAPL_TICK_S,
    package_limit_w,
    sum_w,
)
from greenbench.errors import EnergyError, MissingPackageError
from greenbench.results.readings import Component, Provenance, Reading

WINDOW = "greenbench"
VISIBLE = "CUDA_VISIBLE_DEVICES"
MICROJOULES_PER_JOULE = 1e6


class ZeusMeter:
    """Reads counters through zeus; what the machine doesn't have is ``none``, never 0 J.

    Parameters
    ----------
    gpus : sequence of Gpu, optional
        The cards that train, which alone are read; without, zeus chooses.

    Attributes
    ----------
    name : str
        ``"zeus"``.

    Raises
    ------
    MissingPackageError
        If zeus is not installed.
    """

    name = "zeus"

    def __init__(self, *, gpus: Sequence[Gpu] | None = None) -> None:
        try:
            # Its import, and that of GPU libraries that it tries, may print.
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
                from zeus.monitor import ZeusMonitor  # noqa: PLC0415
        except ImportError as error:
            raise MissingPackageError("meter 'zeus'", "zeus", "zeus") from error
        logging.getLogger("zeus").setLevel(logging.CRITICAL)
        already = set(multiprocessing.active_children())
        with _showing(gpus):
            # Where none trains, not those of another maker, either.
            self._monitor: Any = ZeusMonitor(gpu_indices=None if gpus or gpus is None else [])
        # Its counters are shared by the process, and so would be the processes that watch
        # them: the first meter to close would end them for all others, and for good.
        self._monitor.cpus = type(self._monitor.cpus)()
        self._is_open = False
        self._components = _describe(self._monitor)
        if gpus:
            found = self._components.get("gpu")
            self._components["gpu"] = described(found, gpus, f"zeus {version('zeus')}")
        # Counters that may wrap around are watched by processes, started by the first reading.
        self.begin_window()
        self.end_window()
        self._children = set(multiprocessing.active_children()) - already

    def begin_window(self) -> None:
        """Read the counters; the backend has synchronised the device."""
        if self._is_open:
            raise EnergyError("zeus windows do not nest; end the open one first")
        self._monitor.begin_window(WINDOW, sync_execution=False, restart=True)
        self._is_open = True

    def end_window(self) -> Reading:
        """Read the counters again and return the differences."""
        if not self._is_open:
            raise EnergyError("no zeus window is open; begin one first")
        self._is_open = False
        with warnings.catch_warnings():
            # It warns of GPU windows of 0 J; the ledger's windows may be that short.
            warnings.simplefilter("ignore")
            found = self._monitor.end_window(WINDOW, sync_execution=False)
        joules = {
            "cpu": _sum_j(self._unwrapped(found.cpu_energy, "rapl_file", found.time)),
            "gpu": _sum_j(found.gpu_energy),
            "ram": _sum_j(self._unwrapped(found.dram_energy, "dram", found.time)),
        }
        parts = {
            name: replace(part, energy_j=joules[name]) for name, part in self._components.items()
        }
        return Reading(found.time, parts)

    def describe(self) -> dict[str, Component]:
        """Return the components found, with provenance and source."""
        return dict(self._components)

    def close(self) -> None:
        """End the open window and the processes that watch counters."""
        self._is_open = False
        for child in self._children:
            child.kill()
            child.join()
        self._children = set()

    def _unwrapped(
        self, energy: Mapping[int, float] | None, counter: str, duration_s: float
    ) -> dict[int, float]:
        """Return joules by package, whether or not zeus noticed that a counter wrapped around.

        It notices up to a second late, which takes the counter's whole range from one window
        and gives it to another. No window is charged with it that is too short to use it.
        """
        unwrapped = dict(energy or {})
        for index in unwrapped:
            file = getattr(self._monitor.cpus.cpus[index], counter, None)
            range_j = getattr(file, "max_energy_range_uj", 0.0) / MICROJOULES_PER_JOULE
            if range_j > duration_s * PACKAGE_W:
                unwrapped[index] %= range_j
        return unwrapped


@contextmanager
def _showing(gpus: Sequence[Gpu] | None) -> Iterator[None]:
    """Show zeus these cards and no others.

    It reads ``CUDA_VISIBLE_DEVICES`` as NVML's numbers, which are not CUDA's, and as numbers alone;
    and it keeps the cards that it has found first for the whole process. CUDA, which may not have
    read the variable yet, finds it as it was.
    """
    if gpus is None:
        yield
        return
    module: Any = import_module("zeus.device.gpu")
    kept, listed = module._gpus, os.environ.get(VISIBLE)
    module._gpus, os.environ[VISIBLE] = None, ",".join(str(gpu.index) for gpu in gpus)
    try:
        yield
    finally:
        module._gpus = kept
        if listed is None:
            del os.environ[VISIBLE]
        else:
            os.environ[VISIBLE] = listed


def _describe(monitor: Any) -> dict[str, Component]:
    release = f"zeus {version('zeus')}"

    def absent(source: str, reason: str) -> Component:
        return Component(None, Provenance.NONE, f"{release}: {source}", reason)

    cpu = absent("CPU", "no RAPL counter that may be read")
    if monitor.cpu_indices:
        packages = [Path(monitor.cpus.cpus[index].path) for index in monitor.cpu_indices]
        source = f"{release}: CPU energy counter (RAPL)"
        limit_w = sum_w(map(package_limit_w, packages))
        cpu = Component(None, Provenance.COUNTER, source, None, RAPL_TICK_S, limit_w)
    found = {"cpu": cpu}
    if not (monitor.cpu_indices or monitor.gpu_indices):
        found["gpu"] = absent("GPU", "no GPU")
    if monitor.gpu_indices:
        counted = all(map(monitor.gpus.supports_get_total_energy_consumption, monitor.gpu_indices))
        provenance = Provenance.COUNTER if counted else Provenance.SAMPLED
        method = "GPU energy counter" if counted else "GPU power readings"
        tick_s = NVML_TICK_S if counted else None
        limit_w = sum_w(_gpu_limit_w(monitor.gpus, index) for index in monitor.gpu_indices)
        found["gpu"] = Component(None, provenance, f"{release}: {method}", None, tick_s, limit_w)
    if any(map(monitor.cpus.supports_get_dram_energy_consumption, monitor.cpu_indices)):
        source, limit_w = f"{release}: DRAM counter (RAPL)", PACKAGE_W * len(monitor.cpu_indices)
        found["ram"] = Component(None, Provenance.COUNTER, source, None, RAPL_TICK_S, limit_w)
    return found


def _gpu_limit_w(gpus: Any, index: int) -> float | None:
    """Return the highest power limit that a GPU takes, in W; None if it does not say."""
    with suppress(Exception):
        return float(gpus.get_power_management_limit_constraints(index)[1]) / 1000
    return None


def _sum_j(energy: Mapping[int, float] | None) -> float | None:
    """Return the joules of all devices; None where there are none."""
    return sum(energy.values()) if energy else None
