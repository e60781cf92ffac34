"""Whether anything gets lost, or slow, where a run has many cases, trials, workers and faults.

    python benchmarks/bench_scale.py load --output docs/results/scale_load.json
    python benchmarks/bench_scale.py growth --output docs/results/scale_growth.json

load
    Cases on made-up images, by four workers of a Dask cluster, each with a host lock of its own, as
    if it had a machine of its own. Workers and the driver are killed at random, and the MLflow
    server is restarted. Then each repeat must be in MLflow exactly once, with all its trials, and
    phases must add up. `stretch` is the wall time from the first repeat's start until the driver
    has ended, over that of workers which do nothing but these repeats: the sum of their durations
    over the number of workers. `stretch_until_tail` ends with the last repeat.
    The driver is on a machine of its own, too, as it is on a cluster's login node: it sees another
    host name and another start of the machine than the workers, where root and `unshare` are there.
    So it tells MLflow meanwhile. Else it is where they measure, and tells MLflow at the end;
    `driver_is_apart` says which it was.
growth
    A training that does nothing, many trials of it, by one worker: CPU time a trial of driver and
    worker by decades of trials, what it takes to tell MLflow of one at the end, and the most memory
    of the driver.
"""

import argparse
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from greenbench.machine.environment import describe_environment
from greenbench.tracking import Store

TRIALS_A_CASE = 100

PARTS = """
import os
import greenbench
from greenbench.cases import Case

NAMES = ("SCALE_CASES", "SCALE_TRIALS", "SCALE_EPOCHS")
NUMBER, TRIALS, EPOCHS = (int(os.environ[name]) for name in NAMES)


@greenbench.register_training("nothing_at_all", score="loss")
def nothing_at_all(run):
    run.costs(parameters=1, train_flops_per_sample=1)
    return (float(run["learning_rate"]) - 0.01) ** 2


@greenbench.register_suite("scale_load")
def scale_load():
    return [
        Case(
            strategy="random", architecture="simple_cnn", size="xs", dataset="synthetic",
            dataset_options=(("samples", 400), ("side", 8)),
            trials=TRIALS, epochs=EPOCHS, repeats=1, seed=seed,
        )
        for seed in range(NUMBER)
    ]


@greenbench.register_suite("scale_growth")
def scale_growth():
    return [
        Case(
            strategy="random", architecture="nothing_at_all", backend="own", dataset="own",
            space="rate", trials=TRIALS, epochs=1, repeats=1, seed=seed,
        )
        for seed in range(NUMBER)
    ]
"""
START_S = 300
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""By which greenbench tells whether two processes are on one machine."""


@dataclass
class Place:
    """A folder with the processes of one benchmark, which end with it."""

    folder: Path
    environment: dict[str, str]
    stack: ExitStack
    port: int = 0
    scheduler: str = ""
    apart: tuple[str, ...] = ()
    workers: dict[int, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    server: "subprocess.Popen[bytes] | None" = None

    def start(self, name: str, *command: str, **variables: str) -> "subprocess.Popen[bytes]":
        """Start a process whose output goes to a log, and that is ended with the rest."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**self.environment, **variables},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.stack.callback(end, process)
        return process

    def start_server(self) -> None:
        """Start the MLflow server, at the same address as before."""
        self.server = self.start(
            "server", sys.executable, "-m", "mlflow", "server", "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}",
            "--host", "127.0.0.1", "--port", str(self.port),
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", MLFLOW_TRACKING_URI="",
        )  # fmt: skip

    def start_scheduler(self) -> None:
        """Start a Dask scheduler on loopback."""
        port = free_port()
        self.scheduler = f"tcp://127.0.0.1:{port}"
        self.start(
            "scheduler", sys.executable, "-m", "distributed.cli.dask_scheduler",
            "--host", "127.0.0.1", "--port", str(port), "--no-dashboard",
        )  # fmt: skip
        await_port(port)

    def start_worker(self, number: int) -> None:
        """Start a worker that measures as if it had a machine of its own."""
        self.workers[number] = self.start(
            f"dask-worker-{number}",
            sys.executable, "-m", "distributed.cli.dask_worker", self.scheduler,
            "--nthreads", "1", "--no-nanny", "--no-dashboard", "--resources", "METER=1",
            "--local-directory", str(self.folder / f"scratch-{number}"),
            GREENBENCH_HOST_LOCK=str(self.folder / f"host-{number}.lock"),
        )  # fmt: skip

    def start_run(self, suite: str) -> "subprocess.Popen[bytes]":
        """Start the driver, or start it again, on the same machine as before."""
        command = f"-m greenbench run {suite} -p parts.py --scheduler {self.scheduler}"
        return self.start("run", *self.apart, sys.executable, *command.split())

    def journals(self) -> list[Path]:
        """Return what the driver has of all repeats."""
        return sorted((self.folder / "mlruns" / "journal").glob("*/*.jsonl"))


