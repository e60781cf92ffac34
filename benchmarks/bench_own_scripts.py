"""Does a script cost as much as a case as it does by itself? Trains both in pairs.

``python benchmarks/bench_own_scripts.py --out docs/results/own_scripts.json``, with
``GREENBENCH_DATA_DIR``. The scripts are those of `tests/integration/own_scripts`: as people write
them, and as trainings of their own. Each pair runs both, in random order, in one process that has
run both before, so that neither pays for imports or for what a framework does at its first step.
What is compared is what the meter ``process`` charges: CPU seconds times a constant.
``--measured`` adds to each pair the script under ``greenbench measure --``, and its imports alone
under the same: the interpreter and imports are outside a case.
"""

import difflib
import importlib
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import click

from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.process import ProcessMeter
from greenbench.results.journal import Journal
from greenbench.results.readings import JOULES_PER_WH
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.trainings.backend import OwnBackend

SCRIPTS = Path(__file__).parents[1] / "tests" / "integration" / "own_scripts"


@dataclass(frozen=True)
class Script:
    """A script, and how far it trains.

    Attributes
    ----------
    arguments : callable
        What it is given to train for some epochs.
    epochs : int
        So that it trains for some seconds.
    """

    arguments: Callable[[int], Sequence[str]]
    epochs: int


CHOSEN: Mapping[str, Script] = {
    "mnist_adadelta": Script(lambda epochs: [f"--epochs={epochs}"], 3),
    "cifar_resnet": Script(lambda epochs: [f"--epochs={epochs}"], 3),
    "char_gpt": Script(lambda epochs: [f"--max_iters={50 * epochs}"], 2),
    "keras_fit": Script(lambda epochs: [str(epochs)], 6),
}


def bare_j(name: str, epochs: int) -> float:
    """Return the energy of a script by itself, in J.

    Parameters
    ----------
    name : str
        Of a module in `SCRIPTS`.
    epochs : int
        How far it trains.
    """
    meter = ProcessMeter()
    meter.begin_window()
    given = CHOSEN[name].arguments(epochs)
    sys.argv = [name, *given]
    source = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8")
    # As `python SCRIPT` does, but for the imports, which the process has made.
    exec(compile(source, name, "exec"), {"__name__": "__main__"})
    return meter.end_window().components["cpu"].energy_j or 0.0


def case_j(name: str, epochs: int, repeat: int) -> tuple[float, float]:
    """Return the energy that a case is charged, and that of its phases, without search and rest.

    Parameters
    ----------
    name : str
        Of a module in `SCRIPTS`.
    epochs : int
        How far it trains.
    repeat : int
        Decides its seed.
    """
    case = Case("default", name, backend="own", dataset="own", epochs=epochs, trials=1)
    bench = Bench(
        backend=OwnBackend("own", threads=1),
        meter=ProcessMeter(),
        control=ProcessMeter(),
        intensity=CarbonIntensity(1.0, "none"),
        environment={},
        data_dir=Path(os.environ["GREENBENCH_DATA_DIR"]),
        emit=lambda event, values: None,
    )
    with tempfile.TemporaryDirectory() as folder:
        result = run_repeat(bench, case, repeat, "own", Journal.of(Path(folder), case, repeat))
    booked = {
        phase: reading.components["cpu"].energy_j or 0.0
        for phase, reading in result.account.phases.items()
    }
    aside = booked.get("other", 0.0) + booked.get("search", 0.0)
    return sum(booked.values()), sum(booked.values()) - aside


