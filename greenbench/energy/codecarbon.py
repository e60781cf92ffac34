"""The codecarbon meter: one silent, offline tracker a process, used by tasks alone."""

import logging
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

from greenbench.energy.gpus import Gpu, described
from greenbench.energy.limits import NVML_TICK_S, RAPL_TICK_S, package_limit_w, sum_w
from greenbench.errors import EnergyError
from greenbench.results.readings import Component, Provenance, Reading

JOULES_PER_KWH = 3.6e6
TOLD = "by GREENBENCH_CPU_TDP_W"
GUESSED = "guessed (unknown CPU)"

# codecarbon's hardware modes, as its tracker objects name them. A mode that is not listed
# is treated as modelled: a newer version must not turn an estimate into a measurement.
CPU_PROVENANCE = {
    "intel_rapl": Provenance.COUNTER,
    "windows_emi": Provenance.COUNTER,
    "intel_power_gadget": Provenance.SAMPLED,
    "cpu_load": Provenance.MODEL,
    "constant": Provenance.CONSTANT,
}


class CodecarbonMeter:
    """Reads CPU, GPU and RAM energy through codecarbon.

    Starting a tracker takes up to a second, so it happens here, outside any window. Only
    tasks are used: mixing codecarbon's ``start`` with tasks loses energy.

    Parameters
    ----------
    gpus : sequence of Gpu, optional
        The cards that train, which alone are read; without, codecarbon chooses.
    cpu_tdp_w : float, optional
        The TDP of all CPUs, in W, for its model; without, codecarbon looks it up. A counter that
        can be read is read all the same.

    Attributes
    ----------
    name : str
        ``"codecarbon"``.
    """

    name = "codecarbon"

    def __init__(
        self, *, gpus: Sequence[Gpu] | None = None, cpu_tdp_w: float | None = None
    ) -> None:
        self._is_open = False
        self._tracker: Any = _open_tracker(gpus)
        if cpu_tdp_w is not None and _has_modelled_cpu(self._tracker):
            # Told at once, it would leave a counter unread.
            self.close()
            self._tracker = _open_tracker(gpus, cpu_tdp_w)
        if gpus is not None:
            _restrict(self._tracker, gpus)
        self._components = {
            name: Component(None, provenance, source, None, *_bounds(hardware))
            for hardware in self._tracker._hardware
            for name, provenance, source in [_describe(hardware, cpu_tdp_w)]
        }
        if gpus:
            self._components["gpu"] = described(
                self._components.get("gpu"), gpus, f"codecarbon {version('codecarbon')}"
            )

    def begin_window(self) -> None:
        """Start a task."""
        if self._is_open:
            raise EnergyError("codecarbon windows do not nest; end the open one first")
        try:
            self._tracker.start_task()
        except Exception:
            self._abandon()
            raise
        self._is_open = True

    def end_window(self) -> Reading:
        """Stop the task and return its joules by component."""
        if not self._is_open:
            raise EnergyError("no codecarbon window is open; begin one first")
        self._is_open = False
        try:
            task = self._tracker.stop_task()
        finally:
            self._abandon()
        joules = {
            "cpu": task.cpu_energy * JOULES_PER_KWH,
            "gpu": task.gpu_energy * JOULES_PER_KWH,
            "ram": task.ram_energy * JOULES_PER_KWH,
        }
        components = {
            name: replace(part, energy_j=joules.get(name) if part.reason is None else None)
            for name, part in self._components.items()
        }
        for hardware in self._tracker._hardware:
            # codecarbon goes on with 0 J, or with a model, where a counter fails it.
            if reason := _failure(hardware):
                name = _describe(hardware)[0]
                components[name] = components[name].unknown(reason)
        return Reading(task.duration, components)

    def describe(self) -> dict[str, Component]:
        """Return the components found, with provenance and source."""
        return dict(self._components)

    def close(self) -> None:
        """End the open task, if any, and with it the tracker's threads."""
        self._is_open = False
        self._abandon()

    def _abandon(self) -> None:
        # After an error a task would stay open, and every finished one is kept for ever.
        self._tracker._active_task = None
        self._tracker._tasks.clear()
        # codecarbon's timer starts itself anew if it fires while a task is being stopped.
        self._tracker._scheduler_monitor_power.stop()


