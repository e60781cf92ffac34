"""Answers of comparers as tables of a page."""

from collections.abc import Sequence
from typing import Any

from greenbench.compare.anova import Effect
from greenbench.compare.fit import Coefficient
from greenbench.compare.horizons import Horizon
from greenbench.compare.ratios import Ratios
from greenbench.compare.returns import Returns, Size
from greenbench.compare.standings import Standing
from greenbench.compare.strategies import Strategies
from greenbench.compare.units import energy_unit
from greenbench.report.cells import chance_cell, estimate_cell, number_cell, percent_cell
from greenbench.report.findings import RESPONSES, Explained, Findings
from greenbench.report.formats import joined, provenance_label, three_digits
from greenbench.report.table import NONE, Cell, Table

SPENDING = (
    "strategy", "trials", "stopped_trials", "failed_trials", "reevaluations", "proposal_share",
    "wasted_share", "optimism",
)  # fmt: skip


def returns_tables(found: Sequence[Returns]) -> list[Table]:
    """Return the sizes of all families, and the curves through them.

    Parameters
    ----------
    found : sequence of Returns
        One a family.
    """
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
            number_cell(r.saturation.largest_residual, "{:.2%}"),
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
    """Return the strategies of all groups, at equal energy, equal trials and to the target.

    Parameters
    ----------
    findings : Findings
        What is reported.
    """
    found = findings.strategies
    if not found:
        return []
    totals = [s.energy_wh.median for each in found for s in each.strategies if s.energy_wh]
    unit, scale = energy_unit(totals)
    headings = (
        "strategy", "prior", "on", "searches", f"energy, {unit}", "energy is",
        "at equal energy", "wins",
        "at equal trials", "wins", f"to the target, {unit}", "reach it", "area",
    )  # fmt: skip
    rows = [_standing(group, one, scale) for group in found for one in group.strategies]
    records = [record for group in found for record in group.records()]
    tables = [
        Table("strategies", "Strategies: median [95% interval]", headings, rows, records),
        _spending_table(found),
    ]
    if findings.overall is not None:
        overall = findings.overall.records()
        columns = list(overall[0])
        cells = [
            [number_cell(r[n], "{:.3g}") if n != "strategy" else Cell(r[n]) for n in columns]
            for r in overall
        ]
        names = [name.replace("_", " ") for name in columns]
        tables.append(Table("placings", "Strategies over all groups", names, cells, overall))
    return tables


def factors_tables(found: Sequence[Explained]) -> list[Table]:
    """Return the effects of factors, a table for each response.

    Parameters
    ----------
    found : sequence of Explained
        One a family.
    """
    tables = []
    for number, explained in enumerate(found, 1):
        for answer in explained.answers:
            name = f"factors-{number}-{answer.response}"
            is_energy = answer.response == "energy_wh"
            label = f" ({explained.label})" if is_energy else ""
            caption = (
                f"What explains {RESPONSES[answer.response]}{label}, {explained.where}: "
                f"type III ANOVA, n = {answer.n}"
            )
            headings = ("effect", "F", "p", "η²", "partial η²")
            rows = list(map(_effect, (*answer.effects, answer.residual)))
            tables.append(Table(name, caption, headings, rows, answer.records()))
    return tables


def ratios_table(found: Ratios) -> Table:
    """Return paired ratios to a baseline.

    Parameters
    ----------
    found : Ratios
        Of one comparison.
    """
    rows = [
        [
            Cell(ratio.group),
            Cell(ratio.variant),
            number_cell(ratio.pairs, "{}"),
            *(estimate_cell(each, 1.0) for each in (ratio.energy, ratio.duration, ratio.score)),
        ]
        for ratio in (*found.ratios, *found.overall)
    ]
    headings = ("group", found.compared, "pairs", "energy", "duration", "accuracy")
    caption = (
        f"Paired ratios to {found.baseline}: median [95% interval] "
        f"(energy {provenance_label(found.provenance)})"
    )
    return Table(f"{found.compared}s", caption, headings, rows, found.records())


