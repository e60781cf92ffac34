"""The zeus meter: what zeus's own code makes of counters, and what is not there."""

import multiprocessing
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from greenbench.energy.guard import GuardedMeter
from greenbench.energy.zeus import ZeusMeter
from greenbench.errors import EnergyError, MissingPackageError
from greenbench.results.readings import Provenance
from greenbench.testing import MeterConformance

cpu = pytest.importorskip("zeus.device.cpu")
from zeus.device.cpu import rapl  # noqa: E402

HAS_GPU = shutil.which("nvidia-smi") is not None or Path("/dev/kfd").exists()
RANGE_UJ = 262_143_328_850
"""Where a real counter wraps around."""


@pytest.fixture
def powercap(tmp_path, monkeypatch):
    """A host's energy counters, as Linux shows them; zeus finds them in its usual way."""
    folder = tmp_path / "intel-rapl"
    monkeypatch.setattr(rapl, "RAPL_DIR", str(folder))
    monkeypatch.setattr(rapl, "CONTAINER_RAPL_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setattr(cpu, "_cpus", None)
    rapl.rapl_is_available.cache_clear()
    yield folder
    rapl.rapl_is_available.cache_clear()


class Counter:
    """A counter in microjoules."""

    def __init__(self, folder, name, energy_uj, range_uj):
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
        self.path, self.range_uj = folder / "energy_uj", range_uj
        self.write(energy_uj)

    def write(self, energy_uj):
        # Replaced, as a process that watches must never find an empty file.
        new = self.path.with_suffix(".new")
        new.write_text(f"{energy_uj % self.range_uj}\n")
        new.replace(self.path)

    def add_j(self, joules):
        self.write(int(self.path.read_text()) + round(joules * 1e6))


@pytest.fixture
def make_package(powercap):
    def make(index=0, energy_uj=1_000_000, range_uj=RANGE_UJ):
        folder = powercap / f"intel-rapl:{index}"
        return Counter(folder, f"package-{index}", energy_uj, range_uj)

    return make


@pytest.fixture
def package(make_package):
    return make_package()


@pytest.fixture
def make_dram(powercap, make_package):
    def make(index=0, energy_uj=5_000_000, range_uj=RANGE_UJ):
        folder = powercap / f"intel-rapl:{index}"
        Counter(folder / f"intel-rapl:{index}:0", "core", 0, RANGE_UJ)
        return Counter(folder / f"intel-rapl:{index}:1", "dram", energy_uj, range_uj)

    return make


@pytest.fixture
def make_meter():
    meters = []

    def make():
        meters.append(ZeusMeter())
        return meters[-1]

    yield make
    for meter in meters:
        meter.close()


def joules(reading):
    return {name: part.energy_j for name, part in reading.components.items()}


class TestZeusMeterOfThisHost(MeterConformance):
    def make_meter(self):
        return ZeusMeter()


class TestZeusMeterOfCounters(MeterConformance):
    @pytest.fixture(autouse=True)
    def _counters(self, package, make_dram):
        make_dram()

    def make_meter(self):
        return ZeusMeter()


def test_what_a_host_does_not_have_is_none_with_a_reason_and_never_0_j(powercap, make_meter):
    meter = make_meter()
    meter.begin_window()
    reading = meter.end_window()
    found = reading.components["cpu"]
    assert (found.energy_j, found.provenance) == (None, Provenance.NONE)
    assert found.reason == "no RAPL counter that may be read"
    assert "ram" not in reading.components
    assert reading.energy_j is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_counters_that_may_not_be_read_are_none(package, make_meter):
    package.path.chmod(0)
    meter = make_meter()
    meter.begin_window()
    found = meter.end_window().components["cpu"]
    assert (found.energy_j, found.reason) == (None, "no RAPL counter that may be read")


@pytest.mark.skipif(HAS_GPU, reason="the host has a GPU")
def test_a_gpu_that_is_not_there_is_no_gap_beside_a_cpu_that_is_read(package, make_meter):
    meter = make_meter()
    meter.begin_window()
    package.add_j(1.0)
    reading = meter.end_window()
    assert "gpu" not in reading.components
    assert joules(reading)["cpu"] == pytest.approx(1.0)


def test_counters_are_read_in_joules(package, make_dram, make_meter):
    dram = make_dram()
    meter = make_meter()
    meter.begin_window()
    package.add_j(12.5)
    dram.add_j(0.75)
    reading = meter.end_window()
    parts = {name: reading.components[name] for name in ("cpu", "ram")}
    assert {n: part.energy_j for n, part in parts.items()} == pytest.approx(
        {"cpu": 12.5, "ram": 0.75}
    )
    assert {part.provenance for part in parts.values()} == {Provenance.COUNTER}
    assert parts["cpu"].source.startswith("zeus 0.")
    assert parts["cpu"].source.endswith(": CPU energy counter (RAPL)")
    assert parts["ram"].source.endswith(": DRAM counter (RAPL)")


def test_only_what_a_window_used_is_read(package, make_meter):
    meter = make_meter()
    package.add_j(100.0)
    meter.begin_window()
    package.add_j(3.0)
    first = meter.end_window()
    package.add_j(100.0)
    meter.begin_window()
    second = meter.end_window()
    assert (joules(first)["cpu"], joules(second)["cpu"]) == pytest.approx((3.0, 0.0))


def test_all_packages_count(make_package, make_dram, make_meter):
    packages = [make_package(index, energy_uj=10**6 * (index + 1)) for index in range(3)]
    drams = [make_dram(index) for index in (0, 2)]
    meter = make_meter()
    meter.begin_window()
    for counter in (*packages, *drams):
        counter.add_j(2.0)
    found = joules(meter.end_window())
    assert (found["cpu"], found["ram"]) == pytest.approx((6.0, 4.0))


def test_no_window_is_wrong_by_a_wrap_around_that_zeus_has_not_noticed(
    make_package, make_dram, make_meter
):
    counters = {
        "cpu": make_package(energy_uj=RANGE_UJ - 10_000_000),
        "ram": make_dram(energy_uj=RANGE_UJ - 10_000_000, range_uj=RANGE_UJ),
    }
    meter = make_meter()
    (watched,) = meter._monitor.cpus.cpus
    found = []
    for window in range(4):
        meter.begin_window()
        for counter in counters.values():
            counter.add_j(7.0)
        if window == 3:
            # What zeus's watchers do about a second after the second window.
            watched.rapl_file.wraparound_tracker.wraparound_counter.value += 1
            watched.dram.wraparound_tracker.wraparound_counter.value += 1
        found.append(meter.end_window())
    for name in counters:
        assert [joules(reading)[name] for reading in found] == pytest.approx([7.0] * 4)


@pytest.mark.integration
def test_wrap_arounds_in_a_long_window_are_counted(make_package, make_meter, eventually):
    # So small a range that it could be used up several times in this window.
    package = make_package(energy_uj=1_000_000, range_uj=5_000_000)
    meter = make_meter()
    tracker = meter._monitor.cpus.cpus[0].rapl_file.wraparound_tracker

    def wrap_around():
        package.write(4_000_000)
        time.sleep(0.2)
        package.write(500_000)
        time.sleep(0.2)
        return tracker.get_num_wraparounds()

    eventually(wrap_around)
    before = tracker.get_num_wraparounds()
    meter.begin_window()
    eventually(lambda: wrap_around() >= before + 2)
    # The last one may still have to be noticed, before the window ends or in this moment.
    time.sleep(0.5)
    fewest = tracker.get_num_wraparounds() - before
    counted = joules(meter.end_window())["cpu"] / 5.0
    most = tracker.get_num_wraparounds() - before
    assert counted == pytest.approx(round(counted))
    assert fewest <= round(counted) <= most


def test_watchers_of_wrap_arounds_are_children_that_are_gone_after_close(
    package, make_dram, make_meter
):
    make_dram()
    before = set(multiprocessing.active_children())
    meter = make_meter()
    watchers = set(multiprocessing.active_children()) - before
    assert len(watchers) == 2
    meter.begin_window()
    meter.end_window()
    assert set(multiprocessing.active_children()) - before == watchers
    meter.close()
    assert set(multiprocessing.active_children()) == before
    assert not any(watcher.is_alive() for watcher in watchers)


def test_the_watchers_of_one_meter_outlive_another_meter(package, make_meter):
    before = set(multiprocessing.active_children())
    first = make_meter()
    of_first = set(multiprocessing.active_children()) - before
    second = make_meter()
    of_second = set(multiprocessing.active_children()) - before - of_first
    assert (len(of_first), len(of_second)) == (1, 1)
    first.close()
    assert set(multiprocessing.active_children()) - before == of_second
    third = make_meter()
    assert len(set(multiprocessing.active_children()) - before) == 2
    second.close()
    third.close()


def test_a_counter_that_vanishes_costs_its_windows_and_no_others(package, make_meter):
    meter = GuardedMeter(make_meter())
    found = []
    away = package.path.with_suffix(".away")
    for moment in ("never", "inside", "before", "never"):
        if moment == "before":
            package.path.rename(away)
        meter.begin_window()
        if moment == "inside":
            package.path.rename(away)
        found.append(meter.end_window().components["cpu"])
        if away.exists():
            away.rename(package.path)
    assert [part.energy_j for part in found] == [0.0, None, None, 0.0]
    assert "zeus could not end a window (FileNotFoundError: " in found[1].reason
    assert "zeus could not start a window (FileNotFoundError: " in found[2].reason


def test_a_window_that_could_not_be_started_is_not_open(package, make_meter):
    meter = make_meter()
    energy_uj = package.path.read_text()
    package.path.unlink()
    with pytest.raises(FileNotFoundError):
        meter.begin_window()
    with pytest.raises(EnergyError, match="no zeus window is open"):
        meter.end_window()
    package.path.write_text(energy_uj)
    meter.begin_window()
    assert joules(meter.end_window())["cpu"] == 0.0


@pytest.mark.parametrize("module", ["zeus", "zeus.monitor"])
def test_a_missing_package_is_named_with_the_line_that_installs_it(monkeypatch, module):
    for name in [name for name in sys.modules if name.partition(".")[0] == "zeus"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPackageError, match=r"pip install 'greenbench\[zeus\]'"):
        ZeusMeter()
