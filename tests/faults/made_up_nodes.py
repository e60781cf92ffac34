"""Machines that are made up: what tells greenbench on which one it is, and locks that lie."""

import os
from pathlib import Path


def make_up(folder: Path) -> Path:
    """Return what stands for ``/proc`` on a machine of its own; see `greenbench.machine.owners`."""
    random = folder / "sys/kernel/random"
    if not random.exists():
        random.mkdir(parents=True)
        (random / "boot_id").write_text(f"{folder.name}\n")
        (folder / "self").symlink_to("/proc/self")
    # Of this machine's processes, it knows us alone.
    (ours := folder / str(os.getpid())).exists() or ours.symlink_to(f"/proc/{os.getpid()}")
    return folder
