"""Dimensions of a search space: what one hyperparameter may be."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Literal

from greenbench.cases.case import Scalar
from greenbench.errors import SearchSpaceError

# Frameworks compute in 32 bits, where anything closer to a bound would be the bound itself.
FLOAT32_STEP = 2.0**-23

LOG_RATIO = 100.0
"""From this ratio of the bounds on, values are spread evenly over orders of magnitude."""

Prior = Literal["uniform", "log"]


@dataclass(frozen=True)
class Dimension:
    """One hyperparameter.

    Attributes
    ----------
    name : str
        What takes it calls it: ``learning_rate``, ``batch_size``, ``width``, …
    low, high : float
        Bounds, `low` below `high`.
    prior : {"uniform", "log"}
        How values are spread between the bounds.
    type : {"float", "int"}
        What values are.
    excludes_high : bool
        Whether `high` itself is no legal value, as for Adam's betas.
    """

    name: str
    low: float
    high: float
    prior: Prior = "uniform"
    type: Literal["float", "int"] = "float"
    excludes_high: bool = False

    def __post_init__(self) -> None:
        where = f"dimension {self.name!r}"
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise SearchSpaceError(
                f"{where} has bounds {self.low} and {self.high}; expected finite numbers"
            )
        if self.low >= self.high:
            raise SearchSpaceError(
                f"{where} has bounds {self.low} and {self.high}; expected low below high"
            )
        if self.prior not in ("uniform", "log"):
            raise SearchSpaceError(f"{where} has prior {self.prior!r}; expected uniform or log")
        if self.prior == "log" and self.low <= 0:
            raise SearchSpaceError(
                f"{where} has a log prior and starts at {self.low}; expected a bound above 0"
            )
        if self.type not in ("float", "int"):
            raise SearchSpaceError(f"{where} has type {self.type!r}; expected float or int")
        if not math.isfinite(self.high - self.low):
            raise SearchSpaceError(
                f"{where} has bounds {self.low} and {self.high}; expected them less far apart"
            )
        if self.type == "int" and self.clip(self.low) not in self:
            raise SearchSpaceError(
                f"{where} has bounds {self.low} and {self.high}; expected a whole number between"
            )

    def at(self, position: float) -> float | int:
        """Return the legal value at `position` in [0, 1] of the way from low to high."""
        if self.prior == "log":
            low, high = math.log(self.low), math.log(self.high)
            value = math.exp(low + position * (high - low))
        else:
            value = self.low + position * (self.high - self.low)
        return self.clip(value)

    def draw(self, position: float) -> float | int:
        """Return the legal value at a random `position` in [0, 1) of the prior.

        Whole numbers are all equally likely under a uniform prior, the outermost ones too.
        """
        if self.type == "float":
            return self.at(position)
        # Half a step more on either side, lest the outermost numbers be drawn half as often.
        low, high = self.clip(self.low) - 0.5, self.clip(self.high) + 0.5
        continuous = replace(self, low=low, high=high, type="float", excludes_high=False)
        return self.clip(continuous.at(position))

    def with_prior(self, prior: Prior) -> "Dimension":
        """Return the dimension with another prior; see `SearchSpace.with_prior`."""
        # The quotient of 1e-7 and 1e-9 is a hair below 100.
        ratio = self.high / self.low if self.low > 0 else 0.0
        is_wide = ratio >= LOG_RATIO * (1 - 1e-9)
        return replace(self, prior="log" if prior == "log" and is_wide else "uniform")

    def clip(self, value: Scalar) -> float | int:
        """Return `value` as plain int or float, moved inside the bounds."""
        if self.type == "int":
            highest = math.ceil(self.high) - 1 if self.excludes_high else math.floor(self.high)
            return min(max(round(float(value)), math.ceil(self.low)), highest)
        high = self.high
        if self.excludes_high:
            step = FLOAT32_STEP * (abs(self.high) or self.high - self.low)
            high = max(self.high - step, self.low)
        return float(min(max(float(value), self.low), high))

    def around(self, value: Scalar) -> "Dimension":
        """Return the dimension, wide enough to have `value` in it if that is a number."""
        if isinstance(value, str | bool) or value in self:
            return self
        return replace(self, low=min(self.low, value), high=max(self.high, value), prior="uniform")

    def __contains__(self, value: Scalar) -> bool:
        if isinstance(value, str):
            return False
        below = value < self.high if self.excludes_high else value <= self.high
        return self.low <= value and below


@dataclass(frozen=True)
class Categorical:
    """One hyperparameter that is one of several values without an order.

    Attributes
    ----------
    name : str
        What takes it calls it: ``nesterov``, ``optimizer``, ``augment``, …
    choices : sequence of str, int, float or bool
        At least two, all equally likely; no two are equal or spelled alike, as 1 and True are.
    """

    name: str
    choices: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        where = f"dimension {self.name!r}"
        if isinstance(self.choices, str) or not isinstance(self.choices, Sequence):
            raise SearchSpaceError(f"{where} has choices {self.choices!r}; expected a sequence")
        choices = tuple(_plain(where, each) for each in self.choices)
        if len(choices) < 2:  # noqa: PLR2004
            raise SearchSpaceError(f"{where} has choices {choices}; expected at least two")
        # Tables show choices as text, and 1 == True is one key of a dict.
        if len({str(each) for each in choices}) < len(choices) or len(set(choices)) < len(choices):
            raise SearchSpaceError(
                f"{where} has choices {choices}; expected no two that are equal or spelled alike"
            )
        object.__setattr__(self, "choices", choices)

    def at(self, position: float) -> Scalar:
        """Return the choice at `position` in [0, 1]; each has an equal share of it."""
        return self.choices[min(int(position * len(self.choices)), len(self.choices) - 1)]

    draw = at

    def with_prior(self, prior: Prior) -> "Categorical":
        """Return the dimension as it is: choices have no order to spread them over."""
        return self

    def clip(self, value: Scalar) -> Scalar:
        """Return the choice that `value` is, of a plain type.

        Raises
        ------
        SearchSpaceError
            If it is none.
        """
        if value not in self:
            raise SearchSpaceError(
                f"dimension {self.name!r} is {value!r}; expected one of its choices "
                f"{', '.join(map(str, self.choices))}"
            )
        return self.choices[self.choices.index(value)]

    def around(self, value: Scalar) -> "Categorical":
        """Return the dimension, with `value` among its choices."""
        return self if value in self else replace(self, choices=(*self.choices, value))

    def __contains__(self, value: object) -> bool:
        return value in self.choices


AnyDimension = Dimension | Categorical


def _plain(where: str, choice: object) -> Scalar:
    """Return a choice as plain str, int, float or bool; NumPy's scalars are taken."""
    plain = choice.item() if hasattr(choice, "item") and getattr(choice, "ndim", 0) == 0 else choice
    is_number = isinstance(plain, Real) and math.isfinite(plain)
    if isinstance(plain, str | bool):
        return plain
    if not is_number:
        raise SearchSpaceError(
            f"{where} has the choice {choice!r}; expected texts, finite numbers, true or false"
        )
    assert isinstance(plain, Real)
    return int(plain) if isinstance(plain, Integral) else float(plain)
