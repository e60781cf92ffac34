"""The host: what else ran while something was measured, and the memory of this process."""

import subprocess
import sys
import threading
import time
from collections import namedtuple
from dataclasses import dataclass

import psutil
import pytest

from greenbench.energy import host, process_tree
from greenbench.energy.host import HostWatch, StopWatch, peak_memory_bytes, reset_peak_memory
from greenbench.energy.process_tree import Used
from greenbench.machine.processes import adopt_orphans
from greenbench.results.quality import SHARE, TICK_S, is_disturbed, others_share

BUSY = "while True: pass"
BUSY_FOR = "import time\nwhile time.process_time() < {seconds}: pass"
WORK_S = 0.2
MIB = 2**20

needs_peak = pytest.mark.skipif(
    not reset_peak_memory() or peak_memory_bytes() is None,
    reason="the system does not tell the peak of a process's memory",
)


@pytest.fixture
def busy_child():
    """A process that does nothing but use a CPU."""
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


@pytest.fixture
def busy_stranger():
    """One that this process has not started, as far as anybody can tell."""
    adopt_orphans(wanted=False)
    command = f'"{sys.executable}" -c "{BUSY}" >/dev/null 2>&1 & echo $!'
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    process = psutil.Process(int(done.stdout))
    yield process
    process.kill()


def used_s(process):
    times = process.cpu_times()
    return times.user + times.system


def work(seconds):
    """Use a CPU for as many seconds of CPU time, however long that takes."""
    end_s = time.process_time() + seconds
    while time.process_time() < end_s:
        pass


def test_what_another_process_uses_is_the_others(busy_stranger):
    watch = HostWatch()
    began_s = used_s(busy_stranger)
    while (used := used_s(busy_stranger) - began_s) < WORK_S:
        time.sleep(0.01)
    own_s, other_s = watch.lap()
    # Half of it, since kernels account a process and the host in different ways.
    assert other_s >= used / 2
    assert own_s < used


def test_what_a_living_child_uses_is_our_own(busy_child, monkeypatch):
    monkeypatch.setattr(host, "_busy_s", lambda: used_s(busy_child))
    watch = HostWatch()
    began_s = used_s(busy_child)
    while used_s(busy_child) - began_s < WORK_S:
        time.sleep(0.01)
    busy_child.suspend()
    own_s, other_s = watch.lap()
    assert own_s >= 0.9 * WORK_S
    assert other_s <= 0.1 * WORK_S


def test_what_a_helper_uses_disturbs_nobody_and_is_not_ours(busy_child, monkeypatch):
    monkeypatch.setattr(host, "_busy_s", lambda: used_s(busy_child))
    # What it takes to begin is ours, too.
    ours_s = time.process_time()
    watch = HostWatch(busy_child.pid)
    began_s = used_s(busy_child)
    while used_s(busy_child) - began_s < WORK_S:
        time.sleep(0.01)
    busy_child.suspend()
    own_s, other_s = watch.lap()
    assert own_s <= time.process_time() - ours_s, "the helper's seconds are among ours"
    assert other_s <= 0.1 * WORK_S
    busy_child.kill()
    busy_child.wait()
    monkeypatch.setattr(host, "_busy_s", lambda: 1000.0)
    assert watch.lap()[1] > 0, "one that is gone is no reason to fail"


def test_what_this_process_uses_is_its_own():
    watch = HostWatch()
    work(WORK_S)
    own_s, other_s = watch.lap()
    assert own_s >= WORK_S
    assert other_s >= 0


LinuxTimes = namedtuple(
    "LinuxTimes", "user nice system idle iowait irq softirq steal guest guest_nice"
)
NO_TIMES = LinuxTimes(*[0.0] * 10)


@pytest.mark.parametrize(
    ("passed", "other_s"),
    [
        ({}, 0.0),
        ({"idle": 50.0}, 0.0),
        ({"iowait": 50.0}, 0.0),
        ({"user": 50.0}, 50.0),
        ({"nice": 50.0}, 50.0),
        ({"system": 30.0, "irq": 10.0, "softirq": 10.0}, 50.0),
        ({"steal": 50.0}, 50.0),
        # As Linux does, and not twice.
        ({"user": 50.0, "guest": 40.0}, 50.0),
        ({"nice": 50.0, "guest_nice": 50.0}, 50.0),
    ],
    ids=["nothing", "idle", "disk", "user", "nice", "kernel", "stolen", "guest", "nice_guest"],
)
def test_what_counts_as_busy(monkeypatch, passed, other_s):
    counted = [NO_TIMES, NO_TIMES._replace(**passed)]
    monkeypatch.setattr(psutil, "cpu_times", lambda: counted.pop(0))
    own_s, found_s = HostWatch().lap()
    # Our own moment between the two looks comes off what was busy, and never below zero.
    assert found_s == pytest.approx(max(other_s - own_s, 0.0))


def test_systems_that_count_fewer_kinds_of_time_work(monkeypatch):
    mac = namedtuple("mac", "user nice system idle")
    counted = [mac(1.0, 0.0, 1.0, 10.0), mac(5.0, 0.0, 2.0, 20.0)]
    monkeypatch.setattr(psutil, "cpu_times", lambda: counted.pop(0))
    own_s, other_s = HostWatch().lap()
    assert other_s == pytest.approx(5.0 - own_s)


def test_threads_are_part_of_the_process():
    watch = HostWatch()
    thread = threading.Thread(target=work, args=[WORK_S])
    thread.start()
    thread.join()
    assert watch.lap()[0] >= WORK_S


