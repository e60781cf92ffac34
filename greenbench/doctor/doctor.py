"""The doctor: what this machine measures, what it estimates, and how to measure more."""

import os
import shutil
import time
from pathlib import Path

from greenbench.doctor.headline import headlines, likely_scope
from greenbench.doctor.start import compiled
from greenbench.doctor.ticks import find_ticks
from greenbench.energy.carbon import carbon_intensity
from greenbench.energy.counters import TICKING
from greenbench.energy.gpus import gpus_to_read
from greenbench.energy.host import HostWatch
from greenbench.energy.meter import Meter
from greenbench.energy.meters import meter_names, open_meter
from greenbench.errors import GreenbenchError
from greenbench.machine.environment import cpu_model
from greenbench.machine.plugins import PLUGINS, unloaded
from greenbench.machine.threads import available_cores
from greenbench.registry import broken_plugins
from greenbench.results.marks import REPLAYING
from greenbench.results.quality import SHARE, others_share
from greenbench.results.readings import Component, Components, Provenance, Reading, headline
from greenbench.results.scope import Names, to_text
from greenbench.settings import Settings
from greenbench.tracking import Store

SYS = Path("/sys")
CPUINFO = Path("/proc/cpuinfo")
NVIDIA = "0x10de"
LISTENING_S = 1.0

Findings = dict[str, str | list[str]]


def examine(settings: Settings) -> Findings:
    """Return what is found, as lines for people by subject.

    Parameters
    ----------
    settings : Settings
        As a run would use them.

    Raises
    ------
    ConfigurationError
        If the meter or the carbon intensity cannot be used.
    """
    # What a worker would train on that CUDA is shown to; which torch is installed is not asked.
    gpus = gpus_to_read(os.environ)
    meter = open_meter(settings.meter, gpus, settings.cpu_tdp_w)
    try:
        components: Components = meter.describe()
        witnesses = _witnesses(meter)
        others = _listen()
    finally:
        meter.close()
    intensity = carbon_intensity(settings.carbon_g_per_kwh, settings.country)
    first = meter_names(settings.meter)[0]
    powercap = SYS / "class" / "powercap"
    ticks, ticking = find_ticks(powercap if TICKING.get(first, powercap) else None, gpus)
    if first in TICKING:
        # As workers do: a counter may be read of what the meter does not find.
        components = {**components, **ticking}
    gpu = components.get("gpu")
    is_replay = meter_names(meter.name)[0] in REPLAYING
    scope = likely_scope(components, settings.headline, is_replay=is_replay)
    return {
        "cpu": f"{cpu_model()}, {os.cpu_count()} logical cores",
        "gpu": (gpu.reason or gpu.source) if gpu else "none found",
        "threads": (
            f"{settings.threads} a worker (GREENBENCH_THREADS) of {available_cores()} cores; see "
            "--threads"
        ),
        "energy": _lines(components, scope),
        "ticks": ticks,
        **{f"{name}, a witness": _lines(parts) for name, parts in witnesses.items()},
        "headline": headlines(components, settings.headline, is_replay=is_replay),
        "figures are for": _uses(components, scope, is_replay=is_replay),
        "to measure more": _advice(components, settings.cpu_tdp_w),
        "quiet": _quietness(others, Reading(0.0, components, scope=scope)),
        "start-up": compiled(),
        "carbon intensity": f"{intensity.g_per_kwh:g} g CO2e/kWh, {intensity.source}",
        "data": f"{settings.data_dir} (GREENBENCH_DATA_DIR)",
        "host lock": f"{settings.host_lock} (GREENBENCH_HOST_LOCK)",
        "mlflow store": _store(settings),
        "plugins": _plugins(settings),
    }


def _plugins(settings: Settings) -> str | list[str]:
    if not settings.has_plugins:
        return unloaded()
    broken = [str(failure) for failure in broken_plugins()]
    return broken or f"on ({PLUGINS}=0 turns them off)"


def _witnesses(meter: Meter) -> dict[str, Components]:
    names = meter_names(meter.name)[1:]
    if not names:
        return {}
    meter.begin_window()
    return dict(meter.end_window().witnesses)


def _listen() -> float | None:
    """Return the share of the CPUs that others use while we wait."""
    watch = HostWatch()
    time.sleep(LISTENING_S)
    return others_share(watch.lap()[1], LISTENING_S, os.cpu_count() or 1)


def _lines(components: Components, scope: Names | None = None) -> list[str]:
    counting = headline(components, scope)
    return [_line(name, part, name in counting) for name, part in sorted(components.items())]


