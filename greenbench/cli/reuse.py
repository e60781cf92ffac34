"""`greenbench run --reuse`: the option, and what contradicts it."""

from collections.abc import Mapping
from typing import Any

import click

from greenbench.errors import ConfigurationError

OPTION = "--reuse"
MEASURING = (
    "fresh", "resume_anyway", "continue_repeats", "until_decided", "keep_models", "scheduler",
    "cluster",
)  # fmt: skip
"""Options that ask for new measurements, or for those of other machines."""

reusing = click.option(
    OPTION,
    is_flag=True,
    help="Take over results that earlier runs measured under all the same conditions.",
)


def check_reuse(given: Mapping[str, Any]) -> None:
    """Refuse what contradicts taking results over.

    Parameters
    ----------
    given : mapping of str to object
        All options of the command, by their names in Python.

    Raises
    ------
    ConfigurationError
        If `OPTION` is given, and another that contradicts it.
    """
    for name in MEASURING if given["reuse"] else ():
        if given.get(name) not in (None, False):
            raise ConfigurationError(
                f"--{name.replace('_', '-')} and {OPTION} contradict each other; choose one"
            )
