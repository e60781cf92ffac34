"""`measured`: a function whose calls are measured."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, overload

from greenbench.errors import ConfigurationError, EnergyError
from greenbench.machine.places import at
from greenbench.measuring.asked import Log, check_log, check_max_wh, check_name
from greenbench.measuring.window import Window, is_inside

Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def measured(given: Function) -> Function: ...


@overload
def measured(
    given: str | None = None,
    *,
    max_wh: float | None = None,
    log: Log = True,
    include_disturbed: bool = False,
) -> Callable[[Function], Function]: ...


def measured(
    given: Any = None,
    *,
    max_wh: float | None = None,
    log: Log = True,
    include_disturbed: bool = False,
) -> Any:
    """Measure each call of a function, as `measure` does a block.

    The last call's measurement is the function's attribute ``measurement``, and None before. A call
    inside another one, as of a function that calls itself, is a part of that. Of a coroutine
    function the time is measured until it has been awaited, with all that ran meanwhile.

    Parameters
    ----------
    given : function or str, optional
        What is decorated, or the name of the measurement; without, that of the function.
    max_wh, log, include_disturbed
        As of `measure`.

    Raises
    ------
    ConfigurationError
        If name or budget make no sense, or it is a generator function or a class.

    Examples
    --------
    >>> @measured(max_wh=0.5)
    ... def preprocess(samples):
    ...     return sorted(samples)
    >>> preprocess.measurement is None
    True
    """
    if callable(given):
        return _measured(given, None, {"log": True})
    if given is not None:
        check_name(given)
    # Now, and not at the first call.
    check_max_wh(max_wh)
    check_log(log)
    options = {"max_wh": max_wh, "log": log, "include_disturbed": include_disturbed}
    return lambda function: _measured(function, given, options)


def _measured(function: Any, name: str | None, options: dict[str, Any]) -> Any:
    if isinstance(function, type) or not callable(function):
        raise ConfigurationError(f"measured: {function!r} is no function; decorate one")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(
            f"measured: {function.__name__} is a generator function{at(function)}, which works "
            "where it is iterated: measure the loop, `with greenbench.measure(...)`"
        )
    name = check_name(name or getattr(function, "__name__", None))
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*given: Any, **named: Any) -> Any:
            if is_inside(name):
                return await function(*given, **named)
            with _remembering(awaited, Window(name, **options)):
                return await function(*given, **named)

        awaited.measurement = None  # type: ignore[attr-defined]
        return awaited

    @functools.wraps(function)
    def called(*given: Any, **named: Any) -> Any:
        if is_inside(name):
            return function(*given, **named)
        with _remembering(called, Window(name, **options)):
            return function(*given, **named)

    called.measurement = None  # type: ignore[attr-defined]
    return called


@contextmanager
def _remembering(function: Any, window: Window) -> Iterator[None]:
    try:
        with window:
            yield
    finally:
        # It may not even have begun.
        with suppress(EnergyError):
            function.measurement = window.measurement
