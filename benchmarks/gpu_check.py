"""What must hold on a GPU, measured there: bars, figures, and whether they are met, as a table.

    PYTHON=python benchmarks/gpu_check.sh

Four parts: the five sizes of simple_cnn through the command line, with two meters; images a second
of the default path against a bare loop; joules a trial of 64 at once against one alone; and the
tests with the marker `gpu` that are not `slow`: those start whole runs, for some minutes more
(`pytest -m gpu`). Each part is a process of its own: one that fails, crashes or hangs is a row of
the table, and the others go on.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

SIZES = ("xs", "s", "m", "l", "xl")
REPEATS = 5
SAMPLES, SIDE, CLASSES = 20_000, 28, 10
LANES = 64
ROUNDS, TURNS = 5, 2
WINDOW_S = 3.0
LIMITS_S = {"family": 165, "speed": 50, "batches": 80, "tests": 75}
"""How long each part may take."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """A bar, what was measured, and whether it is met; None if it could not be measured."""

    bar: str
    measured: str
    is_met: bool | None


def main() -> int:
    """Measure, print the table, and return 0 if all bars are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="for scratch files")
    parser.add_argument("--parts", default=",".join(LIMITS_S), help="which parts, with commas")
    parser.add_argument("--write", type=Path, help="do the one part here, and write its rows")
    options = parser.parse_args()
    names = options.parts.split(",")
    if unknown := set(names) - set(LIMITS_S):
        parser.error(f"no part {', '.join(sorted(unknown))}; expected {', '.join(LIMITS_S)}")
    parts: dict[str, Callable[[], list[Verdict]]] = {
        "family": lambda: check_family(options.folder),
        "speed": check_speed,
        "batches": check_batches,
        "tests": check_tests,
    }
    if options.write:
        rows = [asdict(each) for name in names for each in attempt(name, parts[name])]
        options.write.write_text(json.dumps(rows))
        return 0
    found: list[Verdict] = []
    try:
        for name in names:
            started = time.monotonic()
            found += apart(name, options.folder, LIMITS_S[name])
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    finally:
        print(table(found), flush=True)
    return 0 if all(each.is_met for each in found) else 1


def apart(name: str, folder: Path, limit_s: float) -> list[Verdict]:
    """Do a part in a process of its own, and return what it found, or how it ended."""
    written = folder / f"{name}.json"
    command = [sys.executable, __file__, "--folder", str(folder), "--parts", name]
    # Nothing but the table goes to standard output.
    command += ["--write", str(written)]
    with subprocess.Popen(command, stdout=sys.stderr, start_new_session=True) as process:
        try:
            process.wait(limit_s)
            end = f"it ended with {process.returncode}"
        except subprocess.TimeoutExpired:
            end = f"it took more than {limit_s:g} s"
        finally:
            stop(process)
    try:
        return [Verdict(**row) for row in json.loads(written.read_text())]
    except (OSError, ValueError):
        return [Verdict(f"{name} can be measured", end, None)]


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it started, if it still runs."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)


def attempt(name: str, part: Callable[[], list[Verdict]]) -> list[Verdict]:
    """Return what a part finds, or that it failed."""
    try:
        return part()
    except Exception as error:
        line = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        return [Verdict(f"{name} can be measured", line[:100], None)]


def table(found: Sequence[Verdict]) -> str:
    """Return the table as text: bar, measured, met or not."""
    words = {True: "met", False: "NOT MET", None: "not measured"}
    rows = [("bar", "measured", "verdict")]
    rows += [(each.bar, each.measured, words[each.is_met]) for each in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * (sum(widths) + 4), *lines[1:]])


# The family


def check_family(folder: Path) -> list[Verdict]:
    """Run five sizes through the command line, and judge what its store holds."""
    from greenbench.tracking import Store  # noqa: PLC0415

    networks = [part for size in SIZES for part in ("-a", f"simple_cnn.{size}")]
    meter = "codecarbon,zeus" if _has("zeus.monitor") else "codecarbon"
    done = subprocess.run(
        [
            sys.executable, "-m", "greenbench", "run", *networks, "-d", "synthetic",
            "--data", f"samples={SAMPLES}", "--data", f"side={SIDE}", "--batch-size", "512",
            "--epochs", "3", "--repeats", str(REPEATS), "--min-window", "3", "--meter", meter,
        ],
        check=False, env={**os.environ, "GREENBENCH_IDLE_S": "3"},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"greenbench run ended with {done.returncode}")
    uri = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    return judge_family(Store.existing(uri).read_rows())


