"""What two models of the CPU charge a case beside others' work: the machine's load, and its own.

    python benchmarks/bench_meters.py --output docs/results/meters.json

One case with one seed, trained by one process with both meters in the same windows: codecarbon,
which models the load of the whole machine, and the process meter. In pairs, in random order: as the
machine is (`alone`), and beside a process of ours that keeps a core busy. Each pair gives a ratio,
for each meter.
"""

import argparse
import json
import random
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from greenbench import registry
from greenbench.cases import Case
from greenbench.compare.stats import estimate
from greenbench.energy.carbon import carbon_intensity
from greenbench.energy.meters import open_meter
from greenbench.machine.environment import describe_environment
from greenbench.results.account import Account
from greenbench.results.journal import Journal
from greenbench.results.marks import marks_of
from greenbench.results.quality import others_share
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat

METERS = ("codecarbon", "process")
ARMS = ("alone", "beside")
BUSY = "while True: pass"
MEASURING = "--measuring"


def main() -> None:
    """Measure, and write the figures with the machine that they are from."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--output", type=Path, help="JSON file; default: print")
    parser.add_argument(MEASURING, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measuring:
        measure(Case(strategy="default", epochs=options.epochs))
        return
    rows = collect(options.pairs, options.epochs)
    machine = rows[0]["machine"]
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine,
        "pairs": options.pairs,
        "case": Case(strategy="default", epochs=options.epochs).id,
        "source": rows[0]["source"],
        "arms": {arm: summary_of([row for row in rows if row["arm"] == arm]) for arm in ARMS},
        "ratio": {name: ratio(rows, name) for name in (*METERS, "wall_s")},
    }
    text = json.dumps(found, indent=2)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    print(text)


def collect(pairs: int, epochs: int) -> list[dict[str, Any]]:
    """Return what each repeat gave, pair by pair."""
    command = [sys.executable, __file__, MEASURING, "--epochs", str(epochs)]
    rows = []
    # What measures has the burner neither as a child nor as a parent.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for pair in range(pairs):
            for arm in random.sample(ARMS, len(ARMS)):
                burner = None
                if arm == "beside":
                    burner = subprocess.Popen([sys.executable, "-c", BUSY])
                try:
                    process.stdin.write("\n")
                    process.stdin.flush()
                    row = json.loads(process.stdout.readline())
                finally:
                    if burner:
                        burner.kill()
                        burner.wait()
                rows.append({**row, "arm": arm, "pair": pair})
            print(f"pair {pair + 1} of {pairs}", file=sys.stderr)
        process.stdin.close()
    return rows


def measure(case: Case) -> None:
    """Run the case once for each line of standard input, and print what it gave."""
    with TemporaryDirectory() as folder:
        backend = registry.backends.get("torch")("torch", threads=1)
        bench = Bench(
            backend=backend,
            meter=open_meter(",".join(METERS)),
            control=open_meter(METERS[0]),
            intensity=carbon_intensity(),
            environment=describe_environment(1, backend.describe()),
            data_dir=Path(folder),
            emit=lambda event, values: None,
        )
        for number, _ in enumerate(sys.stdin):
            result = run_repeat(bench, case, 0, "meters", Journal(Path(folder) / f"{number}.jsonl"))
            total = result.account.total
            own = total.witnesses["process"]
            # What its marks would be, had the process meter been the first.
            other = replace(result, account=Account({"train": replace(total, components=own)}))
            row = {
                "codecarbon": total.energy_j,
                "process": own["cpu"].energy_j,
                "wall_s": total.duration_s,
                "others": others_share(
                    total.other_cpu_s, total.duration_s, int(bench.environment["cores"])
                ),
                "marks": {"codecarbon": marks_of(result), "process": marks_of(other)},
                "machine": dict(bench.environment),
                "source": {
                    "codecarbon": total.components["cpu"].source,
                    "process": own["cpu"].source,
                },
            }
            print(json.dumps(row), flush=True)


def summary_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of one arm."""
    names = (*METERS, "wall_s", "others")
    return {
        **{name: interval([row[name] for row in rows]) for name in names},
        "disturbed": {
            meter: sum("disturbed" in row["marks"][meter] for row in rows) for meter in METERS
        },
    }


def ratio(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the figure beside others' work over that alone, pair by pair."""
    found = {(row["pair"], row["arm"]): row[name] for row in rows}
    pairs = {row["pair"] for row in rows}
    return interval([found[pair, "beside"] / found[pair, "alone"] for pair in pairs])


def interval(samples: list[float]) -> dict[str, Any]:
    """Return the median with its range or interval, its confidence, the extremes, and n."""
    return {**asdict(estimate(samples)), "least": min(samples), "most": max(samples)}


if __name__ == "__main__":
    main()