@contextmanager
def place(folder: Path, *, cases: int, trials: int, epochs: int) -> Iterator[Place]:
    """Yield a folder with the suites in it, an MLflow server and a scheduler."""
    (folder / "parts.py").write_text(PARTS)
    port = free_port()
    environment = {
        **os.environ,
        "GREENBENCH_RUNS_DIR": str(folder / "mlruns"),
        "GREENBENCH_THREADS": "1",
        "GREENBENCH_IDLE_S": "0",
        "GREENBENCH_CONTROL": "0",
        "GREENBENCH_CARBON_INTENSITY": "100",
        "SCALE_CASES": str(cases),
        "SCALE_TRIALS": str(trials),
        "SCALE_EPOCHS": str(epochs),
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}",
    }
    with ExitStack() as stack:
        made = Place(folder, environment, stack, port)
        made.start_server()
        await_port(port)
        made.start_scheduler()
        yield made


def machine_apart(folder: Path) -> tuple[str, ...]:
    """Return what a command begins with that sees a machine of its own; nothing if none can."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return ()
    boot_id = folder / "boot_id"
    boot_id.write_text(f"{uuid.uuid4()}\n")
    script = folder / "apart.sh"
    script.write_text(
        f'mount --bind {shlex.quote(str(boot_id))} {BOOT_ID} && hostname driver && exec "$@"\n'
    )
    apart = ("unshare", "--uts", "--mount", "--propagation", "private", "sh", str(script))
    seen = subprocess.run(
        [*apart, "cat", str(BOOT_ID)], capture_output=True, text=True, check=False
    )
    return apart if seen.stdout == boot_id.read_text() else ()


def load(
    folder: Path,
    *,
    cases: int,
    workers: int = 4,
    trials: int = 2,
    epochs: int = 80,
    kills: int = 10,
    restarts: int = 2,
    seed: int = 0,
) -> dict[str, Any]:
    """Run cases under faults, which are spread over the run, and return what came of it."""
    draw = random.Random(seed)
    kinds = ["worker"] * kills + ["driver"] * restarts + ["store"] * restarts
    due = sorted((draw.uniform(0, 0.9), kind) for kind in kinds)
    injected: Counter[str] = Counter()
    with place(folder, cases=cases, trials=trials, epochs=epochs) as here:
        here.apart = machine_apart(folder)
        for number in range(workers):
            here.start_worker(number)
        driver = here.start_run("scale_load")
        over = Over()
        while driver.poll() is None:
            time.sleep(0.2)
            # When all are over, the driver is about to end.
            while due and cases > over.look(here.journals()) >= due[0][0] * cases:
                kind = due.pop(0)[1]
                driver = inject(here, kind, driver, draw)
                injected[kind] += 1
        code, ended_at = driver.returncode, time.time()
        # On a busy machine a server that was restarted near the end may not be back yet.
        await_port(here.port)
        delivered = subprocess.run(
            [*here.apart, sys.executable, "-m", "greenbench", "sync"],
            cwd=folder, env=here.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        found = found_in(Store(here.environment["MLFLOW_TRACKING_URI"]), cases, trials)
        ideal_s, tail_s = found["busy_s"] / workers, ended_at - found["ended_at"]
        return {
            "exit_code": code,
            "sync_exit_code": delivered.returncode,
            "workers": workers,
            "driver_is_apart": bool(here.apart),
            "epochs": epochs,
            "injected": dict(injected),
            **found,
            "tail_s": tail_s,
            "stretch_until_tail": found["until_tail_s"] / ideal_s,
            "stretch": (found["until_tail_s"] + tail_s) / ideal_s,
        }


def inject(
    here: Place, kind: str, driver: "subprocess.Popen[bytes]", draw: random.Random
) -> "subprocess.Popen[bytes]":
    """Kill something, start it again, and return the driver that runs now."""
    if kind == "worker":
        number = draw.choice(sorted(here.workers))
        end(here.workers[number])
        here.start_worker(number)
    elif kind == "store" and here.server:
        end(here.server)
        here.start_server()
    elif kind == "driver":
        end(driver)
        # One that has ended by itself would measure all anew.
        return here.start_run("scale_load") if driver.returncode == -signal.SIGKILL else driver
    return driver


@dataclass
class Over:
    """How many repeats are over; a journal that says so is not read again."""

    _over: set[Path] = field(default_factory=set)

    def look(self, journals: Sequence[Path]) -> int:
        """Return how many there are by now."""
        left = [path for path in journals if path not in self._over]
        self._over.update(path for path in left if b'{"event": "result"' in path.read_bytes())
        return len(self._over)


def found_in(store: Store, cases: int, trials: int) -> dict[str, Any]:
    """Return what MLflow has: how often each repeat, how many trials, and whether phases add up."""
    rows = store.read_rows("scale_load")
    times = Counter((row["case_id"], row["repeat"]) for row in rows)
    told = Counter((row["case_id"], row["trial"]) for row in store.read_trials(rows))
    ends = [row["started_at"] + row["duration_s"] for row in rows]
    ended_at = max(ends)
    busy_s = sum(row["duration_s"] for row in rows)
    return {
        "cases": cases,
        "once": sum(number == 1 for number in times.values()),
        "more_than_once": sum(number > 1 for number in times.values()),
        "absent": cases - len(times),
        "trials": cases * trials,
        "trials_once": sum(number == 1 for number in told.values()),
        "trials_more_than_once": sum(number > 1 for number in told.values()),
        "phases_off": sum(phases_off(row) for row in rows),
        "repeat_s": busy_s / len(rows),
        "ended_at": ended_at,
        "until_tail_s": ended_at - min(row["started_at"] for row in rows),
        "busy_s": busy_s,
    }


def phases_off(row: dict[str, Any]) -> bool:
    """Return whether the phases of a repeat don't sum to its energy."""
    parts = [row.get(f"{phase}_wh") for phase in ("train", "evaluate", "search", "idle", "other")]
    known = [part for part in parts if part is not None]
    total = row["energy_wh"]
    return total is not None and bool(known) and abs(sum(known) - total) > 1e-6 * total


