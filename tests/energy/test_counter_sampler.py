"""Counters that tick, read by a process of their own from made-up files and libraries."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from greenbench.energy.amd import open_amd_counters
from greenbench.energy.counters import Counters, SampledCounters, open_counters
from greenbench.energy.gpus import OF_WHOLE_CARD
from greenbench.energy.nvml_counters import open_nvml_counters
from greenbench.energy.powercap import open_powercap
from greenbench.errors import EnergyError
from greenbench.results.readings import Provenance

PATIENCE_S = 300.0
RANGE_J = 262_143.0
DIGITS = 18
COUNTERS, HISTORY = "greenbench.energy.counters", "greenbench.energy.counter_history"


@dataclass
class Domain:
    """A made-up RAPL counter, as a folder."""

    folder: Path
    name: str
    value_uj: int
    range_j: float = RANGE_J
    file: int = field(init=False)
    writing: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "name").write_text(f"{self.name}\n")
        (self.folder / "max_energy_range_uj").write_text(f"{int(self.range_j * 1e6)}\n")
        (self.folder / "constraint_0_power_limit_uw").write_text("100000000\n")
        energy = self.folder / "energy_uj"
        energy.touch()
        self.file = os.open(energy, os.O_WRONLY)
        self.write(self.value_uj)

    def write(self, value_uj: int) -> None:
        # In one piece and of one length: nobody reads half of it.
        with self.writing:
            self.value_uj = value_uj
            os.pwrite(self.file, b"%0*d\n" % (DIGITS, value_uj), 0)

    def add_j(self, joules: float) -> None:
        with self.writing:
            self.write((self.value_uj + int(joules * 1e6)) % int(self.range_j * 1e6))


class Ticker:
    """Lets counters tick, all at once, until it is stopped."""

    def __init__(self, *domains: Domain, step_j: float = 1.0) -> None:
        self.domains, self.step_j = domains, step_j
        self.ticks = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over.wait(0.03):
            for domain in self.domains:
                domain.add_j(self.step_j)
            self.ticks += 1

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, who lets counters tick, reads or answers may stand still for seconds."""
    monkeypatch.setattr(f"{HISTORY}.STILL_S", PATIENCE_S)
    for name in ("START_S", "FIRST_TICK_S", "ANSWER_S"):
        monkeypatch.setattr(f"{COUNTERS}.{name}", PATIENCE_S)


@pytest.fixture
def started() -> Iterator[list[Ticker | Counters]]:
    """Tickers and counters that the test has started; they are stopped at its end."""
    running: list[Ticker | Counters] = []
    yield running
    for each in reversed(running):
        each.stop() if isinstance(each, Ticker) else each.close()


def package(root: Path, number: int = 0, value_uj: int = 5_000_000, **more: float) -> Domain:
    return Domain(root / f"intel-rapl:{number}", f"package-{number}", value_uj, **more)


def opened(started: list, root: Path, *domains: Domain, step_j: float = 1.0) -> Counters:
    started.append(Ticker(*domains, step_j=step_j))
    counters = open_counters([], root)
    assert counters is not None
    started.append(counters)
    return counters


def moment_s() -> float:
    """Return the time by the clock of the ticks; it marks a moment, and times nothing."""
    return time.perf_counter()


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def enough(counters: Counters, since_s: float, joules: float) -> list[np.ndarray]:
    """Wait until each CPU package has used so much since then; return what it had at its ticks."""

    def values() -> list[np.ndarray]:
        return [each.energy_j for each in counters.ticks(since_s).get("cpu", [])]

    wait_for(
        lambda: values() and all(np.ptp(each) >= joules for each in values()),
        f"no {joules} J: {counters.faults(since_s)}",
    )
    return values()


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_every_joule_of_all_packages_and_memory_is_seen(tmp_path: Path, started: list) -> None:
    packages = [package(tmp_path, 0), package(tmp_path, 1, 9_000_000)]
    memory = Domain(tmp_path / "intel-rapl:0" / "intel-rapl:0:1", "dram", 3_000_000)
    Domain(tmp_path / "intel-rapl:0" / "intel-rapl:0:0", "core", 1_000_000)
    Domain(tmp_path / "intel-rapl:2", "psys", 30_000_000)
    counters = opened(started, tmp_path, *packages, memory)
    since_s = moment_s()
    for energy_j in enough(counters, since_s, 10.0):
        steps = np.diff(energy_j)
        assert (steps > 0).all()
        assert steps == pytest.approx(np.round(steps))
    found = counters.ticks(since_s)
    assert {name: len(devices) for name, devices in found.items()} == {"cpu": 2, "ram": 1}
    assert counters.faults(since_s) == {}
    for ticks in (*found["cpu"], *found["ram"]):
        assert ticks.times_s[0] <= since_s < ticks.times_s[1]
        assert (np.diff(ticks.times_s) > 0).all()


