"""What comparers answer: a table and a sentence each."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from greenbench.compare.brackets import brackets
from greenbench.compare.ratio_columns import (
    difference_in_words,
    means_heading,
    score_heading,
    score_name,
)
from greenbench.compare.ratios import Ratios
from greenbench.compare.returns_wording import knee_in_words
from greenbench.compare.units import energy_unit
from greenbench.tasks.score_format import (
    by_score,
    capitalised,
    gain_heading,
    unit_apart,
    words,
)
from greenbench.terminal.console import new_console, say
from greenbench.terminal.devices import print_over_hosts
from greenbench.terminal.formats import (
    apart,
    at_or_above,
    bare_score,
    bracketed,
    chance,
    interval,
    label,
    on,
    score_interval,
    signed,
)
from greenbench.terminal.tables import Table, show

if TYPE_CHECKING:
    from greenbench.compare.factors import Factors
    from greenbench.compare.horizons import Horizon
    from greenbench.compare.over_hosts import OverHosts
    from greenbench.compare.placings import Summary
    from greenbench.compare.ratio import Ratio
    from greenbench.compare.returns import Returns
    from greenbench.compare.strategies import Strategies

MOST_PAIRS = 3
ELSEWHERE = "`--csv`"
MOST_NAMED = 3


def print_returns(found: Sequence["Returns"], console: Console | None = None) -> None:
    """Print each family's table, and its answer in one sentence."""
    console = console or new_console(sys.stdout)
    for returns in found:
        show(console, returns_table(returns))
        say(console, returns.sentence, "bold")
        say(console, returns.proof)
        say(console, _curve(returns))
        if returns.left_out:
            say(console, f"Left out, without a sample that counts: {', '.join(returns.left_out)}.")
        console.print()


def returns_table(returns: "Returns") -> Table:
    """Return the sizes of a family, least energy first."""
    named = (returns.family, returns.strategy, returns.backend, returns.setting)
    shown = brackets(figure for size in returns.sizes for figure in (size.energy_wh, size.score))
    title = (
        f"Diminishing returns: {', '.join(filter(None, named))}{on(returns.host)}"
        f"{label(returns.provenance)}: median{shown}"
    )
    table = Table(title, row="size", elsewhere=ELSEWHERE)
    table.add_column("size")
    unit, scale = energy_unit([size.energy_wh.median for size in returns.sizes])
    score = returns.judged_by
    heading = returns.score_name + ("" if score.higher_is_better else " ↓")
    for column, rank in (
        ("parameters", 3), ("train GFLOP", 4), (f"energy, {unit}", 0), (heading, 0),
        (gain_heading(score, unit), 1),
    ):  # fmt: skip
        table.add_column(column, justify="right", rank=rank)
    table.add_column("Pareto", rank=2)
    table.add_column("p, within", justify="right", rank=2)
    for size in returns.sizes:
        step = "–" if size.gain_per_wh is None else signed(size.gain_per_wh / scale)
        table.add_row(
            size.network,
            "–" if size.parameters is None else f"{size.parameters:,}",
            "–" if size.train_flops is None else f"{size.train_flops / 1e9:.3g}",
            interval(size.energy_wh, scale, ""),
            score_interval(size.score, score),
            step,
            "●" if size.is_on_front else "dominated",
            "–" if size.p is None else f"{size.p:.2g}",
        )
    return table


def _curve(returns: "Returns") -> str:
    """Return what the curve through the sizes says, or why there is none."""
    knee = knee_in_words(returns)
    fit = returns.saturation
    if fit.a is None or fit.b is None or fit.c is None:
        return f"{knee} No saturating curve: {fit.reason}."
    a, b, c = (f"{x.value:.3g} [{x.low:.3g}, {x.high:.3g}]" for x in (fit.a, fit.b, fit.c))
    sign = "+" if fit.is_falling else "−"
    name = capitalised(words(returns.judged_by))
    return f"{knee} {name} = a {sign} b·Wh^−c with a = {a}, b = {b}, c = {c}."


