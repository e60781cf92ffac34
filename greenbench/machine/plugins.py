"""Plugins: installed modules that register parts on import, which may be broken, or turned off."""

import importlib.metadata
import os
from collections.abc import Iterable
from dataclasses import dataclass

from greenbench.machine.places import ENTRY_POINT_GROUP
from greenbench.machine.switches import is_on

PLUGINS = "GREENBENCH_PLUGINS"
"""The variable that turns them off."""


@dataclass(frozen=True)
class PluginFailure:
    """A plugin module that raised on import.

    Attributes
    ----------
    name : str
        Name of the entry point.
    target : str
        The module that it names.
    error : str
        The exception, on one line.
    distribution : str
        What was installed.
    """

    name: str
    target: str
    error: str
    distribution: str = ""

    def __str__(self) -> str:
        of = f" of {self.distribution}" if self.distribution not in ("", self.name) else ""
        return f"plugin {self.name}{of} ({self.target}) is broken: {self.error}"


def are_plugins_on() -> bool:
    """Return whether plugins may be imported.

    The environment is looked at here, so that no way in can forget to pass on that it says no.

    Raises
    ------
    ConfigurationError
        If it says neither yes nor no.
    """
    return is_on(os.environ, PLUGINS) is not False


def unloaded() -> str:
    """Return in words that plugins are off, and which there are; imports none."""
    entries = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    found = ", ".join(sorted(f"{entry.name} ({entry.value})" for entry in entries))
    return f"plugins are off ({PLUGINS}=0)" + (f"; not loaded: {found}" if found else "")


def advice_after(imported: Iterable[str]) -> str:
    """Return what to do if a plugin failed after it had brought a framework in."""
    packages = {name.partition(".")[0] for name in imported}
    heavy = next((name for name in ("keras", "tensorflow", "torch") if name in packages), None)
    return f"; import {heavy} inside the function that needs it" if heavy else ""
