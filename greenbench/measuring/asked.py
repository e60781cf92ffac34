"""What may be asked of a measurement: a name that MLflow takes, and a budget that is one."""

import posixpath
import re
from pathlib import PurePath
from typing import Literal

from greenbench.errors import ConfigurationError

Log = bool | Literal["active"]
"""Whether MLflow is told: in the active run or a new one, or to an active one alone."""
ACTIVE = "active"
LONGEST = 100
MOST_WH = 1e12
_LETTERS = r"\w .:/-"
_NAME = re.compile(rf"[{_LETTERS}]{{1,{LONGEST}}}")
PYTHON = re.compile(r"(python|pypy)[\d.]*(\.exe)?")


def check_name(name: object) -> str:
    """Return a name as it is.

    Raises
    ------
    ConfigurationError
        If MLflow would take no metric of that name, or it is too long.
    """
    if not (isinstance(name, str) and _is_name(name)):
        raise ConfigurationError(
            f"name of a measurement is {name!r}; expected up to {LONGEST} letters, digits, and "
            "_ - . : / or blanks inside, such as 'preprocess' or 'data/load'"
        )
    return name


def _is_name(name: str) -> bool:
    is_path = posixpath.normpath(name) == name and not name.startswith(("/", "."))
    return bool(_NAME.fullmatch(name)) and name.strip() == name and is_path


def check_log(log: object) -> Log:
    """Return as it is where a measurement is to be logged.

    Raises
    ------
    ConfigurationError
        If it is none of the three.
    """
    if log is True or log is False or log == ACTIVE:
        return log  # type: ignore[return-value]
    raise ConfigurationError(f"log is {log!r}; expected True, False or {ACTIVE!r}")


def check_max_wh(max_wh: object) -> float | None:
    """Return a budget in Wh; None if there is none.

    Raises
    ------
    ConfigurationError
        If it is no number above 0.
    """
    if max_wh is None:
        return None
    is_number = isinstance(max_wh, int | float) and not isinstance(max_wh, bool)
    if not is_number or not 0 < max_wh <= MOST_WH:  # type: ignore[operator]
        raise ConfigurationError(
            f"budget is {max_wh!r}; expected a number of Wh above 0, at most {MOST_WH:g}"
        )
    return float(max_wh)  # type: ignore[arg-type]


def name_of_command(command: tuple[str, ...]) -> str:
    """Return what a program is called, of Python's the script or module that it runs.

    Parameters
    ----------
    command : tuple of str
        The program, and its arguments.
    """
    program = PurePath(command[0]).name
    if PYTHON.fullmatch(program):
        for at, argument in enumerate(command[1:], start=1):
            if argument == "-m" and at + 1 < len(command):
                program = command[at + 1]
                break
            if argument == "-c":
                break
            if not argument.startswith("-"):
                program = PurePath(argument).name
                break
    return fitting_name(program, "program")


def fitting_name(text: str, otherwise: str) -> str:
    """Return a name made of a text; another one where nothing of it can be kept.

    Parameters
    ----------
    text : str
        Anybody's.
    otherwise : str
        A name.
    """
    letters = posixpath.normpath(re.sub(rf"[^{_LETTERS}]", "_", text))
    name = letters[:LONGEST].strip(" ./")
    return name if _is_name(name) else otherwise