TOLD = 2000
"""Trials of which MLflow has been told before a run gives up telling, and leaves the rest."""


def growth(folder: Path, *, most: int) -> dict[str, Any]:
    """Run many trials that do nothing, and return what each decade of them took."""
    (folder / "told").mkdir()
    (folder / "grown").mkdir()
    _, told = grown(folder / "told", TOLD)
    samples, many = grown(folder / "grown", most)
    return {
        "trials": most,
        "trials_a_case": TRIALS_A_CASE,
        "decades": decades(samples),
        "driver_mib": max(sample["driver_mib"] for sample in samples),
        "journal_bytes_a_trial": many["journal_bytes"] / most,
        "delivered_trials": TOLD,
        "delivery_ms": told["delivery_ms"],
        "store_bytes_a_trial": told["store_bytes"] / TOLD,
    }


def grown(folder: Path, most: int) -> tuple[list[dict[str, float]], dict[str, float]]:
    """Run so many trials, and return what was seen meanwhile, and what was there at the end."""
    cases = -(-most // TRIALS_A_CASE)
    with place(folder, cases=cases, trials=TRIALS_A_CASE, epochs=1) as here:
        here.start_worker(0)
        driver = psutil.Process(here.start_run("scale_growth").pid)
        worker = psutil.Process(here.workers[0].pid)
        samples = list(watched(here, driver, worker))
        return samples, {
            "journal_bytes": sum(path.stat().st_size for path in here.journals()),
            "store_bytes": (folder / "server.db").stat().st_size,
            "delivery_ms": delivery_ms(samples),
        }


def watched(
    here: Place, driver: psutil.Process, worker: psutil.Process
) -> Iterator[dict[str, float]]:
    """Yield how far the run is, and what its processes have used, until it has ended."""
    counter = Counted()
    while driver.is_running() and driver.status() != psutil.STATUS_ZOMBIE:
        with suppress(psutil.Error):
            family = [worker, *worker.children(recursive=True)]
            yield {
                "trials": counter.look(here.journals()),
                "driver_s": used_s(driver),
                "worker_s": sum(map(used_s, family)),
                "driver_mib": driver.memory_info().rss / 2**20,
            }
        time.sleep(1)


@dataclass
class Counted:
    """How many trials journals have; each is read once, from where it ended before."""

    trials: int = 0
    _read: dict[Path, int] = field(default_factory=dict)

    def look(self, journals: Sequence[Path]) -> int:
        """Return how many there are by now."""
        for path in journals:
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                grown = file.read()
            whole = grown[: grown.rfind(b"\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(whole)
            self.trials += sum(line.startswith(b'{"event": "trial"') for line in whole.splitlines())
        return self.trials


def used_s(process: psutil.Process) -> float:
    """Return the CPU time of a process and of its children that have ended, in seconds."""
    with suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def delivery_ms(samples: Sequence[dict[str, float]]) -> float:
    """Return the driver's CPU time a trial after the last one, in ms: MLflow is told then."""
    most = samples[-1]["trials"]
    since = next(sample for sample in samples if sample["trials"] == most)
    return 1e3 * (samples[-1]["driver_s"] - since["driver_s"]) / most


def decades(samples: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """Return CPU time a trial, in ms, of each tenfold of the trials that were over."""
    found = []
    most = samples[-1]["trials"]
    # When the last one is over, MLflow is told, which is another figure.
    over = next(n for n, sample in enumerate(samples) if sample["trials"] == most)
    samples, low = samples[: over + 1], 10
    while low < samples[-1]["trials"]:
        high = min(10 * low, int(samples[-1]["trials"]))
        inside = [sample for sample in samples if low <= sample["trials"] <= high]
        if len(inside) > 1 and (more := inside[-1]["trials"] - inside[0]["trials"]):
            each = {
                f"{name}_ms": 1e3 * (inside[-1][f"{name}_s"] - inside[0][f"{name}_s"]) / more
                for name in ("driver", "worker")
            }
            found.append({"from": low, "to": high, **each})
        low = high if high < 10 * low else 10 * low
    return found


def free_port() -> int:
    """Return a port of loopback that nobody listens at.

    It is none of those that systems give who asks for any: a connection might have it while a
    server is started again.
    """
    draw = random.SystemRandom()
    while True:
        port = draw.randrange(10_000, 32_768)
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port


def await_port(port: int) -> None:
    """Wait until somebody listens at a port of loopback."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nobody listens at port {port} after {START_S} s")


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process with its group, as a machine does that is switched off."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    """Run one of the benchmarks, and write the figures with the machine that they are from."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("load", "growth"))
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=80, help="of a trial under load")
    parser.add_argument("--kills", type=int, default=10, help="of workers")
    parser.add_argument("--restarts", type=int, default=2, help="of driver and of MLflow's server")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        if given.what == "load":
            figures = load(
                Path(folder),
                cases=given.cases,
                epochs=given.epochs,
                kills=given.kills,
                restarts=given.restarts,
            )
        else:
            figures = growth(Path(folder), most=given.trials)
    found = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": describe_environment(1, {}),
        "figures": figures,
    }
    text = json.dumps(found, indent=2)
    print(text)
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
