"""The settings of a command, with a line for each variable that was meant to be one and is none."""

import os
from typing import Any

import click

from greenbench.cli.output import say
from greenbench.settings import Settings, unread

_SAID = "greenbench.unread"


def read_settings(**overrides: Any) -> Settings:
    """Return the settings of the environment; say once a command what of it is not read.

    Parameters
    ----------
    **overrides
        What was typed, which wins where it is not None.

    Raises
    ------
    ConfigurationError
        If a value is none that can be.
    """
    settings = Settings.from_environment(os.environ, **overrides)
    context = click.get_current_context(silent=True)
    if context is not None and not context.meta.get(_SAID):
        # One for all contexts of a command.
        context.meta[_SAID] = True
        for line in unread(os.environ):
            say(f"Warning: {line}", err=True)
    return settings
