"""Results: trials and case results as plain frozen dataclasses."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean
from typing import Any

from greenbench.cases import Case, Scalar
from greenbench.results.account import Account
from greenbench.results.gpus import TrainedGpu
from greenbench.results.reconciliation import Reconciliation
from greenbench.tasks import ACCURACY, Score

OLDER_NAMES: Mapping[str, str] = {"val_accuracy": "val_score", "test_accuracy": "test_score"}


class TrialStatus(StrEnum):
    """How a trial ended."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"
    FAILED = "failed"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True)
class Epoch:
    """One epoch of a trial: mean training loss, and validation score where it was measured.

    What else a training of somebody's own reported then is in `metrics`, by name; that may be
    times, and makes no epoch another one.
    """

    epoch: int
    train_loss: float | None
    val_score: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Segment:
    """What a trial was trained without a pause, under a scheduler.

    Attributes
    ----------
    position : int
        Which segment of the whole search it was, from 0.
    epochs : int
        How far the trial was trained when it ended.
    val_score : float or None
        At its end; None if it failed.
    account : Account
        Energy by phase, that of the proposal included in a trial's first segment.
    """

    position: int
    epochs: int
    val_score: float | None
    account: Account

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Segment":
        """Rebuild a segment from its `dataclasses.asdict` form."""
        return cls(**{**_renamed(values), "account": Account.from_dict(values["account"])})


@dataclass(frozen=True)
class Trial:
    """One training of one hyperparameter configuration.

    Attributes
    ----------
    index : int
        Position in the search, from 0.
    hyperparameters : dict
        What the strategy proposed.
    status : TrialStatus
        How it ended.
    val_score : float or None
        After the epochs that it was trained; None unless completed or stopped.
    epochs : tuple of Epoch
        The learning curve.
    account : Account
        Energy by phase, its proposal included.
    samples_seen : int
        Training samples, each epoch counted.
    passes : int
        How often it was trained inside its windows, so that they last long enough to be
        read; `account` and `samples_seen` are those of one pass.
    started_at : float
        Seconds since 1970-01-01 UTC.
    error : str or None
        Why it did not complete.
    segments : tuple of Segment
        Under a scheduler, what it was trained at a time; `account` is their sum.
    reevaluates : int or None
        The trial whose configuration it trains again, with another seed, after the search.
    lanes : int
        How many trials were trained as one model when it started: what their windows read,
        seconds too, is shared out evenly among them.
    """

    index: int
    hyperparameters: Mapping[str, Scalar]
    status: TrialStatus
    val_score: float | None = None
    epochs: tuple[Epoch, ...] = ()
    account: Account = field(default_factory=Account)
    samples_seen: int = 0
    passes: int = 1
    started_at: float = 0.0
    error: str | None = None
    segments: tuple[Segment, ...] = ()
    reevaluates: int | None = None
    lanes: int = 1

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Trial":
        """Rebuild a trial from its `dataclasses.asdict` form."""
        restored = {
            "status": TrialStatus(values["status"]),
            "epochs": tuple(Epoch(**_renamed(epoch)) for epoch in values["epochs"]),
            "account": Account.from_dict(values["account"]),
            "segments": tuple(Segment.from_dict(each) for each in values.get("segments", ())),
        }
        return cls(**{**_renamed(values), **restored})

    def with_segment(self, segment: Segment) -> "Trial":
        """Return the trial with a further segment, its account included."""
        segments = (*self.segments, segment)
        return dataclasses.replace(self, segments=segments, account=self.account + segment.account)


@dataclass(frozen=True)
class Costs:
    """Deterministic costs of a repeat, equal on every machine.

    Attributes
    ----------
    parameters : int or None
        Trainable parameters of the architecture; of the incumbent's, where networks are searched.
        None if a training of somebody's own does not tell.
    train_flops_per_sample : int or None
        Floating-point operations of a forward and backward pass, 2 a multiply-add; None if
        they are not known. Of the incumbent's network, where networks are searched.
    train_flops : int or None
        Over all trials, each with those of its own network.
    samples_seen : int or None
        Over all trials; None if a training of somebody's own does not tell.
    epochs, trials : int
        Over all trials.
    uncounted : tuple of str
        Operators that ran whose FLOPs nobody knows; none if all were counted.
    networks : int or None
        Different networks of the trials, where networks are searched; None where all have one.
    """

    parameters: int | None
    train_flops_per_sample: int | None
    train_flops: int | None
    samples_seen: int | None
    epochs: int
    trials: int
    uncounted: tuple[str, ...] = ()
    networks: int | None = None

    @property
    def samples(self) -> int:
        """Training samples over all trials, which a backend's networks always tell."""
        assert self.samples_seen is not None
        return self.samples_seen

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Costs":
        """Rebuild costs from their `dataclasses.asdict` form."""
        return cls(**{**values, "uncounted": tuple(values.get("uncounted", ()))})


