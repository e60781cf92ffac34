"""The figures: fronts, returns, anytime curves, and shares of variance."""

import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from greenbench.compare.factors import Factors
from greenbench.compare.returns import SMALL_WH, Returns, Size, with_unit
from greenbench.compare.stats import Estimate
from greenbench.compare.strategies import Strategies
from greenbench.report.canvas import COLOURS, DASHES, MARKERS, SERIES, Canvas, Figure, draw
from greenbench.report.findings import CaseFigures, Front

MOST_LABELS = 12
FULL = 100.0


def front_figure(name: str, front: Front) -> Figure:
    """Draw accuracy against energy: the front in colour, dominated cases grey."""
    best = [case for case in front.cases if case.is_on_front]
    title = f"Accuracy against energy, {front.title} (energy {front.provenance.label})"
    alternative = (
        f"{title}. {len(best)} of {len(front.cases)} cases are on the Pareto front: "
        + "; ".join(
            f"{case.case_id} with {_percent(case, 'test_accuracy')} for "
            f"{with_unit(case.figures['energy_wh'].median)}"
            for case in best[:MOST_LABELS]
        )
        + "."
    )

    def on(canvas: Canvas) -> None:
        energies = [case.figures["energy_wh"].median for case in front.cases]
        axes, scale = _energy_axes(canvas, energies, front.provenance.label)
        for case in front.cases:
            _case_point(canvas, axes, case, scale)
        axes.plot(
            [scale * case.figures["energy_wh"].median for case in best],
            [FULL * case.figures["test_accuracy"].median for case in best],
            drawstyle="steps-post", color=SERIES[0], linewidth=1, zorder=1,
        )  # fmt: skip
        _labels(
            axes,
            [
                (
                    scale * case.figures["energy_wh"].median,
                    FULL * case.figures["test_accuracy"].median,
                    _short(case),
                )
                # The best accuracy is asked for first.
                for case in reversed(best)
            ],
        )
        axes.set_ylabel("test accuracy, %")

    return draw(name, title, alternative, on)


def returns_figure(name: str, returns: Returns) -> Figure:
    """Draw the sizes of a family: intervals, what each step buys, the knee and the choice."""
    common = filter(None, (returns.strategy, returns.backend, returns.setting))
    title = f"What a larger {returns.family} buys ({', '.join(common)})"

    def on(canvas: Canvas) -> None:
        sizes = [size for size in returns.sizes if size.energy_wh.median > 0]
        axes, scale = _energy_axes(canvas, [size.energy_wh.median for size in sizes])
        best = max(FULL * size.accuracy.median for size in returns.sizes)
        axes.axhspan(
            best - FULL * returns.decision.tolerance, best, color=SERIES[2], alpha=0.12, linewidth=0
        )
        axes.plot(
            [scale * size.energy_wh.median for size in sizes],
            [FULL * size.accuracy.median for size in sizes],
            color=COLOURS["muted"], linewidth=1,
        )  # fmt: skip
        _saturation(axes, returns, sizes, scale)
        for size in sizes:
            is_choice = size.network == returns.choice.network
            _size_point(canvas, axes, size, scale, is_choice=is_choice)
            if size.network == returns.knee:
                _knee(axes, scale * size.energy_wh.median)
        for smaller, larger in pairwise(sizes):
            _step(axes, smaller, larger, scale)
        axes.set_ylabel("test accuracy, %")

    return draw(name, title, f"{title}. {returns.sentence}", on)


