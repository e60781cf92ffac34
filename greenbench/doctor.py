"""The doctor: what this machine measures, what it estimates, and how to measure more."""

import os
import shutil
from pathlib import Path

from greenbench import registry
from greenbench.energy.carbon import carbon_intensity
from greenbench.energy.meter import Meter
from greenbench.environment import cpu_model
from greenbench.errors import GreenbenchError
from greenbench.readings import Provenance, Reading
from greenbench.settings import Settings
from greenbench.tracking import Store, redact

RAPL = Path("/sys/class/powercap")

Findings = dict[str, str | list[str]]


def examine(settings: Settings) -> Findings:
    """Return what is found, as lines for people by subject.

    Parameters
    ----------
    settings : Settings
        As a run would use them.
    """
    meter: Meter = registry.meters.get(settings.meter)()
    try:
        components = meter.describe()
    finally:
        meter.close()
    reading = Reading(0.0, components)
    intensity = carbon_intensity(settings.carbon_g_per_kwh, settings.country)
    return {
        "cpu": f"{cpu_model()}, {os.cpu_count()} logical cores",
        "gpu": "found" if "gpu" in components else "none found",
        "threads": f"{settings.threads} a worker (GREENBENCH_THREADS)",
        "energy": [
            f"{name}: {part.provenance.label} ({part.provenance}) by {part.source}"
            + (", beside the headline figure" if part not in reading.headline else "")
            for name, part in sorted(components.items())
        ],
        "figures are": _use(reading.provenance),
        "to measure": _advice(reading.provenance),
        "carbon intensity": f"{intensity.g_per_kwh:g} g CO2e/kWh, {intensity.source}",
        "data": f"{settings.data_dir} (GREENBENCH_DATA_DIR)",
        "host lock": f"{settings.host_lock} (GREENBENCH_HOST_LOCK)",
        "mlflow store": _store(settings),
    }


def _use(provenance: Provenance) -> str:
    if provenance.is_measured:
        return "measured: absolute figures, ratios and deterministic costs may be quoted"
    if provenance is Provenance.NONE:
        return "missing: only deterministic costs (FLOPs, parameters, samples) may be quoted"
    return "estimated: ratios of paired runs and deterministic costs may be quoted"


def _advice(provenance: Provenance) -> list[str]:
    if provenance.is_measured:
        return ["nothing: all headline components are measured"]
    advice = []
    if any(RAPL.glob("intel-rapl:*/energy_uj")):
        advice.append("let the CPU counter be read: sudo chmod -R a+r /sys/class/powercap/*")
    else:
        advice.append(
            "no RAPL counter under /sys/class/powercap: use a bare-metal Linux machine with an "
            "Intel or AMD CPU (virtual machines hide it), or a GPU"
        )
    if shutil.which("nvidia-smi") is None:
        advice.append("no NVIDIA driver (nvidia-smi): a GPU's energy counter comes with it")
    return advice


def _store(settings: Settings) -> str:
    uri = settings.tracking_uri
    try:
        count = len(Store.existing(uri).read_rows())
    except GreenbenchError as error:
        return str(error)
    return f"{redact(uri)}, {count} results"
