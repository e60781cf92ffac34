"""What searches found, as tables of the report."""

from greenbench.compare.winners import Found, winners
from greenbench.reports.cells import bare_score_cell
from greenbench.reports.findings import Findings
from greenbench.reports.scores import Part, heading, split_by_score
from greenbench.reports.table import Cell, Table
from greenbench.text import clean


def winners_tables(findings: Findings) -> list[Table]:
    """Return the winner of each search, a table for each score.

    Parameters
    ----------
    findings : Findings
        What is reported.
    """
    found = [each for each in winners(findings.rows) if each.is_searched]
    return [_table(part) for part in split_by_score(found, lambda each: each.judged_by)]


def _table(part: Part[Found]) -> Table:
    score = part.score
    headings = (
        "case", "hyperparameters", "in", "repeat", heading(score, "validation"),
        heading(score, "test"), "all repeats found",
    )  # fmt: skip
    rows = [
        [
            Cell(found.case_id),
            Cell(clean(found.best.settings)),
            Cell(found.best.place, found.best.trial),
            Cell(f"{found.best.repeat + 1} of {len(found.winners)}", found.best.repeat),
            bare_score_cell(found.best.val_score, score),
            bare_score_cell(found.best.test_score, score),
            Cell(clean(_spread(found))),
        ]
        for found in part.members
    ]
    records = [record for found in part.members for record in found.records()]
    caption = f"Winners{part.said}: the best of the repeats by validation"
    return Table(f"winners{part.suffix}", caption, headings, rows, records)


def _spread(found: Found) -> str:
    if len(found.winners) == 1:
        return "one repeat"
    return ", ".join(f"{name} {values}" for name, values in found.spread().items())
