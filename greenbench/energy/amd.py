"""The energy counters of AMD GPUs, as zeus reads them. Needs the extra ``zeus`` and ``amdsmi``."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from greenbench.energy.counter import Counter

DRIVER = Path("/dev/kfd")
PER_UNIT = 1e3
"""zeus tells millijoules and milliwatts."""


def open_amd_counters(find: Callable[[], Any] | None = None) -> list[Counter]:
    """Return the counters of all AMD GPUs that this process sees; none if one of them has none.

    zeus checks each counter against power readings, and says so if it is wrong.

    Parameters
    ----------
    find : callable, optional
        Returns the GPUs; zeus's by default.
    """
    gpus: Any = None
    # Whatever the driver's library, or that of another version, raises: then there is none.
    with suppress(Exception):
        gpus = (find or _find)()
    if gpus is None:
        return []
    indices = range(len(gpus))
    if not all(map(gpus.supports_get_total_energy_consumption, indices)):
        return []
    return [_counter(gpus, index) for index in indices]


def _find() -> Any:
    # The imports take seconds.
    if not DRIVER.exists() or find_spec("amdsmi") is None or find_spec("zeus") is None:
        return None
    from zeus.device.gpu.amd import AMDGPUs, amdsmi_is_available  # noqa: PLC0415

    return AMDGPUs() if amdsmi_is_available() else None


def _counter(gpus: Any, index: int) -> Counter:
    limit_w = None
    with suppress(Exception):
        limit_w = gpus.get_power_management_limit_constraints(index)[1] / PER_UNIT
    source = f"AMD SMI energy counter (zeus {version('zeus')}), read at its ticks"
    return Counter("gpu", f"AMD {index}", source, limit_w, None, partial(_read_j, gpus, index))


def _read_j(gpus: Any, index: int) -> float:
    return float(gpus.get_total_energy_consumption(index)) / PER_UNIT
