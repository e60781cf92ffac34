"""Where in the user's own code something is: a function, an error, a warning, a part."""

import importlib.metadata
import inspect
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import FrameType
from typing import Any

from greenbench.errors import GreenbenchError
from greenbench.machine.secrets import redact

ENTRY_POINT_GROUP = "greenbench.plugins"

_OURS = Path(__file__).parents[1]
_INSTALLED = {"site-packages", "dist-packages"}
_PYTHONS = ("stdlib", "scripts")
_A_PLACE = re.compile(r"\.py:\d+\b")

Frames = Iterable[tuple[str, int | None]]


@dataclass(frozen=True)
class Origin:
    """Where a part is registered.

    Attributes
    ----------
    owner : str
        Name of the module whose code calls the decorator.
    module : str
        Name of the module whose import does it: another one, where a helper registers for it.
    file : str or None
        Of that module, which a worker imports, too; None for what was typed.
    place : str
        File and line of the call, for messages.
    """

    owner: str
    module: str
    file: str | None
    place: str


def origin_of(frame: FrameType) -> Origin:
    """Return where a part is registered by the code that runs in `frame`."""
    called = frame.f_globals
    found = _importing(frame).f_globals
    file = found.get("__file__")
    return Origin(
        owner=str(called.get("__name__", "")),
        module=_module_name(found),
        file=str(Path(file).absolute()) if file else None,
        place=f"{_shown(Path(frame.f_code.co_filename))}:{frame.f_lineno}",
    )


@cache
def is_installed(file: str) -> bool:
    """Return whether a file is of a package that pip installed, of Python, or of greenbench."""
    path = Path(file)
    return (
        bool(_INSTALLED & set(path.parts))
        or path.is_relative_to(_OURS)
        or any(map(path.is_relative_to, _folders_of_python()))
    )


@cache
def _folders_of_python() -> tuple[str, ...]:
    return tuple(map(sysconfig.get_path, _PYTHONS))


def place_of(part: Callable[..., Any]) -> str | None:
    """Return file and line of a function or a class, such as ``"my_net.py:12"``.

    Parameters
    ----------
    part : callable
        Decorators that say what they wrap, and `functools.partial`, are seen through.

    Returns
    -------
    str or None
        None for what is none of the user's, or has no source.
    """
    part = _unwrapped(part)
    with suppress(AttributeError, TypeError, OSError):
        if isinstance(part, type):
            return _place([(inspect.getfile(part), inspect.getsourcelines(part)[1])])
        method = getattr(part, "__func__", part)
        code = getattr(method, "__code__", None) or type(part).__call__.__code__
        return _place([(code.co_filename, code.co_firstlineno)])
    return None


def at(part: Callable[..., Any]) -> str:
    """Return `place_of` in brackets, after a space; nothing where there is none."""
    place = place_of(part)
    return f" ({place})" if place else ""


def place_of_error(error: BaseException) -> str | None:
    """Return where in the user's code an error came from: its innermost frame there."""
    while True:
        frames = traceback.walk_tb(error.__traceback__)
        if place := _place((frame.f_code.co_filename, line) for frame, line in frames):
            return place
        if error.__cause__ is None:
            return None
        error = error.__cause__


def place_of_call() -> str | None:
    """Return where in the user's code we were called from: the innermost frame there."""
    frames = traceback.walk_stack(sys._getframe(1))
    # Outermost first, as in a traceback.
    return _place(reversed([(frame.f_code.co_filename, line) for frame, line in frames]))


def described(error: BaseException, part: Callable[..., Any] | None = None) -> str:
    """Return an error on one line, without passwords, with its place in the user's code.

    Parameters
    ----------
    error : BaseException
        The type of those that are not our own is named.
    part : callable, optional
        Whose place is given if the error has none: it may have been raised by a library.
    """
    text = " ".join(redact(_said(error)).split())
    if not isinstance(error, GreenbenchError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    place = place_of_error(error) or (place_of(part) if part is not None else None)
    # A syntax error names its own place, which is not where it was imported.
    if place is None or _A_PLACE.search(text) or isinstance(error, SyntaxError):
        return text
    return f"{text} ({place})"


@contextmanager
def calling(
    name: str,
    part: Callable[..., Any],
    kind: type[GreenbenchError],
    *,
    passing: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Turn whatever a user's part raises into one line that names the part and its place.

    What parts of greenbench raise by mistake stays what it is.

    Parameters
    ----------
    name : str
        What is called, such as ``"dataset 'stripes'"``.
    part : callable
        What is called.
    kind : type
        What is raised instead. Our own errors stay what they are, and get the place.
    passing : tuple of type
        Errors that are left alone.
    """
    try:
        # What it prints must not get among what a command prints.
        with redirect_stdout(sys.stderr):
            yield
    except passing:
        raise
    except GreenbenchError as error:
        error.args = (described(error), *error.args[1:])
        raise
    except (Exception, SystemExit) as error:
        # Whoever exits would take the worker along.
        if place_of_error(error) is None and _is_ours(part):
            raise
        raise kind(f"{name} failed: {described(error, part)}") from error


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        # Of a class of anybody's.
        return "what it says cannot be shown"


def _importing(frame: FrameType) -> FrameType:
    """Return the module that is being executed, if it is the user's, and not a program's."""
    outer: FrameType | None = frame
    while outer is not None and outer.f_code.co_name != "<module>":
        outer = outer.f_back
    file = outer.f_globals.get("__file__") if outer else None
    if outer is None or not file:
        return frame
    # Whatever pytest, say, calls is not done by importing pytest once more.
    is_program = outer.f_globals.get("__name__") == "__main__" and (
        is_installed(file) or not file.endswith(".py")
    )
    return frame if is_program else outer


def _module_name(found: Mapping[str, Any]) -> str:
    """Return the name that a module can be imported by; that of a script is its file's."""
    name = str(found.get("__name__", ""))
    if name != "__main__":
        return name
    spec = found.get("__spec__")
    return str(spec.name) if spec else Path(found.get("__file__", "")).stem


def _place(frames: Frames) -> str | None:
    """Return the last of the frames that is in the user's code."""
    place = None
    plugins: set[str] | None = None
    for file, line in frames:
        path = Path(file)
        if file.startswith("<") or path.is_relative_to(_OURS):
            continue
        installed = next((at for at, part in enumerate(path.parts) if part in _INSTALLED), None)
        if installed is not None:
            plugins = _plugins() if plugins is None else plugins
            is_users = path.parts[installed + 1].removesuffix(".py") in plugins
        else:
            is_users = not any(map(path.is_relative_to, _folders_of_python()))
        if is_users:
            place = f"{_shown(path)}:{line}"
    return place


def _unwrapped(part: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(part, partial):
        part = part.func
    unwrapped: Callable[..., Any] = inspect.unwrap(part)
    return unwrapped


def _is_ours(part: Callable[..., Any]) -> bool:
    module = getattr(_unwrapped(part), "__module__", None) or ""
    return module.partition(".")[0] == __name__.partition(".")[0]


def _plugins() -> set[str]:
    """Return the packages that hold parts, which may be installed like any library."""
    entries = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return {entry.module.partition(".")[0] for entry in entries}


def _shown(path: Path) -> str:
    with suppress(ValueError, OSError):
        return str(path.relative_to(Path.cwd()))
    return str(Path(path.parent.name, path.name)) if path.stem.startswith("__") else path.name
