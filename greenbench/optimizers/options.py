"""Optimisers: what their hyperparameters are called, and which values every backend takes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, ClassVar, Protocol

from greenbench import registry
from greenbench.errors import HyperparameterError

# Frameworks compute in 32 bits: what is nearer to 0 may be 0 there, what is nearer to 1 is 1,
# and what is beyond the greatest number is infinite.
_LEAST = 2.0**-126
_GREATEST = (2 - 2.0**-23) * 2.0**127
_BELOW_ONE = 1 - 2.0**-24


class OptimizerOptions(Protocol):
    """An optimiser with all of its hyperparameters: a frozen dataclass with a default each.

    Attributes
    ----------
    name : str
        Name in the registry.
    """

    name: ClassVar[str]


@dataclass(frozen=True)
class AdamOptions:
    """Adam's hyperparameters with its published defaults (Kingma and Ba 2015, section 2).

    `weight_decay` is an L2 penalty added to the gradient, as in torch's Adam and the paper.
    """

    name: ClassVar[str] = "adam"
    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0


@dataclass(frozen=True)
class AdamWOptions:
    """Adam whose weight decay is decoupled from the gradient (Loshchilov and Hutter 2019)."""

    name: ClassVar[str] = "adamw"
    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01


@dataclass(frozen=True)
class SGDOptions:
    """Stochastic gradient descent with momentum (Sutskever et al. 2013), as torch writes it.

    `weight_decay` is an L2 penalty added to the gradient.
    """

    name: ClassVar[str] = "sgd"
    learning_rate: float = 1e-2
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0


@dataclass(frozen=True)
class RMSpropOptions:
    """RMSprop (Tieleman and Hinton 2012), with torch's defaults but for the learning rate."""

    name: ClassVar[str] = "rmsprop"
    learning_rate: float = 1e-3
    rho: float = 0.99
    momentum: float = 0.0
    epsilon: float = 1e-8
    weight_decay: float = 0.0


@dataclass(frozen=True)
class AdagradOptions:
    """Adagrad (Duchi, Hazan and Singer 2011), with torch's defaults."""

    name: ClassVar[str] = "adagrad"
    learning_rate: float = 1e-2
    epsilon: float = 1e-10
    weight_decay: float = 0.0


@dataclass(frozen=True)
class AdadeltaOptions:
    """Adadelta (Zeiler 2012), with torch's defaults."""

    name: ClassVar[str] = "adadelta"
    learning_rate: float = 1.0
    rho: float = 0.9
    epsilon: float = 1e-6
    weight_decay: float = 0.0


@dataclass(frozen=True)
class LionOptions:
    """Lion (Chen et al. 2023, arXiv 2302.06675); its weight decay is decoupled."""

    name: ClassVar[str] = "lion"
    learning_rate: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
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
    "rho": Allowed(0.0, _BELOW_ONE, "a number of at least 0 and below 1"),
    "momentum": Allowed(0.0, _BELOW_ONE, "a number of at least 0 and below 1"),
    "epsilon": Allowed(_LEAST, _GREATEST, "a number above 0"),
    "weight_decay": Allowed(0.0, _GREATEST, "a number of at least 0"),
}
"""What optimisers are defined for, in numbers of 32 bits.

Torch takes an epsilon of 0, too, but divides 0 by 0 where a gradient is 0. Keras takes anything.
"""


def plain_hyperparameters(optimizer: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyperparameters of an optimiser as plain int, float and bool.

    Parameters
    ----------
    optimizer : str
        Name in the registry.
    values : mapping
        By name; numbers of NumPy are taken, truth values and texts for numbers are not.

    Raises
    ------
    HyperparameterError
        If the optimiser has none of that name, or a value is none that every backend takes.
    """
    kind = registry.optimizers.get(optimizer)
    defaults = {each.name: each.default for each in fields(kind)}
    if unknown := sorted(map(str, set(values) - set(defaults))):
        raise HyperparameterError(
            f"hyperparameter {', '.join(unknown)} is read by nothing; expected one of "
            f"{optimizer}: {', '.join(defaults)}"
        )
    return {name: _plain(name, value, defaults[name]) for name, value in values.items()}


def optimizer_options(optimizer: str, values: Mapping[str, Any]) -> OptimizerOptions:
    """Return an optimiser with hyperparameters, and defaults for the others; numbers are float.

    Raises
    ------
    HyperparameterError
        If the optimiser has none of that name, or a value is none that every backend takes.
    """
    plain = plain_hyperparameters(optimizer, values)
    kind = registry.optimizers.get(optimizer)
    given = {name: each if isinstance(each, bool) else float(each) for name, each in plain.items()}
    found: OptimizerOptions = kind(**given)
    return found


def _plain(name: str, value: object, default: object) -> bool | float | int:
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise HyperparameterError(f"{name} is {value!r}; expected true or false")
        return value
    allowed = ALLOWED.get(name)
    number = value if isinstance(value, Real) and not isinstance(value, bool) else None
    if number is None or (allowed is not None and float(number) not in allowed):
        raise HyperparameterError(
            f"{name} is {value!r}; expected {allowed.words if allowed else 'a number'}"
        )
    return int(number) if isinstance(number, Integral) else float(number)
