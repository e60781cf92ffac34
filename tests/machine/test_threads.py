"""Cores that a process may use: of made-up machines, and of this one as the system limits it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from greenbench.machine.threads import available_cores

COUNT = "from greenbench.machine.threads import available_cores; print(available_cores())"
QUOTAS = Path("/sys/fs/cgroup/cpu")


class Machine:
    """The files of a machine whose CPUs are all this process's."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, siblings: list[str]) -> None:
        self.root = root
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(len(siblings))))
        for cpu, text in enumerate(siblings):
            self.write(f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", text)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    @property
    def cores(self) -> int:
        return available_cores(self.root)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Eight CPUs of eight cores."""
    return Machine(tmp_path, monkeypatch, [str(cpu) for cpu in range(8)])


def test_hyper_threads_of_a_core_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path, monkeypatch, ["0,2", "1,3", "0,2", "1,3"])
    assert machine.cores == 2


def test_only_cores_of_the_affinity_count(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5, 6})
    assert machine.cores == 3


def test_cpus_without_topology_are_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    assert available_cores(tmp_path) == 3


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 8), ("400000 100000", 4), ("350000 100000", 3), ("20000 100000", 1),
     ("1600000 100000", 8), ("100000 50000", 2), ("", 8)],
)  # fmt: skip
def test_quota_of_the_own_group_is_rounded_down(
    machine: Machine, quota: str, expected: int
) -> None:
    machine.write("proc/self/cgroup", "0::/user.slice/job")
    machine.write("sys/fs/cgroup/user.slice/job/cpu.max", quota)
    assert machine.cores == expected


@pytest.mark.parametrize("folder", ["", "user.slice/", "user.slice/job/"])
def test_quota_of_any_group_above_holds(machine: Machine, folder: str) -> None:
    machine.write("proc/self/cgroup", "0::/user.slice/job")
    for each in ("user.slice/", "user.slice/job/"):
        machine.write(f"sys/fs/cgroup/{each}cpu.max", "max 100000")
    machine.write(f"sys/fs/cgroup/{folder}cpu.max", "200000 100000")
    assert machine.cores == 2


def test_quota_of_another_group_is_not_ours(machine: Machine) -> None:
    machine.write("proc/self/cgroup", "0::/job")
    machine.write("sys/fs/cgroup/other/cpu.max", "100000 100000")
    assert machine.cores == 8


@pytest.mark.parametrize("hierarchy", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize(("quota", "expected"), [("300000", 3), ("-1", 8)])
def test_quota_of_version_1_holds(
    machine: Machine, hierarchy: str, quota: str, expected: int
) -> None:
    machine.write("proc/self/cgroup", f"5:memory:/\n4:{hierarchy}:/docker/abc\n0::/")
    machine.write(f"sys/fs/cgroup/{hierarchy}/cpu.cfs_quota_us", quota)
    machine.write(f"sys/fs/cgroup/{hierarchy}/cpu.cfs_period_us", "100000")
    assert machine.cores == expected


def test_system_without_affinity_has_the_cores_that_psutil_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr("psutil.cpu_count", lambda logical: 6 if not logical else 12)
    assert available_cores(tmp_path) == 6
    monkeypatch.setattr("psutil.cpu_count", lambda logical: None)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores(tmp_path) == 1


# This machine


def count(*, cpus: set[int] | None = None, group: Path | None = None) -> int:
    """Return what a process finds that is kept to some CPUs, or in a control group."""

    def limit() -> None:
        if cpus:
            os.sched_setaffinity(0, cpus)
        if group:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of version 1, where we may make one."""
    folder = QUOTAS / f"greenbench-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / "cpu.cfs_quota_us").write_text("150000")
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        pytest.skip(f"no control group can be made here: {error.strerror}")
    yield folder
    folder.rmdir()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_process_that_is_kept_to_one_cpu_has_one_core() -> None:
    assert count(cpus={min(os.sched_getaffinity(0))}) == 1


def test_process_never_has_more_cores_than_cpus() -> None:
    assert 1 <= count() <= (os.cpu_count() or 1)


def test_process_in_a_group_of_one_and_a_half_cpus_has_one_core(group: Path) -> None:
    assert count(group=group) == 1