def test_children_that_have_ended_are_part_of_the_process():
    # Loaders of data are.
    watch = HostWatch()
    subprocess.run([sys.executable, "-c", BUSY_FOR.format(seconds=WORK_S)], check=True)
    assert watch.lap()[0] >= 0.9 * WORK_S


@dataclass
class Counters:
    """What a system counts: CPU seconds of this process, of its children, and of all."""

    own_s: float = 0.0
    children_s: float = 0.0
    all_s: float = 0.0

    def work(self, seconds):
        self.own_s += seconds
        self.all_s += seconds

    def let_child_work(self, seconds):
        self.children_s += seconds
        self.all_s += seconds

    def let_others_work(self, seconds):
        self.all_s += seconds


@pytest.fixture
def counters(monkeypatch):
    found = Counters()
    own = {(1, 0.0): Used(0, 0.0)}
    monkeypatch.setattr(
        process_tree,
        "look",
        lambda known=(): dict.fromkeys(own, Used(0, found.own_s, found.children_s)),
    )
    monkeypatch.setattr(psutil, "cpu_times", lambda: NO_TIMES._replace(user=found.all_s))
    return found


def test_own_work_is_not_counted_again_as_that_of_others(counters):
    watch = HostWatch()
    counters.work(3.0)
    counters.let_child_work(2.0)
    assert watch.lap() == (5.0, 0.0)
    counters.let_others_work(4.0)
    counters.work(1.0)
    assert watch.lap() == (1.0, 4.0)


def test_a_lap_starts_where_the_last_one_ended(counters):
    watch = HostWatch()
    counters.work(2.0)
    assert watch.lap() == (2.0, 0.0)
    assert watch.lap() == (0.0, 0.0)


def test_two_watches_keep_laps_of_their_own(counters):
    watch = HostWatch()
    other_watch = HostWatch()
    counters.work(2.0)
    other_watch.lap()
    assert watch.lap() == (2.0, 0.0)


@pytest.mark.parametrize(
    ("other_cpu_s", "duration_s", "cores", "share"),
    [
        (None, 10.0, 2, None),
        (1.0, 0.0, 2, None),
        (0.0, 10.0, 2, 0.0),
        (1.0, 10.0, 1, 0.1),
        (1.0, 10.0, 2, 0.05),
        (20.0, 10.0, 2, 1.0),
    ],
    ids=["unknown", "no_time", "nothing", "one_core", "two_cores", "all"],
)
def test_the_share_is_of_all_cores(other_cpu_s, duration_s, cores, share):
    found = others_share(other_cpu_s, duration_s, cores)
    assert found == (None if share is None else pytest.approx(share))


@pytest.mark.parametrize("cores", [1, 2, 64])
@pytest.mark.parametrize("duration_s", [0.05, 10.0, 3600.0])
def test_a_twentieth_of_the_host_disturbs_beyond_what_ticks_resolve(duration_s, cores):
    limit_s = SHARE * duration_s * cores + TICK_S * cores
    assert not is_disturbed(0.99 * limit_s, duration_s, cores)
    assert is_disturbed(1.01 * limit_s, duration_s, cores)


@pytest.mark.parametrize(
    ("other_cpu_s", "duration_s", "cores"),
    [
        (None, 10.0, 2),
        (0.0, 10.0, 2),
        (1.0, 0.0, 2),
        # One tick on each core, in windows of a few milliseconds, may be nobody's.
        (0.02, 0.005, 2),
        (0.64, 0.005, 64),
    ],
    ids=["unknown", "nothing", "no_time", "ticks_on_two_cores", "ticks_on_many_cores"],
)
def test_what_cannot_be_told_does_not_disturb(other_cpu_s, duration_s, cores):
    assert not is_disturbed(other_cpu_s, duration_s, cores)


@needs_peak
def test_the_peak_grows_with_what_is_allocated_and_stays():
    reset_peak_memory()
    before = peak_memory_bytes()
    # Written to, since memory that is only reserved is not resident.
    block = bytearray(b"x") * (100 * MIB)
    during = peak_memory_bytes()
    del block
    assert during - before >= 90 * MIB
    # Kernels sum pages up over CPUs now and then, and may be some behind.
    assert peak_memory_bytes() - before >= 90 * MIB


@needs_peak
def test_a_reset_forgets_the_peak():
    block = bytearray(b"x") * (100 * MIB)
    peak = peak_memory_bytes()
    del block
    assert reset_peak_memory()
    assert peak - peak_memory_bytes() >= 90 * MIB


@needs_peak
def test_the_peak_is_at_least_what_is_resident():
    reset_peak_memory()
    assert peak_memory_bytes() >= 0.9 * psutil.Process().memory_info().rss


def test_without_such_a_system_the_peak_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(host, "_CLEAR_REFS", tmp_path / "absent" / "clear_refs")
    monkeypatch.setattr(host, "_STATUS", tmp_path / "absent" / "status")
    assert not reset_peak_memory()
    assert peak_memory_bytes() is None


def test_a_status_without_a_peak_is_unknown(monkeypatch, tmp_path):
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmRSS:\t  2056 kB\n")
    monkeypatch.setattr(host, "_STATUS", status)
    assert peak_memory_bytes() is None


def test_a_watch_for_stops_ends_with_its_window():
    watch = StopWatch()
    before = set(threading.enumerate())
    watch.start()
    (beating,) = set(threading.enumerate()) - before
    watch.close()
    beating.join(400)
    assert not beating.is_alive()