def test_components_say_what_they_are(tmp_path: Path, started: list) -> None:
    packages = [package(tmp_path, 0), package(tmp_path, 1, 9_000_000)]
    counters = opened(started, tmp_path, *packages)
    enough(counters, moment_s(), 10.0)
    cpu = counters.describe()["cpu"]
    assert cpu.provenance is Provenance.COUNTER
    assert cpu.source == "CPU energy counter (RAPL), read at its ticks"
    assert cpu.limit_w == 400.0
    assert cpu.energy_j is None
    # However late the ticker's thread and the reading process are at times.
    assert cpu.tick_s is not None
    assert cpu.tick_s > 0.02
    assert counters.share is not None
    assert 0 < counters.share < 1


def test_counters_that_start_over_lose_nothing(tmp_path: Path, started: list) -> None:
    packages = [
        package(tmp_path, 0, range_j=7.0),
        package(tmp_path, 1, value_uj=2_000_000, range_j=11.0),
    ]
    counters = opened(started, tmp_path, *packages, step_j=1.0)
    since_s = moment_s()
    for energy_j in enough(counters, since_s, 25.0):
        assert (np.diff(energy_j) > 0).all()
    assert counters.faults(since_s) == {}


def test_a_reset_spoils_what_holds_it_and_nothing_later(tmp_path: Path, started: list) -> None:
    one, other = package(tmp_path, 0, 900_000_000), package(tmp_path, 1)
    memory = Domain(tmp_path / "intel-rapl:0" / "intel-rapl:0:1", "dram", 3_000_000)
    counters = opened(started, tmp_path, one, other, memory)
    since_s = moment_s()
    enough(counters, since_s, 2.0)
    one.write(0)
    wait_for(lambda: "cpu" not in counters.ticks(since_s), "the reset went unnoticed")
    reason = counters.faults(since_s)["cpu"]
    assert reason.startswith("the counter of intel-rapl:0 fell by ")
    assert "it was reset" in reason
    assert "ram" in counters.ticks(since_s)
    later_s = moment_s()
    enough(counters, later_s, 2.0)
    assert counters.faults(later_s) == {}


def test_a_jump_above_all_power_is_no_energy(tmp_path: Path, started: list) -> None:
    domain = package(tmp_path)
    counters = opened(started, tmp_path, domain)
    since_s = moment_s()
    enough(counters, since_s, 2.0)
    domain.add_j(100_000)
    wait_for(lambda: "cpu" not in counters.ticks(since_s), "the jump went unnoticed")
    assert "intel-rapl:0 rose by 10000" in counters.faults(since_s)["cpu"]


def test_a_file_that_cannot_be_read_any_more_is_a_reason(tmp_path: Path, started: list) -> None:
    domain = package(tmp_path)
    counters = opened(started, tmp_path, domain)
    since_s = moment_s()
    enough(counters, since_s, 2.0)
    started[0].stop()
    os.truncate(tmp_path / "intel-rapl:0" / "energy_uj", 0)
    wait_for(lambda: "cpu" not in counters.ticks(since_s), "the empty file went unnoticed")
    assert "intel-rapl:0 could not be read (ValueError" in counters.faults(since_s)["cpu"]
    # The counter itself has lost nothing.
    domain.add_j(1.0)
    wait_for(lambda: "cpu" in counters.ticks(since_s), "it is read again")
    assert counters.faults(since_s) == {}


