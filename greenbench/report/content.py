"""Content: findings as the tables of a page."""

import math
from collections.abc import Sequence
from typing import Any

from greenbench.compare.anova import Effect
from greenbench.compare.anytime import Horizon
from greenbench.compare.fit import Coefficient
from greenbench.compare.ratios import Ratios
from greenbench.compare.returns import Returns, Size
from greenbench.compare.stats import Estimate
from greenbench.compare.strategies import Standing, Strategies
from greenbench.report.findings import RATIOS, CaseFigures, Explained, Findings
from greenbench.report.formats import (
    chance,
    energy_unit,
    joined,
    mass_unit,
    percent,
    provenance_label,
    three_digits,
)
from greenbench.report.table import NONE, Cell, Table

GIGA = 1e9
STEPS = (1.05, 2.0, 5.0, 20.0)
"""Ratios to the baseline from which on a cell is shaded more."""

HEADINGS = {
    "energy_wh": "energy",
    "emissions_g": "emissions",
    "duration_s": "duration",
    "test_accuracy": "test accuracy",
    "train_flops": "train FLOPs",
    "parameters": "parameters",
}


def cases_table(findings: Findings) -> Table:
    """Return the table of cases with medians and intervals."""
    unit, scale = energy_unit(_medians(findings.cases, "energy_wh"))
    gram, mass_scale = mass_unit(_medians(findings.cases, "emissions_g"))
    hosts = {str(case.row["host"]) for case in findings.cases}
    rows = [
        [
            Cell(case.case_id),
            *([Cell(str(case.row["host"]))] if len(hosts) > 1 else []),
            _counted(case),
            _estimate(case.figures.get("energy_wh"), scale),
            Cell(case.label),
            _number(case.samples.cv, "{:.1%}"),
            _median(case.figures.get("emissions_g"), mass_scale),
            _percent(case.figures.get("test_accuracy")),
            _median(case.figures.get("train_flops"), 1 / GIGA),
            Cell("yes" if case.is_on_front else "no"),
            Cell(" ".join(case.samples.marks)),
        ]
        for case in findings.cases
    ]
    headings = (
        "case", *(["host"] if len(hosts) > 1 else []), "n", f"energy, {unit}", "energy is", "CV",
        f"emissions, {gram} CO2e", "test accuracy", "train GFLOP", "on the front", "marks",
    )  # fmt: skip
    caption = "Cases: median [95% interval] over repeats"
    return Table("cases", caption, headings, rows, list(map(_case_record, findings.cases)))


def ratios_to_baseline(findings: Findings) -> list[Table]:
    """Return the heat map: each case against the one of least energy that it compares with."""
    tables = []
    for number, front in enumerate(findings.fronts, 1):
        baseline, rows, records = front.baseline, [], []
        for case in front.cases:
            ratios = {name: _ratio(case, baseline, name) for name in RATIOS}
            rows.append([Cell(case.case_id), *map(_heat, ratios.values())])
            records.append({"case_id": case.case_id, "baseline": baseline.case_id, **ratios})
        caption = f"Ratios to {baseline.case_id}, {front.title} (energy {front.label})"
        headings = ("case", *(HEADINGS[name] for name in RATIOS))
        tables.append(Table(f"ratios-{number}", caption, headings, rows, records))
    return tables


def returns_tables(found: Sequence[Returns]) -> list[Table]:
    """Return the sizes of all families, and the curves through them."""
    if not found:
        return []
    unit, scale = energy_unit(s.energy_wh.median for r in found for s in r.sizes)
    headings = (
        "size", "under", "parameters", f"energy, {unit}", "energy is", "test accuracy",
        f"points/{unit}", "on the front", "knee", "p, within",
    )  # fmt: skip
    rows = [_size(returns, size, scale) for returns in found for size in returns.sizes]
    records = [record for returns in found for record in returns.records()]
    curves = [
        [
            Cell(joined(r.family, _under(r))),
            *map(_coefficient, (r.saturation.a, r.saturation.b, r.saturation.c)),
            _number(r.saturation.largest_residual, "{:.2%}"),
            Cell(r.saturation.reason or ""),
        ]
        for r in found
    ]
    curve_headings = ("family", "a", "b", "c", "largest residual", "why there is none")
    return [
        Table("returns", "Sizes: median [95% interval]", headings, rows, records),
        Table(
            "curves", "Accuracy = a − b·energy^−c, energy in Wh", curve_headings, curves,
            list(map(_curve_record, found)),
        ),
    ]  # fmt: skip


