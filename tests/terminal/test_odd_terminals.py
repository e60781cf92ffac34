"""Progress where no cursor moves, no letter fits, and nothing can be written any more."""

import sys
import unicodedata
from contextlib import nullcontext
from io import BytesIO, StringIO, TextIOWrapper

import pytest

from greenbench.cases import Case
from greenbench.terminal import new_console, summary_lines
from greenbench.terminal.console import say
from greenbench.terminal.progress import Progress
from greenbench.terminal.tables import Table
from greenbench.terminal.uncaptured import Uncaptured
from tests.builders import make_result, make_row

CASE = Case(strategy="grid", trials=4, repeats=1)


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


class Broken(Terminal):
    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def controls(text: str) -> set[str]:
    return {letter for letter in text if unicodedata.category(letter) == "Cc"} - {"\n"}


def shown_on(stream: StringIO | Uncaptured) -> None:
    with Progress([CASE], stream) as progress:
        progress.repeat_started(CASE, 0, done_trials=0)
        progress.event("warning", {"message": "a\x1b[2J\n::error::b ##[x]"})
        progress.event("trial_finished", {"index": 0})
        progress.repeat_finished(make_result(CASE))


@pytest.mark.parametrize("terminal", ["dumb", "unknown"])
def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    monkeypatch.setenv("TERM", terminal)
    stream = Terminal()

    shown_on(stream)

    assert not controls(stream.getvalue())
    assert f"[1/1] {CASE.id} · trial 1/4" in stream.getvalue()
    assert "1 trial, test accuracy" in stream.getvalue()


def test_a_log_that_wants_colours_gets_no_cursor_movements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = StringIO()

    shown_on(stream)

    assert not controls(stream.getvalue())


@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_messages_of_workers_are_one_line_that_nobody_obeys(
    monkeypatch: pytest.MonkeyPatch, terminal: str
) -> None:
    monkeypatch.setenv("TERM", terminal)
    stream = Terminal()

    shown_on(stream)

    assert r"Warning: a\x1b[2J\n::error::b #\#[x]" in stream.getvalue()
    assert "\x1b[2J" not in stream.getvalue()


@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_a_display_that_fails_ends_no_measurement(
    monkeypatch: pytest.MonkeyPatch, terminal: str
) -> None:
    monkeypatch.setenv("TERM", terminal)

    shown_on(Broken())
    closed = Terminal()
    closed.close()
    shown_on(closed)


def test_pytests_standard_error_may_have_few_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    behind = BytesIO()
    monkeypatch.setattr(sys, "stderr", TextIOWrapper(behind, encoding="ascii"))

    shown_on(Uncaptured(nullcontext))

    assert b" - trial 1/4" in behind.getvalue()


def test_pytests_summary_is_in_its_letters_whatever_is_forced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    lines = summary_lines([make_row()], "ascii")

    assert all(line.isascii() for line in lines)
    assert not controls("\n".join(lines))


def test_titles_headings_cells_and_lines_are_no_markup() -> None:
    stream, name = StringIO(), "[red]x[/] [link=http://a]y[/link] :smile:\x1b[31m\n::error::"
    table = Table(name)
    table.add_column(name)
    table.add_row(name)

    console = new_console(stream)
    console.print(table)
    say(console, name)

    kept = r"[red]x[/] [link=http://a]y[/link] :smile:\x1b[31m\n::error::"
    assert stream.getvalue().count(kept) == 4