def anytime_figure(name: str, found: Strategies) -> Figure:
    """Draw the best accuracy so far against the energy spent: median and quartiles."""
    title = f"What a search finds for its energy ({', '.join(found.group.values())})"

    def on(canvas: Canvas) -> None:
        curves = [(s.strategy, s.curve) for s in found.strategies if s.curve is not None]
        energies = [energy for _, curve in curves for energy in curve.energy_wh]
        axes, scale = _energy_axes(canvas, energies, what="cumulative energy of the search")
        for i, (strategy, curve) in enumerate(curves):
            spent = [scale * energy for energy in curve.energy_wh]
            colour, dash = SERIES[i % len(SERIES)], DASHES[i % len(DASHES)]
            style: dict[str, Any] = {"color": colour, "drawstyle": "steps-post"}
            if len(spent) == 1:
                style["marker"] = MARKERS[i % len(MARKERS)]
            axes.fill_between(
                spent,
                [FULL * value for value in curve.low],
                [FULL * value for value in curve.high],
                step="post", color=colour, alpha=0.15, linewidth=0,
            )  # fmt: skip
            (line,) = axes.plot(
                spent,
                [FULL * value for value in curve.median],
                linestyle=dash, linewidth=1.8, label=strategy, **style,
            )  # fmt: skip
            canvas.tip(
                line,
                f"{strategy}: {FULL * curve.median[-1]:.1f}% after "
                f"{with_unit(curve.energy_wh[-1])}",
            )
        if found.target is not None:
            axes.axhline(FULL * found.target, color=COLOURS["muted"], linestyle=":", linewidth=1)
        axes.legend(loc="lower right")
        axes.set_ylabel("best validation accuracy so far, %")

    return draw(name, title, f"{title}. {found.sentence}", on)


def factors_figure(name: str, found: Sequence[Factors]) -> Figure:
    """Draw which share of the variance each factor and interaction explains."""
    title = "Where the variance of energy and accuracy comes from (η²)"
    described = [answer for answer in found if answer.effects]

    def on(canvas: Canvas) -> None:
        axes = canvas.drawing.subplots()
        axes.grid(visible=False, axis="y")
        for line, answer in enumerate(described):
            start = 0.0
            shares = [(effect.name, effect.eta_sq) for effect in answer.effects]
            known = [(label, share) for label, share in shares if share is not None]
            rest = max(0.0, 1 - sum(share for _, share in known))
            for i, (label, share) in enumerate([*known, ("residual", rest)]):
                is_rest = i == len(known)
                bar = axes.barh(
                    line, FULL * share, left=FULL * start, height=0.5,
                    color=COLOURS["line"] if is_rest else SERIES[i % len(SERIES)],
                    edgecolor=COLOURS["paper"], linewidth=0.8,
                    hatch=None if is_rest else ("", "//", "..", "xx", "--", "\\\\")[i % 6],
                    label=label if line == 0 else None,
                )  # fmt: skip
                canvas.tip(bar.patches[0], f"{label}: {share:.1%} of {answer.response}")
                start += share
        axes.set_yticks(range(len(described)), [answer.response for answer in described])
        axes.set_xlabel("share of variance, %")
        axes.set_xlim(0, FULL)
        canvas.drawing.legend(loc="outside lower center", ncols=3, fontsize=8)

    sentences = " ".join(answer.sentence for answer in found)
    return draw(name, title, f"{title}. {sentences}", on, height=1.8 + 0.7 * len(described))


def _energy_axes(
    canvas: Canvas, energies_wh: Sequence[float], label: str = "", *, what: str = "energy"
) -> tuple[Any, float]:
    """Return axes with energy on a log scale, and how many of its unit make a Wh."""
    is_small = not energies_wh or statistics.median(energies_wh) < SMALL_WH
    axes = canvas.drawing.subplots()
    axes.set_xscale("log")
    unit = "mWh" if is_small else "Wh"
    axes.set_xlabel(f"{what}, {unit}{f' ({label})' if label else ''}, log scale")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    return axes, 1000.0 if is_small else 1.0


def _case_point(canvas: Canvas, axes: Any, case: CaseFigures, scale: float) -> None:
    energy_wh, accuracy = case.figures["energy_wh"], case.figures["test_accuracy"]
    # A log scale has no place for the 0 of a counter over a short window.
    if energy_wh.median <= 0:
        return
    colour = SERIES[0] if case.is_on_front else COLOURS["muted"]
    _errors(axes, energy_wh, accuracy, colour, scale)
    (point,) = axes.plot(
        scale * energy_wh.median, FULL * accuracy.median, "o" if case.is_on_front else "x",
        color=colour, markersize=6 if case.is_on_front else 5, zorder=3,
    )  # fmt: skip
    standing = "on the front" if case.is_on_front else "dominated"
    canvas.tip(
        point,
        f"{case.case_id}: {_percent(case, 'test_accuracy')} for {with_unit(energy_wh.median)}, "
        f"{standing}, n = {energy_wh.n}",
    )


