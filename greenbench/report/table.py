"""Tables of the report: as HTML that can be sorted, and as CSV with every digit."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

# Readable in a data URI, where fewer escapes make a smaller page.
PLAIN_IN_URI = ",:;/ .()[]{}=@+*'|!?$×η²–"


@dataclass(frozen=True)
class Cell:
    """A figure as people read it, and as it is sorted.

    Attributes
    ----------
    text : str
        What is shown; escaped when it is rendered.
    value : float or None
        What it is sorted by; None sorts by the text.
    style : str
        Class of the cell.
    """

    text: str
    value: float | None = None
    style: str = ""


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes
    ----------
    name : str
        Of its CSV file.
    caption : str
        What it shows.
    headings : sequence of str
        Of its columns.
    rows : sequence of sequence of Cell
        As they are shown.
    records : sequence of mapping
        What the CSV has: all figures in full.
    """

    name: str
    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    records: Sequence[Mapping[str, Any]]

    @property
    def csv(self) -> str:
        """The records as CSV."""
        columns = dict.fromkeys(name for record in self.records for name in record)
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({n: _shown(v) for n, v in record.items()} for record in self.records)
        return text.getvalue()

    @property
    def html(self) -> str:
        """The table with buttons to sort it, and a link to its CSV."""
        heads = "".join(
            f'<th scope="col"><button type="button">{escape(heading)}</button></th>'
            for heading in self.headings
        )
        body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in self.rows)
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(self.caption)}">'
            f'<table id="table-{self.name}"><caption>{escape(self.caption)} {self.link}</caption>'
            f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
        )

    @property
    def link(self) -> str:
        """A link that holds the CSV itself."""
        uri = f"data:text/csv;charset=utf-8,{quote(self.csv, safe=PLAIN_IN_URI)}"
        return f'<a class="csv" download="{self.name}.csv" href="{escape(uri)}">CSV</a>'


def _cell(cell: Cell) -> str:
    attributes = f' class="{cell.style}"' if cell.style else ""
    if cell.value is not None:
        attributes += f' data-value="{cell.value:.6g}"'
    return f"<td{attributes}>{escape(cell.text)}</td>"


def _shown(value: Any) -> Any:
    """Return a text that no spreadsheet takes for a formula; anything else as it is."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
