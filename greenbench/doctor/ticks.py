"""Which counters tick on this machine, how often, and what it costs to look at them."""

import time
from collections.abc import Sequence
from pathlib import Path

from greenbench.energy.counters import Counters, open_counters
from greenbench.energy.phase_lock import SHARE
from greenbench.errors import EnergyError
from greenbench.results.gpus import Gpu
from greenbench.results.readings import Components

WATCHED_S = 1.0
NONE = "no counter that may be read at its ticks"


def find_ticks(powercap: Path | None, gpus: Sequence[Gpu] | None = None) -> tuple[str, Components]:
    """Return what is found, as a line for people, and the components.

    Parameters
    ----------
    powercap : pathlib.Path or None
        Where Linux shows the counters of CPUs; None where they are not asked for.
    gpus : sequence of Gpu or None
        The cards that train; None for all that there are.
    """
    uuids = None if gpus is None else [gpu.uuid for gpu in gpus]
    counters = open_counters(gpus=uuids, powercap=powercap)
    if counters is None:
        return NONE, {}
    try:
        return _described(counters), counters.describe()
    finally:
        counters.close()


def _described(counters: Counters) -> str:
    since_s = time.perf_counter()
    time.sleep(WATCHED_S)
    try:
        counters.ticks(since_s)
    except EnergyError as error:
        return f"none: {error}"
    faults = counters.faults(since_s)
    found = [
        f"{name}: none, {faults[name]}"
        if name in faults
        else f"{name} read every {1e3 * (part.tick_s or 0.0):.3g} ms"
        for name, part in sorted(counters.describe().items())
    ]
    share = counters.share or 0.0
    slow = f", more than {SHARE:.0%}: each look takes long here" if share > SHARE else ""
    return f"{'; '.join(found)}; a process that looks at them takes {share:.1%} of a core{slow}"
