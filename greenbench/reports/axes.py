"""Axes: energy on a log scale, a score in its unit, bars, and labels that cover nothing."""

import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.collections import LineCollection
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox

from greenbench.compare.stats import Estimate
from greenbench.compare.units import energy_unit
from greenbench.reports.canvas import COLOURS, Canvas
from greenbench.tasks import ACCURACY, Score
from greenbench.tasks.score_format import axis_label, scale

FULL = 100.0
SLACK = 0.005
LETTERS = 40
ENOUGH_FOR_LOG_TICKS = 5.0
MARGIN = 0.02
RADIUS = 4.0
NARROW = 1.3
BACKGROUND = {"facecolor": COLOURS["paper"], "edgecolor": "none", "alpha": 0.75, "pad": 0.5}

Point = tuple[float, float]


class EnergyAxes:
    """Axes of a score against energy.

    Attributes
    ----------
    plot : matplotlib.axes.Axes
        In the unit of energy, and in that of the score.
    times : float
        What scores are multiplied by: shares are in per cent.
    """

    def __init__(
        self,
        canvas: Canvas,
        energies_wh: Sequence[float],
        label: str,
        what: str = "energy",
        score: Score = ACCURACY,
    ) -> None:
        self._score, self.times = score, scale(score)[0]
        unit, self._scale = energy_unit(energies_wh)
        self._ends = [self._scale * energy for energy in energies_wh]
        self.plot: Any = canvas.drawing.subplots()
        self.plot.set_xscale("log")
        self.plot.set_xlabel(f"{what}, {unit} ({label}), log scale")
        self.name_scores("test")
        self._taken: list[Any] = []

    def name_scores(self, before: str, after: str = "") -> None:
        """Write at the axis of scores what they are."""
        # An axis is not as long as all that is said at one.
        self.plot.set_ylabel(textwrap.fill(axis_label(self._score, before, after), LETTERS))

    def at(self, energy_wh: float, score: float) -> Point:
        """Return where an energy and a score are drawn."""
        return self._scale * energy_wh, self.times * score

    def path(self, energies_wh: Sequence[float], scores: Sequence[float]) -> list[list[float]]:
        """Return the x and the y of several points."""
        points = list(map(self.at, energies_wh, scores))
        return [[x for x, _ in points], [y for _, y in points]]

    def spreads(
        self, points: Sequence[tuple[Estimate, Estimate]], colour: str, strength: float
    ) -> None:
        """Draw the ranges or intervals of energies and scores."""
        bars: list[list[Point]] = []
        for energy_wh, score in points:
            x, y = energy_wh.median, score.median
            # A log scale has no place for 0.
            if energy_wh.low and energy_wh.high:
                self._ends += [self._scale * end for end in (energy_wh.low, energy_wh.high)]
                bars.append([self.at(end, y) for end in (energy_wh.low, energy_wh.high)])
            if score.low is not None and score.high is not None:
                bars.append([self.at(x, end) for end in (score.low, score.high)])
        if bars:
            self.plot.add_collection(
                LineCollection(bars, colors=colour, linewidths=1, alpha=strength, clip_on=False)
            )

    def settle(self) -> None:
        """Choose limits and ticks, once everything is drawn but labels."""
        bottom, top = self.plot.get_ylim()
        least, most = self.times * self._score.low, self.times * self._score.high
        # Nothing is more accurate than 100%, but a mark there needs room.
        if top > most + SLACK * abs(most):
            self.plot.set_ylim(bottom, top := most + MARGIN * (most - bottom))
        if bottom < least - SLACK * (top - least):
            self.plot.set_ylim(least - MARGIN * (top - least), top)
        left, right = self.plot.get_xlim()
        if self._ends and max(self._ends) < NARROW * min(self._ends):
            # Or else a single energy would have a decade to itself, or digits without end.
            left, right = min(self._ends) / NARROW, max(self._ends) * NARROW
        axis = self.plot.xaxis
        is_wide = right / left >= ENOUGH_FOR_LOG_TICKS
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if is_wide else MaxNLocator(6))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
        axis.set_minor_formatter(NullFormatter())
        self.plot.set_xlim(left, right)
        self.plot.figure.draw_without_rendering()

    def avoid(self, points: Sequence[Point]) -> None:
        """Keep labels off some points."""
        for x, y in self.plot.transData.transform(points) if points else ():
            self._taken.append(Bbox([[x - RADIUS, y - RADIUS], [x + RADIUS, y + RADIUS]]))

    def label(self, text: str, point: Point, offsets: Sequence[Point], **style: Any) -> bool:
        """Write beside a point what it is, if there is room; the first offset is the best."""
        frame, whole = self.plot.get_window_extent(), self.plot.figure.bbox
        for offset in offsets:
            label = self.plot.annotate(
                text, point, xytext=offset, textcoords="offset points",
                ha="right" if offset[0] < 0 else "left", va="top" if offset[1] < 0 else "bottom",
                zorder=5, bbox=BACKGROUND, **style,
            )  # fmt: skip
            box = label.get_window_extent()
            is_inside = frame.x0 <= box.x0 and frame.y0 <= box.y0 and box.x1 <= whole.x1
            if is_inside and not any(map(box.overlaps, self._taken)):
                self._taken.append(box)
                return True
            label.remove()
        return False
