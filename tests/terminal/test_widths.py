"""Tables and sentences fit the width that they have, and say what they leave out."""

import re
from collections.abc import Callable
from functools import cache
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from greenbench.compare.columns import with_options
from greenbench.compare.factors import compare_factors
from greenbench.compare.placings import summarise
from greenbench.compare.ratios import compare_ratios
from greenbench.compare.returns import compare_returns
from greenbench.compare.strategies import OWN_GROUP, compare_strategies
from greenbench.gate.history import find_steps
from greenbench.gate.judgement import Verdict
from greenbench.terminal import (
    new_console,
    print_factors,
    print_history,
    print_judgements,
    print_ratios,
    print_returns,
    print_strategies,
    print_summary,
    summary_lines,
)
from greenbench.terminal.console import room_of, say
from greenbench.terminal.tables import STACKED, Table, show
from tests.builders import make_row
from tests.judgements import make_judgements
from tests.reports.tables import family, layers, searches, table_of

WIDTHS = (60, 80, 120, 200)
ROOMY = 400
FIGURE = re.compile(r"[-+]?\d[\d.,]*%?")
RULES = str.maketrans(dict.fromkeys("┃│┏┓┗┛┡┩└┘━─┳╇┴╞╡╪", " "))


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def sessions() -> list[dict[str, Any]]:
    """Return a case of eleven sessions, of which the last five take half as much again."""
    energies = (1.0, 1.03, 0.98, 1.01, 0.97, 1.02, 1.5, 1.53, 1.48, 1.51, 1.47)
    named = ({"session": f"s{i}", "run_id": f"run{i}", "commit": "c0ffee"} for i in range(11))
    return [make_row(energy_wh=wh, changed=each) for wh, each in zip(energies, named, strict=True)]


@cache
def printers() -> dict[str, Callable[[Console], None]]:
    """Return what prints each kind of answer."""
    rows, _ = table_of([*family(repeats=2), *family(backend="keras", seed=3, repeats=2)])
    answers = compare_strategies(table_of(searches("random", "bayesian"))[1], group=OWN_GROUP)
    factors = compare_factors(
        with_options(table_of(layers())[0]), ("conv_layers", "relu"), "energy_wh"
    )
    return {
        "run": lambda console: print_summary(rows, console),
        "returns": lambda console: print_returns(compare_returns(rows), console),
        "strategies": lambda console: print_strategies(answers, summarise(answers), console),
        "factors": lambda console: print_factors([factors], console),
        "backends": lambda console: print_ratios([compare_ratios(rows, "backend")], console),
        "gate": lambda console: print_judgements(make_judgements(*Verdict), console),
        "history": lambda console: print_history(find_steps(sessions()), console),
    }


def shown(kind: str, width: int) -> list[str]:
    stream = Terminal()
    printers()[kind](new_console(stream, width=width, is_plain=True))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def words(lines: list[str]) -> set[str]:
    return set("\n".join(lines).translate(RULES).split())


NAMES = {"case", "metric", "size", "strategy", "effect", "factor", "group", "backend"}
KINDS = ("run", "returns", "strategies", "factors", "backends", "gate", "history")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_line_is_wider_and_no_word_is_broken(kind: str, width: int) -> None:
    lines = shown(kind, width)

    assert len(lines) > 3
    for line in lines:
        # A name that is wider by itself stays whole, for copying.
        assert cell_len(line) <= width or " " not in line.strip()
    left_out = [line for line in lines if line.startswith("Left out: ")]
    own = words(left_out) | {"Left", "out:", str(width), "A", "terminal", "of", "columns"}
    needed = {word for word in words(lines) if word.isdigit()} if left_out else set()
    assert words(lines) - own - needed <= words(shown(kind, ROOMY))


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("kind", KINDS)
def test_a_narrow_terminal_has_every_figure_of_a_wide_one(kind: str, width: int) -> None:
    # A stack begins with its name, without a heading.
    assert words(shown(kind, ROOMY)) - words(shown(kind, width)) <= NAMES


def test_rows_stack_with_equal_places_for_equal_figures() -> None:
    lines = shown("run", 80)

    ids = {result.case.id for result in family(repeats=1)}
    assert ids <= set(lines)
    score = "test accuracy "
    of_cases = lines[: lines.index("")]
    found = [line for line in of_cases if score in line]
    places = {line.index(score) for line in found}
    assert len(places) == 1