def print_strategies(
    found: Sequence["Strategies"], overall: "Summary", console: Console | None = None
) -> None:
    """Print each group's table, its answer in one sentence, and that over all groups."""
    console = console or new_console(sys.stdout)
    for answer in found:
        show(console, _strategies_table(answer))
        show(console, _spending_table(answer))
        say(console, answer.sentence, "bold")
        for line in answer.left_out:
            say(console, f"Left out: {line}.")
        for line in answer.notes:
            say(console, f"{capitalised(line)}.")
        console.print()
    if len(found) > 1:
        say(console, overall.sentence, "bold")


def _strategies_table(answer: "Strategies") -> Table:
    score = answer.judged_by
    of_all = f"{', '.join(answer.group.values())}{by_score(score)}{on(answer.host)}"
    shown = brackets(answer.estimates)
    title = f"Strategies: {of_all}{label(answer.provenance)}: median{shown}"
    table = Table(title, row="strategy", elsewhere=ELSEWHERE)
    table.add_column("strategy")
    energies = [s.energy_wh.median for s in answer.strategies if s.energy_wh is not None]
    unit, scale = energy_unit(energies)
    table.add_column("prior", rank=5)
    for heading, rank in (
        ("searches", 4), ("trials", 4), (f"energy, {unit}", 0), ("best", 0),
        ("at equal energy", 1), ("wins", 1), ("at equal trials", 2), ("wins", 2),
        (f"to target, {unit}", 1), ("reach it", 3), ("area", 5),
    ):  # fmt: skip
        table.add_column(heading, justify="right", rank=rank)
    for standing in answer.strategies:
        to_target = (standing.energy_to_target_wh, standing.energy_to_target_above_wh)
        table.add_row(
            standing.strategy,
            standing.prior or "–",
            str(standing.searches),
            str(standing.trials),
            "–" if standing.energy_wh is None else interval(standing.energy_wh, scale),
            bare_score(standing.best_score, score),
            *_found(answer.equal_energy, standing.strategy),
            *_found(answer.equal_trials, standing.strategy),
            at_or_above(*to_target, scale),
            "–" if standing.hit_rate is None else f"{standing.hit_rate:.0%}",
            bare_score(standing.area, score),
        )
    return table


def _spending_table(answer: "Strategies") -> Table:
    table = Table("What their energy went into", row="strategy", elsewhere=ELSEWHERE)
    unit = unit_apart(answer.judged_by)
    table.add_column("strategy")
    for heading, rank in (
        ("trials", 2), ("stopped", 3), ("failed", 3), ("re-evaluations", 4), ("proposals", 3),
        ("never incumbent", 1), (f"optimism, {unit}" if unit else "optimism", 1),
    ):  # fmt: skip
        table.add_column(heading, justify="right", rank=rank)
    for one in answer.strategies:
        counts = (one.trials, one.stopped_trials, one.failed_trials, one.reevaluations)
        table.add_row(
            one.strategy,
            *("–" if count is None else str(count) for count in counts),
            *(
                "–" if share is None else f"{share:.1%}"
                for share in (one.proposal_share, one.wasted_share)
            ),
            apart(one.optimism, answer.judged_by),
        )
    return table


def _found(horizon: "Horizon | None", strategy: str) -> tuple[str, str]:
    found = [f for f in horizon.found if f.strategy == strategy] if horizon else []
    if not horizon or not found:
        return "–", "–"
    return score_interval(found[0].score, horizon.judged_by), f"{found[0].win_rate:.0%}"


def print_factors(found: Sequence["Factors"], console: Console | None = None) -> None:
    """Print each response's tables, and its answer in one sentence."""
    console = console or new_console(sys.stdout)
    for answer in found:
        show(console, _effects_table(answer))
        show(console, _levels_table(answer))
        say(console, answer.sentence, "bold")
        for line in answer.warnings:
            say(console, f"Warning: {line}.")
        console.print()


