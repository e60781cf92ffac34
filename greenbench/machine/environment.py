"""What machine and software a result was made with."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from greenbench.text import clean

PACKAGES = ("greenbench", "torch", "keras", "numpy", "scikit-optimize", "codecarbon", "mlflow")
GIT_TIMEOUT_S = 60.0

OF_A_REPOSITORY = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
)  # fmt: skip
"""Variables that a hook of git sets, and that would point at another repository."""


def describe_environment(
    threads: int, device: Mapping[str, str], revision: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the machine, its fingerprint, and the versions of what computes.

    Parameters
    ----------
    threads : int
        CPU threads of a worker.
    device : mapping
        What the backend says of itself.
    revision : mapping of str to str, optional
        ``commit`` and ``branch`` of the user's working folder.

    Returns
    -------
    dict of str to str
        ``host`` is the fingerprint: figures of different hosts are not comparable.
    """
    hardware = {
        "cpu": cpu_model(),
        "cores": str(os.cpu_count()),
        "memory_gib": str(round(psutil.virtual_memory().total / 2**30)),
        "device": device.get("device", "cpu"),
        "system": f"{platform.system()} {platform.machine()}",
    }
    fingerprint = hashlib.sha256(repr(sorted(hardware.items())).encode()).hexdigest()[:12]
    return {
        "host": fingerprint,
        **hardware,
        **device,
        "threads": str(threads),
        "python": platform.python_version(),
        **(revision or {}),
        **{name: found for name in PACKAGES if (found := _version(name))},
    }


@cache
def cpu_model() -> str:
    """Return the processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def git_revision(branch: str | None = None) -> dict[str, str]:
    """Return what is known of the working folder's revision; nothing outside git.

    Parameters
    ----------
    branch : str, optional
        Its name, where git does not know it: CI services check out commits.

    Returns
    -------
    dict of str to str
        ``commit``, with ``+`` if there are changes, and ``branch``.
    """
    found = {
        "commit": _git("describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"),
        "branch": branch or _git("branch", "--show-current"),
    }
    return {name: clean(text) for name, text in found.items() if text}


def _git(*arguments: str) -> str | None:
    command = ["git", *arguments]
    ours = {name: text for name, text in os.environ.items() if name not in OF_A_REPOSITORY}
    try:
        found = subprocess.run(
            command, env=ours, capture_output=True, timeout=GIT_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    # Names of branches are bytes, of whatever encoding.
    return found.stdout.decode("utf-8", "backslashreplace").strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
