"""What the gate says: a table, a sentence for each violation and doubt, and the verdict."""

import sys
from collections.abc import Iterator, Sequence
from functools import partial

from rich import box
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
from greenbench.terminal.console import WIDTH, Table, lines, new_console, say, text

NARROW = 110
MOST_QUIET = 10
STYLES = {
    Verdict.FAIL: "bold red",
    Verdict.WARN: "yellow",
    Verdict.INCONCLUSIVE: "cyan",
    Verdict.PASS: "green",
}
COLUMNS = ("case", "metric", "value", "interval", "limit", "verdict", "n")
WIDE = tuple((name,) for name in COLUMNS)
STACKED = (("case", "metric"), ("value", "interval"), ("limit",), ("verdict", "n"))
FIGURES = ("value", "interval", "limit", "n")


def print_judgements(found: Judgements, console: Console | None = None) -> None:
    """Print what was judged, the worst first, then what people must do about it.

    Parameters
    ----------
    found : Judgements
        What the gate says.
    console : Console, optional
        Where; by default stdout, as wide as its terminal, or with room for all if it is none.
    """
    if console is None:
        console = new_console(sys.stdout, width=None if sys.stdout.isatty() else WIDTH)
    # One line each, however long, for those who search logs.
    say_line = partial(say, console, is_wrapped=False)
    if found.all:
        console.print(gate_table(found, is_narrow=console.width < NARROW))
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


def gate_table(found: Judgements, *, is_narrow: bool = False) -> Table:
    """Return the judgements, the worst first, with as many quiet ones as stay readable.

    Parameters
    ----------
    found : Judgements
        What the gate says.
    is_narrow : bool
        Whether each takes two lines, so that all figures fit into 80 columns.
    """
    judgements = worst_first(found)
    quiet = [each for each in judgements if each.verdict is Verdict.PASS or _is_mute(each)]
    hidden = quiet[MOST_QUIET:]
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        caption=f"and, not shown, {counted(Judgements(tuple(hidden), None))}" if hidden else None,
        caption_justify="left",
    )
    columns = STACKED if is_narrow else WIDE
    for names in columns:
        table.add_column(
            lines(*map(text, names)),
            justify="right" if names[0] in FIGURES else "left",
            no_wrap=names[0] != "case",
            overflow="fold",
        )
    for each in [each for each in judgements if each not in hidden]:
        cells = _cells(each)
        table.add_row(*(lines(*(cells[name] for name in names)) for names in columns))
    return table


def _cells(found: Judgement) -> dict[str, Text]:
    figures = (value_text(found), compared_text(found), limit_text(found))
    verdict = text(_word(found.verdict), STYLES[found.verdict])
    before = map(text, (found.case_id, found.metric, *figures))
    return dict(zip(COLUMNS, (*before, verdict, text(counts_text(found))), strict=True))


def _is_mute(found: Judgement) -> bool:
    """Return whether the samples say nothing, whatever they are."""
    return found.verdict is Verdict.INCONCLUSIVE and found.low is None


def _word(verdict: Verdict) -> str:
    return "FAIL" if verdict is Verdict.FAIL else verdict.value
