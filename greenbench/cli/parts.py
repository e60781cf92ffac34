"""The option ``-p``: files of the user's that register parts, loaded before parts are named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from greenbench.running.part_files import load_part_files

Command = TypeVar("Command", bound=Callable[..., Any])


def loading_parts(command: Command) -> Command:
    """Add the option, which hands nothing on: the parts are registered when the command begins."""
    return click.option(
        "--parts",
        "-p",
        multiple=True,
        type=click.Path(path_type=Path),
        expose_value=False,
        metavar="FILE",
        callback=lambda context, _, files: (
            None if context.resilient_parsing else load_part_files(files)
        ),
        help="Python file that registers parts of yours; repeatable.",
    )(command)
