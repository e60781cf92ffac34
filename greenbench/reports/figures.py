"""The figures: fronts, returns, anytime curves, and shares of variance."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

from greenbench.compare.factors import Factors
from greenbench.compare.returns import Returns
from greenbench.compare.sizes import Size
from greenbench.compare.stats import Estimate
from greenbench.compare.strategies import Strategies
from greenbench.compare.units import with_unit
from greenbench.reports.axes import FULL, EnergyAxes
from greenbench.reports.canvas import COLOURS, SERIES, Canvas, Figure, Look, draw
from greenbench.reports.findings import CaseFigures, Explained, Front
from greenbench.reports.formats import joined, percent, provenance_label, three_digits
from greenbench.tasks import Score
from greenbench.tasks.score_format import (
    capitalised,
    is_share,
    plain,
    said,
    value,
    words,
)

MOST_NAMED = 12
NOTABLE = 0.01
POINTS_OF_CURVE = 60
BESIDE = ((-6, 5), (7, -5), (7, 5), (-6, -5))
BELOW = ((5, -6), (5, -14), (-5, 12))
FRONT, DOMINATED = SERIES[0], COLOURS["muted"]


@dataclass(frozen=True)
class Mark:
    """A point with what its bars span.

    Attributes
    ----------
    text : str
        What is said when somebody points at it.
    energy_wh, score : Estimate
        Where it is, with its ranges or intervals.
    is_on_front : bool
        Whether it is drawn in colour.
    """

    text: str
    energy_wh: Estimate
    score: Estimate
    is_on_front: bool


def front_figure(name: str, front: Front) -> Figure:
    """Draw the score against energy: the front in colour, dominated cases grey.

    Parameters
    ----------
    name : str
        Of the figure.
    front : Front
        Cases that are comparable.
    """
    title = (
        f"{capitalised(words(front.score))} against energy, {front.title} (energy {front.label})"
    )
    best = [case for case in front.cases if case.is_on_front]
    named = "; ".join(map(_said, best[:MOST_NAMED]))
    alternative = (
        f"{title}. {len(best)} of {len(front.cases)} cases are on the Pareto front: {named}"
        f"{'; and others' if len(best) > MOST_NAMED else ''}."
    )

    return draw(name, title, alternative, lambda canvas: _draw_front(canvas, front))


def returns_figure(name: str, returns: Returns) -> Figure:
    """Draw the sizes of a family with their spread, what each step buys, the knee and the choice.

    Parameters
    ----------
    name : str
        Of the figure.
    returns : Returns
        The sizes.
    """
    common = joined(returns.strategy, returns.backend, returns.setting)
    label = provenance_label(returns.provenance)
    title = f"What a larger {returns.family} buys, {common} (energy {label})"

    def on(canvas: Canvas) -> None:
        _draw_returns(canvas, returns, label)

    return draw(name, title, f"{title}. {returns.sentence}", on)


def anytime_figure(name: str, found: Strategies) -> Figure:
    """Draw the best score so far against the energy spent: median and quartiles.

    Parameters
    ----------
    name : str
        Of the figure.
    found : Strategies
        Of one group.
    """
    label = provenance_label(found.provenance)
    title = f"What a search finds, {joined(*found.group.values())} (energy {label})"

    def on(canvas: Canvas) -> None:
        _draw_anytime(canvas, found, label)

    return draw(name, title, f"{title}. {found.sentence}", on)


def factors_figure(name: str, found: Explained) -> Figure:
    """Draw which share of the variance each factor and interaction explains.

    Parameters
    ----------
    name : str
        Of the figure.
    found : Explained
        With effects on at least one response.
    """
    answers = [answer for answer in found.answers if _shares(answer)]
    is_balanced = all(answer.is_balanced for answer in answers)
    whole = "variance" if is_balanced else "the effects' sum of squares"
    title = f"Shares of {whole} (η²), {found.where} (energy {found.label})"
    shares = {found.name_of(answer.response): _shares(answer) for answer in answers}
    names = dict.fromkeys(effect for of_one in shares.values() for effect in of_one)
    shown = [n for n in names if any(of_one[n] >= NOTABLE for of_one in shares.values())]
    parts, rest = [*shown, "lesser effects", "residual"], (COLOURS["muted"], COLOURS["line"])

    def on(canvas: Canvas) -> None:
        axes = canvas.drawing.subplots()
        axes.grid(visible=False, axis="y")
        for line, (response, of_one) in enumerate(shares.items()):
            known = [of_one[effect] for effect in shown]
            lesser = sum(of_one.values()) - sum(known)
            start = 0.0
            for number, share in enumerate((*known, lesser, max(0.0, 1 - sum(of_one.values())))):
                look, is_effect = Look.of(number), number < len(shown)
                bar = axes.barh(
                    line, FULL * share, left=FULL * start, height=0.5,
                    color=look.colour if is_effect else rest[number - len(shown)],
                    hatch=look.hatch if is_effect else "",
                    edgecolor=COLOURS["paper"], linewidth=0.8,
                    label=None if line else parts[number],
                )  # fmt: skip
                canvas.tip(bar.patches[0], f"{parts[number]}: {percent(share)} of {response}")
                start += share
        axes.set_yticks(range(len(shares)), list(shares))
        axes.invert_yaxis()
        axes.set_xlabel("share of variance, %")
        axes.set_xlim(0, FULL)
        canvas.legend(columns=2)

    sentences = " ".join(answer.sentence for answer in answers)
    height = 1.2 + 0.6 * len(shares) + 0.2 * len(parts) / 2
    return draw(name, title, f"{title}. {sentences}", on, height=height)


def _draw_front(canvas: Canvas, front: Front) -> None:
    # A log scale has no place for the 0 of a counter over a short window.
    cases = [case for case in front.cases if case.figures["energy_wh"].median > 0]
    energies = [case.figures["energy_wh"].median for case in cases]
    axes = EnergyAxes(canvas, energies, front.label, score=front.score)
    marks = [
        Mark(
            f"{_said(case)}, {'on the front' if case.is_on_front else 'dominated'}",
            case.figures["energy_wh"],
            case.figures["test_score"],
            is_on_front=case.is_on_front,
        )
        for case in cases
    ]
    places = _draw_marks(canvas, axes, marks)
    best = [pair for pair in zip(cases, places, strict=True) if pair[0].is_on_front]
    corners = [place for _, place in best]
    axes.plot.plot(*_split(corners), drawstyle="steps-post", color=FRONT, linewidth=1, zorder=1)
    axes.settle()
    axes.avoid(places)
    settings = {case.row["setting"] for case in cases}
    # The best score is asked for first.
    for case, place in reversed(best):
        label = _short(case, with_setting=len(settings) > 1)
        beside = _beside(front.score)
        # Long names find room in several lines, if not in one.
        if not axes.label(label, place, beside, fontsize=8):
            axes.label(label.replace(" ", "\n"), place, beside, fontsize=8)


def _draw_returns(canvas: Canvas, returns: Returns, label: str) -> None:
    sizes = [size for size in returns.sizes if size.energy_wh.median > 0]
    score = returns.judged_by
    axes = EnergyAxes(canvas, [size.energy_wh.median for size in sizes], label, score=score)
    _tolerance(axes, returns)
    marks = [
        Mark(
            f"{size.network}: {said(score, size.score.median)} for "
            f"{with_unit(size.energy_wh.median)}",
            size.energy_wh,
            size.score,
            is_on_front=size.is_on_front,
        )
        for size in sizes
    ]
    places = _draw_marks(canvas, axes, marks)
    axes.plot.plot(*_split(places), color=DOMINATED, linewidth=1, zorder=1)
    _saturation(axes, returns, sizes)
    named = {size.network: place for size, place in zip(sizes, places, strict=True)}
    if knee := named.get(returns.knee or ""):
        axes.plot.axvline(knee[0], color=SERIES[1], linestyle=":", linewidth=1.2, label="knee")
    if choice := named.get(returns.choice.network):
        ring = {"color": SERIES[2], "markersize": 13, "markeredgewidth": 2}
        named_so = "choice" if returns.decision.is_proven else "by medians, not proven"
        axes.plot.plot(*choice, "o", fillstyle="none", label=named_so, **ring)
    axes.settle()
    axes.avoid(places)
    for network, place in named.items():
        axes.label(network.rpartition(".")[2], place, _beside(score), fontsize=9)
    for (one, start), (other, end) in pairwise(zip(sizes, places, strict=True)):
        middle = sqrt(start[0] * end[0]), (start[1] + end[1]) / 2
        axes.label(_step(one, other, score), middle, _below(score), fontsize=8, color=DOMINATED)
    canvas.legend(columns=2)


def _draw_anytime(canvas: Canvas, found: Strategies, label: str) -> None:
    curves = [(s.strategy, s.curve) for s in found.strategies if s.curve is not None]
    energies = [energy for _, curve in curves for energy in curve.energy_wh]
    score = found.judged_by
    axes = EnergyAxes(canvas, energies, label, "cumulative energy of the search", score)
    axes.name_scores("best validation", "so far")
    for number, (strategy, curve) in enumerate(curves):
        look = Look.of(number)
        spent, middle = axes.path(curve.energy_wh, curve.median)
        low, high = ([axes.times * each for each in ends] for ends in (curve.low, curve.high))
        axes.plot.fill_between(
            spent, low, high, step="post", color=look.colour, alpha=0.13, linewidth=0
        )
        (line,) = axes.plot.plot(
            spent, middle, drawstyle="steps-post", color=look.colour, linestyle=look.dash,
            linewidth=1.8, marker=look.marker if len(spent) == 1 else None, label=strategy,
        )  # fmt: skip
        end = f"{said(score, curve.median[-1])} after {with_unit(curve.energy_wh[-1])}"
        canvas.tip(line, f"{strategy}: {end}")
    if found.target is not None:
        axes.plot.axhline(
            axes.times * found.target, color=DOMINATED, linestyle=":", linewidth=1.2,
            label=f"{'median ' if found.targets else ''}target, {value(score, found.target)}",
        )  # fmt: skip
    axes.settle()
    canvas.legend(columns=3)


def _shares(answer: Factors) -> dict[str, float]:
    return {effect.name: effect.eta_sq for effect in answer.effects if effect.eta_sq is not None}


def _split(places: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in places], [y for _, y in places]


def _draw_marks(
    canvas: Canvas, axes: EnergyAxes, marks: Sequence[Mark]
) -> list[tuple[float, float]]:
    """Draw points with their bars, and return where they are."""
    for is_on, colour, strength in ((False, DOMINATED, 0.35), (True, FRONT, 0.7)):
        chosen = [mark for mark in marks if mark.is_on_front is is_on]
        axes.spreads([(mark.energy_wh, mark.score) for mark in chosen], colour, strength)
    places = [axes.at(mark.energy_wh.median, mark.score.median) for mark in marks]
    for mark, place in zip(marks, places, strict=True):
        shape, colour, size = ("o", FRONT, 6) if mark.is_on_front else ("x", DOMINATED, 5)
        (point,) = axes.plot.plot(
            *place, shape, color=colour, markersize=size, zorder=3 + mark.is_on_front, clip_on=False
        )
        canvas.tip(point, f"{mark.text}, n = {mark.energy_wh.n}")
    return places


def _tolerance(axes: EnergyAxes, returns: Returns) -> None:
    best = axes.times * returns.best.score.median
    worse = best - returns.judged_by.gain(axes.times * returns.decision.tolerance)
    axes.plot.axhspan(
        min(worse, best), max(worse, best), color=SERIES[2], alpha=0.12, linewidth=0,
        label=f"within {returns.within} of the best",
    )  # fmt: skip


def _saturation(axes: EnergyAxes, returns: Returns, sizes: Sequence[Size]) -> None:
    if returns.saturation.reason is not None:
        return
    low, high = sizes[0].energy_wh.median, sizes[-1].energy_wh.median
    shares = [i / POINTS_OF_CURVE for i in range(POINTS_OF_CURVE + 1)]
    energies = [low * (high / low) ** share for share in shares]
    scores = [returns.saturation.predict(energy) or 0.0 for energy in energies]
    sign = "+" if returns.saturation.is_falling else "−"
    axes.plot.plot(
        *axes.path(energies, scores), color=SERIES[3], linestyle=Look.of(1).dash,
        linewidth=1.3, label=f"fit, a {sign} b·energy^−c",
    )  # fmt: skip


def _step(smaller: Size, larger: Size, score: Score) -> str:
    """Return what the larger size adds."""
    apart = larger.score.median - smaller.score.median
    ratio = larger.energy_wh.median / smaller.energy_wh.median
    shown = f"{FULL * apart:+.1f}" if is_share(score) else plain(apart, "+")
    return f"{shown}, ×{three_digits(ratio)}"


def _beside(score: Score) -> Sequence[tuple[float, float]]:
    """Return where labels of points go first: where a better point would be."""
    return BESIDE if score.higher_is_better else _upside_down(BESIDE)


def _below(score: Score) -> Sequence[tuple[float, float]]:
    """Return where labels of steps go first: off the labels of points."""
    return BELOW if score.higher_is_better else _upside_down(BELOW)


def _upside_down(offsets: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, -y) for x, y in offsets]


def _said(case: CaseFigures) -> str:
    score, energy_wh = (case.figures[name].median for name in ("test_score", "energy_wh"))
    return f"{case.case_id}: {said(case.score, score)} for {with_unit(energy_wh)}"


def _short(case: CaseFigures, *, with_setting: bool) -> str:
    """Return what tells a case from its neighbours, as short as possible."""
    row = case.row
    extra = [row["strategy"]] if row["strategy"] != "default" else []
    extra += [row["backend"]] if row["backend"] != "torch" else []
    if with_setting:
        # A setting begins with the data set, which is in the title.
        extra.append(str(row["setting"]).removeprefix(str(row["dataset"])).lstrip("+"))
    return " ".join(filter(None, [row["architecture"], *extra]))
