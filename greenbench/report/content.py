"""Content: findings as the tables and sections of a page."""

from dataclasses import dataclass
from typing import Any

from greenbench.compare.factors import Factors
from greenbench.compare.ratios import Ratios
from greenbench.compare.returns import Returns, with_unit
from greenbench.compare.stats import Estimate
from greenbench.compare.strategies import Strategies
from greenbench.readings import Provenance
from greenbench.report.findings import RATIOS, CaseFigures, Findings
from greenbench.report.table import Cell, Table

NONE = Cell("–")
SMALL_G = 0.1
STEPS = (1.05, 1.5, 2.5, 5.0)
"""Ratios to the baseline from which on a cell is shaded more."""

LABELS = {
    "energy_wh": "energy",
    "emissions_g": "emissions",
    "duration_s": "duration",
    "test_accuracy": "test accuracy",
    "train_flops": "train FLOPs",
    "parameters": "parameters",
}


def cases_table(findings: Findings) -> Table:
    """Return the table of cases with medians and intervals."""
    rows = []
    for case in findings.cases:
        counted, total = len(case.samples.counted), len(case.samples.rows)
        rows.append(
            [
                Cell(case.case_id),
                Cell(str(counted) if counted == total else f"{counted} of {total}", counted),
                _energy(case.figures.get("energy_wh")),
                _number(case.samples.cv, "{:.1%}"),
                _mass(case.figures.get("emissions_g")),
                _percent(case.figures.get("test_accuracy")),
                _plain(case.figures.get("train_flops"), 1e-9),
                Cell(Provenance(case.row["energy_provenance"]).label),
                Cell("yes" if case.is_on_front else "no"),
                Cell(" ".join(case.samples.marks)),
            ]
        )
    headings = (
        "case", "n", "energy", "CV", "emissions, CO2e", "test accuracy", "train GFLOP",
        "energy is", "on the front", "marks",
    )  # fmt: skip
    return Table(
        "cases", "Cases: median [95% interval] over repeats", headings, rows,
        [_case_record(case) for case in findings.cases],
    )  # fmt: skip


def ratios_to_baseline(findings: Findings) -> list[Table]:
    """Return the heat map: each case against the one of least energy that it compares with."""
    tables = []
    for i, front in enumerate(findings.fronts, 1):
        baseline, rows, records = front.baseline, [], []
        for case in front.cases:
            ratios = {name: _ratio(case, baseline, name) for name in RATIOS}
            rows.append([Cell(case.case_id), *map(_heat, ratios.values())])
            records.append({"case_id": case.case_id, "baseline": baseline.case_id, **ratios})
        caption = f"Ratios to {baseline.case_id}, {front.title} (energy {front.provenance.label})"
        headings = ("case", *(LABELS[name] for name in RATIOS))
        tables.append(Table(f"ratios-{i}", caption, headings, rows, records))
    return tables


def returns_table(name: str, returns: Returns) -> Table:
    """Return the sizes of a family."""
    rows = [
        [
            Cell(size.network),
            _number(size.parameters, "{:,}"),
            _energy(size.energy_wh),
            _percent(size.accuracy),
            _number(size.points_per_wh, "{:+.3g}"),
            Cell("yes" if size.is_on_front else "no"),
            Cell("knee" if size.network == returns.knee else ""),
            _number(size.p, "{:.2g}"),
        ]
        for size in returns.sizes
    ]
    headings = (
        "size", "parameters", "energy", "test accuracy", "points/Wh", "on the front", "knee",
        "p, within",
    )  # fmt: skip
    common = _joined(returns.family, returns.strategy, returns.backend, returns.setting)
    return Table(name, f"Sizes of {common}", headings, rows, returns.records())


def strategies_table(name: str, found: Strategies) -> Table:
    """Return the strategies of a group, at equal energy, equal trials and to the target."""
    rows = []
    for record in found.records():
        rows.append(
            [
                Cell(record["strategy"]),
                _number(record["searches"], "{}"),
                _share(record.get("equal_energy_accuracy")),
                _share(record.get("equal_trials_accuracy")),
                _wh(record["energy_to_target_wh"]),
                _number(record["hit_rate"], "{:.0%}"),
                _share(record["area"]),
            ]
        )
    headings = (
        "strategy", "searches", "at equal energy", "at equal trials", "energy to target",
        "reach it", "area",
    )  # fmt: skip
    caption = f"Strategies on {', '.join(found.group.values())}"
    return Table(name, caption, headings, rows, found.records())


def factors_table(name: str, found: Factors) -> Table:
    """Return the effects of factors on one response."""
    rows = [
        [
            Cell(effect.name),
            _number(effect.f, "{:.4g}"),
            _number(effect.p, "{:.2g}"),
            _number(effect.eta_sq, "{:.3g}"),
            _number(effect.partial_eta_sq, "{:.3g}"),
        ]
        for effect in found.effects
    ]
    caption = f"What explains {found.response}: type III ANOVA, n = {found.n}"
    return Table(name, caption, ("effect", "F", "p", "η²", "partial η²"), rows, found.records())


