"""The options of `greenbench run` for a program of any kind."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import click

from greenbench.cases import Scalar
from greenbench.cases.case import COMMAND, READS
from greenbench.errors import ConfigurationError
from greenbench.registry import PART_NAME
from greenbench.selection import Selection, parse_options

Command = TypeVar("Command", bound=Callable[..., Any])

FLAGS = ("name", "size", "report", "score", "reads")
"""Options that say more about a command."""
NOTHING = "none"
VARIABLE = re.compile(r"\$[A-Za-z_]\w*")


def commanding(command: Command) -> Command:
    """Add the options to a command of ours."""
    options = [
        click.option(
            "--command",
            "line",
            metavar="LINE",
            help="Any program as a case: 'python train.py --lr {learning_rate} --epochs {epochs}'.",
        ),
        click.option("--name", help="What the program is called in case ids; default: its script."),
        click.option(
            "--size",
            multiple=True,
            metavar="NAME:SETTINGS",
            help="A case of the program with these settings: 's:width=64,depth=2'; repeatable.",
        ),
        click.option("--report", metavar="FILE", help="Where the program reports by itself."),
        click.option("--score", help="What it reports, such as f1; default: accuracy."),
        click.option(
            "--reads",
            multiple=True,
            metavar="PATH",
            help="File, folder or '$VARIABLE' that it reads; repeatable; none if it reads nothing.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def of_command(selection: Selection, given: Mapping[str, Any]) -> list[Selection]:
    """Return what to select if a program is given, a selection a size; else what is given.

    Raises
    ------
    ConfigurationError
        If the program's options are given without one, or it stands beside other parts.
    """
    line = given["line"]
    flags = [f"--{name}" for name in FLAGS if given[name]]
    if line is None:
        if flags:
            raise ConfigurationError(
                f"{flags[0]} says how a program is run, and there is none; add --command"
            )
        return [selection]
    _check_alone(selection)
    options = {
        **selection.architecture_options,
        "command": line,
        **{name: given[name] for name in ("report", "score") if given[name]},
        **({READS: _reads(given[READS])} if given[READS] else {}),
    }
    reserved = {"command", "report", "score", READS}
    if taken := sorted(reserved & set(selection.architecture_options)):
        raise ConfigurationError(
            f"--set {taken[0]}=… is what --{taken[0]} is for; choose another name for the place"
        )
    network = f"{COMMAND}{_name(line, given['name'])}"
    sizes = [_size(each, options) for each in given["size"]]
    if len({size for size, _ in sizes}) < len(sizes):
        raise ConfigurationError("--size names a size twice; choose another name for one of them")
    if not sizes:
        return [replace(selection, networks=(network,), architecture_options=options)]
    return [
        replace(
            selection,
            networks=(f"{network}.{size}",),
            architecture_options={**options, **settings},
        )
        for size, settings in sizes
    ]


def _check_alone(selection: Selection) -> None:
    beside = {
        f"suite {selection.suite!r}": selection.suite,
        "--architecture": selection.networks,
        "--backend": selection.backends,
        "--dataset": selection.datasets,
        "--data": selection.dataset_options,
    }
    if others := [name for name, is_given in beside.items() if is_given]:
        raise ConfigurationError(
            f"--command is a case of its own, and {others[0]} asks for another one; choose one"
        )


def _name(line: str, name: str | None) -> str:
    # It brings what knows programs, which nothing else needs here.
    from greenbench.trainings.command_line import CommandLine  # noqa: PLC0415

    if name is not None and not PART_NAME.fullmatch(name):
        raise ConfigurationError(
            f"--name is {name!r}; use lower-case letters, digits and _, as in 'finetune'"
        )
    return name or CommandLine(line).name


def _reads(given: Sequence[str]) -> str:
    """Return what a program reads as words; none is what makes all its data itself."""
    if NOTHING in given:
        if len(given) > 1:
            raise ConfigurationError(
                f"--reads {NOTHING} says that the program reads nothing, and another one that it "
                f"does; leave one out (a file of that name is ./{NOTHING})"
            )
        return ""
    if wrong := [each for each in given if not each.strip() or not _may_be_read(each)]:
        raise ConfigurationError(
            f"--reads is {wrong[0]!r}; expected a file, a folder or a '$VARIABLE', or {NOTHING}"
        )
    return shlex.join(given)


def _may_be_read(text: str) -> bool:
    return not text.startswith("$") or VARIABLE.fullmatch(text) is not None


def _size(text: str, options: Mapping[str, Scalar]) -> tuple[str, dict[str, Scalar]]:
    size, colon, settings = text.partition(":")
    if not colon or not PART_NAME.fullmatch(size) or not settings:
        raise ConfigurationError(
            f"--size is {text!r}; expected a name and what it sets, such as 's:width=64,depth=2'"
        )
    found = parse_options(settings.split(","), f"--size {size}")
    if twice := sorted(set(found) & set(options)):
        raise ConfigurationError(
            f"--size {size} sets {twice[0]!r}, which is set for all sizes; leave one out"
        )
    return size, found
