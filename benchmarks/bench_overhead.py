"""What greenbench costs over a bare training loop that does the same trials.

    python benchmarks/bench_overhead.py --output docs/results/overhead.json

Three questions, each answered with an interval:

steady_share
    CPU time of all threads but the training one, and of child processes, while windows are
    open, as a share of their length. The same training without windows is the control.
edge_ms
    What it takes to close one window and to open the next, which no window sees.
harness_share
    CPU time of a whole repeat (warm-up, ledger, journal, MLflow) over that of the bare loop,
    less one; in pairs, in random order, with a second bare run as A/A control.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from greenbench import registry
from greenbench.architectures import build_architecture
from greenbench.backends import BuildRequest, TrainableModel
from greenbench.backends.base import sample_order
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Case
from greenbench.compare.stats import estimate
from greenbench.datasets import Dataset, LoadContext
from greenbench.energy.carbon import carbon_intensity
from greenbench.energy.host import HostWatch
from greenbench.energy.ledger import Ledger
from greenbench.energy.meters import open_meter
from greenbench.machine.environment import describe_environment
from greenbench.optimizers.options import optimizer_options
from greenbench.results.journal import Journal
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.tracking import Store

T = TypeVar("T")

TRIALS = 8
METER = "codecarbon"
BARS = {"steady_share": 0.005, "edge_ms": 2.0, "harness_share": 0.02}
STARTS = {
    "python": "pass",
    "import torch": "import torch",
    "worker ready": (
        "from greenbench.backends.torch import TorchBackend as T; T('torch', threads=1);"
        "from greenbench.energy.meters import open_meter as m; m('codecarbon'); m('codecarbon')"
    ),
    "store open": (
        "import sys; from greenbench.tracking import Store; Store('sqlite:///' + sys.argv[1])"
    ),
}


@dataclass(frozen=True)
class Setting:
    """What all arms share: one process, one backend, one data set in memory."""

    bench: Bench
    dataset: Dataset
    folder: Path


def main() -> None:
    """Measure, and write the figures with the machine that they are from."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0, help="training of a case")
    parser.add_argument("--window", type=float, default=5.0, help="length of a steady window")
    parser.add_argument("--output", type=Path, help="JSON file; default: print")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        setting = set_up(Path(folder))
        found: dict[str, Any] = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": dict(setting.bench.environment),
            "meter": setting.bench.meter.describe()["cpu"].source,
            "bars": BARS,
            "case_s": options.seconds,
            "window_s": options.window,
            **measure_steady(setting, options.pairs, options.window),
            **measure_edges(setting),
            **measure_harness(setting, options.pairs, options.seconds),
            "startup_s": measure_startup(Path(folder)),
        }
    text = json.dumps(found, indent=2)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    print(text)


def set_up(folder: Path) -> Setting:
    """Return the parts of a worker in this process."""
    backend = TorchBackend("torch", threads=1)
    dataset: Dataset = registry.datasets.get("digits")(LoadContext(seed=0, data_dir=folder))
    bench = Bench(
        backend=backend,
        meter=open_meter(METER),
        control=open_meter(METER),
        intensity=carbon_intensity(),
        environment=describe_environment(1, backend.describe()),
        data_dir=folder,
        emit=lambda event, values: None,
    )
    backend.load(dataset)
    return Setting(bench, dataset, folder)


def measure_steady(setting: Setting, pairs: int, window_s: float) -> dict[str, Any]:
    """Return the share of other threads and processes, with windows and without."""
    model = build(setting, Case(), {}, 0)
    meter, control = setting.bench.meter, setting.bench.control
    shares: dict[bool, list[float]] = {True: [], False: []}
    for is_measured in shuffled(pairs, (True, False)):
        if is_measured:
            control.begin_window()
            meter.begin_window()
        wall, others = time.perf_counter(), others_s()
        while time.perf_counter() - wall < window_s:
            model.train_epoch(sample_order(len(setting.dataset.train), 64, 0, 0))
        shares[is_measured].append((others_s() - others) / (time.perf_counter() - wall))
        if is_measured:
            meter.end_window()
            control.end_window()
    return {"steady_share": summary(shares[True]), "steady_control": summary(shares[False])}


