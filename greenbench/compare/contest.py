"""Strategies that are run until it is known which finds more at equal energy, look after look."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

from scipy.stats import norm

from greenbench.cases import Case
from greenbench.compare.control import CONTROL
from greenbench.compare.pairs import Pair
from greenbench.compare.strategies import OWN_GROUP, Strategies, compare_strategies
from greenbench.compare.tolerance import Tolerance
from greenbench.compare.until import HOPE
from greenbench.results.looks import LEVEL, OUT

Row = Mapping[str, Any]


@dataclass
class WhichStrategy:
    """Which strategy of a group finds more.

    It is settled when the best at equal energy is shown to be above each other, and above the
    control or below it.

    Attributes
    ----------
    cases : tuple of Case
        One a strategy.
    tolerance : Tolerance, float or None
        As `greenbench.compare.strategies.compare_strategies` takes it.
    include_disturbed : bool
        Whether the energy of disturbed searches counts.
    looks, repeats : int
        That were made, and the repeats of the last.
    dropped : dict of str to int
        Strategies that are run no further, and the repeats that they have.
    shown : dict
        Pairs of which a look has shown that the first is above the second, and p.
    best : str
        The best at the last look.
    """

    cases: tuple[Case, ...]
    tolerance: Tolerance | float | None = None
    include_disturbed: bool = False
    looks: int = 0
    repeats: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    shown: dict[tuple[str, str], float] = field(default_factory=dict)
    best: str = ""
    _open: dict[str, float] = field(default_factory=dict)

    @property
    def going(self) -> Collection[Case]:
        """Those that are not dropped."""
        if self.is_settled:
            return ()
        return tuple(case for case in self.cases if case.strategy not in self.dropped)

    @property
    def is_settled(self) -> bool:
        """Whether the best is shown to be."""
        return bool(self.best) and not self._open

    def look(self, repeats: int, rows: Sequence[Row], trials: Sequence[Row]) -> None:
        """Look at so many repeats of its cases."""
        ids = {case.id for case in self.cases if case.strategy not in self.dropped}
        own = [row for row in trials if row["case_id"] in ids and row["repeat"] < repeats]
        self.looks, self.repeats = self.looks + 1, repeats
        found = compare_strategies(
            own,
            group=OWN_GROUP,
            tolerance=self.tolerance,
            include_disturbed=self.include_disturbed,
        )
        if found and found[0].equal_energy:
            self._judge(found[0])

    def _judge(self, found: Strategies) -> None:
        assert found.equal_energy is not None
        self.best = found.equal_energy.found[0].strategy
        control = found.control.at_their_ends if found.control else ()
        for pair in (*found.equal_energy.pairs, *control):
            if pair.is_significant and pair.p is not None:
                self.shown.setdefault((pair.larger, _smaller(pair)), pair.p)
        of_best = [pair for pair in found.equal_energy.pairs if self.best in (pair.one, pair.other)]
        self._open = {}
        for pair in of_best:
            rival = pair.other if pair.one == self.best else pair.one
            p = 1.0 if pair.p is None else pair.p
            if not {(self.best, rival), (rival, self.best)} & self.shown.keys():
                self._open[rival] = p
            elif p <= OUT and rival != CONTROL and pair.larger == self.best:
                self.dropped[rival] = self.repeats

    def is_within_reach(self, repeats: int) -> bool:
        """Return whether it may be settled after so many repeats."""
        if not self._open or not self.repeats:
            return True
        # Of each pair at the truth that is as good as it can be.
        then = [
            (norm.isf(p / 2) + HOPE) * sqrt(repeats / self.repeats) for p in self._open.values()
        ]
        return bool(min(then) >= norm.isf(LEVEL / 2))

    def fixed_design(self, rows: Sequence[Row]) -> str | None:
        """Return nothing: how strategies are spread is not known well enough."""

    @property
    def answer(self) -> str:
        """What is known, in words."""
        first = self.cases[0]
        where = f"{first.network} ({first.backend_variant}, {first.dataset})"
        if not self.looks:
            return f"{where}: no look"
        shown = [f"{one} above {other} (p = {p:.2g})" for (one, other), p in self.shown.items()]
        said = ", ".join(shown) if shown else "no difference is shown"
        of = f"look {self.looks}, after {self.repeats} repeats, at {LEVEL:g} each"
        return f"{where}: at equal energy, {said} ({of})"


def _smaller(pair: Pair) -> str:
    return pair.other if pair.larger == pair.one else pair.one
