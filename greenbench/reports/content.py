"""Content: findings as the tables of a page."""

import math
from collections.abc import Sequence
from typing import Any

from greenbench.compare.brackets import brackets
from greenbench.compare.comparable import value_of
from greenbench.compare.samples import Samples
from greenbench.compare.spread import in_percent
from greenbench.compare.units import energy_unit, mass_unit
from greenbench.reports.cells import (
    bare_score_cell,
    estimate_cell,
    median_cell,
    score_cell,
)
from greenbench.reports.findings import RATIOS, CaseFigures, Findings, Front
from greenbench.reports.formats import three_digits
from greenbench.reports.scores import Part, heading, split_by_score
from greenbench.reports.table import NONE, Cell, Table
from greenbench.results.emissions import ROUGHLY, WORLD_AVERAGE, are_rough, one_digit
from greenbench.tasks import Score

GIGA = 1e9
STEPS = (1.05, 2.0, 5.0, 20.0)
"""Ratios to the baseline from which on a cell is shaded more."""

HEADINGS = {
    "energy_wh": "energy",
    "emissions_g": "emissions",
    "duration_s": "duration",
    "train_flops": "train FLOPs",
    "parameters": "parameters",
}


def cases_tables(findings: Findings) -> list[Table]:
    """Return the cases with medians and what is in brackets behind them, a table for each score.

    Parameters
    ----------
    findings : Findings
        What is reported.
    """
    apart = [
        name
        for name in ("host", "threads")
        if len({value_of(case.row, name) for case in findings.cases}) > 1
    ]
    found = split_by_score(findings.cases, lambda case: case.score)
    return [_cases_table(part, apart) for part in found]


def _cases_table(part: Part[CaseFigures], apart: Sequence[str]) -> Table:
    cases, score = part.members, part.score
    unit, scale = energy_unit(_medians(cases, "energy_wh"))
    gram, mass_scale = mass_unit(_medians(cases, "emissions_g"))
    rows = [
        [
            Cell(case.case_id),
            *(Cell(str(value_of(case.row, name))) for name in apart),
            _counted(case),
            estimate_cell(case.figures.get("energy_wh"), scale),
            Cell(case.label),
            _cv(case.samples),
            _emissions(case, mass_scale),
            score_cell(case.figures.get("test_score"), score),
            median_cell(case.figures.get("train_flops"), 1 / GIGA),
            Cell("yes" if case.is_on_front else "no"),
            Cell(" ".join(case.samples.marks)),
        ]
        for case in cases
    ]
    rough = f" ({ROUGHLY} {WORLD_AVERAGE})" if any(map(_is_rough, cases)) else ""
    headings = (
        "case", *apart, "n", f"energy, {unit}", "energy is", "CV",
        f"emissions, {gram} CO2e{rough}", heading(score, "test"), "train GFLOP", "on the front",
        "marks",
    )  # fmt: skip
    shown = brackets(case.figures.get(n) for case in cases for n in ("energy_wh", "test_score"))
    caption = f"Cases{part.said}: median{shown} over repeats"
    return Table(f"cases{part.suffix}", caption, headings, rows, list(map(_case_record, cases)))


def ratios_to_baseline(findings: Findings) -> list[Table]:
    """Return the heat map: each case against the one of least energy that it compares with.

    Parameters
    ----------
    findings : Findings
        What is reported.
    """
    tables = []
    for number, front in enumerate(findings.fronts, 1):
        baseline, rows, records = front.baseline, [], []
        for case in front.cases:
            ratios = {name: _ratio(case, baseline, name) for name in RATIOS}
            cells = {name: _heat(ratio) for name, ratio in ratios.items()}
            if not front.score.low >= 0:
                # What may be negative has no ratio that says anything.
                ratios["test_score"] = None
                cells["test_score"] = _apart(case, front)
            rows.append([Cell(case.case_id), *cells.values()])
            records.append({"case_id": case.case_id, "baseline": baseline.case_id, **ratios})
        caption = f"Ratios to {baseline.case_id}, {front.title} (energy {front.label})"
        named = HEADINGS | {"test_score": _ratio_heading(front.score)}
        headings = ("case", *(named[name] for name in RATIOS))
        tables.append(Table(f"ratios-{number}", caption, headings, rows, records))
    return tables


