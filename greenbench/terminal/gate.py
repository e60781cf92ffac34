"""What the gate says: a table, a sentence for each violation and doubt, and the verdict."""

import sys
from collections.abc import Iterator, Sequence
from functools import partial

from rich.console import Console
from rich.text import Text

from greenbench.gate.judgement import Judgement, Judgements, Verdict
from greenbench.gate.outputs import counted, worst_first
from greenbench.gate.wording import (
    compared_text,
    counts_text,
    limit_text,
    sentence,
    value_text,
)
from greenbench.terminal.console import is_watched, new_console, say, text
from greenbench.terminal.tables import Table, show

MOST_QUIET = 10
STYLES = {
    Verdict.FAIL: "bold red",
    Verdict.WARN: "yellow",
    Verdict.INCONCLUSIVE: "cyan",
    Verdict.PASS: "green",
}
COLUMNS = {
    "case": 0, "metric": 0, "value": 2, "interval": 1, "limit": 0, "verdict": 0, "n": 3,
}  # fmt: skip
"""Headings, and the higher the rank, the sooner a column is left out."""
FIGURES = ("value", "interval", "limit", "n")


def print_judgements(found: Judgements, console: Console | None = None) -> None:
    """Print what was judged, the worst first, then what people must do about it.

    Parameters
    ----------
    found : Judgements
        What the gate says.
    console : Console, optional
        Where; by default stdout.
    """
    console = console or new_console(sys.stdout)
    # One line each, however long, for those who search logs.
    say_line = partial(say, console, is_wrapped=is_watched(console))
    if found.all:
        show(console, gate_table(found))
    for line in _lines(worst_first(found, with_passes=False)):
        say_line(line)
    for note in found.notes:
        say_line(f"Note: {note}")
    against = f"baseline: {found.baseline}" if found.baseline else "no baseline"
    say_line(f"gate: {_word(found.verdict)}: {counted(found)}; {against}", STYLES[found.verdict])


def _lines(found: Sequence[Judgement]) -> Iterator[str]:
    """Yield a sentence for each, but one for all whose samples say nothing for one reason."""
    mute: dict[str, list[Judgement]] = {}
    for each in found:
        if _is_mute(each):
            mute.setdefault(each.reason, []).append(each)
    for each in found:
        alike = mute.get(each.reason, [])
        if each not in alike or len(alike) == 1:
            yield f"{_word(each.verdict)} {sentence(each)}"
        elif each is alike[0]:
            cases = len({one.case_id for one in alike})
            of_cases = f"{cases} cases" if cases > 1 else each.case_id
            metrics = ", ".join(dict.fromkeys(one.metric for one in alike))
            yield f"{_word(each.verdict)} {metrics} of {of_cases}: {each.reason}"


def gate_table(found: Judgements) -> Table:
    """Return the judgements, the worst first, with as many quiet ones as stay readable.

    Parameters
    ----------
    found : Judgements
        What the gate says.
    """
    judgements = worst_first(found)
    quiet = [each for each in judgements if each.verdict is Verdict.PASS or _is_mute(each)]
    hidden = quiet[MOST_QUIET:]
    table = Table(
        names=2,
        row="limit",
        elsewhere="`--json`",
        note=f"and, not shown, {counted(Judgements(tuple(hidden), None))}" if hidden else None,
        is_plain=True,
    )
    for name, rank in COLUMNS.items():
        table.add_column(name, justify="right" if name in FIGURES else "left", rank=rank)
    for each in [each for each in judgements if each not in hidden]:
        table.add_row(*_cells(each))
    return table


def _cells(found: Judgement) -> tuple[Text, ...]:
    figures = (value_text(found), compared_text(found), limit_text(found))
    verdict = text(_word(found.verdict), STYLES[found.verdict])
    before = map(text, (found.case_id, found.metric, *figures))
    return (*before, verdict, text(counts_text(found)))


def _is_mute(found: Judgement) -> bool:
    """Return whether the samples say nothing, whatever they are."""
    return found.verdict is Verdict.INCONCLUSIVE and found.low is None


def _word(verdict: Verdict) -> str:
    return "FAIL" if verdict is Verdict.FAIL else verdict.value
