"""`greenbench check`: whether parts of a case work together, in seconds."""

from typing import Any

import click

from greenbench.cli.environment import read_settings
from greenbench.cli.output import say
from greenbench.cli.parts import loading_parts
from greenbench.cli.selecting import selecting, selection_of


@click.command()
@loading_parts
@selecting
@click.option("--seeds", is_flag=True, help="Train twice, to see that equal seeds give the same.")
def check(seeds: bool, **given: Any) -> None:
    """Train one batch of a case, or one epoch of a training of your own; measure nothing.

    What does not work is said in one line, with its place in your own code:
    `greenbench check -p my_parts.py -a unet -d blobs`.
    """
    settings = read_settings()
    cases = list(dict.fromkeys(selection_of(given, settings).cases()))
    from greenbench.running.case_checks import check_cases, check_loading  # noqa: PLC0415
    from greenbench.search.trying import try_case  # noqa: PLC0415
    from greenbench.tasks.score_format import said  # noqa: PLC0415

    check_cases(cases)
    check_loading(cases, settings.data_dir)
    for case in cases:
        tried = try_case(case, settings.threads, settings.data_dir, seeds=seeds)
        loss = "" if tried.loss is None else f", loss {tried.loss:.4g}"
        value = ""
        if tried.value is not None:
            value = f", {said(tried.score, tried.value)} in validation"
        size = "" if tried.parameters is None else f", {tried.parameters:,} parameters"
        say(f"{case.id}: {tried.what} in {tried.seconds:.1f} s{loss}{value}{size}")
        for note in tried.notes:
            say(f"  {note}")
