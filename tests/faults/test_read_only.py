"""Disks that may not be written: one line before anything is trained, and reading goes on."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Greenbench

pytestmark = pytest.mark.integration

RUN = ("run", "-a", "dense.xs", "-d", "digits", "--epochs", "1", "--repeats", "1")
Lock = Callable[[Path], None]


@pytest.fixture
def read_only() -> Iterator[Lock]:
    """Turn a folder, with what is in it, into a disk that not even root may write."""
    with ExitStack() as stack:

        def lock(folder: Path) -> None:
            for command in (["mount", "--bind"], ["mount", "-o", "remount,bind,ro"]):
                done = subprocess.run(
                    [*command, str(folder), str(folder)], capture_output=True, check=False
                )
                if done.returncode:
                    pytest.skip("mounting a read-only disk needs root, and a container that may")
                if "--bind" in command:
                    unmount = ["umount", "--lazy", str(folder)]
                    stack.callback(subprocess.run, unmount, check=True)

        yield lock


@pytest.mark.parametrize("part", [".", "mlruns", "mlruns/journal"])
def test_runs_folder_that_may_not_be_written_is_told_before_anything_is_trained(
    greenbench: Greenbench, read_only: Lock, part: str
) -> None:
    folder = greenbench.folder / "home"
    (folder / part).mkdir(parents=True)
    greenbench.environment["GREENBENCH_RUNS_DIR"] = str(folder / "mlruns")
    read_only(folder / part)

    done = greenbench(*RUN)

    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line == (
        f"Error: journal folder {folder / 'mlruns/journal'} cannot be written (Read-only file "
        "system); choose a folder that you may write, or set GREENBENCH_RUNS_DIR to another one"
    )


def test_working_folder_and_home_need_not_be_written(
    greenbench: Greenbench, read_only: Lock
) -> None:
    locked, runs = greenbench.folder / "locked", greenbench.folder / "runs"
    locked.mkdir()
    read_only(locked)
    there = Greenbench(locked, {**greenbench.environment, "HOME": str(locked)})
    there.environment["GREENBENCH_RUNS_DIR"] = str(runs)

    done = there(*RUN)

    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    assert "Traceback" not in done.stderr
    assert (runs / "mlflow.db").exists()
    for arguments in (["list"], ["sync"], ["report", "--no-log", "-o", str(runs / "report")]):
        assert there(*arguments).returncode == 0, arguments

    # From a home that may be written: matplotlib has a line of its own on one that may not.
    greenbench.environment["GREENBENCH_RUNS_DIR"] = str(runs)
    refused = greenbench("report", "--no-log", "-o", str(locked / "out"))
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"Error: report folder {locked / 'out'} cannot be written")
    assert "Read-only file system" in line