def judge_family(rows: Sequence[Row]) -> list[Verdict]:
    """Judge rows of the five sizes: order, spread, drift and the second meter."""
    joules = {size: [3600 * row["gpu_wh"] for row in rows if row["size"] == size] for size in SIZES}
    counts = {size: len(values) for size, values in joules.items()}
    if set(counts.values()) != {REPEATS}:
        raise RuntimeError(f"expected {REPEATS} samples of each size, found {counts}")
    medians = [median(joules[size]) for size in SIZES]
    spreads = {size: stdev(values) / mean(values) for size, values in joules.items()}
    drifted = sum("drifted" in str(row["marks"] or "").split() for row in rows)
    shares = [row["meter_disagreement"] for row in rows if row["meter_disagreement"] is not None]
    two = max(shares) if len(shares) == len(rows) else None
    named = zip(SIZES, medians, strict=True)
    return [
        Verdict(
            f"energy of simple_cnn grows with its size, n = {REPEATS}",
            " < ".join(f"{size} {value:.1f} J" for size, value in named)
            if _rises(medians)
            else ", ".join(f"{value:.1f} J" for value in medians),
            _rises(medians),
        ),
        Verdict(
            "CV of each size at most 5%",
            ", ".join(f"{size} {spread:.1%}" for size, spread in spreads.items()),
            max(spreads.values()) <= 0.05,
        ),
        Verdict("no sample drifted", f"{drifted} of {len(rows)}", drifted == 0),
        Verdict(
            "two meters within 3%",
            "no second meter" if two is None else f"{two:.1%}",
            None if two is None else two <= 0.03,
        ),
    ]


def _rises(values: Sequence[float]) -> bool:
    return all(one < other for one, other in pairwise(values))


# Speed


def check_speed() -> list[Verdict]:
    """Train by the default path and by a bare loop in turns."""
    backend, dataset = _backend()
    return [
        judge_speed(batch_size, *_speeds(backend, dataset, batch_size), bar)
        for batch_size, bar in ((512, 2.5), (64, 5.0))
    ]


def judge_speed(
    batch_size: int, ours: Sequence[float], bare: Sequence[float], bar: float
) -> Verdict:
    """Judge images a second, round by round."""
    ratio = median(one / other for one, other in zip(ours, bare, strict=True))
    return Verdict(
        f"images/s at batch {batch_size} at least {bar:g} times the bare fused loop's",
        f"{ratio:.2f} ({median(ours) / 1000:.0f}k against {median(bare) / 1000:.0f}k)",
        ratio >= bar,
    )


def _speeds(backend: Any, dataset: Any, batch_size: int) -> tuple[list[float], list[float]]:
    from greenbench.backends import BuildRequest  # noqa: PLC0415
    from greenbench.backends.base import sample_order  # noqa: PLC0415

    model = backend.build(BuildRequest(_network(), batch_size=batch_size))
    arms = {"ours": model.train_epoch, "bare": _bare(backend, dataset, batch_size)}
    found: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(-1, ROUNDS):
        order = sample_order(len(dataset.train), batch_size, 0, turn + 1)
        # They take turns at being first.
        for name in sorted(arms, reverse=bool(turn % 2)):
            backend.synchronize()
            started, images = time.perf_counter(), 0
            while time.perf_counter() - started < 1.0:
                arms[name](order)
                images += len(order)
            backend.synchronize()
            # The first turn is the warm-up.
            if turn >= 0:
                found[name].append(images / (time.perf_counter() - started))
    return found["ours"], found["bare"]


def _bare(backend: Any, dataset: Any, batch_size: int) -> Callable[[Any], float]:
    """Return the fastest loop that one would write by hand, without a graph."""
    import torch  # noqa: PLC0415
    from torch.nn.functional import cross_entropy  # noqa: PLC0415

    from greenbench.backends import BuildRequest  # noqa: PLC0415

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images = torch.from_numpy(dataset.train.images).to(device)
    labels = torch.from_numpy(dataset.train.labels).to(device)
    module = backend.build(BuildRequest(_network(), batch_size=batch_size)).native().train()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)

    def train(order: Any) -> float:
        total = torch.zeros((), device=device)
        for batch in torch.split(torch.from_numpy(order).to(device), batch_size):
            optimizer.zero_grad()
            outputs = module(images.index_select(0, batch))
            loss = cross_entropy(outputs, labels.index_select(0, batch))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total.add_(loss.detach(), alpha=len(batch))
        return float(total) / len(order)

    return train


# Batches


def check_batches() -> list[Verdict]:
    """Measure joules a trial: alone without graphs, alone with them, and 64 at once."""
    from greenbench.backends.base import sample_order  # noqa: PLC0415
    from greenbench.energy.ledger import Ledger  # noqa: PLC0415
    from greenbench.energy.meters import open_meter  # noqa: PLC0415

    backend, dataset = _backend()
    ledger = Ledger(open_meter("codecarbon"))
    ledger.open()
    images = 2 * len(sample_order(len(dataset.train), 64, 0, 0))
    joules: dict[str, list[float]] = {}
    rates: dict[str, list[float]] = {}
    ways = _ways(backend, dataset)
    try:
        # The first call of each is the warm-up.
        for name, train in ways.items():
            _call(backend, name, train)
        for name, train in TURNS * list(ways.items()):
            trials, seconds = _windowed(backend, ledger, name, train)
            part = ledger.take().phases["train"].components["gpu"]
            if part.energy_j is None or not part.provenance.is_measured:
                raise RuntimeError(f"the GPU's energy is not measured: {part.reason}")
            joules.setdefault(name, []).append(part.energy_j / trials)
            rates.setdefault(name, []).append(trials * images / seconds)
    finally:
        ledger.close()
    return [
        *judge_batches({name: median(values) for name, values in joules.items()}),
        judge_rates({name: median(values) for name, values in rates.items()}),
    ]


