"""The metrics that a budget may limit, and what kind of figure each is."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a metric is judged."""

    COUNT = "count"
    """A deterministic cost: the same whenever the same case runs."""
    SCORE = "score"
    """How well something was learned, which varies with the seed; accuracy is one."""
    ENERGY = "energy"
    """Energy and what follows from it: noisy, of one host, measured or estimated."""
    TIME = "time"
    """Noisy and of one host, but always measured."""


class Rule(StrEnum):
    """What a limit is about."""

    MAX = "max"
    MIN = "min"
    MAX_INCREASE = "max_increase"
    MAX_DROP = "max_drop"

    @property
    def is_relative(self) -> bool:
        """Whether it needs a baseline."""
        return self in (Rule.MAX_INCREASE, Rule.MAX_DROP)


@dataclass(frozen=True)
class Metric:
    """A metric of a case.

    Attributes
    ----------
    name : str
        In budgets.
    column : str
        In tables of results, see `greenbench.results.table`.
    kind : Kind
        How it is judged.
    unit : str
        For people; empty for a plain number.
    """

    name: str
    column: str
    kind: Kind
    unit: str

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that a limit on it may have: absolute ones, and last, to a baseline."""
        if self.is_accuracy:
            return Rule.MIN, Rule.MAX_DROP
        if self.kind is Kind.SCORE:
            return Rule.MIN, Rule.MAX, Rule.MAX_DROP
        return Rule.MAX, Rule.MAX_INCREASE

    @property
    def is_accuracy(self) -> bool:
        """Whether it is of cases whose score is accuracy only."""
        return self.name in ("accuracy", "val_accuracy")


_ALL = (
    Metric("train_flops", "train_flops", Kind.COUNT, "FLOP"),
    Metric("parameters", "parameters", Kind.COUNT, ""),
    Metric("samples_seen", "samples_seen", Kind.COUNT, ""),
    Metric("trials", "trials", Kind.COUNT, ""),
    Metric("epochs", "epochs", Kind.COUNT, ""),
    Metric("accuracy", "test_score", Kind.SCORE, ""),
    Metric("val_accuracy", "val_score", Kind.SCORE, ""),
    Metric("score", "test_score", Kind.SCORE, ""),
    Metric("val_score", "val_score", Kind.SCORE, ""),
    Metric("energy_wh", "energy_wh", Kind.ENERGY, "Wh"),
    Metric("train_wh", "train_wh", Kind.ENERGY, "Wh"),
    Metric("emissions_g", "emissions_g", Kind.ENERGY, "g CO2e"),
    Metric("duration_s", "duration_s", Kind.TIME, "s"),
    Metric("cpu_s", "cpu_s", Kind.TIME, "s"),
)

SHORT: Mapping[str, tuple[str, Rule]] = {
    "min_score": ("score", Rule.MIN),
    "max_score": ("score", Rule.MAX),
    "max_drop": ("score", Rule.MAX_DROP),
}
"""Keys of a budget that are one limit on the score: ``min_score = 0.4``."""

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}
"""By the name that budgets give them."""
