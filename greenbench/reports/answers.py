"""Answers of comparers as tables of a page."""

from collections.abc import Sequence
from typing import Any

from greenbench.compare.anova import Effect
from greenbench.compare.brackets import brackets
from greenbench.compare.fit import Coefficient
from greenbench.compare.horizons import Horizon
from greenbench.compare.paired_means import PairedMean
from greenbench.compare.ratio import Ratio
from greenbench.compare.ratio_columns import (
    difference_in_words,
    means_heading,
    score_heading,
    score_name,
)
from greenbench.compare.ratios import Ratios
from greenbench.compare.returns import Returns
from greenbench.compare.sizes import Size
from greenbench.compare.standings import Standing
from greenbench.compare.strategies import Strategies
from greenbench.compare.units import energy_unit
from greenbench.reports.cells import (
    bare_score_cell,
    chance_cell,
    estimate_cell,
    number_cell,
    score_cell,
)
from greenbench.reports.findings import Explained, Findings
from greenbench.reports.formats import joined, on, provenance_label, three_digits
from greenbench.reports.scores import Part, heading, split_by_score
from greenbench.reports.table import NONE, Cell, Table
from greenbench.tasks import Score
from greenbench.tasks.score_format import (
    capitalised,
    gain_heading,
    is_share,
    plain,
    words,
)

SPENDING = (
    "strategy", "trials", "stopped_trials", "failed_trials", "reevaluations", "proposal_share",
    "wasted_share", "optimism",
)  # fmt: skip


def returns_tables(found: Sequence[Returns]) -> list[Table]:
    """Return the sizes of all families, and the curves through them, score by score.

    Parameters
    ----------
    found : sequence of Returns
        One a family.
    """
    parts = split_by_score(found, lambda returns: returns.judged_by)
    return [table for part in parts for table in _returns_tables(part)]


