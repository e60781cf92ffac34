"""Results: energy accounts, trials and case results as plain frozen dataclasses."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from greenbench.cases import Case

JOULES_PER_WH = 3600.0
PHASES = ("train", "evaluate", "search", "idle", "other")


class Provenance(StrEnum):
    """How an energy figure came about, best first."""

    COUNTER = "counter"
    SAMPLED = "sampled"
    MODEL = "model"
    CONSTANT = "constant"
    NONE = "none"

    @property
    def is_measured(self) -> bool:
        """True for a hardware counter and for integrated power readings."""
        return self in (Provenance.COUNTER, Provenance.SAMPLED)

    @property
    def label(self) -> str:
        """``measured``, ``estimated`` or ``none``, for people."""
        if self is Provenance.NONE:
            return "none"
        return "measured" if self.is_measured else "estimated"

    @classmethod
    def worst(cls, provenances: Iterable["Provenance"]) -> "Provenance":
        """Return the least trustworthy; a sum is no better than its worst part."""
        order = list(cls)
        return max(provenances, key=order.index, default=cls.NONE)


@dataclass(frozen=True)
class Component:
    """Energy of one hardware component.

    Attributes
    ----------
    energy_j : float or None
        Joules; None if unknown, which is never the same as 0.
    provenance : Provenance
        How the figure came about.
    source : str
        By which meter and method, for people.
    """

    energy_j: float | None
    provenance: Provenance
    source: str

    def __add__(self, other: "Component") -> "Component":
        known = self.energy_j is not None and other.energy_j is not None
        total = (self.energy_j or 0.0) + (other.energy_j or 0.0) if known else None
        worst = Provenance.worst((self.provenance, other.provenance))
        source = self.source
        if source != other.source:
            source = " + ".join(sorted({*source.split(" + "), *other.source.split(" + ")}))
        return Component(total, worst if known else Provenance.NONE, source)


@dataclass(frozen=True)
class Reading:
    """What a meter read between two moments: wall seconds, and energy by component name."""

    duration_s: float
    components: Mapping[str, Component] = field(default_factory=dict)

    def __add__(self, other: "Reading") -> "Reading":
        names = [*self.components, *(n for n in other.components if n not in self.components)]
        merged = {name: _sum_known(self, other, name) for name in names}
        return Reading(self.duration_s + other.duration_s, merged)

    @property
    def headline(self) -> list[Component]:
        """Components that count: all but RAM that is only modelled."""
        return [
            component
            for name, component in self.components.items()
            if name != "ram" or component.provenance.is_measured
        ]

    @property
    def energy_j(self) -> float | None:
        """Joules of the headline components; None if any of them is unknown."""
        joules = [component.energy_j for component in self.headline]
        if not joules or any(j is None for j in joules):
            return None
        return sum(j for j in joules if j is not None)

    @property
    def provenance(self) -> Provenance:
        """Provenance of `energy_j`."""
        return Provenance.worst(component.provenance for component in self.headline)


def _sum_known(first: Reading, second: Reading, name: str) -> Component:
    if name in first.components and name in second.components:
        return first.components[name] + second.components[name]
    full, empty = (first, second) if name in first.components else (second, first)
    part = full.components[name]
    # A component missing from a window of no length is no gap in the account.
    return part if empty.duration_s == 0 else Component(None, Provenance.NONE, part.source)


@dataclass(frozen=True)
class Account:
    """Energy booked to phases; the phases sum to the total.

    Attributes
    ----------
    phases : dict of str to Reading
        ``train``, ``evaluate``, `search`, ``idle``, ``other``; absent ones saw no energy.
    """

    phases: Mapping[str, Reading] = field(default_factory=dict)

    def __add__(self, other: "Account") -> "Account":
        merged = dict(self.phases)
        for phase, reading in other.phases.items():
            merged[phase] = merged[phase] + reading if phase in merged else reading
        return Account(merged)

    @property
    def total(self) -> Reading:
        """Sum over all phases."""
        return sum(self.phases.values(), Reading(0.0))

    def energy_j(self, phase: str) -> float | None:
        """Joules of one phase; 0 if it never ran, None if unknown."""
        reading = self.phases.get(phase)
        return 0.0 if reading is None else reading.energy_j

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Account":
        """Rebuild an account from its `dataclasses.asdict` form."""
        return cls(
            {
                phase: Reading(
                    reading["duration_s"],
                    {
                        name: Component(
                            part["energy_j"], Provenance(part["provenance"]), part["source"]
                        )
                        for name, part in reading["components"].items()
                    },
                )
                for phase, reading in values["phases"].items()
            }
        )


class TrialStatus(StrEnum):
    """How a trial ended."""

    COMPLETED = "completed"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"
    FAILED = "failed"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True)
class Epoch:
    """One epoch of a trial: mean training loss, and validation accuracy where it was measured."""

    epoch: int
    train_loss: float | None
    val_accuracy: float | None = None


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
    val_accuracy : float or None
        In [0, 1]; None unless completed.
    epochs : tuple of Epoch
        The learning curve.
    account : Account
        Energy by phase, its proposal included.
    samples_seen : int
        Training samples, each epoch counted.
    started_at : float
        Seconds since 1970-01-01 UTC.
    error : str or None
        Why it did not complete.
    """

    index: int
    hyperparameters: Mapping[str, float | int]
    status: TrialStatus
    val_accuracy: float | None = None
    epochs: tuple[Epoch, ...] = ()
    account: Account = field(default_factory=Account)
    samples_seen: int = 0
    started_at: float = 0.0
    error: str | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Trial":
        """Rebuild a trial from its `dataclasses.asdict` form."""
        restored = {
            "status": TrialStatus(values["status"]),
            "epochs": tuple(Epoch(**epoch) for epoch in values["epochs"]),
            "account": Account.from_dict(values["account"]),
        }
        return cls(**{**values, **restored})