def strategies_tables(findings: Findings) -> list[Table]:
    """Return the strategies of all groups, at equal energy, equal trials and to the target."""
    found = findings.strategies
    if not found:
        return []
    totals = [s.energy_wh.median for each in found for s in each.strategies if s.energy_wh]
    unit, scale = energy_unit(totals)
    headings = (
        "strategy", "on", "searches", f"energy, {unit}", "energy is", "at equal energy", "wins",
        "at equal trials", "wins", f"to the target, {unit}", "reach it", "area",
    )  # fmt: skip
    rows = [_standing(group, one, scale) for group in found for one in group.strategies]
    records = [record for group in found for record in group.records()]
    tables = [Table("strategies", "Strategies: median [95% interval]", headings, rows, records)]
    if findings.overall is not None:
        overall = findings.overall.records()
        columns = list(overall[0])
        cells = [
            [_number(r[n], "{:.3g}") if n != "strategy" else Cell(r[n]) for n in columns]
            for r in overall
        ]
        names = [name.replace("_", " ") for name in columns]
        tables.append(Table("placings", "Strategies over all groups", names, cells, overall))
    return tables


def factors_tables(found: Sequence[Explained]) -> list[Table]:
    """Return the effects of factors, a table for each response."""
    tables = []
    for number, explained in enumerate(found, 1):
        for answer in explained.answers:
            name = f"factors-{number}-{answer.response}"
            is_energy = answer.response == "energy_wh"
            label = f" ({explained.label})" if is_energy else ""
            caption = (
                f"What explains {HEADINGS[answer.response]}{label}, {explained.where}: "
                f"type III ANOVA, n = {answer.n}"
            )
            headings = ("effect", "F", "p", "η²", "partial η²")
            rows = list(map(_effect, (*answer.effects, answer.residual)))
            tables.append(Table(name, caption, headings, rows, answer.records()))
    return tables


def ratios_table(found: Ratios) -> Table:
    """Return paired ratios to a baseline."""
    rows = [
        [
            Cell(ratio.group),
            Cell(ratio.variant),
            _number(ratio.pairs, "{}"),
            *(_estimate(figure, 1.0) for figure in (ratio.energy, ratio.duration, ratio.accuracy)),
        ]
        for ratio in (*found.ratios, *found.overall)
    ]
    headings = ("group", found.compared, "pairs", "energy", "duration", "accuracy")
    caption = (
        f"Paired ratios to {found.baseline}: median [95% interval] "
        f"(energy {provenance_label(found.provenance)})"
    )
    return Table(f"{found.compared}s", caption, headings, rows, found.records())


def samples_table(findings: Findings) -> Table:
    """Return every sample with every column; it is only offered as CSV."""
    records = [{n: v for n, v in row.items() if v is not None} for row in findings.rows]
    return Table("samples", f"All {len(records)} samples", (), (), records)


def environments_table(findings: Findings) -> Table:
    """Return what the hosts are, a column each."""
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
    columns = ("case_id", "case_hash", "dataset", "host", "energy_provenance", "meter")
    record: dict[str, Any] = {name: case.row[name] for name in columns}
    record |= {"n": len(case.samples.counted), "samples": len(case.samples.rows)}
    for name, found in case.figures.items():
        record |= {name: found.median, f"{name}_low": found.low, f"{name}_high": found.high}
    marks = " ".join(case.samples.marks)
    return {**record, "energy_cv": case.samples.cv, "marks": marks, "on_front": case.is_on_front}


def _curve_record(returns: Returns) -> dict[str, Any]:
    fit = returns.saturation
    names = ("family", "strategy", "backend", "setting")
    record: dict[str, Any] = {name: getattr(returns, name) for name in names}
    for name, found in (("a", fit.a), ("b", fit.b), ("c", fit.c)):
        record |= {name: found and found.value, f"{name}_low": found and found.low}
        record[f"{name}_high"] = found and found.high
    return {**record, "largest_residual": fit.largest_residual, "reason": fit.reason}


