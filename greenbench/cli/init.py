"""`greenbench init`: a benchmark of what the project in the working folder trains."""

import shlex
from pathlib import Path

import click

from greenbench import registry
from greenbench.cases.case import LABEL_PART
from greenbench.cli.output import say
from greenbench.errors import ConfigurationError, UnknownNameError
from greenbench.starting import Find, find, write
from greenbench.starting.writing import case_name

MOST_SHOWN = 5


@click.command()
@click.option("--of", "of", help="What to benchmark, such as model.py:Net.")
@click.option("--name", help="Of the case; default: after what it trains.")
@click.option("--github", is_flag=True, help="Write a workflow for GitHub Actions, too.")
@click.option("--gitlab", is_flag=True, help="Write a job for GitLab, too.")
def init(of: str | None, name: str | None, github: bool, gitlab: bool) -> None:
    """Write a benchmark of your training, its budgets and a tox environment; overwrite nothing.

    What the project in the working folder trains is found by reading its sources: nothing of it
    is imported.
    """
    found = find(Path())
    chosen = _chosen(of, found)
    label = _free(case_name(chosen.name if chosen else "training")) if name is None else name
    if not LABEL_PART.fullmatch(label) or label != _free(label):
        raise ConfigurationError(
            f"--name is {label!r}; expected lower-case letters, digits and _, and no name that "
            "`greenbench list` shows, such as my_net"
        )
    services = [each for each, is_asked in (("github", github), ("gitlab", gitlab)) if is_asked]
    done = write(Path(), chosen, label, services)
    _tell_what(chosen, found)
    for each in done.written:
        say(f"wrote {each}")
    for each in done.left:
        say(f"left {each} as it is")
    if done.add:
        say("")
        say("to run it by tox, add to tox.ini:")
        for line in done.add.rstrip().splitlines():
            say(f"  {line}")
    say("")
    say(f"Next: {done.command}")


def _free(label: str) -> str:
    """Return a name that no part of greenbench has."""
    taken = (*registry.architectures.names(), *registry.suites.names())
    return f"my_{label}" if label in taken else label


def _chosen(of: str | None, found: list[Find]) -> Find | None:
    if of is None:
        return next((each for each in found if not each.needs), None)
    known = {each.place: each for each in found}
    if of not in known:
        raise UnknownNameError("part of the project", of, known, "see --of of `greenbench init`")
    return known[of]


def _tell_what(chosen: Find | None, found: list[Find]) -> None:
    if chosen is None:
        say("found nothing that can be trained as it stands: wrote an example to begin with")
    else:
        say(f"found {chosen.place} (line {chosen.line})")
    if chosen and chosen.needs:
        say(f"  it needs {', '.join(chosen.needs)}: fill in the ... in the benchmark")
    if chosen and chosen.kind == "script":
        say(f"  once it reports a score, search: {_search(chosen)}")
    others = [each.place for each in found if each is not chosen]
    if others:
        more = f" and {len(others) - MOST_SHOWN} more" if len(others) > MOST_SHOWN else ""
        say(f"  also: {', '.join(others[:MOST_SHOWN])}{more}; choose with --of")


def _search(program: Find) -> str:
    """Return the command that searches a program's options, by the flags that it has."""
    known = {
        "--lr": "learning_rate", "--learning-rate": "learning_rate",
        "--learning_rate": "learning_rate", "--epochs": "epochs", "--seed": "seed",
    }  # fmt: skip
    flags = "".join(f" {flag} {{{known[flag]}}}" for flag in program.flags if flag in known)
    line = f"python {program.file.as_posix()}{flags}"
    return f"greenbench run --command {shlex.quote(line)} --space rate"