def _effects_table(answer: "Factors") -> Table:
    means = f" {answer.unit}s, means of {answer.n + answer.averaged}" if answer.averaged else ""
    title = f"What explains {answer.response}: type III ANOVA, n = {answer.n}{means}"
    table = Table(title, row="effect", elsewhere=ELSEWHERE)
    table.add_column("effect")
    for heading, rank in (
        ("df", 2), ("sum of squares", 3), ("F", 1), ("p", 0), ("η²", 0), ("partial η²", 2),
    ):  # fmt: skip
        table.add_column(heading, justify="right", rank=rank)
    for effect in (*answer.effects, answer.residual):
        figures = (effect.sum_sq, effect.f, effect.p, effect.eta_sq, effect.partial_eta_sq)
        shown = ("–" if figure is None else f"{figure:.4g}" for figure in figures)
        table.add_row(effect.name, str(effect.df), *shown)
    return table


def _levels_table(answer: "Factors") -> Table:
    title = "Each factor by itself: Kruskal-Wallis and pairs"
    table = Table(title, row="factor", elsewhere="`--json`")
    table.add_column("factor")
    table.add_column("levels", rank=2, is_wrapped=True)
    for heading, rank in (("H", 3), ("p", 0), ("ε²", 1)):
        table.add_column(heading, justify="right", rank=rank)
    table.add_column("pairs (Holm): A12", rank=1, is_wrapped=True)
    for factor in answer.factors:
        figures = (factor.h, factor.p, factor.epsilon_sq)
        pairs = [
            f"{pair.one} / {pair.other}: {pair.a12:.2f}"
            + (f" (p = {pair.p:.2g})" if pair.p is not None else f" ({pair.reason})")
            for pair in factor.pairs[:MOST_PAIRS]
        ]
        more = len(factor.pairs) - MOST_PAIRS
        pairs += [f"{more} more with --json"] if more > 0 else []
        table.add_row(
            factor.name,
            ", ".join(factor.levels),
            *("–" if figure is None else f"{figure:.4g}" for figure in figures),
            "; ".join(pairs),
        )
    return table


def print_ratios(found: Sequence["Ratios | OverHosts"], console: Console | None = None) -> None:
    """Print each comparison's table, and its answer in one sentence; then what hosts share."""
    console = console or new_console(sys.stdout)
    for ratios in found:
        if not isinstance(ratios, Ratios):
            print_over_hosts(ratios, console)
            continue
        show(console, _ratios_table(ratios))
        say(console, ratios.sentence, "bold")
        if ratios.unpaired:
            named = f"{', '.join(ratios.unpaired[:MOST_NAMED])}"
            more = ", …" if len(ratios.unpaired) > MOST_NAMED else ""
            say(console, f"{len(ratios.unpaired)} groups have no pair: {named}{more}.")
        console.print()


def _ratios_table(ratios: "Ratios") -> Table:
    title = (
        f"{ratios.compared.capitalize()}s: ratio to {ratios.baseline}{on(ratios.host)}"
        f"{label(ratios.provenance)}: {means_heading(ratios)}"
    )
    table = Table(title, names=2, row="pair", elsewhere=ELSEWHERE)
    for heading in ("group", ratios.compared):
        table.add_column(heading)
    for heading, rank in (
        ("pairs", 1), ("energy", 0), ("p", 2), ("duration", 3), (score_heading(ratios), 0),
        ("p", 2),
    ):  # fmt: skip
        table.add_column(heading, justify="right", rank=rank)
    for ratio in (*ratios.ratios, *ratios.overall):
        table.add_row(
            ratio.group,
            ratio.variant,
            str(ratio.pairs),
            bracketed(ratio.energy),
            chance(ratio.energy),
            bracketed(ratio.duration),
            _score_ratio(ratios, ratio),
            chance(ratio.of_score),
        )
    return table


def _score_ratio(ratios: "Ratios", ratio: "Ratio") -> str:
    shown = difference_in_words(ratio)
    if shown is None and ratio.score is not None:
        shown = interval(ratio.score)
    return "–" if shown is None else shown + score_name(ratios, ratio)