def _open_tracker(gpus: Sequence[Gpu] | None, cpu_tdp_w: float | None = None) -> Any:
    """Return a tracker that knows the hardware."""
    # Its import, and that of GPU libraries that it tries, may print.
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        from codecarbon import OfflineEmissionsTracker  # noqa: PLC0415

    # Not before the import, which sets the level itself.
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    _forget_absent_slurm()
    with _unconfigured():
        tracker = OfflineEmissionsTracker(
            **{**_explicit_arguments(gpus), "force_cpu_power": cpu_tdp_w}
        )
    # The first task probes the hardware; a window must not pay for that.
    tracker.start_task("probe")
    tracker.stop_task()
    return tracker


def _forget_absent_slurm() -> None:
    """Keep codecarbon from asking Slurm where that knows no such job, as in a container of one.

    What `scontrol` says of that would be among what a command prints.
    """
    from codecarbon.core import util  # noqa: PLC0415
    from codecarbon.external import ram  # noqa: PLC0415

    modules: list[Any] = [util, ram]
    if util.SLURM_JOB_ID and not _knows_job(util.SLURM_JOB_ID):
        for module in modules:
            module.SLURM_JOB_ID = None


def _knows_job(number: str) -> bool:
    asked = ("scontrol", "show", "job", number)
    try:
        return subprocess.run(asked, capture_output=True, check=False, timeout=30).returncode == 0
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return False


@contextmanager
def _unconfigured() -> Iterator[None]:
    """Keep codecarbon from its configuration files and variables.

    Every argument is given, so that they could change nothing; but it reads them first, and
    one that it cannot read, or a user without a home folder, would stop it.
    """
    from codecarbon import emissions_tracker  # noqa: PLC0415

    module: Any = emissions_tracker
    real = module.get_hierarchical_config
    module.get_hierarchical_config = dict
    try:
        yield
    finally:
        module.get_hierarchical_config = real


def _explicit_arguments(gpus: Sequence[Gpu] | None = None) -> dict[str, Any]:
    # Every argument is given, so that no default of a newer release can change what is
    # measured. The carbon intensity is pinned only to keep codecarbon from looking one up:
    # greenbench computes emissions itself, with a source beside them.
    return {
        "country_iso_code": "FRA",
        "region": None,
        "cloud_provider": None,
        "cloud_region": None,
        "country_2letter_iso_code": None,
        "force_carbon_intensity_g_co2e_kwh": 0.0,
        "project_name": "greenbench",
        "experiment_id": "greenbench",
        "experiment_name": "greenbench",
        "measure_power_secs": 15,
        "tracking_mode": "machine",
        "output_methods": [],
        "output_handlers": [],
        # Nothing is written, and this folder is always there.
        "output_dir": os.sep,
        "output_file": "emissions.csv",
        "on_csv_write": "append",
        "emissions_endpoint": None,
        "api_call_interval": -1,
        "api_endpoint": "",
        "api_key": "",
        "electricitymaps_api_token": None,
        "logging_logger": None,
        "prometheus_url": "",
        # NVML's numbers. Without, codecarbon reads CUDA's variables, which number otherwise.
        "gpu_ids": None if gpus is None else [gpu.index for gpu in gpus],
        "log_level": "critical",
        "logger_preamble": "",
        "force_cpu_power": None,
        "force_ram_power": None,
        "force_mode_cpu_load": False,
        "pue": 1.0,
        "wue": 0.0,
        "allow_multiple_runs": True,
        "rapl_include_dram": False,
        "rapl_prefer_psys": False,
        "metadata": None,
    }


def _restrict(tracker: Any, gpus: Sequence[Gpu]) -> None:
    """Keep a tracker from all GPUs but these.

    It asks those that it does not count, too, of which one that fails would cost the others'
    figures; and an empty list of ids is one that its cache of hardware takes for all of them.
    """
    wanted = {gpu.uuid for gpu in gpus}
    for hardware in list(tracker._hardware):
        if type(hardware).__name__ != "GPU":
            continue
        found = hardware.devices
        found.devices = [d for d in found.devices if d.get_static_details()["uuid"] in wanted]
        found.device_count = len(found.devices)
        if not found.devices:
            tracker._hardware.remove(hardware)


