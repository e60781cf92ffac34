"""How long it takes to read a store and to compare what is in it, and how much memory.

    python benchmarks/bench_compare.py --output docs/results/compare.json

For each size a store is made up in a temporary folder, and then read and compared in fresh
processes. `runs` counts repeats of cases; their trials are further runs in the same store, which
make the search for the repeats longer.

open_s
    Importing MLflow and opening the store, which does not grow with it.
read_s, compare_s
    All repeats as rows; `greenbench.compare.returns.compare_returns` of them.
trials_s
    The trials of the latest session as rows.
peak_mib
    Largest resident memory of the process.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from make_store import make_store

from greenbench.compare.returns import compare_returns
from greenbench.compare.sessions import newest
from greenbench.energy.host import peak_memory_bytes
from greenbench.machine.environment import describe_environment
from greenbench.tracking import Store

T = TypeVar("T")

BARS = {"s_per_1000_runs": 1.0, "peak_mib": 1e9 / 2**20, "growth": 1.0}
"""10 s for a store of 10,000 runs and 100 s for 100,000, trials' runs included; 1 GB; time grows
as this power of the number."""


def main() -> None:
    """Measure, and write the figures with the machine that they are from."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", default="4000,40000", help="results in each store, with commas")
    parser.add_argument("--times", type=int, default=3, help="fresh processes a store")
    parser.add_argument("--note", default="", help="what a reader must know of the machine")
    parser.add_argument("--output", type=Path, help="JSON file; default: print")
    parser.add_argument("--store", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.store:
        print(json.dumps(measure(options.store)))
        return
    stores = [measure_store(int(runs), options.times) for runs in options.runs.split(",")]
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe_environment(1, {}),
        "note": options.note,
        "bars": BARS,
        "times": options.times,
        "stores": stores,
        "growth": growth(stores),
    }
    text = json.dumps(found, indent=2)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    print(text)


def measure_store(runs: int, times: int) -> dict[str, Any]:
    """Return the medians of several fresh processes that read and compare the same store."""
    with TemporaryDirectory() as folder:
        database = Path(folder) / "mlflow.db"
        began = time.perf_counter()
        all_runs = make_store(database, runs)
        made_s = time.perf_counter() - began
        print(f"made a store with {all_runs} runs in {made_s:.0f} s", file=sys.stderr)
        command = [sys.executable, __file__, "--store", f"sqlite:///{database}"]
        samples = []
        for _ in range(times):
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            samples.append(json.loads(done.stdout))
            print(done.stdout, end="", file=sys.stderr)
    medians = {name: median(sample[name] for sample in samples) for name in samples[0]}
    return {**medians, "all_runs": all_runs, "made_s": made_s}


def measure(uri: str) -> dict[str, float]:
    """Return seconds and memory of this process, which has done nothing yet."""
    store, open_s, _ = timed(lambda: Store.existing(uri))
    rows, read_s, read_cpu_s = timed(store.read_rows)
    _, compare_s, compare_cpu_s = timed(lambda: compare_returns(rows))
    latest, _ = newest(rows)
    trials, trials_s, _ = timed(lambda: store.read_trials(latest))
    return {
        "runs": len(rows),
        "open_s": open_s,
        "read_s": read_s,
        "compare_s": compare_s,
        "cpu_s": read_cpu_s + compare_cpu_s,
        "trials": len(trials),
        "trials_s": trials_s,
        "peak_mib": (peak_memory_bytes() or 0) / 2**20,
    }


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """Return a result, and the wall and CPU seconds that it took."""
    began, began_cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - began, time.process_time() - began_cpu


def growth(stores: list[dict[str, Any]]) -> float | None:
    """Return the power of the number of runs that time grows with, smallest to largest store."""
    first, last = (choose(stores, key=lambda store: store["runs"]) for choose in (min, max))
    if first["runs"] == last["runs"]:
        return None
    ratio = (last["read_s"] + last["compare_s"]) / (first["read_s"] + first["compare_s"])
    return math.log(ratio) / math.log(last["runs"] / first["runs"])


if __name__ == "__main__":
    main()
