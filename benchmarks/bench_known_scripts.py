"""Are scripts that people know and their cases equal? Trains both, and compares their scores.

``python benchmarks/bench_known_scripts.py --out docs/results/known_scripts.json``, with
``GREENBENCH_DATA_DIR``. Each repeat has a split of its own, which both are trained on; all else
that is drawn differs. ``--fast`` trains on few samples, to see that it runs.
"""

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import click
import numpy as np
from known_loops import LOOPS
from scipy import stats

from greenbench.backends.keras import KerasBackend
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.results.journal import Journal
from greenbench.search.bench import Bench
from greenbench.search.configuration import configure
from greenbench.search.loading import load_dataset
from greenbench.search.repeat import run_repeat
from greenbench.testing import FakeClock, FakeMeter

SCRIPTS = Path(__file__).parents[1] / "docs" / "howto" / "known_scripts"
CIFAR = "cifar10-jpeg"
FAST = {"mnist": {"limit": 320}, "text": {"limit": 20_000, "context": 32}}
BACKENDS = {"torch": TorchBackend, "keras": KerasBackend}


def case_of(name: str, *, is_fast: bool = False) -> Case:
    """Return the case of a script, with the images that are at hand in place of CIFAR-10's.

    Parameters
    ----------
    name : str
        Of a module in `SCRIPTS`.
    is_fast : bool
        Train on few samples, one epoch.
    """
    sys.path.insert(0, str(SCRIPTS))
    try:
        case: Case = importlib.import_module(name).CASE
    finally:
        sys.path.remove(str(SCRIPTS))
    options = dict(case.dataset_options)
    if case.dataset == "cifar10":
        del options["limit"]
        case = replace(case, dataset="image_folder")
        options["path"] = CIFAR
    if is_fast:
        options.update(FAST.get(case.dataset, {}))
        case = replace(case, epochs=2)
    return replace(case, dataset_options=tuple(options.items()))


def bench_of(case: Case, data_dir: Path) -> Bench:
    """Return what a case is run with in this process, where no energy is measured."""
    clock = FakeClock()
    return Bench(
        backend=BACKENDS[case.backend](case.backend, threads=1),
        meter=FakeMeter(clock, power_w=1.0),
        control=FakeMeter(clock, power_w=1.0),
        intensity=CarbonIntensity(1.0, "none"),
        environment={},
        data_dir=data_dir,
        emit=lambda event, values: clock.advance(1.0),
    )


def pair(name: str, repeat: int, is_fast: bool = False) -> dict[str, Any]:
    """Return what one repeat of a case and its loop end with, on the same split.

    Parameters
    ----------
    name : str
        Of a script.
    repeat : int
        Decides all that is drawn.
    is_fast : bool
        Train on few samples.

    Returns
    -------
    dict
        Scores of ``case`` and ``loop``; ``steps`` and ``rates`` of both; what was trained.
    """
    case = case_of(name, is_fast=is_fast)
    bench = bench_of(case, Path(os.environ["GREENBENCH_DATA_DIR"]))
    with tempfile.TemporaryDirectory() as folder:
        result = run_repeat(bench, case, repeat, "known", Journal.of(Path(folder), case, repeat))
    splits = load_dataset(bench, case, repeat)
    loop = LOOPS[name](splits, case.epochs, case.batch_size, 1000 + repeat)
    steps = result.costs.samples // case.batch_size
    trial = configure(case, {})
    rate = vars(trial.optimizer)["learning_rate"]
    factors = trial.schedule.factors(steps, steps // case.epochs)
    return {
        "case": result.test_score,
        "loop": loop.score,
        "steps": {"case": steps, "loop": len(loop.rates)},
        "rates": {
            "case": (rate * factors).tolist(),
            "loop": loop.rates,
        },
        "parameters": {"case": result.costs.parameters, "loop": loop.parameters},
        "about": {
            "score": result.score.to_dict(),
            "train": result.dataset["train"],
            "test": result.dataset["test"],
            "source": result.dataset["source"],
            "epochs": case.epochs,
            "batch_size": case.batch_size,
        },
    }


def summary(name: str, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return scores of both, and the mean of the paired differences with its 95% interval."""
    cases, loops = (np.array([each[arm] for each in found], float) for arm in ("case", "loop"))
    mean = float((cases - loops).mean())
    margin = float(stats.t.ppf(0.975, len(found) - 1) * stats.sem(cases - loops))
    return {
        "script": name,
        "lines": len((SCRIPTS / f"{name}.py").read_text(encoding="utf-8").splitlines()),
        "parameters": found[0]["parameters"]["case"],
        "steps": found[0]["steps"]["case"],
        **found[0]["about"],
        "case": cases.tolist(),
        "loop": loops.tolist(),
        "difference": {"mean": mean, "low": mean - margin, "high": mean + margin},
    }


@click.command()
@click.option("--script", "names", multiple=True, help="Of one file; default: all.")
@click.option("--repeats", default=5, show_default=True)
@click.option("--processes", default=2, show_default=True)
@click.option("--fast", is_flag=True, help="Few samples and epochs.")
@click.option("--out", type=click.Path(path_type=Path), help="Updates this JSON.")
def main(
    names: tuple[str, ...], repeats: int, processes: int, fast: bool, out: Path | None
) -> None:
    """Train cases and loops, print their scores, and write them as JSON."""
    scripts = {}
    if out and out.exists():
        scripts = {each["script"]: each for each in json.loads(out.read_text())["scripts"]}
    jobs = [(name, repeat) for name in names or LOOPS for repeat in range(repeats)]
    found: dict[str, list[dict[str, Any]]] = {}
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for (name, _), each in zip(
            jobs, pool.map(pair, *zip(*jobs, strict=True), [fast] * len(jobs)), strict=True
        ):
            found.setdefault(name, []).append(each)
            click.echo(f"{name}: case {each['case']:.4f}, loop {each['loop']:.4f}")
    for name, pairs in found.items():
        scripts[name] = summary(name, pairs)
        click.echo(f"{name}: difference {scripts[name]['difference']}")
    if out:
        everything = {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "versions": {each: version(each) for each in ("torch", "torchvision", "keras")},
            "scripts": [scripts[each] for each in LOOPS if each in scripts],
        }
        out.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
