"""Scores: figures that tell how well something was learned."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Score:
    """A figure of how well something was learned.

    Attributes
    ----------
    name : str
        ``"accuracy"``, ``"r2"``, ``"bits_per_token"``, …
    unit : str
        ``"share"`` for what is a share of 1 (shown in per cent, differences in percentage
        points); else a unit such as ``"bits"``, or nothing.
    higher_is_better : bool
        Which way is better.
    low, high : float
        Its range; ends may be infinite.
    chance : float or None
        What is reached without learning anything; None if that depends on the data.
    reads : {"classes", "outputs", "loss"}
        What it is computed from: the likeliest class of each sample (or pixel), the outputs
        themselves, or the mean loss alone.
    source : str
        What computes it.
    """

    name: str
    unit: str = ""
    higher_is_better: bool = True
    low: float = -math.inf
    high: float = math.inf
    chance: float | None = None
    reads: Literal["classes", "outputs", "loss"] = "outputs"
    source: str = "greenbench"

    def gain(self, value: float) -> float:
        """Return a value so that more is better, whichever way the score points."""
        return value if self.higher_is_better else -value

    def is_better(self, one: float, other: float) -> bool:
        """Return whether `one` is better than `other`."""
        return self.gain(one) > self.gain(other)

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values; an end that is infinite is None."""
        values = asdict(self)
        for end in ("low", "high"):
            values[end] = None if math.isinf(values[end]) else values[end]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Score":
        """Rebuild a score from `to_dict`."""
        ends = {"low": -math.inf, "high": math.inf}
        return cls(**{**values, **{k: v for k, v in ends.items() if values.get(k) is None}})


ACCURACY = Score(
    "accuracy", "share", low=0.0, high=1.0, reads="classes", source="share of right classes"
)
"""The share of samples whose likeliest class is right."""
