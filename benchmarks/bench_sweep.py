"""What a sweep of many short trials pays besides its training, in time and in memory.

    python benchmarks/bench_sweep.py --output docs/results/sweep.json

harness_share, mlflow_share
    Wall time of a repeat (warm-up, proposals, windows, events, journal), and of its logging, over
    that of the bare loop that trains the same, in pairs, in one process, in random order, with a
    second bare run as control. Of the logging, what passed inside MLflow's client is told apart.
logging_s, session_share
    A session end to end, with its worker and a store on the disk: seconds from the end of a repeat
    until MLflow and the journal have it, and wall time of a repeat with its delivery over what is
    booked to training and validation, less one.
memory_ratio, growth_mib
    Peak memory of the worker over that of a script without greenbench that does the same; and
    what a worker's memory grows by from trial to trial.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
from bench_overhead import Setting, over, run_bare, set_up, shuffled, summary

from greenbench import registry
from greenbench.cases import Case
from greenbench.datasets import LoadContext
from greenbench.results import CaseResult
from greenbench.results.journal import Journal
from greenbench.running.session import Session
from greenbench.search.repeat import run_repeat
from greenbench.settings import Settings
from greenbench.tracking import Store

SWEEP = Case(strategy="random", architecture="dense_poly", trials=64, epochs=25, batch_size=512)
GROWTH = replace(SWEEP, trials=200, epochs=1, repeats=1)
LARGE = replace(SWEEP, dataset="mnist", trials=3, epochs=1, batch_size=512, repeats=3)
FIRST, BLOCK = 20, 20
MIB = 2**20
BARS = {"overhead_share": 0.05, "logging_s": 0.5, "memory_ratio": 1.3}
BARE = """
import json, resource, sys
import numpy as np, torch
from torch import nn
torch.set_num_threads(1)
kept = np.load(sys.argv[1])
widths, trials, epochs, batch = json.loads(sys.argv[2])
data = {name: torch.from_numpy(kept[name]) for name in kept.files}
del kept
pixels, classes = data["train"][0].numel(), int(data["train_labels"].max()) + 1
for trial in range(trials):
    parts, before = [nn.Flatten()], pixels
    for width in widths:
        parts += [nn.Linear(before, width), nn.ReLU()]
        before = width
    model = nn.Sequential(*parts, nn.Linear(before, classes))
    optimizer = torch.optim.Adam(model.parameters())
    for epoch in range(epochs):
        for rows in torch.randperm(len(data["train"])).split(batch):
            found = model(data["train"][rows])
            loss = nn.functional.cross_entropy(found, data["train_labels"][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.inference_mode():
        for split in ("validation", "test"):
            for images in data[split].split(512):
                model(images).argmax(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@dataclass
class Timed:
    """MLflow's client, with the seconds that pass inside it."""

    client: Any
    spent_s: float = 0.0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return method(*arguments, **options)
            finally:
                self.spent_s += time.perf_counter() - began

        return call


@dataclass
class Watcher:
    """Listens to a session, and reads the memory of its worker after each trial."""

    rss_mib: list[float] = field(default_factory=list)

    def notice(self, message: str) -> None:
        """Pass a line on."""
        print(message, file=sys.stderr)

    def repeat_started(self, *_: object) -> None:
        """Forget the repeat before."""
        self.rss_mib.clear()

    def event(self, kind: str, values: Mapping[str, Any]) -> None:
        """Read the memory once a trial has finished."""
        if kind == "trial_finished":
            workers = psutil.Process().children()
            self.rss_mib.append(max(each.memory_info().rss for each in workers) / MIB)

    def repeat_finished(self, result: CaseResult | None) -> None:
        """Do nothing."""


def main() -> None:
    """Measure, and write the figures with the machine that they are from."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--output", type=Path, help="JSON file; default: print")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        setting = set_up(folder)
        found = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": dict(setting.bench.environment),
            "bars": BARS,
            "trials": SWEEP.trials,
            "epochs": SWEEP.epochs,
            **measure_pairs(setting, options.pairs),
            **measure_session(folder, options.pairs),
            **measure_memory(folder),
        }
    text = json.dumps(found, indent=2)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    print(text)


def measure_pairs(setting: Setting, pairs: int) -> dict[str, Any]:
    """Return by which shares a sweep and its logging take longer than the bare loop."""
    store = Store(f"sqlite:///{setting.folder / 'pairs.db'}")
    client = Timed(store._client)
    vars(store)["_client"] = client
    logging_s: list[float] = []
    inside_s: list[float] = []

    def full(seed: int) -> None:
        journal = Journal(setting.folder / f"{time.monotonic_ns()}.jsonl")
        result = run_repeat(setting.bench, SWEEP, seed + 1, "sweep", journal)
        began, client.spent_s = time.perf_counter(), 0.0
        store.log_result(result, journal.path.stem)
        logging_s.append(time.perf_counter() - began)
        inside_s.append(client.spent_s)

    arms: dict[str, Callable[[int], None]] = {
        "bare": lambda seed: run_bare(setting, SWEEP, seed),
        "control": lambda seed: run_bare(setting, SWEEP, seed),
        "full": full,
    }
    for arm in arms.values():
        arm(-1)
    logging_s.clear()
    inside_s.clear()
    wall: dict[str, list[float]] = {name: [] for name in arms}
    for seed in range(pairs):
        for name in shuffled(1, tuple(arms)):
            began = time.perf_counter()
            arms[name](seed)
            wall[name].append(time.perf_counter() - began)
        print(f"pair {seed + 1} of {pairs}", file=sys.stderr)
    repeats = [whole - part for whole, part in zip(wall["full"], logging_s, strict=True)]
    return {
        "bare_s": summary(wall["bare"]),
        "overhead_share": summary(over(wall, "full")),
        "control_share": summary(over(wall, "control")),
        "harness_share": summary(over({**wall, "full": repeats}, "full")),
        "logging_share": summary(_ratios(logging_s, wall["bare"])),
        "mlflow_share": summary(_ratios(inside_s, wall["bare"])),
        "mlflow_s": summary(inside_s),
    }


def measure_session(folder: Path, repeats: int) -> dict[str, Any]:
    """Return what a session needs to log a case, and what a case takes over its training."""
    case = replace(SWEEP, repeats=repeats + 1)
    logging_s, shares = [], []
    with Session(_settings(folder), "sweep", [case], Watcher()) as session:
        for _, repeat in session.repeats():
            began = time.perf_counter()
            result = session.run_repeat(case, repeat)
            ended = time.perf_counter()
            session.deliver(result)
            logged = time.perf_counter()
            phases = result.account.phases
            trained_s = sum(phases[name].duration_s for name in ("train", "evaluate"))
            logging_s.append(logged - ended)
            shares.append((logged - began) / trained_s - 1)
        session.finish()
    # The first repeat finds neither store nor experiment.
    return {
        "logging_s": summary(logging_s[1:]),
        "first_logging_s": logging_s[0],
        "session_share": summary(shares[1:]),
    }


def measure_memory(folder: Path) -> dict[str, Any]:
    """Return the peaks of worker and bare script, and by what a worker grows a trial."""
    peaks = {}
    cases = [replace(SWEEP, repeats=3)]
    if LARGE.dataset in _at_hand():
        cases.append(LARGE)
    for case in cases:
        ours = _worker_peaks_mib(folder, case)
        bare = [_bare_peak_mib(folder, case) for _ in ours]
        peaks[case.dataset] = {
            "worker_mib": summary(ours),
            "bare_mib": summary(bare),
            "ratio": summary(_ratios(ours, bare)),
        }
    return {"memory": peaks, "growth_mib": _growth_mib(folder)}


def _at_hand() -> list[str]:
    folder = os.environ.get("GREENBENCH_DATA_DIR")
    return ["mnist"] if folder and (Path(folder) / "MNIST").exists() else []


def _worker_peaks_mib(folder: Path, case: Case) -> list[float]:
    """Return the peak of a new worker for each repeat, its imports and data included."""
    found = []
    for repeat in range(case.repeats):
        watcher = Watcher()
        with Session(_settings(folder), "memory", [case], watcher, is_fresh=True) as session:
            result = session.run_repeat(case, repeat)
            found.append(max(*watcher.rss_mib, (result.peak_memory_bytes or 0) / MIB))
    return found


def _bare_peak_mib(folder: Path, case: Case) -> float:
    settings = _settings(folder)
    context = LoadContext(seed=0, data_dir=settings.data_dir)
    data = registry.datasets.get(case.dataset)(context)
    arrays: dict[str, Any] = {}
    for name in ("train", "validation", "test"):
        split = getattr(data, name)
        arrays |= {name: split.images, f"{name}_labels": split.labels}
    file = folder / "bare.npz"
    np.savez(file, **arrays)
    pixels = int(np.prod(data.image_shape))
    shape = ([pixels // 2, pixels // 4], case.trials, case.epochs, case.batch_size)
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(file), json.dumps(shape)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout) / MIB


def _growth_mib(folder: Path) -> dict[str, Any]:
    """Return the MiB that a worker grows by a trial, from block to block of trials."""
    watcher = Watcher()
    with Session(_settings(folder), "growth", [GROWTH], watcher, is_fresh=True) as session:
        session.run_repeat(GROWTH, 0)
        at = watcher.rss_mib[FIRST - 1 :: BLOCK]
    slopes = [(after - before) / BLOCK for before, after in pairwise(at)]
    return {**summary(slopes), "trials": GROWTH.trials, "first_mib": at[0], "last_mib": at[-1]}


def _settings(folder: Path) -> Settings:
    environment = {**os.environ, "GREENBENCH_RUNS_DIR": str(folder / "runs")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return Settings.from_environment(environment, idle_s=0.0)


def _ratios(some: Sequence[float], others: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(some, others, strict=True)]


if __name__ == "__main__":
    main()