def measure_edges(setting: Setting, edges: int = 400) -> dict[str, Any]:
    """Return milliseconds from the end of one window's work to the start of the next's."""
    model = build(setting, Case(), {}, 0)
    ledger = Ledger(setting.bench.meter, HostWatch())
    order = sample_order(len(setting.dataset.train), 64, 0, 0)[: 64 * 5]
    took_ms = []
    ledger.open()
    for _ in range(edges // 2):
        model.train_epoch(order)
        began = time.perf_counter()
        with ledger.phase("train"):
            took_ms.append(1000 * (time.perf_counter() - began))
            model.train_epoch(order)
            began = time.perf_counter()
        took_ms.append(1000 * (time.perf_counter() - began))
    ledger.close()
    p99 = quantiles(took_ms, n=100)[-1]
    return {"edge_ms": {**summary(took_ms), "p99": p99, "max": max(took_ms)}}


def measure_harness(setting: Setting, pairs: int, seconds: float) -> dict[str, Any]:
    """Return CPU and wall time of whole repeats over the bare loop's, less one."""
    case = calibrated(setting, seconds)
    store = Store(f"sqlite:///{setting.folder / 'mlflow.db'}")
    arms: dict[str, Callable[[int], None]] = {
        "bare": lambda seed: run_bare(setting, case, seed),
        "control": lambda seed: run_bare(setting, case, seed),
        "full": lambda seed: run_full(setting, store, case, seed),
    }
    for arm in arms.values():
        arm(-1)
    cpu: dict[str, list[float]] = {name: [] for name in arms}
    wall: dict[str, list[float]] = {name: [] for name in arms}
    for seed in range(pairs):
        for name in shuffled(1, tuple(arms)):
            began, began_cpu = time.perf_counter(), cpu_s()
            arms[name](seed)
            cpu[name].append(cpu_s() - began_cpu)
            wall[name].append(time.perf_counter() - began)
        print(f"pair {seed + 1} of {pairs}", file=sys.stderr)
    return {
        "harness_share": summary(over(cpu, "full")),
        "harness_control": summary(over(cpu, "control")),
        "harness_wall_share": summary(over(wall, "full")),
        "harness_wall_control": summary(over(wall, "control")),
        "bare_s": summary(wall["bare"]),
    }


def measure_startup(folder: Path, times: int = 5) -> dict[str, Any]:
    """Return wall seconds of fresh processes: what is paid once, however long a run is."""
    found: dict[str, list[float]] = {name: [] for name in STARTS}
    for i in range(times):
        for name, program in STARTS.items():
            began = time.perf_counter()
            database = folder / f"start-{i}.db"
            subprocess.run([sys.executable, "-c", program, database], check=True)
            found[name].append(time.perf_counter() - began)
    return {name: summary(seconds) for name, seconds in found.items()}


def run_bare(setting: Setting, case: Case, seed: int) -> None:
    """Do the trials of a repeat with nothing around them."""
    # With a data set of its own, as a repeat has one.
    split = LoadContext(seed=case.derive_seed(seed + 1, "split"), data_dir=setting.folder)
    dataset: Dataset = registry.datasets.get(case.dataset)(split)
    setting.bench.backend.load(dataset)
    space = registry.spaces.get(case.space)
    strategy = registry.strategies.get(case.strategy)(
        space, trials=case.trials, seed=case.derive_seed(seed + 1, "strategy")
    )
    best: tuple[float, TrainableModel] | None = None
    for index in range(case.trials):
        hyperparameters = strategy.ask()
        # With the seeds of a repeat: what a training costs depends on the numbers it meets.
        model = build(setting, case, hyperparameters, case.derive_seed(seed + 1, "trial", index))
        order = case.derive_seed(seed + 1, "order", index)
        for epoch in range(case.epochs):
            model.train_epoch(sample_order(len(dataset.train), case.batch_size, order, epoch))
        accuracy = model.evaluate("validation")
        strategy.tell(hyperparameters, accuracy)
        if best is None or accuracy > best[0]:
            best = accuracy, model
    if best is not None:
        best[1].evaluate("test")


def run_full(setting: Setting, store: Store, case: Case, seed: int) -> None:
    """Run a repeat as greenbench does, and log it."""
    path = setting.folder / f"{time.monotonic_ns()}.jsonl"
    result = run_repeat(setting.bench, case, seed + 1, "overhead", Journal(path))
    store.log_result(result, path.stem)


def calibrated(setting: Setting, seconds: float) -> Case:
    """Return a case whose trials train for about `seconds` here."""
    pilot = Case(strategy="random", trials=TRIALS, epochs=4)
    run_bare(setting, pilot, -1)
    began = time.perf_counter()
    run_bare(setting, pilot, -1)
    epochs = round(4 * seconds / (time.perf_counter() - began))
    return Case(strategy="random", trials=TRIALS, epochs=max(epochs, 1))


def build(
    setting: Setting, case: Case, hyperparameters: dict[str, float | int], seed: int
) -> TrainableModel:
    """Return a new model of the case."""
    data = setting.dataset
    spec = build_architecture(case.architecture, data.image_shape, data.classes, size=case.size)
    optimizer = optimizer_options("adam", hyperparameters)
    return setting.bench.backend.build(BuildRequest(spec, optimizer, case.batch_size, seed))


def shuffled(times: int, arms: tuple[T, ...]) -> Iterator[T]:
    """Yield all arms `times` times, each time in another order."""
    for _ in range(times):
        yield from random.sample(arms, len(arms))


def over(times: dict[str, list[float]], arm: str) -> list[float]:
    """Return by which share an arm took longer than the bare loop of its pair."""
    return [one / bare - 1 for one, bare in zip(times[arm], times["bare"], strict=True)]


def others_s() -> float:
    """Return CPU seconds of all threads but this one, and of children that have ended."""
    return cpu_s() - time.thread_time()


def cpu_s() -> float:
    """Return CPU seconds of this process and of its children that have ended."""
    spent = os.times()
    return time.process_time() + spent.children_user + spent.children_system


def summary(samples: list[float]) -> dict[str, Any]:
    """Return the median with its range or interval, its confidence, and n."""
    return asdict(estimate(samples))


if __name__ == "__main__":
    main()
