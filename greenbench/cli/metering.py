"""The options that say what the cases of a command are measured with, and for how long."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from greenbench.cli.environment import read_settings
from greenbench.settings import Scope, Settings

Command = TypeVar("Command", bound=Callable[..., Any])

FIELDS = {
    "carbon_intensity": "carbon_g_per_kwh",
    "country": "country",
    "trial_timeout": "trial_timeout_s",
    "meter": "meter",
    "headline": "headline",
    "min_window": "min_window_s",
    "idle": "idle_s",
    "cool_down": "cool_down",
    "keep_models": "keep_models",
}
"""Options, by their names in Python, and what of `Settings` each of them sets."""


def metering(command: Command) -> Command:
    """Add the options, which `settings_of` reads."""
    options = [
        click.option("--carbon-intensity", type=float, help="Your own figure, in g CO2e/kWh."),
        click.option("--country", help="Country mix, by ISO code of three letters."),
        click.option("--trial-timeout", type=float, help="Seconds after which a trial is stopped."),
        click.option(
            "--meter", help="Such as 'codecarbon,zeus': the first counts, others bear witness."
        ),
        click.option("--headline", metavar="SCOPE", help=f"What counts: {', '.join(Scope)}."),
        click.option(
            "--min-window",
            type=float,
            help="Seconds that training is repeated for inside its window.",
        ),
        click.option(
            "--idle",
            type=float,
            metavar="SECONDS",
            help="For how long idle power is measured before and after; 0 leaves it out; "
            "default: 3.",
        ),
        click.option(
            "--cool-down",
            is_flag=True,
            help="Before each repeat, wait until the GPU is as cool as before the first one.",
        ),
        click.option(
            "--keep-models",
            is_flag=True,
            default=None,
            help="Log each search's best model to MLflow; takes seconds a repeat, and its size.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def settings_of(given: Mapping[str, Any]) -> Settings:
    """Return the settings of the environment, but for what options say.

    Parameters
    ----------
    given : mapping of str to object
        The options of a command, by name.

    Raises
    ------
    ConfigurationError
        If a value is none that can be.
    """
    fields = {field: given[option] for option, field in FIELDS.items()}
    return read_settings(**fields)