def samples_table(findings: Findings) -> Table:
    """Return every sample with every column; it is only offered as CSV.

    Parameters
    ----------
    findings : Findings
        What is reported.
    """
    records = [{n: v for n, v in row.items() if v is not None} for row in findings.rows]
    return Table("samples", f"All {len(records)} samples", (), (), records)


def environments_table(findings: Findings) -> Table:
    """Return what the hosts are, a column each.

    Parameters
    ----------
    findings : Findings
        What is reported.
    """
    hosts = findings.environments
    names = list(dict.fromkeys(n for found in hosts.values() for n in found if n != "host"))
    rows = [
        [Cell(name), *(Cell(str(found.get(name, "–"))) for found in hosts.values())]
        for name in names
    ]
    records = [{**found, "host": host} for host, found in hosts.items()]
    headings = ("host", *hosts)
    return Table("environment", "Hosts", headings, rows, records)


def _case_record(case: CaseFigures) -> dict[str, Any]:
    columns = (
        "case_id", "case_hash", "dataset", "host", "threads", "energy_provenance", "energy_scope",
        "meter", "cpu_tdp_w",
    )  # fmt: skip
    record: dict[str, Any] = {name: case.row.get(name) for name in columns}
    record |= {"n": len(case.samples.counted), "samples": len(case.samples.rows)}
    for name, found in case.figures.items():
        record |= found.columns(name)
    marks = " ".join(case.samples.marks)
    names = ("cv", "cv_low", "cv_high")
    spread = {f"energy_{name}": getattr(case.samples, name) for name in names}
    return {**record, **spread, "marks": marks, "on_front": case.is_on_front}


def _cv(samples: Samples) -> Cell:
    if samples.cv is None or samples.cv_low is None:
        return NONE
    high = "…" if samples.cv_high is None else in_percent(samples.cv_high)
    return Cell(f"{samples.cv:.1%} [{in_percent(samples.cv_low)}, {high}]", samples.cv)


def _emissions(case: CaseFigures, scale: float) -> Cell:
    found = case.figures.get("emissions_g")
    if found is None or not _is_rough(case):
        return median_cell(found, scale)
    return Cell(one_digit(found.median * scale), found.median)


def _is_rough(case: CaseFigures) -> bool:
    return are_rough(row.get("emissions_source") for row in case.samples.rows)


def _counted(case: CaseFigures) -> Cell:
    counted, total = len(case.samples.counted), len(case.samples.rows)
    return Cell(str(counted) if counted == total else f"{counted} of {total}", counted)


def _medians(cases: Sequence[CaseFigures], column: str) -> list[float]:
    return [case.figures[column].median for case in cases if column in case.figures]


def _ratio(case: CaseFigures, baseline: CaseFigures, name: str) -> float | None:
    one, other = case.figures.get(name), baseline.figures.get(name)
    ratio = one.median / other.median if one and other and other.median else math.inf
    return ratio if math.isfinite(ratio) else None


def _ratio_heading(score: Score) -> str:
    return heading(score, "test" if score.low >= 0 else "difference in test")


def _apart(case: CaseFigures, front: Front) -> Cell:
    """Return by how much a score differs from that of the baseline."""
    one, other = (each.figures["test_score"].median for each in (case, front.baseline))
    return bare_score_cell(one - other, front.score, "+")


def _heat(ratio: float | None) -> Cell:
    if ratio is None:
        return NONE
    distance = max(ratio, 1 / ratio) if ratio > 0 else STEPS[-1]
    strength = sum(distance >= step for step in STEPS)
    side = "more" if ratio > 1 else "less"
    return Cell(f"×{three_digits(ratio)}", ratio, f"{side}-{strength}" if strength else "")
