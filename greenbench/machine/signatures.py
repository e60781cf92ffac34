"""What a function of a part takes: the options that may be set, with their defaults."""

import inspect
from collections.abc import Callable
from typing import Any

REQUIRED = inspect.Parameter.empty
"""Stands for the default of an option that has none."""

_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def options_of(function: Callable[..., Any], given: int) -> dict[str, Any]:
    """Return the names that a function takes, with their defaults.

    Parameters
    ----------
    function : callable
        An architecture, a loader.
    given : int
        So many of its first parameters are no options: it is always called with them.

    Returns
    -------
    dict
        By name; `REQUIRED` where there is no default.
    """
    parameters = list(inspect.signature(function).parameters.values())[given:]
    return {each.name: each.default for each in parameters if each.kind not in _OPEN}


def takes_any(function: Callable[..., Any]) -> bool:
    """Return whether a function takes options of any name."""
    parameters = inspect.signature(function).parameters.values()
    return any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)
