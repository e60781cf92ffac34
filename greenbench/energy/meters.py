"""Meters by name: ``codecarbon``, ``codecarbon,zeus``, ``replay:trace.csv``."""

import inspect
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from greenbench import registry
from greenbench.energy.guard import GuardedMeter
from greenbench.energy.meter import Meter
from greenbench.energy.paired import PairedMeter
from greenbench.errors import ConfigurationError, EnergyError, GreenbenchError
from greenbench.machine.places import described
from greenbench.results.gpus import Gpu


def check_meters(names: str) -> None:
    """Raise `ConfigurationError` unless `names` lists known meters, each once, as they are called.

    Only opening a meter tells whether its argument makes sense.
    """
    parsed = _parse(names)
    listed = [name for name, _ in parsed]
    for name in listed:
        registry.meters.check(name)
    for name in listed:
        if listed.count(name) > 1:
            raise ConfigurationError(
                f"meter {name!r} is listed twice in {names!r}; a second opinion needs another meter"
            )
    for name, argument in parsed:
        _check_call(name, argument)


def meter_names(names: str) -> list[str]:
    """Return the names in `names`, without arguments."""
    return [name for name, _ in _parse(names)]


def meter_files(names: str) -> list[str]:
    """Return the arguments in `names` that are files, such as traces."""
    return [argument for _, argument in _parse(names) if argument and Path(argument).is_file()]


def open_meter(
    names: str,
    gpus: Sequence[Gpu] | None = None,
    cpu_tdp_w: float | None = None,
    *,
    counted: Container[str] = (),
) -> Meter:
    """Return a running meter that records its failures instead of raising them.

    Parameters
    ----------
    names : str
        Names, separated by commas: the first counts, the others are witnesses. An argument
        follows a colon, as in ``replay:trace.csv``.
    gpus : sequence of Gpu, optional
        The cards that train, for meters with a keyword argument of this name; without, they read
        what they find.
    cpu_tdp_w : float, optional
        The TDP of all CPUs, in W, likewise; without, meters that need it look it up.
    counted : container of str
        Components that counters are read of instead, so that the first meter need not look at them:
        a GPU takes tens of milliseconds to tell all that codecarbon asks.

    Raises
    ------
    ConfigurationError
        If a meter is unknown, lacks its package, or does not take the argument.
    """
    check_meters(names)
    told = {"gpus": gpus, "cpu_tdp_w": cpu_tdp_w}
    first, *others = _parse(names)
    its = {**told, "gpus": ()} if "gpu" in counted else told
    opened = GuardedMeter(_make(*first, its))
    witnesses = [GuardedMeter(_make(*parsed, told)) for parsed in others]
    return PairedMeter(opened, witnesses) if witnesses else opened


def _parse(names: str) -> list[tuple[str, str]]:
    parts = [part.strip().partition(":") for part in names.split(",")]
    if not all(name for name, _, _ in parts):
        raise ConfigurationError(f"meter is {names!r}; expected a name, or names with commas")
    return [(name, argument) for name, _, argument in parts]


def _check_call(name: str, argument: str) -> None:
    try:
        inspect.signature(registry.meters.get(name)).bind(*_arguments(argument))
    except TypeError as error:
        wanted = f"takes no argument, but got {argument!r}" if argument else "needs an argument"
        raise ConfigurationError(f"meter {name!r} {wanted} ({error})") from error


def _make(name: str, argument: str, known: Mapping[str, Any]) -> Meter:
    factory: Any = registry.meters.get(name)
    try:
        taken = inspect.signature(factory).parameters
        # Ours take it by name alone; anybody else's may call an argument so.
        told = {
            name: value
            for name, value in known.items()
            if name in taken and taken[name].kind is inspect.Parameter.KEYWORD_ONLY
        }
        meter: Meter = factory(*_arguments(argument), **told)
    except GreenbenchError:
        raise
    except Exception as error:
        raise EnergyError(
            f"meter {name!r} cannot be opened: {described(error, factory)}"
        ) from error
    return meter


def _arguments(argument: str) -> list[str]:
    return [argument] if argument else []