def _size_point(canvas: Canvas, axes: Any, size: Size, scale: float, *, is_choice: bool) -> None:
    x, y = scale * size.energy_wh.median, FULL * size.accuracy.median
    colour = SERIES[0] if size.is_on_front else COLOURS["muted"]
    _errors(axes, size.energy_wh, size.accuracy, colour, scale)
    (point,) = axes.plot(x, y, "o" if size.is_on_front else "x", color=colour, zorder=3)
    if is_choice:
        axes.plot(x, y, "o", color=SERIES[2], markersize=13, fillstyle="none", markeredgewidth=2)
    canvas.tip(
        point,
        f"{size.network}: {y:.1f}% for {with_unit(size.energy_wh.median)}, n = {size.energy_wh.n}",
    )
    label = f"{size.network.rpartition('.')[2]}{' (choice)' if is_choice else ''}"
    axes.annotate(
        label, (x, y), xytext=(-6, 7), textcoords="offset points", fontsize=8.5, ha="right"
    )


def _step(axes: Any, smaller: Size, larger: Size, scale: float) -> None:
    """Write between two sizes what the larger one adds."""
    points = FULL * (larger.accuracy.median - smaller.accuracy.median)
    middle = scale * (smaller.energy_wh.median * larger.energy_wh.median) ** 0.5
    ratio = larger.energy_wh.median / smaller.energy_wh.median
    axes.annotate(
        f"{points:+.1f}, ×{ratio:.2g}",
        (middle, FULL * (smaller.accuracy.median + larger.accuracy.median) / 2),
        xytext=(5, -11), textcoords="offset points", fontsize=7.5, color=COLOURS["muted"],
    )  # fmt: skip


def _knee(axes: Any, x: float) -> None:
    axes.axvline(x, color=SERIES[1], linestyle=":", linewidth=1.2)
    axes.annotate(
        "knee", (x, 0.02), xycoords=("data", "axes fraction"),
        xytext=(3, 0), textcoords="offset points", color=SERIES[1],
    )  # fmt: skip


def _saturation(axes: Any, returns: Returns, sizes: Sequence[Size], scale: float) -> None:
    fit = returns.saturation
    if fit.reason is not None:
        return
    low, high = sizes[0].energy_wh.median, sizes[-1].energy_wh.median
    energies = [low * (high / low) ** (i / 60) for i in range(61)]
    axes.plot(
        [scale * energy for energy in energies],
        [FULL * (fit.predict(energy) or 0.0) for energy in energies],
        color=SERIES[3], linestyle=DASHES[1], linewidth=1.3, label="a − b·energy^−c",
    )  # fmt: skip
    axes.legend(loc="lower right")


def _errors(axes: Any, energy_wh: Estimate, accuracy: Estimate, colour: str, scale: float) -> None:
    x, y = scale * energy_wh.median, FULL * accuracy.median
    if energy_wh.low is not None and energy_wh.high is not None and energy_wh.low > 0:
        axes.plot(
            [scale * energy_wh.low, scale * energy_wh.high], [y, y],
            color=colour, linewidth=1, alpha=0.6,
        )  # fmt: skip
    if accuracy.low is not None and accuracy.high is not None:
        axes.plot(
            [x, x], [FULL * accuracy.low, FULL * accuracy.high],
            color=colour, linewidth=1, alpha=0.6,
        )  # fmt: skip


def _labels(axes: Any, points: Sequence[tuple[float, float, str]]) -> None:
    """Write beside points what they are, and leave out what would cover another label."""
    axes.figure.draw_without_rendering()
    frame = axes.get_window_extent()
    taken: list[Any] = []
    for x, y, text in points:
        for side, offset in (("right", (-6, 6)), ("left", (7, -12))):
            label = axes.annotate(
                text, (x, y), xytext=offset, textcoords="offset points", fontsize=8, ha=side
            )
            box = label.get_window_extent()
            is_inside = frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0
            if is_inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            label.remove()


def _short(case: CaseFigures) -> str:
    """Return what tells a case from its neighbours, as short as possible."""
    row = case.row
    extra = [row["strategy"]] if row["strategy"] != "default" else []
    extra += [row["backend"]] if row["backend"] != "torch" else []
    return " ".join([str(row["architecture"]), *extra])


def _percent(case: CaseFigures, column: str) -> str:
    return f"{FULL * case.figures[column].median:.1f}%"