def test_columns_that_are_left_out_are_named_with_the_way_to_see_them() -> None:
    table = Table("t", elsewhere="`--csv`")
    for name, rank in (("case", 0), ("energy", 0), ("CV", 2), ("emissions", 1)):
        table.add_column(name, rank=rank)
    table.add_row("c" * 50, "e" * 30, "v" * 20, "m" * 11)

    def lines(width: int) -> list[str]:
        stream = Terminal()
        show(new_console(stream, width=width, is_plain=True), table)
        return stream.getvalue().splitlines()

    assert lines(110)[-1] == (
        "Left out: CV. A terminal of 124 columns shows them, and `--csv` has them."
    )
    assert "emissions" in "".join(lines(110)[:-1])
    assert lines(124)[-1].startswith("└")
    assert lines(123)[-1].startswith("Left out: CV.")
    assert lines(STACKED)[-1].startswith("Left out: CV; emissions.")
    assert lines(STACKED - 1)[1:] == [
        "c" * 50, f"  energy {'e' * 30}   CV {'v' * 20}   emissions {'m' * 11}"
    ]  # fmt: skip


def test_what_all_rows_share_is_said_once_below() -> None:
    marked = ["short disturbed few", "few disturbed", "disturbed few replayed"]
    table = Table(row="case")
    table.add_column("case")
    table.add_column("energy is", is_shared=True)
    table.add_column("marks", is_shared=True)
    for name, marks in zip("abc", marked, strict=True):
        table.add_row(name, "estimated", marks)
    stream = StringIO()

    show(new_console(stream), table)

    *rows, last = stream.getvalue().splitlines()
    assert last == "Every case: energy is estimated; marks disturbed, few."
    assert "energy is" not in "".join(rows)
    assert [row.translate(RULES).split() for row in rows[3:-1]] == [
        ["a", "short"], ["b"], ["c", "replayed"]
    ]  # fmt: skip


def test_a_pipe_has_room_for_all_and_columns_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert room_of(StringIO()) is None
    assert new_console(StringIO()).width == 240
    for terminal in ("xterm", "dumb"):
        monkeypatch.setenv("TERM", terminal)
        for columns, width in (("80", 80), ("7", 40), ("200", 200)):
            monkeypatch.setenv("COLUMNS", columns)
            assert new_console(StringIO()).width == new_console(Terminal()).width == width
        for columns in ("", "0", "-80", "wide"):
            monkeypatch.setenv("COLUMNS", columns)
            assert (room_of(StringIO()), room_of(Terminal())) == (None, 80)


def test_the_summary_in_pytest_is_as_wide_as_its_terminal() -> None:
    rows, _ = table_of(family(repeats=1))
    assert max(map(cell_len, summary_lines(rows, "utf-8", width=80))) <= 80
    assert max(map(cell_len, summary_lines(rows, "utf-8"))) > 100


texts = st.lists(
    st.text(st.sampled_from("ab.大é"), min_size=1, max_size=30), min_size=1, max_size=6
).map(" ".join)


@given(st.data(), st.integers(40, 220), st.booleans())
def test_any_table_fits_or_says_why(data: st.DataObject, width: int, is_plain: bool) -> None:
    kinds = st.tuples(texts, st.integers(0, 3), st.booleans())
    columns = data.draw(st.lists(kinds, min_size=1, max_size=8))
    row = st.lists(texts, min_size=len(columns), max_size=len(columns))
    rows = data.draw(st.lists(row, max_size=4))
    table = Table("a title of some words", is_plain=is_plain, note="a note below it")
    for heading, rank, is_wrapped in columns:
        table.add_column(heading, rank=rank, is_wrapped=is_wrapped)
    for row in rows:
        table.add_row(*row)
    stream = StringIO()

    show(new_console(stream, width=width), table)

    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    for line in lines:
        assert cell_len(line) <= width or " " not in line.strip()
    left_out = [i for i, line in enumerate(lines) if line.startswith("Left out: ")]
    assert not left_out or width >= STACKED
    said = " ".join(lines[left_out[0] :]) if left_out else ""
    gone = said.partition(". A terminal")[0].removeprefix("Left out: ").split("; ")
    for place, (heading, rank, _) in enumerate(columns):
        if place and rank and heading in gone:
            continue
        for text in [heading] * bool(rows and place) + [row[place] for row in rows]:
            assert set(text.split()) <= words(lines)


@given(texts, st.integers(40, 120))
def test_sentences_break_between_words_and_keep_their_margin(text: str, width: int) -> None:
    stream = StringIO()

    say(new_console(stream, width=width), f"  {text}")

    lines = stream.getvalue().splitlines()
    assert " ".join(line.removeprefix("  ") for line in lines) == text
    assert all(cell_len(line) <= width or " " not in line.strip() for line in lines)