def ratios_table(name: str, found: Ratios) -> Table:
    """Return paired ratios to a baseline."""
    rows = [
        [
            Cell(ratio.group),
            Cell(ratio.variant),
            _number(ratio.pairs, "{}"),
            *(_plain(figure, 1.0) for figure in (ratio.energy, ratio.duration, ratio.accuracy)),
        ]
        for ratio in (*found.ratios, *found.overall)
    ]
    headings = ("group", found.compared, "pairs", "energy", "duration", "accuracy")
    caption = f"{found.compared.capitalize()}s: paired ratios to {found.baseline}"
    return Table(name, caption, headings, rows, found.records())


def samples_table(findings: Findings) -> Table:
    """Return every sample with every column; it is only offered as CSV."""
    records = [{n: v for n, v in row.items() if v is not None} for row in findings.rows]
    return Table("samples", f"All {len(records)} samples", (), (), records)


def environments_table(findings: Findings) -> Table:
    """Return what the hosts are."""
    names = list(dict.fromkeys(n for found in findings.environments.values() for n in found))
    rows = [
        [Cell(host), *(Cell(str(found.get(name, "–"))) for name in names if name != "host")]
        for host, found in findings.environments.items()
    ]
    records = [{"host": host, **found} for host, found in findings.environments.items()]
    headings = ("host", *(name for name in names if name != "host"))
    return Table("environment", "Machines and software", headings, rows, records)


@dataclass(frozen=True)
class Verdict:
    """An answer in words.

    Attributes
    ----------
    context : str
        What it is about.
    text : str
        The answer.
    label : str
        Whether its energy is measured or estimated, or that the question was refused.
    """

    context: str
    text: str
    label: str


def verdicts(findings: Findings) -> list[Verdict]:
    """Return the answers in words."""
    found = [
        Verdict(
            _joined(r.strategy, r.backend, r.setting),
            f"{r.sentence} {r.proof}",
            _label(r.provenance),
        )
        for r in findings.returns
    ]
    found += [Verdict("", ratios.sentence, _label(ratios.provenance)) for ratios in findings.ratios]
    found += [
        Verdict(_joined(*group.group.values()), group.sentence, _label(group.provenance))
        for group in findings.strategies
    ]
    if findings.overall is not None and len(findings.strategies) > 1:
        found.append(Verdict("all searches", findings.overall.sentence, ""))
    labels = {Provenance(case.row["energy_provenance"]).label for case in findings.cases}
    label = labels.pop() if len(labels) == 1 else ""
    found += [Verdict("", answer.sentence, label) for answer in findings.factors]
    found += [Verdict(q, why, "refused") for q, why in findings.refusals.items()]
    return found


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _label(provenance: str | None) -> str:
    return Provenance(provenance).label if provenance else ""


def _case_record(case: CaseFigures) -> dict[str, Any]:
    record: dict[str, Any] = {
        name: case.row[name]
        for name in ("case_id", "case_hash", "dataset", "host", "energy_provenance", "meter")
    }
    record |= {"n": len(case.samples.counted), "samples": len(case.samples.rows)}
    for name, found in case.figures.items():
        record |= {name: found.median, f"{name}_low": found.low, f"{name}_high": found.high}
    marks = " ".join(case.samples.marks)
    return {**record, "energy_cv": case.samples.cv, "marks": marks, "on_front": case.is_on_front}


def _ratio(case: CaseFigures, baseline: CaseFigures, name: str) -> float | None:
    one, other = case.figures.get(name), baseline.figures.get(name)
    return one.median / other.median if one and other and other.median else None


def _heat(ratio: float | None) -> Cell:
    if ratio is None:
        return NONE
    distance = max(ratio, 1 / ratio) if ratio > 0 else STEPS[-1]
    strength = sum(distance >= step for step in STEPS)
    side = "more" if ratio > 1 else "less"
    return Cell(f"×{ratio:.3g}", ratio, f"{side}-{strength}" if strength else "")


def _energy(found: Estimate | None) -> Cell:
    if found is None:
        return Cell("none")
    unit = with_unit(found.median).split(" ")[1]
    return _with_interval(found, 1.0 if unit == "Wh" else 1000.0, f" {unit}")


def _mass(found: Estimate | None) -> Cell:
    if found is None:
        return Cell("none")
    return _with_interval(found, *((1.0, " g") if found.median >= SMALL_G else (1000.0, " mg")))


def _percent(found: Estimate | None) -> Cell:
    if found is None:
        return NONE
    low, high = found.low, found.high
    interval = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return Cell(f"{100 * found.median:.1f}%{interval}", found.median)


def _plain(found: Estimate | None, scale: float) -> Cell:
    return NONE if found is None else _with_interval(found, scale, "")


def _with_interval(found: Estimate, scale: float, unit: str) -> Cell:
    low, high = found.low, found.high
    is_known = low is not None and high is not None and low != high
    interval = f" [{low * scale:.3g}, {high * scale:.3g}]" if is_known else ""  # type: ignore[operator]
    return Cell(f"{found.median * scale:.3g}{unit}{interval}", found.median)


def _share(value: float | None) -> Cell:
    return _number(value, "{:.1%}")


def _wh(value: float | None) -> Cell:
    return NONE if value is None else Cell(with_unit(value), value)


def _number(value: float | None, form: str) -> Cell:
    return NONE if value is None else Cell(form.format(value), float(value))