def judge_batches(joules: Mapping[str, float]) -> list[Verdict]:
    """Judge joules a trial of the ways ``"plain"``, ``"graphs"`` and ``"batched"``."""
    return [
        Verdict(
            f"a trial of {LANES} at once takes at most {bar:g} of one alone {words} graphs",
            f"{joules['batched'] / joules[way]:.3f} ({joules['batched']:.2f} J against "
            f"{joules[way]:.2f} J)",
            joules["batched"] <= bar * joules[way],
        )
        for way, words, bar in (("plain", "without", 0.1), ("graphs", "with", 0.5))
    ]


def judge_rates(rates: Mapping[str, float]) -> Verdict:
    """Say how many images a second the ways train, builds and validation included."""
    batched, plain, graphs = (rates[name] / 1000 for name in ("batched", "plain", "graphs"))
    return Verdict(
        f"images/s of {LANES} trials at once, all lanes together, above those of one alone",
        f"{batched:.0f}k (alone: {plain:.0f}k without graphs, {graphs:.0f}k with)",
        batched > max(plain, graphs),
    )


def _windowed(backend: Any, ledger: Any, name: str, train: Callable[[], int]) -> tuple[int, float]:
    """Train again until the window is long enough to be read; return trials and seconds."""
    backend.synchronize()
    ledger.take()
    trials, started = 0, time.perf_counter()
    with ledger.phase("train"):
        while time.perf_counter() - started < WINDOW_S:
            trials += _call(backend, name, train)
    return trials, time.perf_counter() - started


def _call(backend: Any, name: str, train: Callable[[], int]) -> int:
    """Train once; return the number of trials, and say how long it took."""
    started = time.perf_counter()
    trials = train()
    backend.synchronize()
    print(f"{name}: {time.perf_counter() - started:.2f} s", file=sys.stderr, flush=True)
    return trials


def _ways(backend: Any, dataset: Any) -> dict[str, Callable[[], int]]:
    """Return ways to train; each builds, trains and validates, and returns how many trials."""
    import numpy as np  # noqa: PLC0415

    from greenbench.backends import BuildRequest  # noqa: PLC0415
    from greenbench.backends.base import AdamOptions, sample_order  # noqa: PLC0415

    def request(lane: int, **options: bool) -> BuildRequest:
        return BuildRequest(_network(), AdamOptions(1e-3 + lane * 1e-5), 64, lane, options)

    def alone(**options: bool) -> int:
        model = backend.build(request(0, **options))
        for epoch in range(2):
            model.train_epoch(sample_order(len(dataset.train), 64, 0, epoch))
        model.evaluate("validation")
        return 1

    def batched() -> int:
        batch = backend.build_batch([request(lane) for lane in range(LANES)])
        for epoch in range(2):
            orders = [sample_order(len(dataset.train), 64, lane, epoch) for lane in range(LANES)]
            batch.train_epoch(np.stack(orders))
        batch.evaluate("validation")
        return LANES

    return {"plain": lambda: alone(cuda_graphs=False), "graphs": alone, "batched": batched}


# The tests


def check_tests() -> list[Verdict]:
    """Run the tests that need a GPU."""
    # Named, since other files of the folder import what no GPU needs.
    files = sorted(map(str, Path("tests/integration").glob("test_gpu*.py")))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu and not slow", *files],
        check=False, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    print(done.stdout, file=sys.stderr)
    return [judge_tests(done.returncode, done.stdout)]


def judge_tests(returncode: int, output: str) -> Verdict:
    """Judge the last line of pytest; tests that were skipped measured nothing."""
    last = (output.strip().splitlines() or ["no output"])[-1].strip("= ")
    is_met = returncode == 0 and "passed" in last and "skipped" not in last
    return Verdict("pytest -m 'gpu and not slow' passes, none skipped", last, is_met)


def _network() -> Any:
    from greenbench.architectures import build_architecture  # noqa: PLC0415

    return build_architecture("simple_cnn", (1, SIDE, SIDE), CLASSES)


def _backend() -> tuple[Any, Any]:
    from greenbench import registry  # noqa: PLC0415
    from greenbench.backends.torch import TorchBackend  # noqa: PLC0415
    from greenbench.datasets import LoadContext  # noqa: PLC0415

    context = LoadContext(seed=0, data_dir=Path("data"))
    dataset = registry.datasets.get("synthetic")(context, samples=SAMPLES, side=SIDE)
    backend = TorchBackend("torch", threads=1)
    if not backend.batches_pay:
        raise RuntimeError("torch sees no CUDA GPU here")
    backend.load(dataset)
    return backend, dataset


def _has(module: str) -> bool:
    import importlib.util  # noqa: PLC0415

    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


if __name__ == "__main__":
    sys.exit(main())
