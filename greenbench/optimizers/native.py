"""Optimisers that a framework has: one's options, read from the signature of its class."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, make_dataclass
from numbers import Real
from typing import Any

from greenbench.optimizers.options import OptimizerOptions

LEARNING_RATE = "learning_rate"


def options_of(
    name: str,
    optimizer: Callable[..., Any],
    build: Callable[[Any], Callable[..., Any]],
    leaves: tuple[str, ...] = (),
) -> type[OptimizerOptions]:
    """Return a frozen dataclass with what an optimiser's class takes, as its signature has it.

    Arguments whose defaults are numbers or truth values become options of the same name, but for
    ``lr``, which is `learning_rate` here; of a tuple of numbers such as ``betas=(0.9, 0.999)``
    each becomes one: `beta1`, `beta2`.

    Parameters
    ----------
    name : str
        In case ids, such as ``"torch_nadam"``.
    optimizer : callable
        The class.
    build : callable
        Takes `optimizer`'s arguments by name, and returns the method of the dataclass that builds,
        by the name that the backend looks for: ``build_torch`` or ``build_keras``.
    leaves : tuple of str
        Arguments that are no options: how it computes, not what it learns.
    """
    found = dict(_arguments(optimizer, leaves))
    fields = [(option, kind, field(default=value)) for option, (_, kind, value) in found.items()]

    def arguments(options: Any) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for option, (argument, *_) in found.items():
            value = getattr(options, option)
            if option in (argument, LEARNING_RATE):
                given[argument] = value
            else:
                given[argument] = (*given.get(argument, ()), value)
        return given

    method = build(arguments)
    kind = make_dataclass(
        name, fields, frozen=True, namespace={"name": name, method.__name__: method}
    )
    kind.__doc__ = f"Options of {optimizer.__module__}.{optimizer.__qualname__}."
    return kind


def find(name: str, named: Mapping[str, Any]) -> Any | None:
    """Return what is called `name`, whatever its letters' case and underscores; None if nothing."""
    plain = {each.lower().replace("_", ""): value for each, value in named.items()}
    return plain.get(name.lower().replace("_", ""))


def _arguments(
    optimizer: Callable[..., Any], leaves: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, type, Any]]]:
    """Yield options with the argument, type and default of each."""
    for argument, parameter in inspect.signature(optimizer).parameters.items():
        default = parameter.default
        if argument in leaves:
            continue
        if isinstance(default, bool):
            yield argument, (argument, bool, default)
        elif isinstance(default, Real):
            option = LEARNING_RATE if argument in ("lr", LEARNING_RATE) else argument
            yield option, (argument, float, float(default))
        elif isinstance(default, tuple) and default and all(isinstance(x, Real) for x in default):
            for number, value in enumerate(default, 1):
                yield f"{argument.removesuffix('s')}{number}", (argument, float, float(value))
