"""The energy counters of NVIDIA GPUs."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from greenbench.energy.counter import Counter
from greenbench.energy.gpus import OF_WHOLE_CARD
from greenbench.energy.nvml import answer, open_nvml, text

PER_UNIT = 1e3
"""NVML tells millijoules and milliwatts."""
SOURCE = "NVML energy counter, read at its ticks"


def open_nvml_counters(uuids: Sequence[str] | None) -> list[Counter]:
    """Return the counters of some GPUs; none if one of them has none, for the sum would lack it.

    Parameters
    ----------
    uuids : sequence of str or None
        Which; None for all that the driver knows. A slice of a GPU (MIG) stands for its whole.
    """
    if (library := open_nvml()) is None:
        return []
    names = _all(library) if uuids is None else list(uuids)
    cards = dict.fromkeys(_card(library, name) for name in names)
    counters = [None if card is None else _counter(library, card) for card in cards]
    found = [counter for counter in counters if counter is not None]
    return found if len(found) == len(counters) else []


def _all(library: Any) -> list[str | None]:
    count = answer(library, "nvmlDeviceGetCount") or 0
    handles = [answer(library, "nvmlDeviceGetHandleByIndex", index) for index in range(count)]
    return [text(answer(library, "nvmlDeviceGetUUID", handle)) for handle in handles]


def _card(library: Any, uuid: str | None) -> str | None:
    """Return the UUID of a card, given its own or that of one of its slices."""
    handle = answer(library, "nvmlDeviceGetHandleByUUID", uuid) if uuid else None
    if handle is not None and str(uuid).startswith("MIG-"):
        handle = answer(library, "nvmlDeviceGetDeviceHandleFromMigDeviceHandle", handle)
    return None if handle is None else text(answer(library, "nvmlDeviceGetUUID", handle))


def _counter(library: Any, uuid: str) -> Counter | None:
    handle = answer(library, "nvmlDeviceGetHandleByUUID", uuid)
    if answer(library, "nvmlDeviceGetTotalEnergyConsumption", handle) is None:
        return None
    bounds = answer(library, "nvmlDeviceGetPowerManagementLimitConstraints", handle)
    limit_w = None if bounds is None else bounds[1] / PER_UNIT
    read_j = partial(_read_j, library, handle)
    mode = answer(library, "nvmlDeviceGetMigMode", handle)
    # Once a card is cut up, nothing but slices of it trains.
    source = f"{SOURCE}, {OF_WHOLE_CARD}" if mode and mode[0] else SOURCE
    return Counter("gpu", uuid, source, limit_w, None, read_j)


def _read_j(library: Any, handle: Any) -> float:
    return float(library.nvmlDeviceGetTotalEnergyConsumption(handle)) / PER_UNIT
