import base64
import csv
import gzip
import io
import re
from html import unescape
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench.reports.table import NONE, Cell, Table
from greenbench.text import clean

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))
FORMULAS = ("=", "+", "-", "@")


def make_table(*cells: Cell, records: list[dict[str, Any]] | None = None) -> Table:
    return Table("t", "A table", ["column"], [[cell] for cell in cells], records or [])


def packed(html: str) -> str:
    """Return the CSV that is inside a link."""
    (data,) = re.findall(r'href="data:application/gzip;base64,([^"]*)"', html)
    return gzip.decompress(base64.b64decode(data)).decode()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_csv_has_figures_in_full_precision(values: list[float]) -> None:
    table = make_table(records=[{"value": value} for value in values])
    rows = csv.DictReader(io.StringIO(table.csv))
    assert [float(row["value"]) for row in rows] == values


@given(st.lists(TEXTS, min_size=1))
def test_csv_gives_texts_back_on_one_line_whatever_is_in_them(values: list[str]) -> None:
    table = make_table(records=[{"value": value, "last": 1} for value in values])
    rows = csv.DictReader(io.StringIO(table.csv, newline=""))
    assert [row["value"].lstrip("'") for row in rows] == [
        clean(value.strip()).strip().lstrip("'") for value in values
    ]


@pytest.mark.parametrize("start", FORMULAS)
def test_no_spreadsheet_takes_a_text_or_a_column_for_a_formula(start: str) -> None:
    table = make_table(records=[{f"{start}A1": f"{start}cmd()", "n": -1.5}])
    header, row = list(csv.reader(io.StringIO(table.csv, newline="")))
    assert header == [f"'{start}A1", "n"]
    assert row == [f"'{start}cmd()", "-1.5"]


def test_csv_has_the_columns_of_all_records_and_nothing_for_what_is_unknown() -> None:
    table = make_table(records=[{"a": 1, "b": None}, {"c": "x"}])
    assert table.csv == "a,b,c\n1,,\n,,x\n"


def test_link_holds_the_csv_itself() -> None:
    table = make_table(records=[{"name": 'é"<&', "value": 0.1}])
    assert packed(table.link) == table.csv
    assert 'download="t.csv.gz"' in table.link
    (data,) = re.findall(r"base64,([^\"]*)", table.link)
    # No time inside: equal tables are equal links.
    assert base64.b64decode(data)[4:8] == bytes(4)


@given(TEXTS)
def test_whatever_is_in_a_cell_is_text(text: str) -> None:
    html = make_table(Cell(text)).html
    (cell,) = re.findall(r"<tbody>\n<tr><td>(.*)</td></tr>\n</tbody>", html, re.DOTALL)
    assert unescape(cell.replace("<wbr>", "")) == text
    assert not set("<>\"'") & set(cell.replace("<wbr>", ""))


def test_captions_and_headings_are_escaped() -> None:
    html = Table("t", "<i>&", ["<b>"], [], []).html
    assert "&lt;i&gt;&amp;" in html
    assert "&lt;b&gt;" in html


def test_cells_say_what_they_are_sorted_by() -> None:
    html = make_table(Cell("1.20 [1, 2]", 1.2), Cell("1,234,567", 1234567), NONE, Cell("yes")).html
    assert re.findall(r"<td[^>]*>", html) == [
        '<td data-value="1.2">',
        '<td data-value="1234567">',
        # Unknown, which is no text: it comes last.
        '<td data-value="">',
        "<td>",
    ]


def test_a_column_of_figures_is_headed_as_one_though_some_are_unknown() -> None:
    assert '<th scope="col">' in make_table(NONE, Cell("1", 1.0)).html
    assert '<th scope="col" class="text">' in make_table(Cell("yes"), Cell("")).html