def _line(name: str, part: Component, counts: bool) -> str:
    if part.reason:
        return f"{name}: none, {part.reason} ({part.source})"
    aside = "" if counts else "; beside the headline"
    return f"{name}: {part.provenance.label} ({part.provenance}) by {part.source}{aside}"


def _uses(components: Components, scope: Names | None, *, is_replay: bool) -> list[str]:
    if is_replay:
        return ["tests and simulation only: the energy is a replayed trace's, not this machine's"]
    counting = headline(components, scope)
    provenance = Provenance.worst(part.provenance for part in counting.values())
    if provenance.is_measured:
        # Modelled RAM is beside every headline.
        is_part = not {"cpu", "gpu"} & components.keys() <= counting.keys()
        whose = f"figures of {to_text(counting)}" if is_part else "figures"
        return [f"absolute {whose}, ratios, and deterministic costs (FLOPs, parameters, samples)"]
    if provenance is not Provenance.MODEL:
        return ["deterministic costs only (FLOPs, parameters, samples)"]
    uses = [
        "ratios of paired runs on this machine, and deterministic costs (FLOPs, parameters, "
        "samples); not absolute figures, since part of the total is estimated"
    ]
    measured = sorted(name for name, part in components.items() if part.provenance.is_measured)
    if measured:
        uses.append(f"absolute figures of {', '.join(measured)} alone, which is measured")
    return uses


def _advice(components: Components, cpu_tdp_w: float | None) -> list[str]:
    cpu, gpu = components.get("cpu"), components.get("gpu")
    advice = []
    if cpu is None or not cpu.provenance.is_measured:
        advice += _cpu_advice()
        if cpu and cpu.provenance is Provenance.MODEL and cpu_tdp_w is None:
            advice += [_tdp_advice()]
    if gpu is None or not gpu.provenance.is_measured:
        advice += _gpu_advice()
    return advice or ["nothing: all that counts is measured"]


def _cpu_advice() -> list[str]:
    powercap = SYS / "class" / "powercap"
    counters = sorted(powercap.glob("*/energy_uj"))
    if counters and not all(os.access(counter, os.R_OK) for counter in counters):
        return [
            "the CPU has an energy counter (RAPL) that you may not read; until the next start:",
            f"$ sudo chmod a+r {powercap}/*/energy_uj",
            "for good:",
            f"$ echo 'z {powercap}/*/energy_uj 0444' | sudo tee /etc/tmpfiles.d/rapl.conf",
        ]
    if counters:
        return ["the CPU's energy counter (RAPL) can be read, but the meter does not use it"]
    if _is_virtual():
        return [
            "CPU: this is a virtual machine, which hides the energy counter (RAPL), and no "
            "command brings it back; use a bare-metal Linux machine with an Intel or AMD CPU"
        ]
    return [
        "no energy counter (RAPL) for the CPU; load its driver, where CPU and kernel have one:",
        "$ sudo modprobe -a intel_rapl_common intel_rapl_msr",
    ]


def _tdp_advice() -> str:
    whose = (
        "what this virtual machine has of its host's CPU, by its share of the cores"
        if _is_virtual()
        else "all CPUs of this machine together, by their maker"
    )
    return f"the CPU's power is modelled from its TDP: set GREENBENCH_CPU_TDP_W to that of {whose}"


def _gpu_advice() -> list[str]:
    vendors = SYS.glob("bus/pci/devices/*/vendor")
    if not any(_text(vendor) == NVIDIA for vendor in vendors):
        return ["GPU: none by NVIDIA on the PCI bus, so there is nothing to measure"]
    if shutil.which("nvidia-smi") is None:
        return [
            "the GPU's energy counter comes with NVIDIA's driver:",
            "$ sudo ubuntu-drivers install    # Debian: sudo apt install nvidia-driver",
        ]
    return ["the GPU's driver does not answer; see what it says:", "$ nvidia-smi"]


def _is_virtual() -> bool:
    return "hypervisor" in _text(CPUINFO)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _quietness(others: float | None, reading: Reading) -> str:
    if others is None:
        return "unknown: the system does not say what other processes use"
    mark = "disturbed"
    if not reading.is_affected_by_others:
        mark = "delayed: it is not in their energy, but their time is longer"
    verdict = "quiet enough" if others <= SHARE else f"samples would be marked as {mark}"
    return f"others use {others:.1%} of the CPU time now; {verdict} (limit {SHARE:.0%})"


def _store(settings: Settings) -> str:
    uri = settings.tracking_uri
    try:
        count = len(Store.existing(uri, timeout_s=settings.store_timeout_s).read_rows())
    except GreenbenchError as error:
        return str(error)
    return f"{uri}, {count} results"
