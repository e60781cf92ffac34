"""Options that name columns of somebody else's CSV."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

SCORE = ("accuracy", "accuracy_unit", "score", "lower_is_better")
"""Those of scores, which go together."""


def naming(*which: str) -> Callable[[Command], Command]:
    """Return what adds some of these options to a command."""
    offered = {
        "energy": click.option("--energy-column", metavar="NAME", help="Column of energy."),
        "energy_unit": click.option(
            "--energy-unit",
            type=click.Choice(["wh", "kwh", "j", "kj"], case_sensitive=False),
            help="Its unit, if its name does not end in it.",
        ),
        "accuracy": click.option("--accuracy-column", metavar="NAME", help="Column of accuracy."),
        "accuracy_unit": click.option(
            "--accuracy-unit",
            type=click.Choice(["share", "percent"]),
            help="0 to 1 or 0 to 100, if neither its cells nor its name say.",
        ),
        "score": click.option(
            "--score-column", metavar="NAME", help="Column of another score, of any metric."
        ),
        "lower_is_better": click.option(
            "--lower-is-better", is_flag=True, help="Of that score; names of losses say it."
        ),
        "strategy": click.option("--strategy-column", metavar="NAME", help="Column of strategies."),
        "size": click.option("--size-column", metavar="NAME", help="Column of sizes."),
        "seed": click.option("--seed-column", metavar="NAME", help="Column of seeds or repeats."),
        "order": click.option(
            "--order-column",
            metavar="NAME",
            help="Column of numbers or times of trials; '' for the order of rows.",
        ),
        "group": click.option(
            "--group",
            metavar="NAMES",
            multiple=True,
            help="Columns that tell apart what is answered apart: dataset,network; '' for none.",
        ),
    }

    def add(command: Command) -> Command:
        for name in reversed(which):
            command = offered[name](command)
        return command

    return add