@dataclass(frozen=True)
class Costs:
    """Deterministic costs of a repeat, equal on every machine.

    Attributes
    ----------
    parameters : int
        Trainable parameters of the architecture.
    train_flops_per_sample : int
        Floating-point operations of a forward and backward pass, 2 a multiply-add.
    train_flops, samples_seen, epochs, trials : int
        Over all trials.
    """

    parameters: int
    train_flops_per_sample: int
    train_flops: int
    samples_seen: int
    epochs: int
    trials: int


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
    test_accuracy : float or None
        Of the incumbent, in [0, 1]; None if no trial completed.
    account : Account
        Energy of the whole repeat; the trials' accounts are part of it.
    costs : Costs
        Deterministic costs.
    emissions : dict
        ``g_co2e`` (None if energy is unknown), ``intensity_g_per_kwh`` and ``source``.
    environment : dict
        ``host`` (fingerprint), CPU, GPU, threads, library versions.
    dataset : dict
        ``name``, ``digest``, ``source``, ``train``, ``validation``, ``test`` sizes.
    wall_s : float
        Seconds from opening to closing the ledger, by a clock of its own: what the phases'
        durations must sum to.
    interruptions : int
        How often the repeat was cut off and taken up again.
    started_at : float
        Seconds since 1970-01-01 UTC.
    """

    case: Case
    repeat: int
    suite: str
    trials: tuple[Trial, ...]
    test_accuracy: float | None
    account: Account
    costs: Costs
    emissions: Mapping[str, Any]
    environment: Mapping[str, Any]
    dataset: Mapping[str, Any]
    wall_s: float = 0.0
    interruptions: int = 0
    started_at: float = 0.0

    @property
    def incumbent(self) -> Trial | None:
        """The best trial by validation accuracy."""
        return find_incumbent(self.trials)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {**dataclasses.asdict(self), "case": self.case.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "CaseResult":
        """Rebuild a result from `to_dict`."""
        restored = {
            "case": Case.from_dict(values["case"]),
            "trials": tuple(Trial.from_dict(trial) for trial in values["trials"]),
            "account": Account.from_dict(values["account"]),
            "costs": Costs(**values["costs"]),
        }
        return cls(**{**values, **restored})


def find_incumbent(trials: Sequence[Trial]) -> Trial | None:
    """Return the best completed trial by validation accuracy, the first of equals."""
    scored = [trial for trial in trials if trial.val_accuracy is not None]
    return max(scored, key=lambda trial: trial.val_accuracy or 0.0, default=None)
