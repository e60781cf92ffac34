"""Loaders: what is known of data sets before they are loaded, such as the options they take."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from greenbench import registry
from greenbench.errors import ConfigurationError, DatasetError, UnknownNameError
from greenbench.machine.places import at, calling
from greenbench.machine.signatures import REQUIRED, options_of, takes_any

if TYPE_CHECKING:
    from greenbench.datasets.base import LoadContext

Loader = TypeVar("Loader", bound=Callable[..., Any])

IMAGES, NUMBERS, TOKENS, SEVERAL = "images", "numbers", "token ids", "several inputs"
SAMPLES = (IMAGES, NUMBERS, TOKENS, SEVERAL)


@dataclass(frozen=True)
class Held:
    """What a loader says of its data before it loads them.

    Attributes
    ----------
    samples : str or None
        One of `SAMPLES`; None if nobody knows.
    task : str or None
        What the data set is for unless a case says otherwise; None if its options decide.
    check : callable or None
        Raises `DatasetError` for options that cannot be, before anything is loaded.
    """

    samples: str | None = None
    task: str | None = None
    check: Callable[..., None] | None = None


def holds(
    samples: str, task: str | None = None, *, check: Callable[..., None] | None = None
) -> Callable[[Loader], Loader]:
    """Declare what a loader's data are; a decorator.

    Networks and tasks that cannot learn from such data are then refused before anything starts,
    and not when a worker has loaded them.

    Parameters
    ----------
    samples : str
        ``"images"``, ``"numbers"`` of any other shape, ``"token ids"`` or ``"several inputs"``.
    task : str, optional
        What the data set is for, if no option of the loader decides that.
    check : callable, optional
        Looks at options and files, as the loader itself does first: a function of a `LoadContext`
        and those options of the loader that it names. It raises `DatasetError`, and loads nothing.

    Raises
    ------
    ConfigurationError
        If there are no such samples.

    Examples
    --------
    >>> from greenbench.datasets.loaders import holds
    >>> @holds("numbers", task="regression")
    ... def load_currents(context, hours=24): ...
    """
    if samples not in SAMPLES:
        raise ConfigurationError(
            f"a data set is declared to hold {samples!r}; expected {', '.join(SAMPLES)}"
        )

    def declare(load: Loader) -> Loader:
        setattr(load, "held", Held(samples, task, check))  # noqa: B010
        return load

    return declare


def held_by(name: str) -> Held:
    """Return what a registered data set is declared to hold; nothing is loaded."""
    held = getattr(registry.datasets.get(name), "held", None)
    return held if isinstance(held, Held) else Held()


def check_options(name: str, load: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuse options that a loader does not take, and that it lacks.

    Parameters
    ----------
    name : str
        Of the data set, in the registry.
    load : callable
        Its loader.
    options : mapping
        What it is to be called with, besides its `LoadContext`.

    Raises
    ------
    UnknownNameError
        If it takes no option of such a name.
    DatasetError
        If it needs others, or is no function of a `LoadContext`.
    """
    who, known = f"dataset {name!r}{at(load)}", options_of(load, given=1)
    for option in options if not takes_any(load) else ():
        if option not in known:
            raise UnknownNameError(f"option of {who}:", option, known)
    needed = [option for option, default in known.items() if default is REQUIRED]
    if missing := [option for option in needed if option not in options]:
        flags = " ".join(f"--data {option}=…" for option in missing)
        raise DatasetError(f"{who} needs {' and '.join(needed)}; add {flags}")
    try:
        inspect.signature(load).bind(None, **options)
    except TypeError as error:
        raise DatasetError(
            f"{who} cannot be called ({error}); expected a function of a LoadContext and options"
        ) from error


def check_values(name: str, context: "LoadContext", options: Mapping[str, Any]) -> None:
    """Let a loader say of options, and of the files that they name, whether they can be.

    Parameters
    ----------
    name : str
        Of the data set, in the registry.
    context : LoadContext
        Of any repeat, on the machine that will load the data.
    options : mapping
        Which the loader takes.

    Raises
    ------
    DatasetError
        If they cannot; of what no declaration checks, the loader itself says so.
    """
    load, check = registry.datasets.get(name), held_by(name).check
    if check is not None:
        values = {**options_of(load, given=1), **options}
        with calling(f"dataset {name!r}", load, DatasetError):
            check(context, **{each: values[each] for each in options_of(check, given=1)})
