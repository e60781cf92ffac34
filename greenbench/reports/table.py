"""Tables of the report: as HTML that can be sorted, and as CSV with every digit."""

import base64
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from greenbench.compare.files import to_csv


@dataclass(frozen=True)
class Cell:
    """A figure as people read it, and as it is sorted.

    Attributes
    ----------
    text : str
        What is shown; escaped when it is rendered.
    value : float or None
        What it is sorted by; None sorts by the text, and an unknown figure last.
    style : str
        Class of the cell.
    """

    text: str
    value: float | None = None
    style: str = ""

    @property
    def is_text(self) -> bool:
        """Whether it is no figure, not even an unknown one."""
        return self.value is None and self != NONE


NONE = Cell("–")
"""An unknown figure."""


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
        return to_csv(self.records)

    @property
    def html(self) -> str:
        """The table with buttons to sort it, and a link to its CSV."""
        are_texts = [
            all(row[column].is_text for row in self.rows) for column in range(len(self.headings))
        ]
        heads = "".join(
            f'<th scope="col"{_class("text" if is_text else "")}>'
            f'<button type="button">{escape(heading)}</button></th>'
            for heading, is_text in zip(self.headings, are_texts, strict=True)
        )
        # A line a row, for those who diff.
        body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in self.rows)
        # The caption stays in sight when the table scrolls.
        return (
            f'<p class="caption" id="caption-{self.name}">{escape(self.caption)} {self.link}</p>\n'
            f'<div class="scroll" tabindex="0" role="region" aria-labelledby="caption-{self.name}">'
            f'<table id="table-{self.name}" aria-labelledby="caption-{self.name}">'
            f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
        )

    @property
    def link(self) -> str:
        """A link that holds the CSV itself, compressed; the page's script unpacks it."""
        # No time and no name inside: equal tables are equal links.
        packed = base64.b64encode(gzip.compress(self.csv.encode(), mtime=0)).decode()
        return (
            f'<a class="csv" download="{self.name}.csv.gz" '
            f'href="data:application/gzip;base64,{packed}">CSV</a>'
        )


def _cell(cell: Cell) -> str:
    value = "" if cell.is_text else f' data-value="{_sortable(cell.value)}"'
    # Names are long, and have underscores where others have spaces.
    text = escape(cell.text).replace("_", "_<wbr>")
    return f"<td{_class(cell.style)}{value}>{text}</td>"


def _sortable(value: float | None) -> str:
    if value is None:
        return ""
    # Few digits of many figures: pages stay small.
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.6g}"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
