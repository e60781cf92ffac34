"""How many cores this process may compute on: of its affinity, its quota, and hyper-threads."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CPUS = "sys/devices/system/cpu"
CGROUPS = "sys/fs/cgroup"


def available_cores(root: Path = Path("/")) -> int:
    """Return the physical cores that this process may use, at least 1.

    That is the number of cores among the CPUs of its affinity, hyper-threads of one core
    counted once, or what the quotas of its control groups allow, where that is less; of a
    quota's part of a core, nothing. (joblib's ``cpu_count`` counts hyper-threads where an
    affinity is set, rounds quotas up, and misses those below the root of the hierarchy.)

    Parameters
    ----------
    root : pathlib.Path
        Of the file system that holds ``sys`` and ``proc``.
    """
    cores = [_cores(root), *map(int, _quotas(root))]
    return max(min(cores), 1)


def _cores(root: Path) -> int:
    try:
        cpus = os.sched_getaffinity(0)
    except AttributeError:
        # Not of Linux: nobody is kept from any core.
        import psutil  # noqa: PLC0415

        return psutil.cpu_count(logical=False) or os.cpu_count() or 1
    topology = [root / CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list" for cpu in cpus]
    # A CPU that does not say which others share its core is one.
    return len({_read(path) or str(path) for path in topology})


def _quotas(root: Path) -> Iterator[float]:
    """Yield the CPUs' worth of time that each control group above this process allows."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if not controllers:
            # Version 2, alone or beside version 1.
            for hierarchy in (root / CGROUPS, root / CGROUPS / "unified"):
                for folder in _upwards(hierarchy, group):
                    yield from _quota(*_read(folder / "cpu.max").split())
        elif "cpu" in controllers.split(","):
            for hierarchy in {root / CGROUPS / controllers, root / CGROUPS / "cpu"}:
                for folder in _upwards(hierarchy, group):
                    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                    yield from _quota(*(_read(folder / name) for name in names))


def _upwards(hierarchy: Path, group: str) -> Iterator[Path]:
    """Yield the folders of a group and of all that it is in; a limit of any of them holds.

    Inside a container the group's path may be the host's, of which only the root is mounted.
    """
    inside = PurePosixPath(group.lstrip("/"))
    yield from (hierarchy / each for each in (inside, *inside.parents))


def _quota(quota_us: str = "", period_us: str = "") -> Iterator[float]:
    # "max", or -1 in version 1, is no limit.
    if quota_us.isdecimal() and period_us.isdecimal() and int(period_us):
        yield int(quota_us) / int(period_us)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
