"""How long greenbench takes to start, in fresh processes, and what it imports meanwhile.

    python benchmarks/bench_startup.py --output docs/results/startup.json

command_s
    Wall time of commands that list and explain.
first_step_s
    From the start of ``greenbench run`` until its first trial starts, by that trial's own
    ``started_at`` in the journal: model and batches are built by then, as the warm-up has trained
    with them, and the first step follows within milliseconds. With a store that exists, and with
    one that is yet to be made. Idle power, which is measured for a chosen time, is left out.
steps_s
    What a worker does until then, one thing after the other.
imports
    The heaviest packages of both processes, in ms: of their own modules, and with all that they
    import first.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from greenbench.compare.stats import estimate
from greenbench.machine.environment import describe_environment

BARS = {"command_s": 0.4, "first_step_s": 8.0}
COMMANDS = ("--help", "list")
BACKENDS = ("torch", "keras")
TIMEOUT_S = 120.0
HEAVIEST = 8
PARENT = (
    "import sys, greenbench.cli, greenbench.cli.run, greenbench.running.session;"
    "import greenbench.terminal.progress;"
    "from greenbench.tracking import Store; Store('sqlite:///' + sys.argv[1])"
)
WORKER = """
import json, sys, time
from pathlib import Path
laps, at = {}, time.perf_counter()
def lap(name):
    global at
    laps[name], at = time.perf_counter() - at, time.perf_counter()
from greenbench import registry
from greenbench.running import worker
from greenbench.architectures import build_architecture
from greenbench.backends import BuildRequest
from greenbench.cases import Case
from greenbench.datasets import LoadContext
from greenbench.energy.meters import open_meter
from greenbench.search.warming import warm_up
registry.load_plugins()
lap("greenbench")
backend = registry.backends.get("BACKEND")("BACKEND", threads=1)
lap("backend")
meters = [open_meter("codecarbon") for _ in range(2)]
lap("meters")
case = Case(architecture="dense_poly", backend="BACKEND")
data = registry.datasets.get("digits")(LoadContext(seed=0, data_dir=Path(sys.argv[1])))
backend.load(data)
lap("data set")
network = build_architecture("dense_poly", data.image_shape, data.classes)
warm_up(backend, BuildRequest(network), case, data)
lap("warm-up")
print(json.dumps(laps))
"""
"""What the worker does before its first trial, in its order."""


def main() -> None:
    """Measure, and write the figures with the machine that they are from."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--output", type=Path, help="JSON file; default: print")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": describe_environment(1, {}),
            "bars": BARS,
            **measure(Path(folder), options.times),
            "imports": measure_imports(Path(folder)),
        }
    text = json.dumps(found, indent=2)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    print(text)


def measure(folder: Path, times: int) -> dict[str, Any]:
    """Return the wall seconds of all arms, which take turns in random order."""
    arms: dict[str, Callable[[int], float]] = {name: _command(name) for name in COMMANDS}
    for backend in BACKENDS:
        arms[f"{backend}, warm store"] = _first_step(backend, folder, is_warm=True)
        arms[f"{backend}, fresh store"] = _first_step(backend, folder, is_warm=False)
    laps: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in BACKENDS}
    for arm in arms.values():
        # The disk must be warm, and the warm store there.
        arm(-1)
    samples: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(times):
        for name in random.sample(list(arms), len(arms)):
            samples[name].append(arms[name](number))
        for backend, kept in laps.items():
            for step, seconds in _worker_steps(backend, folder).items():
                kept[step].append(seconds)
        print(f"round {number + 1} of {times}", file=sys.stderr)
    figures = {name: summary(seconds) for name, seconds in samples.items()}
    return {
        "command_s": {name: figures[name] for name in COMMANDS},
        "first_step_s": {name: each for name, each in figures.items() if name not in COMMANDS},
        "steps_s": {
            backend: {step: summary(seconds) for step, seconds in kept.items()}
            for backend, kept in laps.items()
        },
    }


def measure_imports(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the heaviest packages of the parent and of a worker of each backend."""
    programs = {"parent": PARENT, **{name: WORKER.replace("BACKEND", name) for name in BACKENDS}}
    return {
        name: _heaviest(_python("-X", "importtime", "-c", program, str(folder / f"{name}.db")))
        for name, program in programs.items()
    }


def _command(name: str) -> Callable[[int], float]:
    def run(_: int) -> float:
        began = time.perf_counter()
        _python("-m", "greenbench", name)
        return time.perf_counter() - began

    return run


def _first_step(backend: str, folder: Path, *, is_warm: bool) -> Callable[[int], float]:
    def run(number: int) -> float:
        runs = folder / (f"{backend}-warm" if is_warm else f"{backend}-{number}")
        environment = {
            **os.environ,
            "GREENBENCH_RUNS_DIR": str(runs),
            "GREENBENCH_HOST_LOCK": str(folder / "host.lock"),
            "GREENBENCH_IDLE_S": "0",
        }
        environment.pop("MLFLOW_TRACKING_URI", None)
        command = [sys.executable, "-m", "greenbench", "run", "-a", "dense_poly", "-b", backend]
        command += ["--epochs", "1", "--repeats", "1", "--fresh"]
        seen = set(runs.rglob("*.jsonl"))
        began = time.time()
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            started_at = _first_trial_at(runs, seen, process)
            if number < 0:
                process.wait()
        finally:
            # What follows is not asked for; a worker ends when its parent is gone.
            process.kill()
            process.wait()
        return started_at - began

    return run


def _first_trial_at(runs: Path, seen: set[Path], process: "subprocess.Popen[bytes]") -> float:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
        for journal in set(runs.rglob("*.jsonl")) - seen:
            for line in journal.read_text(encoding="utf-8").splitlines(keepends=True):
                if line.endswith("\n") and (entry := json.loads(line))["event"] == "trial":
                    return float(entry["values"]["started_at"])
    raise RuntimeError(f"no trial ran in {TIMEOUT_S:g} s; run `greenbench run` to see why")


def _worker_steps(backend: str, folder: Path) -> dict[str, float]:
    program = WORKER.replace("BACKEND", backend)
    done = _python("-c", program, str(folder))
    laps: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return laps


def _heaviest(done: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    """Return packages by what their own modules take; children are printed before parents."""
    own: dict[str, float] = defaultdict(float)
    whole: dict[str, float] = defaultdict(float)
    above: list[tuple[int, str]] = []
    for line in reversed(done.stderr.splitlines()):
        label, _, rest = line.partition("import time:")
        own_us, _, rest = rest.partition("|")
        whole_us, _, name = rest.partition("|")
        if label or not own_us.strip().isdigit():
            continue
        depth, package = len(name) - len(name.lstrip()), name.strip().partition(".")[0]
        while above and above[-1][0] >= depth:
            above.pop()
        own[package] += int(own_us) / 1000
        if package not in [each for _, each in above]:
            whole[package] += int(whole_us) / 1000
        above.append((depth, package))
    ranked = sorted(own, key=lambda package: -own[package])[:HEAVIEST]
    return [
        {"package": package, "own_ms": round(own[package]), "whole_ms": round(whole[package])}
        for package in ranked
    ]


def _python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True)


def summary(samples: list[float]) -> dict[str, Any]:
    """Return the median with its range or interval, its confidence, and n."""
    return asdict(estimate(samples))


if __name__ == "__main__":
    main()
