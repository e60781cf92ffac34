"""Writing the report: the page, figures as SVG and PNG, tables as CSV."""

from collections.abc import Iterator
from pathlib import Path

from greenbench.errors import ReportError
from greenbench.machine.files import replacing
from greenbench.reports import content
from greenbench.reports.findings import Findings
from greenbench.reports.page import Section, render, sections
from greenbench.text import clean

PAGE = "report.html"


def write_report(findings: Findings, folder: Path, notes: list[str]) -> list[Path]:
    """Write a report, and return the paths of its files within the folder, its page first.

    Equal findings give equal bytes. Files of an earlier report that this one does not have
    are left alone.

    Parameters
    ----------
    findings : Findings
        What is reported.
    folder : Path
        Made if it does not exist; holds ``report.html``, ``figures/`` and ``tables/``.
    notes : list of str
        Provenance and marks in words.

    Raises
    ------
    ReportError
        If the folder cannot be written.
    """
    parts = sections(findings)
    page = render(findings, parts, [*map(clean, notes)])
    contents = {PAGE: page.encode(), **dict(_files(findings, parts))}
    try:
        for name, data in contents.items():
            _write(folder / name, data)
    except OSError as error:
        raise ReportError(
            f"report folder {folder} cannot be written: {error.strerror or error}; choose another "
            "with `--output`"
        ) from error
    return [Path(name) for name in contents]


def _files(findings: Findings, parts: list[Section]) -> Iterator[tuple[str, bytes]]:
    for part in parts:
        for figure in part.figures:
            yield f"figures/{figure.name}.svg", figure.svg
            yield f"figures/{figure.name}.png", figure.png
        for table in part.tables:
            yield f"tables/{table.name}.csv", table.csv.encode()
    yield "tables/samples.csv", content.samples_table(findings).csv.encode()


def _write(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(data)
