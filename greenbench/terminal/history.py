"""History in a terminal: a line a step, and how much was looked at."""

import sys
from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from greenbench.gate.history import FEWEST, Series, change_text, value_text
from greenbench.gate.metrics import Kind
from greenbench.terminal.console import new_console, say
from greenbench.terminal.tables import Table, show

SHORT = 8
UNKNOWN = "–"


def print_history(found: Sequence[Series], console: Console | None = None) -> None:
    """Print the steps, how many series have some, what to know of them, and how many are short."""
    console = console or new_console(sys.stdout)
    if any(series.steps for series in found):
        show(console, _steps_table(found))
    say(console, _summary(found), "bold")
    for note, number in Counter(note for series in found for note in series.notes).items():
        say(console, f"{number} series: {note}.")
    if short := sum(series.reason is not None for series in found):
        say(
            console,
            f"{short} series with too few sessions: a count needs "
            f"{FEWEST[Kind.COUNT]}, another metric {FEWEST[Kind.ENERGY]}.",
        )


def _steps_table(found: Sequence[Series]) -> Table:
    title = "History: steps that lasted, oldest first"
    table = Table(title, names=2, row="step", elsewhere="`--json`")
    for heading, rank in (
        ("case", 0), ("metric", 0), ("host", 5), ("first session", 3), ("first run", 4),
        ("commit", 1), ("previous", 3),
    ):  # fmt: skip
        table.add_column(heading, rank=rank)
    for heading, rank in (("from", 2), ("to", 2), ("change", 0)):
        table.add_column(heading, justify="right", rank=rank)
    for series in found:
        for step in series.steps:
            cells = (
                series.case_id,
                series.metric,
                series.host or UNKNOWN,
                step.session,
                step.run_id[:SHORT],
                step.commit or UNKNOWN,
                step.previous_commit or UNKNOWN,
                value_text(series.metric, step.before),
                value_text(series.metric, step.after),
                change_text(series.metric, step.change),
            )
            table.add_row(*cells)
    return table


def _summary(found: Sequence[Series]) -> str:
    looked_at = [series for series in found if series.reason is None]
    if not looked_at:
        return "No step can be found: no series has enough sessions."
    steps = sum(len(series.steps) for series in looked_at)
    if not steps:
        fewest = min(len(series.points) for series in looked_at)
        return f"No step in {len(looked_at)} series of at least {fewest} sessions."
    changed = sum(bool(series.steps) for series in looked_at)
    return f"{_count(steps)} in {changed} of {len(looked_at)} series."


def _count(steps: int) -> str:
    return f"{steps} step{'s' if steps > 1 else ''}"