def test_a_counter_that_stands_still_has_no_energy(
    tmp_path: Path, started: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{COUNTERS}.FIRST_TICK_S", 0.0)
    monkeypatch.setattr(f"{HISTORY}.STILL_S", 1.0)
    package(tmp_path)
    counters = open_counters([], tmp_path)
    assert counters is not None
    started.append(counters)
    since_s = moment_s()
    wait_for(lambda: "cpu" not in counters.ticks(since_s), "nobody saw that it stands still")
    assert "intel-rapl:0 has stood still for " in counters.faults(since_s)["cpu"]


def test_earlier_ticks_are_forgotten(tmp_path: Path, started: list) -> None:
    counters = opened(started, tmp_path, package(tmp_path))
    began_s = moment_s()
    enough(counters, began_s, 10.0)
    later_s = moment_s()
    wait_for(lambda: counters.ticks(later_s)["cpu"][0].times_s[-1] > later_s, "no tick after that")
    # Only the last one before it is still there.
    left = counters.ticks(began_s)["cpu"][0]
    assert (left.times_s <= later_s).sum() == 1
    assert left.within_s is not None
    assert left.within_s.shape == left.times_s.shape == left.energy_j.shape
    assert (left.within_s > 0).all()


def test_interrupt_while_counters_are_opened_leaves_no_process(
    tmp_path: Path, started: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []

    def interrupted(counters: SampledCounters) -> bool:
        found.append(counters.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(SampledCounters, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        opened(started, tmp_path, package(tmp_path))
    assert not is_there(*found)


def test_death_of_the_process_is_a_reason_and_leaves_nothing(tmp_path: Path, started: list) -> None:
    counters = opened(started, tmp_path, package(tmp_path))
    since_s = moment_s()
    os.kill(counters.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    with pytest.raises(EnergyError, match=r"process that reads counters ended \(-9\)"):
        enough(counters, since_s, 1e6)
    with pytest.raises(EnergyError, match=r"ended \(-9\)"):
        counters.ticks(since_s)
    # Nobody has closed them yet: it was reaped when it ended.
    assert not is_there(counters.pid)  # type: ignore[attr-defined]


def test_closing_ends_the_process_at_once_and_twice_is_fine(tmp_path: Path, started: list) -> None:
    counters = opened(started, tmp_path, package(tmp_path))
    counters.close()
    counters.close()
    assert not is_there(counters.pid)  # type: ignore[attr-defined]
    with pytest.raises(EnergyError, match="closed"):
        counters.ticks(0.0)


PARENT = """
import os, sys, time
from pathlib import Path
from greenbench.energy.counters import open_counters
counters = open_counters([], Path(sys.argv[1]))
if (forked := os.fork()) == 0:  # As multiprocessing does: it holds what we write into, too.
    time.sleep(600)
print(counters.pid, forked, flush=True)
time.sleep(600)
"""


def test_it_ends_with_its_parent_however_that_ends(tmp_path: Path, started: list) -> None:
    started.append(Ticker(package(tmp_path)))
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        sampler, forked = map(int, parent.stdout.readline().split())
    try:
        assert is_there(sampler)
        parent.kill()
        parent.wait()
        wait_for(lambda: not is_running(sampler), "it outlives its parent")
    finally:
        os.kill(forked, signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Return whether a process runs; one whose new parent has not reaped it yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_interrupts_are_for_the_parent(tmp_path: Path, started: list) -> None:
    counters = opened(started, tmp_path, package(tmp_path))
    os.kill(counters.pid, signal.SIGINT)  # type: ignore[attr-defined]
    enough(counters, moment_s(), 3.0)


def test_what_the_user_sets_for_python_disturbs_nothing(
    tmp_path: Path, started: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('hello')\n")
    for name in ("queue", "json", "pynvml", "greenbench"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the one')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    counters = opened(started, tmp_path, package(tmp_path))
    enough(counters, moment_s(), 3.0)


def test_its_import_pulls_nothing_heavy() -> None:
    heavy = ["torch", "keras", "mlflow", "numpy", "pandas", "codecarbon", "zeus", "pynvml"]
    code = f"import sys, greenbench.energy.sampler; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_counters_there_are_none(tmp_path: Path) -> None:
    assert open_counters([], tmp_path) is None
    assert open_counters([], tmp_path / "missing") is None
    assert open_counters([], None) is None


def test_a_process_that_finds_none_is_gone(tmp_path: Path) -> None:
    # NVML is asked in the process; this machine may have no GPU of that name.
    assert open_counters(["GPU-of-nobody"], tmp_path) is None


def test_half_of_the_packages_is_no_cpu(tmp_path: Path) -> None:
    package(tmp_path, 0)
    broken = package(tmp_path, 1, 7_000_000)
    memory = Domain(tmp_path / "intel-rapl:0" / "intel-rapl:0:1", "dram", 3_000_000)
    assert [each.component for each in open_powercap(tmp_path)] == ["cpu", "cpu", "ram"]
    os.truncate(broken.folder / "energy_uj", 0)
    assert [each.component for each in open_powercap(tmp_path)] == ["ram"]
    (memory.folder / "energy_uj").unlink()
    assert open_powercap(tmp_path) == []
    assert open_counters([], tmp_path) is None


def test_a_socket_that_is_shown_once_for_each_die_counts_once(tmp_path: Path) -> None:
    for number, value_uj in enumerate([50_000_000, 50_000_100, 80_000_000]):
        Domain(tmp_path / f"intel-rapl:{number}", f"package-{number}-die-0", value_uj)
    assert [each.device for each in open_powercap(tmp_path)] == ["intel-rapl:0", "intel-rapl:2"]


class MadeUpNvml(SimpleNamespace):
    """What of pynvml is asked, with two cards, the second of which has a slice."""

    def __init__(self, **answers: Callable) -> None:
        cards = {"GPU-a": 1_234_567, "GPU-b": 7_000}
        super().__init__(
            NVML_ERROR_NOT_FOUND=6,
            nvmlInit=lambda: None,
            nvmlDeviceGetCount=lambda: len(cards),
            nvmlDeviceGetHandleByIndex=lambda index: list(cards)[index],
            nvmlDeviceGetHandleByUUID={
                **dict(zip(cards, cards, strict=True)),
                "MIG-b1": 1,
            }.__getitem__,
            nvmlDeviceGetDeviceHandleFromMigDeviceHandle={1: "GPU-b"}.__getitem__,
            nvmlDeviceGetUUID=lambda handle: handle,
            nvmlDeviceGetPowerManagementLimitConstraints=lambda _: (100_000, 700_000),
            nvmlDeviceGetTotalEnergyConsumption=cards.__getitem__,
            nvmlDeviceGetMigMode={"GPU-a": (0, 0), "GPU-b": (1, 1)}.__getitem__,
            **answers,
        )


@pytest.mark.parametrize(
    ("uuids", "found"),
    [
        (None, ["GPU-a", "GPU-b"]),
        (["GPU-b"], ["GPU-b"]),
        (["MIG-b1", "GPU-b"], ["GPU-b"]),
        ([], []),
        (["GPU-a", "GPU-unknown"], []),
    ],
)
def test_counters_of_the_gpus_that_are_named(
    monkeypatch: pytest.MonkeyPatch, uuids: list[str] | None, found: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", MadeUpNvml())
    counters = open_nvml_counters(uuids)
    assert [each.device for each in counters] == found
    assert {each.limit_w for each in counters} <= {700.0}
    if uuids is None:
        assert [each.read_j() for each in counters] == [1234.567, 7.0]


def test_the_counter_of_a_card_that_is_cut_into_slices_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", MadeUpNvml())
    whole, cut = open_nvml_counters(["GPU-a", "GPU-b"])
    assert cut.source == f"{whole.source}, {OF_WHOLE_CARD}"


def test_a_card_without_counter_leaves_no_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    library = MadeUpNvml()
    library.nvmlDeviceGetTotalEnergyConsumption = {"GPU-a": 1_000}.__getitem__
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert open_nvml_counters(None) == []
    assert len(open_nvml_counters(["GPU-a"])) == 1


class MadeUpAmd(SimpleNamespace):
    """What of zeus's AMD GPUs is asked."""

    def __init__(self, *are_counted: bool) -> None:
        super().__init__(
            supports_get_total_energy_consumption=are_counted.__getitem__,
            get_power_management_limit_constraints=lambda _: (0, 750_000),
            get_total_energy_consumption=lambda index: 1500 + index,
        )
        self.count = len(are_counted)

    def __len__(self) -> int:
        return self.count


def test_amd_gpus_are_read_through_zeus() -> None:
    counters = open_amd_counters(lambda: MadeUpAmd(True, True))
    assert [each.read_j() for each in counters] == [1.5, 1.501]
    assert {each.limit_w for each in counters} == {750.0}
    assert counters[0].source.startswith("AMD SMI energy counter (zeus ")


def test_amd_gpus_without_a_counter_that_zeus_trusts_are_left_out() -> None:
    def fail() -> None:
        raise OSError("libamd_smi.so is missing")

    assert open_amd_counters(lambda: MadeUpAmd(True, False)) == []
    assert open_amd_counters(fail) == []
    assert open_amd_counters(lambda: None) == []
