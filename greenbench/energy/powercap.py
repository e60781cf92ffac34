"""RAPL: the energy counters of CPU packages and their DRAM, as Linux shows them in files."""

import os
import re
from contextlib import suppress
from pathlib import Path

from greenbench.energy.counter import Counter
from greenbench.energy.limits import PACKAGE_W, package_limit_w

POWERCAP = Path("/sys/class/powercap")
MICROJOULES_PER_JOULE = 1e6
NUMBER_BYTES = 32
ALIKE_J = 1.0
"""What a package uses at most between two reads that follow each other; other counters differ."""

# The same packages through registers and, on some CPUs, through mapped memory.
_PREFIXES = ("intel-rapl", "intel-rapl-mmio")
_SOURCES = {
    "cpu": "CPU energy counter (RAPL), read at its ticks",
    "ram": "DRAM energy counter (RAPL), read at its ticks",
}


def packages(root: Path = POWERCAP) -> list[Path]:
    """Return the folders of all CPU packages; ``psys``, which holds them too, is none."""
    for prefix in _PREFIXES:
        found = [
            folder
            for folder in sorted(root.glob(f"{prefix}:*"))
            if re.fullmatch(rf"{prefix}:\d+", folder.name) and _name(folder).startswith("package")
        ]
        if found:
            return found
    return []


def open_powercap(root: Path = POWERCAP) -> list[Counter]:
    """Return the counters of all packages, and of all DRAM.

    A component of which one counter cannot be read is left out: the others are not all of it.

    Parameters
    ----------
    root : pathlib.Path
        Where Linux shows what it knows of power.
    """
    folders = packages(root)
    memory = [
        inner
        for folder in folders
        for inner in sorted(folder.glob("*:*"))
        if _name(inner) == "dram"
    ]
    opened = []
    for component, each in (("cpu", folders), ("ram", memory)):
        with suppress(OSError, ValueError):
            opened += _distinct([_open(component, folder) for folder in each])
    return opened


def _open(component: str, folder: Path) -> Counter:
    file = os.open(folder / "energy_uj", os.O_RDONLY)

    def read_j() -> float:
        return int(os.pread(file, NUMBER_BYTES, 0)) / MICROJOULES_PER_JOULE

    read_j()
    range_j = None
    with suppress(OSError, ValueError):
        range_j = int((folder / "max_energy_range_uj").read_text("ascii")) / MICROJOULES_PER_JOULE
    limit_w = package_limit_w(folder) if component == "cpu" else PACKAGE_W
    return Counter(component, folder.name, _SOURCES[component], limit_w, range_j, read_j)


def _distinct(counters: list[Counter]) -> list[Counter]:
    """Leave out counters that mirror another: some CPUs show a socket's once for each die."""
    kept: list[tuple[Counter, float]] = []
    for counter in counters:
        value_j = counter.read_j()
        if not (value_j and any(abs(value_j - other) <= ALIKE_J for _, other in kept)):
            kept.append((counter, value_j))
    return [counter for counter, _ in kept]


def _name(folder: Path) -> str:
    try:
        return (folder / "name").read_text("ascii", errors="replace").strip()
    except OSError:
        return ""