def _curve_record(returns: Returns) -> dict[str, Any]:
    fit = returns.saturation
    names = ("family", "strategy", "backend", "setting")
    record: dict[str, Any] = {name: getattr(returns, name) for name in names}
    for name, found in (("a", fit.a), ("b", fit.b), ("c", fit.c)):
        record |= {name: found and found.value, f"{name}_low": found and found.low}
        record[f"{name}_high"] = found and found.high
    return {**record, "largest_residual": fit.largest_residual, "reason": fit.reason}


def _size(returns: Returns, size: Size, scale: float) -> list[Cell]:
    step = size.gain_per_wh
    return [
        Cell(size.network),
        Cell(_under(returns)),
        number_cell(size.parameters, "{:,}"),
        estimate_cell(size.energy_wh, scale),
        Cell(provenance_label(returns.provenance)),
        percent_cell(size.score),
        NONE if step is None else Cell(three_digits(step / scale, "+"), step),
        Cell("yes" if size.is_on_front else "no"),
        Cell("knee" if size.network == returns.knee else ""),
        chance_cell(size.p),
    ]


def _under(returns: Returns) -> str:
    return joined(returns.strategy, returns.backend, returns.setting)


def _standing(group: Strategies, one: Standing, scale: float) -> list[Cell]:
    to_target, above = one.energy_to_target_wh, one.energy_to_target_above_wh
    known = to_target if above is None else above
    return [
        Cell(one.strategy),
        NONE if one.prior is None else Cell(one.prior),
        Cell(joined(*group.group.values())),
        number_cell(one.searches, "{}"),
        estimate_cell(one.energy_wh, scale),
        Cell(provenance_label(group.provenance)),
        *_cut(group.equal_energy, one.strategy),
        *_cut(group.equal_trials, one.strategy),
        NONE
        if known is None
        else Cell(("> " if to_target is None else "") + three_digits(known * scale), known),
        number_cell(one.hit_rate, "{:.0%}"),
        number_cell(one.area, "{:.1%}"),
    ]


def _spending_table(found: Sequence[Strategies]) -> Table:
    """Return what the energy of searches went into."""
    headings = (
        "strategy", "on", "trials", "stopped", "failed", "re-evaluations", "proposals",
        "never incumbent", "optimism",
    )  # fmt: skip
    rows, records = [], []
    for group in found:
        for one in group.strategies:
            counts = (one.trials, one.stopped_trials, one.failed_trials, one.reevaluations)
            shares = (one.proposal_share, one.wasted_share)
            rows.append(
                [
                    Cell(one.strategy),
                    Cell(joined(*group.group.values())),
                    *(number_cell(count, "{}") for count in counts),
                    *(number_cell(share, "{:.1%}") for share in shares),
                    number_cell(one.optimism, "{:+.1%}"),
                ]
            )
            records.append({**group.group, **{name: getattr(one, name) for name in SPENDING}})
    return Table("spending", "What the energy of searches went into", headings, rows, records)


def _cut(horizon: Horizon | None, strategy: str) -> tuple[Cell, Cell]:
    for found in horizon.found if horizon else ():
        if found.strategy == strategy:
            return percent_cell(found.score), number_cell(found.win_rate, "{:.0%}")
    return NONE, NONE


def _effect(effect: Effect) -> list[Cell]:
    return [
        Cell(effect.name),
        NONE if effect.f is None else Cell(three_digits(effect.f), effect.f),
        chance_cell(effect.p),
        number_cell(effect.eta_sq, "{:.3f}"),
        number_cell(effect.partial_eta_sq, "{:.3f}"),
    ]


def _coefficient(found: Coefficient | None) -> Cell:
    if found is None:
        return NONE
    low, high = three_digits(found.low), three_digits(found.high)
    return Cell(f"{three_digits(found.value)} [{low}, {high}]", found.value)
