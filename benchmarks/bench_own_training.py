"""What the protocol of trainings of one's own costs over the bare script.

    python benchmarks/bench_own_training.py --output docs/results/own_training.json

protocol_share
    CPU time of a training that yields its reports, its energy booked, over that of the same loop
    as a script, less one; epochs take about a second. In pairs, in random order, with a second bare
    run as A/A control.
checkpoint_share
    The same of one that saves a checkpoint each epoch.
report_ms, checkpoint_ms
    CPU time of one epoch that does nothing, between two reports, without and with a checkpoint: by
    this much an epoch of any length is longer.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

import greenbench
from greenbench import registry
from greenbench.cases import Case
from greenbench.compare.stats import estimate
from greenbench.energy.host import HostWatch
from greenbench.energy.ledger import Ledger
from greenbench.energy.meters import open_meter
from greenbench.machine.environment import describe_environment
from greenbench.results import Trial, TrialStatus
from greenbench.results.journal import Journal
from greenbench.search.own_course import OwnCourse
from greenbench.search.training import Workplace
from greenbench.trainings import Report, Run
from greenbench.trainings.driver import Driver, named

EPOCHS = 3
EPOCH_S = 1.0
EMPTY = 100
METER = "codecarbon"
BAR = 0.01


def main() -> None:
    """Measure, and write the figures with the machine that they are from."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    _register()
    steps = _calibrated()
    figures = {
        **_shares(given.pairs, steps),
        "report_ms": _summary([_cpu_s("empty", EMPTY) / EMPTY * 1e3 for _ in range(5)]),
        "checkpoint_ms": _summary([_cpu_s("empty_saved", EMPTY) / EMPTY * 1e3 for _ in range(5)]),
    }
    found = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "meter": METER,
        "epochs": EPOCHS,
        "epoch_s": EPOCH_S,
        "bar": BAR,
        "environment": describe_environment(1, {}),
        "figures": figures,
    }
    text = json.dumps(found, indent=2)
    print(text)
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")


def _register() -> None:
    @greenbench.register_training("plain")
    def plain(run: Run, steps: int = 1) -> Iterator[Report]:
        work = _Work()
        for _ in run.epochs():
            work.epoch(steps)
            with run.phase("evaluate"):
                score = work.score()
            yield run.report(loss=1.0, score=score, samples=64 * steps)

    @greenbench.register_training("saved")
    def saved(run: Run, steps: int = 1) -> Iterator[Report]:
        work = _Work()
        for _ in run.epochs():
            work.epoch(steps)
            with run.phase("evaluate"):
                score = work.score()
            run.save(work.state())
            yield run.report(loss=1.0, score=score, samples=64 * steps)

    @greenbench.register_training("empty")
    def empty(run: Run, steps: int = 1) -> Iterator[Report]:
        for _ in run.epochs():
            with run.phase("evaluate"):
                pass
            yield run.report(loss=1.0, score=0.5)

    @greenbench.register_training("empty_saved")
    def empty_saved(run: Run, steps: int = 1) -> Iterator[Report]:
        work = _Work()
        for _ in run.epochs():
            run.save(work.state())
            yield run.report(loss=1.0, score=0.5)


class _Work:
    """A network that is trained, the same in each arm."""

    def __init__(self) -> None:
        self._model = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
        self._optimizer = torch.optim.AdamW(self._model.parameters())
        self._inputs, self._targets = torch.rand(64, 256), torch.randint(10, (64,))

    def epoch(self, steps: int) -> None:
        for _ in range(steps):
            self._optimizer.zero_grad()
            loss = nn.functional.cross_entropy(self._model(self._inputs), self._targets)
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()

    def score(self) -> float:
        with torch.no_grad():
            return float((self._model(self._inputs).argmax(1) == self._targets).float().mean())

    def state(self) -> dict[str, Any]:
        return {"model": self._model.state_dict(), "optimizer": self._optimizer.state_dict()}


def _bare(steps: int) -> float:
    began_s = time.process_time()
    torch.manual_seed(0)
    work = _Work()
    for _ in range(EPOCHS):
        work.epoch(steps)
        work.score()
    return time.process_time() - began_s


def _calibrated() -> int:
    """Return the steps of an epoch of about `EPOCH_S` of CPU time."""
    work = _Work()
    work.epoch(20)
    began_s = time.process_time()
    work.epoch(100)
    return max(int(100 * EPOCH_S / (time.process_time() - began_s)), 1)


def _cpu_s(name: str, epochs: int, steps: int = 1) -> float:
    """Return the CPU seconds of a trial, as a search trains it."""
    training = registry.architectures.get(name).training
    with TemporaryDirectory() as folder:
        ledger = Ledger(open_meter(METER, ()), HostWatch())
        place = Workplace(ledger, Journal(Path(folder, "case.hash.r0.jsonl")), lambda epoch: None)
        ledger.open()
        began_s = time.process_time()
        run = Run(named(training), {}, 0, epochs, ledger)
        driver = Driver(training, run, {"steps": steps})
        case = Case(architecture=name, backend="own", dataset="own", epochs=epochs)
        course = OwnCourse(place, driver, case, Trial(0, {}, TrialStatus.STOPPED), print)
        course.advance(epochs)
        spent_s = time.process_time() - began_s
        course.close()
        ledger.close()
    return spent_s


def _shares(pairs: int, steps: int) -> dict[str, Any]:
    arms: dict[str, Callable[[], float]] = {
        "bare": lambda: _bare(steps),
        "control_share": lambda: _bare(steps),
        "protocol_share": lambda: _cpu_s("plain", EPOCHS, steps),
        "checkpoint_share": lambda: _cpu_s("saved", EPOCHS, steps),
    }
    for arm in arms.values():
        arm()
    found: dict[str, list[float]] = {name: [] for name in arms if name != "bare"}
    for pair in range(pairs):
        order = list(arms)
        random.Random(pair).shuffle(order)
        spent = {name: arms[name]() for name in order}
        for name, shares in found.items():
            shares.append(spent[name] / spent["bare"] - 1)
    return {name: _summary(shares) for name, shares in found.items()}


def _summary(values: list[float]) -> dict[str, Any]:
    known = estimate(values)
    low, _, high = quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    return {
        "n": known.n,
        "median": known.median,
        "interval": [known.low, known.high],
        "confidence": known.confidence,
        "quartiles": [low, high],
    }


if __name__ == "__main__":
    main()
