"""Schedules: by what the learning rate is multiplied at each step, equal for every backend."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from greenbench import registry
from greenbench.errors import HyperparameterError

Factors = NDArray[np.float64]
_STEPS = 8


class Schedule(Protocol):
    """A schedule with its options: a frozen dataclass with a default each.

    Attributes
    ----------
    name : str
        Name in the registry.
    """

    name: ClassVar[str]

    def factors(self, steps: int, steps_per_epoch: int) -> Factors:
        """Return what the learning rate is multiplied by at each step.

        Parameters
        ----------
        steps : int
            Of the whole training.
        steps_per_epoch : int
            Of an epoch.

        Returns
        -------
        ndarray of float64, shape (steps,)
            Not below 0.
        """


@dataclass(frozen=True)
class Constant:
    """The learning rate as it is."""

    name: ClassVar[str] = "constant"

    def factors(self, steps: int, steps_per_epoch: int) -> Factors:
        """Return ones."""
        return np.ones(steps)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 to `floor` (Loshchilov and Hutter 2017, equation 5)."""

    name: ClassVar[str] = "cosine"
    floor: float = 0.0

    def factors(self, steps: int, steps_per_epoch: int) -> Factors:
        """Return the cosine, a step at a time."""
        return _cosine(1.0, self.floor, np.arange(steps) / max(steps, 1))


@dataclass(frozen=True)
class OneCycle:
    """Up from a low rate and down to a lower one (Smith and Topin 2018), as torch has it.

    The learning rate is the highest one. Momentum stays.
    """

    name: ClassVar[str] = "one_cycle"
    rise: float = 0.3
    start: float = 1 / 25
    end: float = 1 / 25e4

    def factors(self, steps: int, steps_per_epoch: int) -> Factors:
        """Return two halves of cosines that meet after the share `rise` of the steps."""
        _check_share(self.rise)
        at = np.arange(steps)
        peak = self.rise * steps - 1
        up = _cosine(self.start, 1.0, np.clip(at / max(peak, 1e-12), 0.0, 1.0))
        down = _cosine(1.0, self.end, np.clip((at - peak) / max(steps - 1 - peak, 1e-12), 0.0, 1.0))
        return np.where(at <= peak, up, down)


@dataclass(frozen=True)
class Step:
    """Times `gamma` after each `every` epochs."""

    name: ClassVar[str] = "step"
    every: int = 1
    gamma: float = 0.1

    def factors(self, steps: int, steps_per_epoch: int) -> Factors:
        """Return powers of gamma."""
        if self.every < 1 or self.every != int(self.every):
            raise ValueError(f"every is {self.every}; expected a whole number above 0")
        epochs = np.arange(steps) // max(steps_per_epoch, 1)
        return np.asarray(float(self.gamma) ** (epochs // int(self.every)))


@dataclass(frozen=True)
class LinearWarmup:
    """In a straight line up to 1 in the share `warmup` of the steps, then constant or down.

    `decay` is ``"none"``, ``"linear"`` or ``"cosine"``, down to `floor` at the end.
    """

    name: ClassVar[str] = "linear_warmup"
    warmup: float = 0.1
    decay: str = "none"
    floor: float = 0.0

    def factors(self, steps: int, steps_per_epoch: int) -> Factors:
        """Return the line, and what comes after."""
        _check_share(self.warmup)
        at, rising = np.arange(steps), max(round(self.warmup * steps), 1)
        along = np.clip((at - rising) / max(steps - rising, 1), 0.0, 1.0)
        after = {
            "none": np.ones(steps),
            "linear": 1 - (1 - self.floor) * along,
            "cosine": _cosine(1.0, self.floor, along),
        }[self.decay]
        return np.where(at < rising, (at + 1) / rising, after)


def make_schedule(name: str, options: Mapping[str, Any]) -> Schedule:
    """Return a schedule with options.

    Raises
    ------
    HyperparameterError
        If it has no option of that name, or cannot work with a value.
    """
    kind = registry.schedules.get(name)
    known = [each.name for each in fields(kind)]
    for option in options:
        if option not in known:
            expected = f"one of {', '.join(known)}" if known else "none"
            raise HyperparameterError(
                f"schedule {name!r} has no option {option!r}; expected {expected}"
            )
    found: Schedule = kind(**options)
    if not _works(found):
        raise HyperparameterError(
            f"schedule {name!r} gives no learning rates with {dict(options)}; expected options "
            f"like its defaults, {kind()}"
        )
    return found


def _works(schedule: Schedule) -> bool:
    """Return whether a schedule gives a factor of at least 0 for each step of a training."""
    try:
        # What is too large is said in a line of ours, below.
        with np.errstate(all="ignore"):
            factors = np.asarray(schedule.factors(_STEPS, 2), np.float64)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return False
    return factors.shape == (_STEPS,) and bool(((factors >= 0) & np.isfinite(factors)).all())


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{share} is no share of the steps; expected 0 to 1")


def _cosine(start: float, end: float, along: Factors) -> Factors:
    return np.asarray(end + (start - end) * (1 + np.cos(np.pi * along)) / 2)