@dataclass(frozen=True)
class CaseResult:
    """What one repeat of a case gave.

    Attributes
    ----------
    case : Case
        The definition.
    repeat : int
        Which repeat, from 0.
    suite : str
        The suite that it ran in.
    trials : tuple of Trial
        All trials, failed ones too.
    test_score : float or None
        Of the incumbent; None if no trial completed, or it is not finite.
    account : Account
        Energy of the whole repeat; the trials' accounts are part of it.
    costs : Costs
        Deterministic costs.
    emissions : dict
        ``g_co2e`` (None if energy is unknown), ``intensity_g_per_kwh`` and ``source``.
    environment : dict
        ``host`` (fingerprint), CPU, GPU, threads, library versions.
    dataset : dict
        ``name``, ``digest`` (of the split), ``content`` (of the images, however they are split;
        None where it is not known), ``source``, ``train``, ``validation``, ``test`` sizes.
    wall_s : float
        Seconds from opening to closing the ledger, by a clock of its own: above what the
        phases' durations sum to, by what they leave out. Of a time before an interruption, theirs.
    reconciliation : Reconciliation or None
        The phases against an independent window, since the last interruption.
    idle_w : dict of str to float
        Idle power before the suite by component, where it is measured.
    peak_memory_bytes : int or None
        Largest resident memory of the worker during the repeat; None where it is not known.
    interruptions : int
        How often the repeat was cut off and taken up again.
    started_at : float
        Seconds since 1970-01-01 UTC.
    prior : str or None
        How the strategy spreads its proposals: ``"uniform"``, ``"log"`` if any dimension's
        prior is, or ``"none"`` for the control; None where results do not say.
    mixed : tuple of str
        What had changed when its run was resumed all the same; empty if nothing had.
    gpus : tuple of TrainedGpu
        The cards that trained, with their states at both ends, since the last interruption.
    compute_notes : tuple of str
        What a reader must know of how it was computed, such as what was done without a CUDA
        graph, and why; empty if there is nothing to say, and in older results.
    task : str
        What was learned.
    score : Score
        What `val_score` and `test_score` are; accuracy in older results.
    metrics : dict of str to float
        What else the test of the incumbent told, by name.
    training_source : str or None
        Digest of the code of a training of somebody's own; None of a network that a backend
        trains, and in older results.
    split_seed : int or None
        What the split and the order of samples were drawn by, which cases on one data set share
        in the same repeat; None where nothing was drawn, and in older results.
    control_j, control_s : float or None
        Joules and CPU seconds of the control workload in its worker, before the first repeat;
        None where nobody measured them, and in older results.
    look : int
        Which look at its case it came before: 1, or more where it was added to a run that had
        ended or is of one that looks again and again; see `greenbench.results.looks`.
    design : str or None
        ``"until-decided"`` of a run that goes on until it knows; else None.
    conditions : str or None
        Digest of the case, the repeat and what it was run under besides; None where nobody asked,
        and in older results.
    reused_from : str or None
        The session that measured it, if this is a result that was taken over from there.
    """

    case: Case
    repeat: int
    suite: str
    trials: tuple[Trial, ...]
    test_score: float | None
    account: Account
    costs: Costs
    emissions: Mapping[str, Any]
    environment: Mapping[str, Any]
    dataset: Mapping[str, Any]
    wall_s: float = 0.0
    reconciliation: Reconciliation | None = None
    idle_w: Mapping[str, float] = field(default_factory=dict)
    peak_memory_bytes: int | None = None
    interruptions: int = 0
    started_at: float = 0.0
    prior: str | None = None
    mixed: tuple[str, ...] = ()
    gpus: tuple[TrainedGpu, ...] = ()
    compute_notes: tuple[str, ...] = ()
    task: str = "classification"
    score: Score = ACCURACY
    metrics: Mapping[str, float] = field(default_factory=dict)
    training_source: str | None = None
    split_seed: int | None = None
    control_j: float | None = None
    control_s: float | None = None
    look: int = 1
    design: str | None = None
    conditions: str | None = None
    reused_from: str | None = None

    @property
    def test_accuracy(self) -> float | None:
        """The test score in [0, 1], where it is an accuracy; else None."""
        return self.test_score if self.score.name == ACCURACY.name else None

    @property
    def incumbent(self) -> Trial | None:
        """The best trial by its validation score."""
        return find_incumbent(self.trials, self.score)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        values = dataclasses.asdict(self)
        return {**values, "case": self.case.to_dict(), "score": self.score.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "CaseResult":
        """Rebuild a result from `to_dict`."""
        restored = {
            "case": Case.from_dict(values["case"]),
            "trials": tuple(Trial.from_dict(trial) for trial in values["trials"]),
            "account": Account.from_dict(values["account"]),
            "costs": Costs.from_dict(values["costs"]),
            "mixed": tuple(values.get("mixed", ())),
            "gpus": tuple(map(TrainedGpu.from_dict, values.get("gpus", ()))),
            "compute_notes": tuple(values.get("compute_notes", ())),
        }
        if "score" in values:
            restored["score"] = Score.from_dict(values["score"])
        if reconciliation := values.get("reconciliation"):
            restored["reconciliation"] = Reconciliation(**reconciliation)
        return cls(**{**_renamed(values), **restored})


def find_incumbent(trials: Sequence[Trial], score: Score = ACCURACY) -> Trial | None:
    """Return the best completed trial by its validation score, the first of equals, if any.

    A trial that a scheduler stopped is none, however good it looked: of many figures that were
    read early and often, the best is mostly luck. After a re-evaluation it is the first one of
    the configuration with the best mean over its new seeds: that trial was selected neither by
    its own score nor by what the search saw.

    Parameters
    ----------
    trials : sequence of Trial
        Of one search.
    score : Score
        Which way is better.
    """
    again: dict[int, list[Trial]] = {}
    for trial in trials:
        if trial.reevaluates is not None and trial.val_score is not None:
            again.setdefault(trial.reevaluates, []).append(trial)
    if again:
        return max(again.values(), key=lambda same: fmean(gain_of(each, score) for each in same))[0]
    scored = [trial for trial in trials if trial.status is TrialStatus.COMPLETED]
    return max(scored, key=lambda trial: gain_of(trial, score), default=None)


def gain_of(trial: Trial, score: Score) -> float:
    """Return a trial's validation score so that more is better; the worst of all without one."""
    return -math.inf if trial.val_score is None else score.gain(trial.val_score)


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with the names of today; older versions knew one score, accuracy."""
    return {OLDER_NAMES.get(name, name): value for name, value in values.items()}