def _returns_tables(part: Part[Returns]) -> list[Table]:
    found, score = part.members, part.score
    unit, scale = energy_unit(s.energy_wh.median for r in found for s in r.sizes)
    headings = (
        "size", "under", "parameters", f"energy, {unit}", "energy is",
        heading(score, "test"), gain_heading(score, unit), "on the front", "knee", "p, within",
    )  # fmt: skip
    rows = [_size(returns, size, scale) for returns in found for size in returns.sizes]
    records = [record for returns in found for record in returns.records()]
    shown = brackets(each for r in found for s in r.sizes for each in (s.energy_wh, s.score))
    curves = [
        [
            Cell(joined(r.family, _under(r))),
            *map(_coefficient, (r.saturation.a, r.saturation.b, r.saturation.c)),
            _residual_cell(r.saturation.largest_residual, score),
            Cell(r.saturation.reason or ""),
        ]
        for r in found
    ]
    curve_headings = ("family", "a", "b", "c", "largest residual", "why there is none")
    sign = "−" if score.higher_is_better else "+"
    curve = f"{capitalised(words(score))} = a {sign} b·energy^−c, energy in Wh"
    return [
        Table(
            f"returns{part.suffix}", f"Sizes{part.said}: median{shown}", headings, rows, records,
        ),
        Table(
            f"curves{part.suffix}", curve, curve_headings, curves,
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
    tables = [
        table
        for part in split_by_score(findings.strategies, lambda group: group.judged_by)
        for table in _strategies_tables(part)
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


def _strategies_tables(part: Part[Strategies]) -> list[Table]:
    found = part.members
    totals = [s.energy_wh.median for each in found for s in each.strategies if s.energy_wh]
    unit, scale = energy_unit(totals)
    headings = (
        "strategy", "prior", "on", "searches", f"energy, {unit}", "energy is",
        "at equal energy", "wins",
        "at equal trials", "wins", f"to the target, {unit}", "reach it", "area",
    )  # fmt: skip
    rows = [_standing(group, one, scale) for group in found for one in group.strategies]
    records = [record for group in found for record in group.records()]
    shown = brackets(each for group in found for each in group.estimates)
    caption = f"Strategies{part.said}: median{shown}"
    return [
        Table(f"strategies{part.suffix}", caption, headings, rows, records),
        _spending_table(part),
    ]


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
                f"What explains {explained.name_of(answer.response)}{label}, {explained.where}: "
                f"type III ANOVA, n = {answer.n}"
            )
            headings = ("effect", "F", "p", "η²", "partial η²")
            rows = list(map(_effect, (*answer.effects, answer.residual)))
            tables.append(Table(name, caption, headings, rows, answer.records()))
    return tables


def ratios_tables(found: Sequence[Ratios]) -> list[Table]:
    """Return paired ratios to a baseline, a table a host.

    Parameters
    ----------
    found : sequence of Ratios
        Of one comparison.
    """
    return [_ratios_table(each, numbered(place, found)) for place, each in enumerate(found, 1)]


def numbered(place: int, found: Sequence[object]) -> str:
    """Return what tells the names of several tables apart; nothing of a single one."""
    return f"-{place}" if len(found) > 1 else ""


def _ratios_table(found: Ratios, suffix: str) -> Table:
    rows = [
        [
            Cell(ratio.group),
            Cell(ratio.variant),
            number_cell(ratio.pairs, "{}"),
            estimate_cell(ratio.energy, 1.0),
            chance_cell(p_of(ratio.energy)),
            estimate_cell(ratio.duration, 1.0),
            _score_ratio(found, ratio),
            chance_cell(p_of(ratio.of_score)),
        ]
        for ratio in (*found.ratios, *found.overall)
    ]
    headings = (
        "group", found.compared, "pairs", "energy", "p", "duration", score_heading(found), "p",
    )  # fmt: skip
    caption = (
        f"Paired ratios to {found.baseline}{on(found.host)}: {means_heading(found)} "
        f"(energy {provenance_label(found.provenance)})"
    )
    return Table(f"{found.compared}s{suffix}", caption, headings, rows, found.records())


def p_of(found: PairedMean | None) -> float | None:
    """Return the p of a mean over pairs, where it has one."""
    return None if found is None else found.p


def _score_ratio(found: Ratios, ratio: Ratio) -> Cell:
    said, name = difference_in_words(ratio), score_name(found, ratio)
    if said is not None:
        return Cell(said + name, ratio.score_difference.mean if ratio.score_difference else None)
    cell = estimate_cell(ratio.score, 1.0)
    return cell if cell == NONE else Cell(cell.text + name, cell.value)


def _residual_cell(found: float | None, score: Score) -> Cell:
    if found is None or is_share(score):
        return number_cell(found, "{:.2%}")
    return Cell(plain(found), found)


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
        score_cell(size.score, returns.judged_by),
        NONE if step is None else Cell(three_digits(step / scale, "+"), step),
        Cell("yes" if size.is_on_front else "no"),
        Cell(f"knee ({returns.knee_agreement:.0%})" if size.network == returns.knee else ""),
        chance_cell(size.p),
    ]


def _under(returns: Returns) -> str:
    return joined(returns.strategy, returns.backend, returns.setting, returns.host)


def _standing(group: Strategies, one: Standing, scale: float) -> list[Cell]:
    to_target, above = one.energy_to_target_wh, one.energy_to_target_above_wh
    known = to_target if above is None else above
    return [
        Cell(one.strategy),
        NONE if one.prior is None else Cell(one.prior),
        Cell(joined(*group.group.values(), group.host)),
        number_cell(one.searches, "{}"),
        estimate_cell(one.energy_wh, scale),
        Cell(provenance_label(group.provenance)),
        *_cut(group.equal_energy, one.strategy),
        *_cut(group.equal_trials, one.strategy),
        NONE
        if known is None
        else Cell(("> " if to_target is None else "") + three_digits(known * scale), known),
        number_cell(one.hit_rate, "{:.0%}"),
        bare_score_cell(one.area, group.judged_by),
    ]


def _spending_table(part: Part[Strategies]) -> Table:
    """Return what the energy of searches went into."""
    unit = "" if is_share(part.score) else part.score.unit
    headings = (
        "strategy", "on", "trials", "stopped", "failed", "re-evaluations", "proposals",
        "never incumbent", f"optimism, {unit}" if unit else "optimism",
    )  # fmt: skip
    rows, records = [], []
    for group in part.members:
        for one in group.strategies:
            counts = (one.trials, one.stopped_trials, one.failed_trials, one.reevaluations)
            shares = (one.proposal_share, one.wasted_share)
            rows.append(
                [
                    Cell(one.strategy),
                    Cell(joined(*group.group.values(), group.host)),
                    *(number_cell(count, "{}") for count in counts),
                    *(number_cell(share, "{:.1%}") for share in shares),
                    bare_score_cell(one.optimism, part.score, "+"),
                ]
            )
            records.append({**group.group, **{name: getattr(one, name) for name in SPENDING}})
    caption = f"What the energy of searches went into{part.said and f',{part.said}'}"
    return Table(f"spending{part.suffix}", caption, headings, rows, records)


def _cut(horizon: Horizon | None, strategy: str) -> tuple[Cell, Cell]:
    if horizon is None:
        return NONE, NONE
    for found in horizon.found:
        if found.strategy == strategy:
            return score_cell(found.score, horizon.judged_by), number_cell(found.win_rate, "{:.0%}")
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