def pairs_of(name: str, pairs: int, *, is_measured: bool = False) -> list[dict[str, float]]:
    """Return the energy of both, in J, for each pair.

    Parameters
    ----------
    name : str
        Of a module in `SCRIPTS`.
    pairs : int
        How many.
    is_measured : bool
        Whether each has the script under ``greenbench measure --``, too.
    """
    sys.path.insert(0, str(SCRIPTS))
    importlib.import_module(f"{name}_case")
    epochs, found = CHOSEN[name].epochs, []
    for pair in range(-1, pairs):
        each: dict[str, float] = {"bare_j": 0.0, "case_j": 0.0, "phases_j": 0.0}
        for arm in random.sample(["bare", "case"], 2):
            with tempfile.TemporaryDirectory() as folder, chdir(folder), redirect_stdout(_Nobody()):
                its = max(1, epochs if pair >= 0 else 1)
                if arm == "bare":
                    each["bare_j"] = bare_j(name, its)
                else:
                    each["case_j"], each["phases_j"] = case_j(name, its, max(pair, 0))
        if pair >= 0 and is_measured:
            each |= measured_j(name, epochs)
        if pair >= 0:
            found.append(each)
            click.echo(f"{name}: {each}")
    return found


def lines_of(name: str) -> int:
    """Return how many lines of a script differ, or are new, where it is a training.

    Parameters
    ----------
    name : str
        Of a module in `SCRIPTS`.
    """
    script, case = (
        (SCRIPTS / f"{each}.py").read_text(encoding="utf-8").splitlines()
        for each in (name, f"{name}_case")
    )
    return sum(line.startswith("+ ") for line in difflib.ndiff(script, case))


def measured_j(name: str, epochs: int) -> dict[str, float]:
    """Return what ``greenbench measure --`` says of a script, and of its imports alone, in J.

    Parameters
    ----------
    name : str
        Of a module in `SCRIPTS`.
    epochs : int
        How far it trains.
    """
    imports = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import {name}"
    arguments = CHOSEN[name].arguments(epochs)
    return {
        "measured_j": _measured_j(str(SCRIPTS / f"{name}.py"), *arguments),
        "imports_j": _measured_j("-c", imports),
    }


def _measured_j(*arguments: str) -> float:
    settings = {"GREENBENCH_METER": "process", "GREENBENCH_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        measure = ["-m", "greenbench", "measure", "--no-mlflow", "--json", str(told), "--"]
        subprocess.run(
            [sys.executable, *measure, sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, **settings, "GREENBENCH_HOST_LOCK": str(Path(folder) / "lock")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return float(json.loads(told.read_text(encoding="utf-8"))["energy_wh"]) * JOULES_PER_WH


class _Nobody(io.TextIOBase):
    def write(self, text: str, /) -> int:
        return len(text)


def summary(name: str, found: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return what both cost, and the median of their ratios with its range.

    Parameters
    ----------
    name : str
        Of a script.
    found : sequence of mapping
        As `pairs_of` returns them.
    """
    ratios = [each["case_j"] / each["bare_j"] for each in found]
    told = [each for each in found if "measured_j" in each]
    measured = [each["case_j"] / (each["measured_j"] - each["imports_j"]) for each in told]
    return {
        "script": name,
        "lines": lines_of(name),
        "epochs": CHOSEN[name].epochs,
        "pairs": [dict(each) for each in found],
        "ratio": _spread(ratios),
        **({"measured_ratio": _spread(measured)} if measured else {}),
    }


def _spread(ratios: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


@click.command()
@click.option("--script", "names", multiple=True, help="Of one file; default: all.")
@click.option("--pairs", default=5, show_default=True)
@click.option("--measured", is_flag=True, help="Run each under `greenbench measure`, too.")
@click.option("--out", type=click.Path(path_type=Path), help="Updates this JSON.")
def main(names: tuple[str, ...], pairs: int, measured: bool, out: Path | None) -> None:
    """Train scripts and cases, print what they cost, and write it as JSON."""
    scripts = {}
    if out and out.exists():
        scripts = {each["script"]: each for each in json.loads(out.read_text())["scripts"]}
    for name in names or CHOSEN:
        scripts[name] = summary(name, pairs_of(name, pairs, is_measured=measured))
        click.echo(f"{name}: {scripts[name]['ratio']}")
        if out:
            everything = {
                "date": f"{datetime.now(UTC):%Y-%m-%d}",
                "versions": {each: version(each) for each in ("torch", "torchvision", "keras")},
                "scripts": [scripts[each] for each in CHOSEN if each in scripts],
            }
            out.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
