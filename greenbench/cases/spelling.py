"""One spelling of a folder, so that one folder is one case."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from greenbench.cases.case import Case, Scalar
from greenbench.errors import ConfigurationError

FOLDERS: Mapping[str, str] = {"image_folder": "path", "tabular": "path", "text": "path"}
"""Data sets that are told a folder or a file, and the option that tells it."""


def spelled_once(case: Case, data_dir: Path) -> Case:
    """Return the case with its folder spelled as `folder_name` does.

    Parameters
    ----------
    case : Case
        Of any data set.
    data_dir : pathlib.Path
        What relative folders start from.
    """
    options: dict[str, Scalar] = dict(case.dataset_options)
    option = FOLDERS.get(case.dataset, "")
    typed = options.get(option)
    if not isinstance(typed, str):
        return case
    options[option] = folder_name(typed, data_dir)
    return replace(case, dataset_options=tuple(options.items()))


def folder_name(typed: str, data_dir: Path) -> str:
    """Return a folder's name relative to `data_dir` if it lies there, else its absolute path.

    A link keeps its own name: where it leads to may change, and differs between machines.

    Parameters
    ----------
    typed : str
        As a user gives it: ``alpha/``, ``./alpha``, ``~/images/alpha``.
    data_dir : pathlib.Path
        What relative folders start from.

    Raises
    ------
    ConfigurationError
        If no user has the home folder that it starts with.
    """
    try:
        path = data_dir.absolute() / Path(typed).expanduser()
    except RuntimeError as error:
        raise ConfigurationError(
            f"folder {typed!r} starts in the home folder of a user whom nobody knows; "
            f"write ./{typed} if that is its name"
        ) from error
    short = Path(os.path.normpath(path))
    if ".." in path.parts and not _is_same(short, path):
        # After a link, the folder above is another one than the name says.
        short = path.resolve()
    top = Path(os.path.normpath(data_dir.absolute()))
    for folder in (short, *short.parents):
        if folder == top or _is_same(folder, top):
            return short.relative_to(folder).as_posix()
    return str(short)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