def _failure(hardware: Any) -> str | None:
    """Return why the last reading of a hardware object is not one, None if it is."""
    interface = getattr(hardware, "_intel_interface", None)
    for file in getattr(interface, "_rapl_files", ()):
        if file.sample_skipped:
            return f"the counter {file.path} could not be read"
    for gpu in getattr(getattr(hardware, "devices", None), "devices", ()):
        if not gpu._use_power_fallback:
            continue  # Its counter answered, whatever went wrong in earlier windows.
        if gpu._warned_power_failure:
            return f"GPU {gpu.gpu_index} does not answer"
        if gpu._has_counter:
            return f"the energy counter of GPU {gpu.gpu_index} does not answer, or was reset"
    return None


def _bounds(hardware: Any) -> tuple[float | None, float | None]:
    """Return how often the counter of a hardware object ticks, and its power limit in W."""
    interface = getattr(hardware, "_intel_interface", None)
    if files := getattr(interface, "_rapl_files", ()):
        return RAPL_TICK_S, sum_w(package_limit_w(Path(file.path).parent) for file in files)
    gpus = getattr(getattr(hardware, "devices", None), "devices", ())
    limit_w = sum_w(getattr(gpu, "_power_limit", None) for gpu in gpus)
    has_ticks = any(
        type(gpu).__name__ == "NvidiaGPUDevice" and getattr(gpu, "_has_counter", False)
        for gpu in gpus
    )
    return NVML_TICK_S if has_ticks else None, limit_w


def look_up_tdp() -> tuple[float, str]:
    """Return the TDP of all CPUs of this machine by codecarbon's table, in W, and where it is from.

    Of a model that is not in the table it is a guess of so many watts a logical core.
    """
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        from codecarbon.core import cpu, util  # noqa: PLC0415

    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    lookup: Any = cpu.TDP
    found = lookup()
    if not _is_known(found.model):
        return cpu.DEFAULT_POWER_PER_CORE * float(os.cpu_count() or 1), GUESSED
    count_sockets: Any = util.count_physical_cpus
    return float(found.tdp) * count_sockets(), "by codecarbon's table"


def _is_known(model: str | None) -> bool:
    from codecarbon.core.cpu import TDP  # noqa: PLC0415

    # Its own mark for a guess covers one of three cases, and is lost with its cache.
    lookup: Any = TDP
    return lookup()._get_cpu_power_from_registry(model or "") is not None


def _has_modelled_cpu(tracker: Any) -> bool:
    return any(
        type(part).__name__ == "CPU" and not _cpu_provenance(part).is_measured
        for part in tracker._hardware
    )


def _cpu_provenance(cpu: Any) -> Provenance:
    return CPU_PROVENANCE.get(str(cpu._mode), Provenance.MODEL)


def _tdp(cpu: Any, told_w: float | None) -> str:
    """Return the TDP of a CPU's model, and whether the user told it or codecarbon guessed it."""
    if told_w is not None:
        return f"TDP {cpu._tdp:g} W {TOLD}"
    return f"TDP {cpu._tdp:g} W" + ("" if _is_known(cpu._model) else f" {GUESSED}")


def _describe(hardware: Any, told_w: float | None = None) -> tuple[str, Provenance, str]:
    kind = type(hardware).__name__
    release = f"codecarbon {version('codecarbon')}"
    if kind == "CPU":
        mode, provenance = str(hardware._mode), _cpu_provenance(hardware)
        tdp = "" if provenance.is_measured else f", no readable counter, {_tdp(hardware, told_w)}"
        return "cpu", provenance, f"{release}: CPU {mode}{tdp}"
    if kind == "GPU":
        # Without an energy counter, codecarbon integrates power readings instead.
        if all(getattr(gpu, "_has_counter", False) for gpu in hardware.devices.devices):
            return "gpu", Provenance.COUNTER, f"{release}: GPU energy counter"
        return "gpu", Provenance.SAMPLED, f"{release}: GPU power readings"
    if kind == "RAM":
        return "ram", Provenance.MODEL, f"{release}: RAM power model"
    if kind in ("AppleSiliconChip", "Raspberry"):
        part = str(hardware.chip_part).lower()
        return part, Provenance.SAMPLED, f"{release}: {kind} power readings"
    return kind.lower(), Provenance.NONE, f"{release}: {kind}, which greenbench does not know"
