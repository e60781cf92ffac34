"""The control: what searching gains over no search, the optimiser's published defaults."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from greenbench.compare.anytime import SLACK
from greenbench.compare.doubts import AS_FAR, are_apart
from greenbench.compare.horizons import (
    Horizon,
    blocks_of,
    finds,
    gain_at,
    judged_by,
    of_searches,
    that_found,
    to_rank,
)
from greenbench.compare.pairs import DECIMALS, Pair, compare_together
from greenbench.compare.searches import Search, Searches
from greenbench.compare.standings import Standing
from greenbench.compare.units import with_unit
from greenbench.results.scores import worst_gain
from greenbench.tasks import ACCURACY, Score
from greenbench.tasks.score_format import difference, more_or_less

CONTROL = "default"
NO_CONTROL = f"No control: run `{CONTROL}` too."


@dataclass(frozen=True)
class Control:
    """The published defaults against the search that does best.

    Attributes
    ----------
    is_tested : bool
        Whether scores here are those of the incumbents on the test split. The validation
        score is the best of many for a search, and not for the control, so it counts
        only where a test score is unknown.
    score : float
        What the defaults find, median; of an accuracy 0, else the worst that there is, if no
        trial completed.
    energy_wh : float or None
        What that takes, median; None if unknown.
    best : str
        The search of the best median at its end, among those that are proven to find more if
        there are any.
    best_score : float
        What it finds, median.
    best_energy_wh : float or None
        What that takes, median.
    is_beaten : bool
        Whether it finds more: proven, or by more than the tolerance.
    is_proven : bool
        Whether a test says so, at equal energy or at their ends.
    at_equal_energy, at_their_ends : tuple of Pair
        The control and each search, tested as one family; empty where the energy of one does
        not count, the control has not ended at equal energy, or test scores are known,
        which are those at the end.
    judged_by : Score
        What the scores are.
    are_energies_apart : bool
        Whether both energies differ by more than the ticks of counters leave open.
    """

    is_tested: bool
    score: float
    energy_wh: float | None
    best: str
    best_score: float
    best_energy_wh: float | None
    is_beaten: bool
    is_proven: bool
    at_equal_energy: tuple[Pair, ...]
    at_their_ends: tuple[Pair, ...]
    judged_by: Score = ACCURACY
    are_energies_apart: bool = True

    @property
    def sentence(self) -> str:
        """The answer in words."""
        control = f"{CONTROL} {self._finds(self.score, self.energy_wh)}"
        best = self._finds(self.best_score, self.best_energy_wh)
        if not self.is_beaten:
            rest = f"the best search ({self.best}) {best.removeprefix('finds ')}"
            return f"No search beats the published defaults{self._where}: {control}, {rest}."
        score = self.judged_by
        gained = score.gain(self.best_score) - score.gain(self.score)
        by = f" by {difference(score, gained)}" if math.isfinite(gained) else ""
        how = f"beats the published defaults{self._where}{by}"
        if not self.is_proven:
            points, which = (by.removeprefix(" by "), more_or_less(score)) if by else ("", "more")
            more = f"finds {f'{points} {which}'.strip()} than the published defaults{self._where}"
            how = f"{more}, which is not proven"
        return f"{self.best} {how}: it {best}, {control}{self._times}."

    def _finds(self, found: float, energy_wh: float | None) -> str:
        words = f"finds {finds(self.judged_by, found)}"
        return words if energy_wh is None else f"{words} with {with_unit(energy_wh)}"

    @property
    def _where(self) -> str:
        return " on the test split" if self.is_tested else ""

    @property
    def _times(self) -> str:
        if not self.energy_wh or not self.best_energy_wh:
            return ""
        if not self.are_energies_apart:
            return f" (the same energy, {AS_FAR})"
        return f" ({self.best_energy_wh / self.energy_wh:.3g} times the energy)"


def judge_control(
    searches: Searches,
    standings: Sequence[Standing],
    equal_energy: Horizon | None,
    tolerance: float,
) -> Control | None:
    """Return what searching gains over the control; None if there is no control.

    Parameters
    ----------
    searches : mapping of str to sequence of Search
        Of all strategies.
    standings : sequence of Standing
        Of the same.
    equal_energy : Horizon or None
        Whose limit is equal energy.
    tolerance : float
        By how much the defaults may be worse, where no test proves that they are; in the
        score's unit.
    """
    standing = {each.strategy: each for each in standings}
    own = standing.pop(CONTROL, None)
    if own is None or not standing:
        return None
    searches = that_found(searches)
    is_tested = all(search.is_tested for found in searches.values() for search in found)
    ends = {name: [_found(s, is_tested) for s in found] for name, found in searches.items()}
    at_ends = _against_control(ends, searches)
    at_energy = () if is_tested else _at_energy(searches, equal_energy)
    score = judged_by(searches)
    found = {name: median(gains) for name, gains in ends.items()}
    gains = {name: _apart(found[name], found[CONTROL]) for name in standing}
    proven = {
        pair.larger
        for pair in (*at_ends, *at_energy)
        if pair.is_significant and gains.get(pair.larger, 0.0) > 0
    }
    best = max(
        sorted(proven or standing),
        key=lambda name: (found[name], -(_energy(standing[name]) or 0.0)),
    )
    return Control(
        is_tested=is_tested,
        score=score.gain(found[CONTROL]),
        energy_wh=_energy(own),
        best=best,
        best_score=score.gain(found[best]),
        best_energy_wh=_energy(standing[best]),
        is_beaten=bool(proven) or gains[best] > tolerance,
        is_proven=bool(proven),
        at_equal_energy=at_energy,
        at_their_ends=at_ends,
        judged_by=score,
        are_energies_apart=_are_apart(own, standing[best]),
    )


def _apart(one: float, other: float) -> float:
    return 0.0 if one == other else round(one - other, DECIMALS)


def _at_energy(searches: Searches, horizon: Horizon | None) -> tuple[Pair, ...]:
    """Test at equal energy, unless the only trial of the control had not ended then."""
    if horizon is None:
        return ()
    counted = {
        name: own for name, found in searches.items() if (own := [s for s in found if s.curve])
    }
    if CONTROL not in counted or any(
        search.curve and search.curve.total_wh > horizon.limit_of(search) * (1 + SLACK)
        for search in counted[CONTROL]
    ):
        return ()
    gains = {
        name: [gain_at(search, horizon.limit_of(search)) for search in found]
        for name, found in counted.items()
    }
    return _against_control(gains, counted)


def _against_control(gains: dict[str, list[float]], searches: Searches) -> tuple[Pair, ...]:
    ranked = to_rank(gains)
    own = (CONTROL, ranked[CONTROL])
    couples = [(own, each) for each in ranked.items() if each[0] != CONTROL]
    return of_searches(compare_together(couples, blocks_of(searches), shares_one=True))


def _found(search: Search, is_tested: bool) -> float:
    if not is_tested:
        return float(search.best[-1])
    return worst_gain(search.score) if search.test_gain is None else search.test_gain


def _are_apart(one: Standing, other: Standing) -> bool:
    energies = (_energy(one) or 0.0, _energy(other) or 0.0)
    return are_apart(*energies, one.uncertainty_wh, other.uncertainty_wh)


def _energy(standing: Standing) -> float | None:
    return None if standing.energy_wh is None else standing.energy_wh.median
