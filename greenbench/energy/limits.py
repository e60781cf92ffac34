"""What counters and devices can do: how often they tick, and what power their limits allow."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

RAPL_TICK_S = 0.001
NVML_TICK_S = 0.1
PACKAGE_W = 1000.0
"""More than any CPU package or its DRAM uses."""
TURBO = 2.0
"""By how much a CPU may exceed the limits that it shows, for as long as it stays cool."""


def package_limit_w(folder: Path) -> float:
    """Return what a CPU package may use, in W.

    Parameters
    ----------
    folder : pathlib.Path
        Where Linux shows its energy counter and its power limits.
    """
    limits_w = []
    for pattern in ("constraint_*_power_limit_uw", "constraint_*_max_power_uw"):
        for file in folder.glob(pattern):
            with suppress(OSError, ValueError):
                limits_w.append(int(file.read_text(encoding="utf-8")) / 1e6)
    highest_w = TURBO * max(limits_w, default=0.0)
    return min(highest_w, PACKAGE_W) if highest_w > 0 else PACKAGE_W


def sum_w(limits_w: Iterable[float | None]) -> float | None:
    """Return the limit of several devices together; None unless all are known."""
    known = list(limits_w)
    total = sum(limit_w or 0.0 for limit_w in known)
    return total if known and all(known) else None
