"""Adam's hyperparameters: what they are called, and which values every backend takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from greenbench.errors import HyperparameterError

# Frameworks compute in 32 bits: what is nearer to 0 may be 0 there, what is nearer to 1 is 1,
# and what is beyond the greatest number is infinite.
_LEAST = 2.0**-126
_GREATEST = (2 - 2.0**-23) * 2.0**127
_BELOW_ONE = 1 - 2.0**-24


@dataclass(frozen=True)
class AdamOptions:
    """Adam's hyperparameters with its published defaults (Kingma and Ba 2015, section 2).

    `weight_decay` is an L2 penalty added to the gradient, as in torch's Adam and the paper.
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Allowed:
    """The values of a hyperparameter that every backend takes; both bounds are among them.

    Attributes
    ----------
    low, high : float
        Bounds.
    words : str
        The range for people.
    """

    low: float
    high: float
    words: str

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


ALLOWED: Mapping[str, Allowed] = {
    "learning_rate": Allowed(_LEAST, _GREATEST, "a number above 0"),
    "beta1": Allowed(0.0, _BELOW_ONE, "a number of at least 0 and below 1"),
    "beta2": Allowed(0.0, _BELOW_ONE, "a number of at least 0 and below 1"),
    "epsilon": Allowed(_LEAST, _GREATEST, "a number above 0"),
    "weight_decay": Allowed(0.0, _GREATEST, "a number of at least 0"),
}
"""What Adam is defined for (Kingma and Ba 2015, algorithm 1), in numbers of 32 bits.

Torch takes an epsilon of 0, too, but divides 0 by 0 where a gradient is 0. Keras takes anything.
"""


def plain_hyperparameters(hyperparameters: Mapping[str, Any]) -> dict[str, float | int]:
    """Return proposed hyperparameters as plain int and float.

    Parameters
    ----------
    hyperparameters : mapping
        By name; numbers of NumPy are taken, truth values and texts are not.

    Raises
    ------
    HyperparameterError
        If one is not Adam's, no number, or of no value that every backend takes.
    """
    if unknown := sorted(map(str, set(hyperparameters) - set(ALLOWED))):
        raise HyperparameterError(
            f"hyperparameter {', '.join(unknown)} is read by nothing; expected one of Adam's: "
            f"{', '.join(ALLOWED)}"
        )
    found: dict[str, float | int] = {}
    for name, value in hyperparameters.items():
        plain = _plain(value)
        if plain is None or plain not in ALLOWED[name]:
            raise HyperparameterError(f"{name} is {value!r}; expected {ALLOWED[name].words}")
        found[name] = plain
    return found


def adam_options(hyperparameters: Mapping[str, Any]) -> AdamOptions:
    """Return the optimiser for proposed hyperparameters, all of them float.

    Raises
    ------
    HyperparameterError
        If one is not Adam's, no number, or of no value that every backend takes.
    """
    plain = plain_hyperparameters(hyperparameters)
    return AdamOptions(**{name: float(value) for name, value in plain.items()})


def _plain(value: object) -> float | int | None:
    """Return a number of any kind as a plain one; None if it is none, as a truth value is."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    return int(value) if isinstance(value, Integral) else float(value)