def _size(returns: Returns, size: Size, scale: float) -> list[Cell]:
    step = size.points_per_wh
    return [
        Cell(size.network),
        Cell(_under(returns)),
        _number(size.parameters, "{:,}"),
        _estimate(size.energy_wh, scale),
        Cell(provenance_label(returns.provenance)),
        _percent(size.accuracy),
        NONE if step is None else Cell(three_digits(step / scale, "+"), step),
        Cell("yes" if size.is_on_front else "no"),
        Cell("knee" if size.network == returns.knee else ""),
        _chance(size.p),
    ]


def _under(returns: Returns) -> str:
    return joined(returns.strategy, returns.backend, returns.setting)


def _standing(group: Strategies, one: Standing, scale: float) -> list[Cell]:
    to_target = one.energy_to_target_wh
    return [
        Cell(one.strategy),
        Cell(joined(*group.group.values())),
        _number(one.searches, "{}"),
        _estimate(one.energy_wh, scale),
        Cell(provenance_label(group.provenance)),
        *_cut(group.equal_energy, one.strategy),
        *_cut(group.equal_trials, one.strategy),
        NONE if to_target is None else Cell(three_digits(to_target * scale), to_target),
        _number(one.hit_rate, "{:.0%}"),
        _number(one.area, "{:.1%}"),
    ]


def _cut(horizon: Horizon | None, strategy: str) -> tuple[Cell, Cell]:
    for found in horizon.found if horizon else ():
        if found.strategy == strategy:
            return _percent(found.accuracy), _number(found.win_rate, "{:.0%}")
    return NONE, NONE


def _effect(effect: Effect) -> list[Cell]:
    return [
        Cell(effect.name),
        NONE if effect.f is None else Cell(three_digits(effect.f), effect.f),
        _chance(effect.p),
        _number(effect.eta_sq, "{:.3f}"),
        _number(effect.partial_eta_sq, "{:.3f}"),
    ]


def _coefficient(found: Coefficient | None) -> Cell:
    if found is None:
        return NONE
    low, high = three_digits(found.low), three_digits(found.high)
    return Cell(f"{three_digits(found.value)} [{low}, {high}]", found.value)


def _counted(case: CaseFigures) -> Cell:
    counted, total = len(case.samples.counted), len(case.samples.rows)
    return Cell(str(counted) if counted == total else f"{counted} of {total}", counted)


def _medians(cases: Sequence[CaseFigures], column: str) -> list[float]:
    return [case.figures[column].median for case in cases if column in case.figures]


def _ratio(case: CaseFigures, baseline: CaseFigures, name: str) -> float | None:
    one, other = case.figures.get(name), baseline.figures.get(name)
    ratio = one.median / other.median if one and other and other.median else math.inf
    return ratio if math.isfinite(ratio) else None


def _heat(ratio: float | None) -> Cell:
    if ratio is None:
        return NONE
    distance = max(ratio, 1 / ratio) if ratio > 0 else STEPS[-1]
    strength = sum(distance >= step for step in STEPS)
    side = "more" if ratio > 1 else "less"
    return Cell(f"×{three_digits(ratio)}", ratio, f"{side}-{strength}" if strength else "")


def _percent(found: Estimate | None) -> Cell:
    if found is None:
        return NONE
    low, high = found.low, found.high
    interval = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return Cell(f"{percent(found.median)}{interval}", found.median)


def _estimate(found: Estimate | None, scale: float) -> Cell:
    if found is None:
        return NONE
    text = three_digits(found.median * scale)
    if found.low is not None and found.high is not None and found.low != found.high:
        low, high = (three_digits(end * scale) for end in (found.low, found.high))
        text += f" [{low}, {high}]"
    return Cell(text, found.median)


def _median(found: Estimate | None, scale: float) -> Cell:
    return NONE if found is None else Cell(three_digits(found.median * scale), found.median)


def _chance(p: float | None) -> Cell:
    return NONE if p is None else Cell(chance(p), p)


def _number(value: float | None, form: str) -> Cell:
    return NONE if value is None else Cell(form.format(value), float(value))
