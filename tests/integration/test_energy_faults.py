"""What becomes of energy, and of a run, when meters and the machine misbehave."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.conftest import Greenbench, events, is_gone

pytestmark = pytest.mark.integration

Eventually = Callable[[Callable[[], object]], None]

TINY = ("run", "-a", "dense.xs", "--epochs", "2", "--repeats", "1")
POWER_W = 2 * 36.0

METERS = '''
"""Meters that go wrong, disagree, and start processes of their own."""
import math
import multiprocessing
import os
import time
from pathlib import Path

import sitecustomize
from greenbench import register_meter
from greenbench.errors import EnergyError
from greenbench.results.readings import Component, Provenance, Reading

PIDS = Path(os.environ["PLUGIN_PIDS"])


@register_meter("steady")
class Steady:
    """Two counters at 36 W each."""

    name = "steady"
    power_w = 36.0

    def __init__(self):
        self.began = None
        self.windows = 0

    def begin_window(self):
        if self.began is not None:
            raise EnergyError("windows do not nest")
        self.windows += 1
        self.began = time.perf_counter()

    def end_window(self):
        if self.began is None:
            raise EnergyError("no window is open")
        seconds, self.began = time.perf_counter() - self.began, None
        return Reading(seconds, self.parts(*self.joules(seconds)))

    def joules(self, seconds):
        return self.power_w * seconds, self.power_w * seconds

    def describe(self):
        return self.parts(None, None)

    def parts(self, cpu_j, gpu_j):
        return {
            "cpu": Component(cpu_j, Provenance.COUNTER, f"{self.name} CPU"),
            "gpu": Component(gpu_j, Provenance.COUNTER, f"{self.name} GPU"),
        }

    def close(self):
        pass


@register_meter("counting")
class Counting(Steady):
    """Counts windows instead of seconds, so that two of them differ by the same share always."""

    name = "counting"
    # So little that no machine is so fast that it were more than a device can use.
    window_j = 0.36

    def joules(self, seconds):
        return self.window_j, self.window_j


@register_meter("eager")
class Eager(Counting):
    """Counts 20% more."""

    name = "eager"
    window_j = 0.36 * 1.2


@register_meter("faulty")
class Faulty(Steady):
    """Goes wrong in each third window."""

    name = "faulty"

    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def begin_window(self):
        super().begin_window()
        if self.fault == "clock" and self.windows % 3 == 0:
            sitecustomize.ahead_s += 3600.0

    def joules(self, seconds):
        cpu_j, gpu_j = super().joules(seconds)
        if self.windows % 3 == 0 and self.fault == "raises":
            raise OSError("bus error\\nin the middle")
        if self.windows % 3 == 0 and self.fault == "implausible":
            cpu_j, gpu_j = -1.0, math.nan
        return cpu_j, gpu_j


@register_meter("vanishing")
class Vanishing(Steady):
    """Its device is unplugged after the first windows, and never answers again."""

    name = "vanishing"

    def begin_window(self):
        super().begin_window()
        self.ask()

    def joules(self, seconds):
        self.ask()
        return super().joules(seconds)

    def describe(self):
        self.ask()
        return super().describe()

    def ask(self):
        if self.windows > 2:
            raise RuntimeError("no such device")


def is_held():
    """Return whether to wait: from so many results on, as the mark says."""
    try:
        most = int(PIDS.with_name("hold").read_text())
    except FileNotFoundError:
        return False
    journals = Path(os.environ["GREENBENCH_RUNS_DIR"], "journal").glob("*/*.jsonl")
    return sum('"event": "result"' in path.read_text() for path in journals) >= most


@register_meter("spawning")
class Spawning(Steady):
    """Starts a process, as meters do that watch a counter."""

    name = "spawning"
    method = "spawn"

    def __init__(self):
        super().__init__()
        child = multiprocessing.get_context(self.method).Process(target=time.sleep, args=(3600,))
        child.start()
        with PIDS.open("a") as file:
            print(child.pid, file=file)

    def begin_window(self):
        while is_held():
            time.sleep(0.02)
        super().begin_window()


@register_meter("forking")
class Forking(Spawning):
    """Its process has all that its parent had open."""

    name = "forking"
    method = "fork"
'''

CLOCK = '''
"""A wall clock that may be set while the process runs; imported before anybody looks at it."""
import time

ahead_s = 0.0
_time = time.time
time.time = lambda: _time() + ahead_s
'''


@pytest.fixture
def metered(plugin: Greenbench, tmp_path: Path) -> Iterator[Greenbench]:
    """The command line with a plugin of meters installed, beside the one of networks."""
    site = tmp_path / "site"
    info = site / "greenbench_meters-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greenbench-meters\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[greenbench.plugins]\nmeters = greenbench_meters\n")
    (site / "greenbench_meters.py").write_text(METERS)
    (site / "sitecustomize.py").write_text(CLOCK)
    path = (str(site), os.environ.get("PYTHONPATH", ""))
    plugin.environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    plugin.environment["PLUGIN_PIDS"] = str(tmp_path / "pids")
    plugin.environment["GREENBENCH_IDLE_S"] = "0"
    yield plugin
    for pid in itertools.filterfalse(is_gone, bred(plugin)):
        os.kill(pid, signal.SIGKILL)


def stored(greenbench: Greenbench) -> list[Run]:
    """Return the repeats that MLflow holds, in the order in which they ran."""
    client = MlflowClient(f"sqlite:///{greenbench.folder}/mlruns/mlflow.db")
    experiments = [each.experiment_id for each in client.search_experiments()]
    order = ["attributes.start_time ASC"]
    return list(client.search_runs(experiments, "tags.kind = 'case'", order_by=order))


def marks(run: Run) -> list[str]:
    return run.data.tags.get("marks", "").split()


def bred(greenbench: Greenbench) -> list[int]:
    """Return the processes that meters have started."""
    file = Path(greenbench.environment["PLUGIN_PIDS"])
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def are_gone(pids: Iterable[int]) -> bool:
    return all(map(is_gone, pids))


@contextmanager
def busy_host() -> Iterator[None]:
    """Keep every core busy."""
    spin = [sys.executable, "-c", "while True: pass"]
    spinning = [subprocess.Popen(spin) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("meter", "reason"),
    [
        ("faulty:raises", "faulty could not end a window (OSError: bus error in the middle)"),
        ("faulty:implausible", "faulty CPU read -1 J"),
        ("faulty:clock", "the clock jumped by +3600.0 s: it was set, or the machine slept"),
        ("vanishing", "vanishing could not start a window (RuntimeError: no such device)"),
    ],
    ids=["raises", "implausible", "clock", "vanishes"],
)
def test_a_meter_that_goes_wrong_costs_the_energy_and_nothing_else(
    metered: Greenbench, meter: str, reason: str
) -> None:
    search = ("run", "-s", "random", "-a", "dense.xs", "--epochs", "2", "--trials", "3")
    done = metered(*search, "--repeats", "1", "--meter", meter)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    (run,) = stored(metered)
    metrics, tags = run.data.metrics, run.data.tags
    (journal,) = metered.journals
    trials = events(journal, "trial")
    assert [trial["status"] for trial in trials] == ["completed"] * 3
    assert all(trial["val_score"] > 0 for trial in trials)
    assert metrics["accuracy/test"] > 0
    assert metrics["cost/trials"] == 3
    absent = {"energy/total_wh", "energy/cpu_wh", "energy/gpu_wh", "emissions/g_co2e"}
    assert not absent & set(metrics)
    assert tags["energy_provenance"] == "none"
    assert tags["energy_reason"].startswith(reason)
    assert f"The energy of 1 of 1 sample is unknown: {reason}" in done.stdout
    assert re.search(r"│ +none │", done.stdout)
    # The windows were timed all the same, by a clock that does not jump.
    assert 0 < metrics["time/total_s"] <= metrics["time/wall_s"]


def test_codecarbon_and_zeus_say_whether_there_is_a_second_opinion(metered: Greenbench) -> None:
    pytest.importorskip("zeus")
    done = metered(*TINY, "--meter", "codecarbon,zeus")

    assert done.returncode == 0, done.stderr
    (run,) = stored(metered)
    assert run.data.tags["meter"] == "codecarbon,zeus"
    assert run.data.metrics["accuracy/test"] > 0
    (line,) = [x for x in done.stdout.splitlines() if x.startswith("The meters codecarbon,zeus ")]
    # Whether this machine has counters is not for this test to know.
    if "quality/meter_disagreement" in run.data.metrics:
        assert "differ by at most" in line
    else:
        assert "measure nothing in common, so there is no second opinion" in line
        assert "disagreeing" not in marks(run)


def test_a_witness_that_differs_by_a_fifth_marks_the_sample_and_is_kept(
    metered: Greenbench,
) -> None:
    done = metered(*TINY, "--meter", "counting,eager", "--headline", "total")

    assert done.returncode == 0, done.stderr
    (run,) = stored(metered)
    metrics = run.data.metrics
    assert "disagreeing" in marks(run)
    assert metrics["quality/meter_disagreement"] == pytest.approx(0.2)
    # The first one counts.
    total_wh = metrics["energy/total_wh"]
    assert total_wh == pytest.approx(metrics["energy/cpu_wh"] + metrics["energy/gpu_wh"])
    witnessed_wh = metrics["energy/eager/cpu_wh"] + metrics["energy/eager/gpu_wh"]
    assert witnessed_wh == pytest.approx(1.2 * total_wh)
    share = f"{metrics['quality/meter_disagreement']:.1%}"
    assert f"The meters counting,eager differ by at most {share}" in done.stdout
    assert "disagreeing: two meters differ by over 5%, and by more" in done.stdout


def test_samples_of_a_busy_host_are_marked_and_left_out_unless_asked_for(
    metered: Greenbench,
) -> None:
    # Kernels account CPU time in ticks: what lasts for a few of them is never marked.
    case = ("run", "-a", "dense.xs", "-a", "dense.s", "--epochs", "60", "--repeats", "1")
    with busy_host():
        done = metered(*case, "--meter", "steady")
    refused = metered.here("compare", "--json")
    included = metered.here("compare", "--json", "--include-disturbed")

    assert done.returncode == 0, done.stderr
    runs = stored(metered)
    assert len(runs) == 2
    for run in runs:
        assert "disturbed" in marks(run)
        assert run.data.metrics["quality/other_cpu_share"] > 0.05
        assert run.data.metrics["energy/total_wh"] > 0
    assert done.stdout.count(" 0 of 1 ") == 2
    assert "every sample was disturbed by other processes" in done.stdout
    assert refused.returncode == 2
    assert "every sample was disturbed by other processes" in refused.stderr
    (answer,) = json.loads(included.stdout)["answers"]
    counted = {size["case_id"]: size["energy_wh"] for size in answer["sizes"]}
    assert {name: energy["median"] for name, energy in counted.items()} == {
        run.data.tags["case_id"]: run.data.metrics["energy/total_wh"] for run in runs
    }


def test_processes_of_meters_end_with_a_worker_that_crashes_and_with_the_run(
    metered: Greenbench, eventually: Eventually
) -> None:
    bomb = ("run", "-s", "random", "-a", "bomb", "--trials", "3", "--epochs", "1")
    done = metered(*bomb, "--repeats", "1", "--meter", "spawning,forking")

    assert done.returncode == 0, done.stderr
    (journal,) = metered.journals
    statuses = [trial["status"] for trial in events(journal, "trial")]
    assert statuses == ["completed", "crashed", "completed"]
    # The first and the witness, and a control of each, before the crash and after it.
    assert len(bred(metered)) == 8
    eventually(lambda: are_gone(bred(metered)))


def test_processes_of_meters_end_with_a_worker_that_is_stopped_at_its_limit(
    metered: Greenbench, eventually: Eventually
) -> None:
    bomb = ("run", "-s", "random", "-a", "bomb", "--trials", "3", "--epochs", "1")
    # What does not hang must be through by then, however busy the machine is.
    hang = ("--set", "effect=hang", "--trial-timeout", "60")
    done = metered(*bomb, *hang, "--repeats", "1", "--meter", "spawning")

    assert done.returncode == 0, done.stderr
    (journal,) = metered.journals
    statuses = [trial["status"] for trial in events(journal, "trial")]
    assert statuses == ["completed", "timed_out", "completed"]
    assert len(bred(metered)) == 4
    eventually(lambda: are_gone(bred(metered)))


def test_a_killed_run_leaves_no_process_and_resumes_in_the_same_order(
    metered: Greenbench, eventually: Eventually
) -> None:
    sizes = [f"dense.{size}" for size in ("xs", "s", "m", "l")]
    chosen = [word for size in sizes for word in ("-a", size)]
    command = ("run", *chosen, "--epochs", "2", "--repeats", "2", "--meter", "spawning")
    # The third repeat waits to be killed.
    hold = metered.folder / "hold"
    hold.write_text("2")
    running = metered.start(*command)
    eventually(lambda: sum(bool(events(path, "result")) for path in metered.journals) == 2)
    (worker,) = psutil.Process(running.pid).children()
    running.kill()
    before, _ = running.communicate()
    assert len(bred(metered)) == 2
    eventually(lambda: are_gone([worker.pid, *bred(metered)]))
    assert sum(bool(events(path, "result")) for path in metered.journals) == 2
    hold.unlink()

    resumed = metered(*command)

    assert resumed.returncode == 0, resumed.stderr
    assert "resuming" in resumed.stderr
    order = finished(resumed.stderr)
    assert len(order) == 8
    # All cases with one seed, then all again; a fixed order would be an advantage to some.
    ids = sorted(f"default-{size}-torch-digits+epochs2" for size in sizes)
    assert sorted(order[:4]) == sorted(order[4:]) == ids
    assert order[: len(finished(before))] == finished(before)
    runs = stored(metered)
    by_time = [(run.data.tags["case_id"], run.data.tags["repeat"]) for run in runs]
    assert by_time == [(case_id, str(i // 4)) for i, case_id in enumerate(order)]
    assert all(run.data.metrics["energy/total_wh"] > 0 for run in runs)
    eventually(lambda: are_gone(bred(metered)))


def finished(output: str) -> list[str]:
    """Return the cases in the order in which their repeats were reported."""
    return re.findall(r"^\[\d+/\d+\] (\S+)(?: repeat \d+/\d+)?: ", output, re.MULTILINE)


def test_a_longer_window_repeats_training_and_changes_nothing_but_its_precision(
    metered: Greenbench,
) -> None:
    # On a CPU, a GPU that idles counts in the total alone.
    steady = (*TINY, "--meter", "steady", "--headline", "total")
    assert metered(*steady).returncode == 0
    done = metered(*steady, "--min-window", "2")

    assert done.returncode == 0, done.stderr
    plain, filled = (run.data.metrics for run in stored(metered))
    assert plain["quality/passes"] == 1
    assert filled["quality/passes"] > 1
    assert filled["time/wall_s"] > 2
    for name in ("samples_seen", "train_flops", "parameters", "epochs", "trials"):
        assert filled[f"cost/{name}"] == plain[f"cost/{name}"]
    for name in ("accuracy/validation", "accuracy/test"):
        assert filled[name] == plain[name]
    # One pass is booked, and all of them took at least the window.
    assert filled["time/train_s"] * filled["quality/passes"] >= 2
    expected_wh = POWER_W * filled["time/train_s"] / 3600
    assert filled["energy/train_wh"] == pytest.approx(expected_wh, rel=0.02)
