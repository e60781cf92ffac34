"""Search spaces as data: names, bounds, priors and types."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from greenbench import registry
from greenbench.errors import SearchSpaceError
from greenbench.optimizers.options import ALLOWED

# Frameworks compute in 32 bits, where anything closer to a bound would be the bound itself.
FLOAT32_STEP = 2.0**-23

LOG_RATIO = 100.0
"""From this ratio of the bounds on, values are spread evenly over orders of magnitude."""

Hyperparameters = dict[str, float | int]


@dataclass(frozen=True)
class Dimension:
    """One hyperparameter.

    Attributes
    ----------
    name : str
        What the optimiser calls it: ``learning_rate``, ``beta1``, …
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
    prior: Literal["uniform", "log"] = "uniform"
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

    def clip(self, value: float) -> float | int:
        """Return `value` as plain int or float, moved inside the bounds."""
        if self.type == "int":
            highest = math.ceil(self.high) - 1 if self.excludes_high else math.floor(self.high)
            return min(max(round(float(value)), math.ceil(self.low)), highest)
        high = self.high
        if self.excludes_high:
            step = FLOAT32_STEP * (abs(self.high) or self.high - self.low)
            high = max(self.high - step, self.low)
        return float(min(max(float(value), self.low), high))

    def __contains__(self, value: float) -> bool:
        below = value < self.high if self.excludes_high else value <= self.high
        return self.low <= value and below


@dataclass(frozen=True)
class SearchSpace:
    """An ordered set of dimensions.

    Attributes
    ----------
    name : str
        Name in the registry.
    dimensions : tuple of Dimension
        At least one, with different names.
    """

    name: str
    dimensions: tuple[Dimension, ...]

    def __post_init__(self) -> None:
        names = [dimension.name for dimension in self.dimensions]
        if not names:
            raise SearchSpaceError(f"search space {self.name!r} has no dimensions")
        if len(set(names)) < len(names):
            raise SearchSpaceError(f"search space {self.name!r} names a dimension twice")

    @property
    def prior(self) -> str:
        """``"log"`` if any dimension's prior is, else ``"uniform"``."""
        return "log" if any(each.prior == "log" for each in self.dimensions) else "uniform"

    def with_prior(self, prior: Literal["uniform", "log"]) -> "SearchSpace":
        """Return the space with another prior, whatever its dimensions say.

        Parameters
        ----------
        prior : {"uniform", "log"}
            ``"log"`` for each dimension whose bounds are above 0 and at least `LOG_RATIO`
            apart, ``"uniform"`` for the others; or ``"uniform"`` for all.
        """
        return replace(self, dimensions=tuple(_with_prior(d, prior) for d in self.dimensions))

    def draw(self, positions: Sequence[float]) -> Hyperparameters:
        """Return the hyperparameters at random positions in [0, 1), one a dimension."""
        pairs = zip(self.dimensions, positions, strict=True)
        return {dimension.name: dimension.draw(position) for dimension, position in pairs}


def find_space(name: str) -> SearchSpace:
    """Return a registered space, each of whose values the optimiser takes.

    Parameters
    ----------
    name : str
        Name in the registry.

    Raises
    ------
    UnknownNameError
        If nothing is registered under that name.
    SearchSpaceError
        If it is no `SearchSpace`, if nothing reads a dimension of it, or if not every backend
        takes all values of one.
    """
    space: object = registry.spaces.get(name)
    file = getattr(registry.spaces.origin(name), "__file__", None)
    code = getattr(space, "__code__", None)
    line = f":{code.co_firstlineno}" if code else ""
    where = f"search space {name!r}" + (f" ({file}{line})" if file else "")
    if not isinstance(space, SearchSpace):
        raise SearchSpaceError(
            f"{where} is of type {type(space).__name__}; expected a SearchSpace itself: "
            f"register_space({name!r})(SearchSpace(...))"
        )
    for each in space.dimensions:
        if each.name not in ALLOWED:
            raise SearchSpaceError(
                f"{where} has the dimension {each.name!r}, which nothing reads; expected one of "
                f"Adam's hyperparameters: {', '.join(ALLOWED)}. Leave it out, and choose what "
                "else varies with options of `greenbench run`"
            )
        allowed = ALLOWED[each.name]
        if not all(each.clip(end) in allowed for end in (each.low, each.high)):
            raise SearchSpaceError(
                f"{where} has {each.name} from {each.low:g} to {each.high:g}; expected "
                f"{allowed.words}, which every backend takes: change its bounds"
            )
    return space


def _with_prior(dimension: Dimension, prior: Literal["uniform", "log"]) -> Dimension:
    # The quotient of 1e-7 and 1e-9 is a hair below 100.
    ratio = dimension.high / dimension.low if dimension.low > 0 else 0.0
    is_wide = ratio >= LOG_RATIO * (1 - 1e-9)
    return replace(dimension, prior="log" if prior == "log" and is_wide else "uniform")


PAPER3 = SearchSpace(
    "paper3",
    (
        Dimension("learning_rate", 1e-5, 1e-1),
        Dimension("beta1", 0.1, 1.0, excludes_high=True),
        Dimension("beta2", 0.8, 1.0, excludes_high=True),
    ),
)
"""Three parameters of Adam, all uniform (Yarally et al. 2023, RQ1)."""

PAPER5 = SearchSpace(
    "paper5",
    (
        *PAPER3.dimensions,
        Dimension("epsilon", 1e-9, 1e-7),
        Dimension("weight_decay", 0.0, 0.1),
    ),
)
"""Five parameters of Adam, all uniform (Yarally et al. 2023, RQ1)."""

ADAM = SearchSpace(
    "adam",
    (Dimension("learning_rate", 1e-5, 1e-1, prior="log"), *PAPER3.dimensions[1:]),
)
"""The paper's three parameters with a log prior on the learning rate."""
