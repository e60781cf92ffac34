"""Small builders of results and rows; what a test does not name is plausible and fixed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.results import CaseResult, Costs, Epoch, Segment, Trial, TrialStatus
from greenbench.results.account import Account
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.results.table import to_row

STARTED_AT = 1_700_000_000.0
FLOPS_PER_SAMPLE = 1_000_000
SAMPLES_PER_TRIAL = 1_000
SOURCE = "fake meter"
REPEATS = count()


TICK_S = 0.01


def tick(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """Let windows be filled by a clock that goes on by `TICK_S` at each look, and return it.

    How many passes a window holds then depends on how often it is asked, and not on how busy
    this machine is.
    """
    clock = count(0.0, TICK_S).__next__
    for module in ("training", "batch_training"):
        ticking = SimpleNamespace(perf_counter=clock)
        monkeypatch.setattr(f"greenbench.search.{module}.time", ticking)
    return clock


def make_reading(
    energy_j: float | None = 36.0,
    *,
    duration_s: float = 2.0,
    provenance: Provenance = Provenance.MODEL,
    source: str = SOURCE,
    ram_j: float | None = None,
    ram_provenance: Provenance = Provenance.MODEL,
) -> Reading:
    """Return a reading of a CPU, and of RAM if `ram_j` is given."""
    known = Provenance.NONE if energy_j is None else provenance
    components = {"cpu": Component(energy_j, known, source)}
    if ram_j is not None:
        components["ram"] = Component(ram_j, ram_provenance, source)
    return Reading(duration_s, components)


def make_trial(
    index: int = 0,
    *,
    accuracy: float | None = 0.9,
    energy_j: float | None = 36.0,
    provenance: Provenance = Provenance.MODEL,
    status: TrialStatus | None = None,
    error: str | None = None,
    epochs: int = 2,
) -> Trial:
    """Return a trial, completed if it has an accuracy; all its energy is booked to training."""
    if status is None:
        status = TrialStatus.FAILED if accuracy is None else TrialStatus.COMPLETED
    curve = [Epoch(epoch, 1.0 / (epoch + 1)) for epoch in range(epochs - 1)]
    curve += [Epoch(epochs - 1, 1.0 / epochs, accuracy)] if epochs else []
    return Trial(
        index=index,
        hyperparameters={"learning_rate": 0.001 * (index + 1), "beta_1": 0.9},
        status=status,
        val_score=accuracy,
        epochs=tuple(curve),
        account=Account({"train": make_reading(energy_j, provenance=provenance)}),
        samples_seen=SAMPLES_PER_TRIAL,
        started_at=STARTED_AT + 10.0 * index,
        error=error,
    )


def make_segmented(
    index: int,
    *segments: tuple[int, float | None, float | None],
    status: TrialStatus = TrialStatus.COMPLETED,
    proposal_j: float = 0.0,
) -> Trial:
    """Return a trial of some segments, each a position, an energy in joules and an accuracy."""
    parts = [
        Segment(position, epochs, accuracy, Account({"train": make_reading(energy_j)}))
        for epochs, (position, energy_j, accuracy) in enumerate(segments, 1)
    ]
    proposal = Account({"search": make_reading(proposal_j, duration_s=0.1)})
    parts[0] = replace(parts[0], account=proposal + parts[0].account)
    return replace(
        make_trial(index, accuracy=segments[-1][-1], status=status, epochs=len(parts)),
        account=sum((part.account for part in parts), Account()),
        segments=tuple(parts),
    )


def make_result(
    case: Case | None = None,
    *,
    repeat: int = 0,
    suite: str = "ci",
    trials: Sequence[Trial] | None = None,
    energy_j: float | None = 36.0,
    accuracy: float | None = 0.9,
    provenance: Provenance = Provenance.MODEL,
    host: str = "0123456789ab",
    **changed: Any,
) -> CaseResult:
    """Return a result whose only trial has `energy_j` and `accuracy`, unless `trials` says else."""
    if trials is None:
        trials = [make_trial(accuracy=accuracy, energy_j=energy_j, provenance=provenance)]
    trials = tuple(trials)
    account = sum((trial.account for trial in trials), Account())
    joules = account.total.energy_j
    samples = sum(trial.samples_seen for trial in trials)
    fields: dict[str, Any] = {
        "test_score": accuracy if any(t.val_score is not None for t in trials) else None,
        "account": account,
        "costs": Costs(
            parameters=1234,
            train_flops_per_sample=FLOPS_PER_SAMPLE,
            train_flops=FLOPS_PER_SAMPLE * samples,
            samples_seen=samples,
            epochs=sum(len(trial.epochs) for trial in trials),
            trials=len(trials),
        ),
        "emissions": {
            "g_co2e": None if joules is None else joules / 3.6e6 * 400.0,
            "intensity_g_per_kwh": 400.0,
            "source": "given by the user",
        },
        "environment": {"host": host, "cpu": "fake CPU", "threads": "1", "commit": "abc+"},
        "dataset": {
            "name": "digits",
            "digest": "d" * 12,
            "source": "fake",
            "shape": [1, 8, 8],
            "classes": 10,
            "train": 1000,
            "validation": 200,
            "test": 200,
        },
        # Long enough for a counter, so that measured results are not marked as short.
        "wall_s": 20.0,
        "started_at": STARTED_AT,
    }
    return CaseResult(
        case=case or Case(), repeat=repeat, suite=suite, trials=trials, **{**fields, **changed}
    )


def make_row(
    network: str = "simple_cnn.m",
    *,
    energy_wh: float | None = 1.0,
    accuracy: float | None = 0.9,
    changed: Mapping[str, Any] | None = None,
    **case: Any,
) -> dict[str, Any]:
    """Return a row as a store gives it; `case` has fields of `Case`, `changed` has columns.

    Each is another repeat: the same one again would be no further sample of an accuracy.
    """
    architecture, _, size = network.partition(".")
    row = _first_row(
        Case(architecture=architecture, size=size or None, **case), energy_wh, accuracy
    )
    own = {"repeat": next(REPEATS), "session": "s1", "run_id": "r1"}
    return {**row, **own, **(changed or {})}


@lru_cache(maxsize=None, typed=True)
def _first_row(case: Case, energy_wh: float | None, accuracy: float | None) -> dict[str, Any]:
    """Return a row of repeat 0: tests ask for the same one thousands of times."""
    energy_j = None if energy_wh is None else 3600.0 * energy_wh
    return to_row(make_result(case, energy_j=energy_j, accuracy=accuracy))
