"""The control: what searching gains over no search, the optimiser's published defaults."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from greenbench.compare.anytime import SLACK
from greenbench.compare.horizons import Horizon, blocks_of, of_searches
from greenbench.compare.pairs import DECIMALS, Pair, compare_together
from greenbench.compare.searches import Search, Searches
from greenbench.compare.standings import Standing
from greenbench.compare.units import with_unit

CONTROL = "default"
NO_CONTROL = f"No control: run `{CONTROL}` too."


@dataclass(frozen=True)
class Control:
    """The published defaults against the search that does best.

    Attributes
    ----------
    is_tested : bool
        Whether accuracies here are those of the incumbents on the test split. Validation
        accuracy is the best of many for a search, and not for the control, so it counts
        only where a test accuracy is unknown.
    accuracy : float
        What the defaults find, median, in [0, 1]; 0 if no trial completed.
    energy_wh : float or None
        What that takes, median; None if unknown.
    best : str
        The search of the best median at its end, among those that are proven to find more if
        there are any.
    best_accuracy : float
        What it finds, median.
    best_energy_wh : float or None
        What that takes, median.
    is_beaten : bool
        Whether it finds more: proven, or by more than the tolerance.
    is_proven : bool
        Whether a test says so, at equal energy or at their ends.
    at_equal_energy, at_their_ends : tuple of Pair
        The control and each search, tested as one family; empty where the energy of one does
        not count, the control has not ended at equal energy, or test accuracies are known,
        which are those at the end.
    """

    is_tested: bool
    accuracy: float
    energy_wh: float | None
    best: str
    best_accuracy: float
    best_energy_wh: float | None
    is_beaten: bool
    is_proven: bool
    at_equal_energy: tuple[Pair, ...]
    at_their_ends: tuple[Pair, ...]

    @property
    def sentence(self) -> str:
        """The answer in words."""
        control = f"{CONTROL} {_finds(self.accuracy, self.energy_wh)}"
        best = _finds(self.best_accuracy, self.best_energy_wh)
        if not self.is_beaten:
            rest = f"the best search ({self.best}) {best.removeprefix('finds ')}"
            return f"No search beats the published defaults{self._where}: {control}, {rest}."
        points = f"{100 * (self.best_accuracy - self.accuracy):.3g} points"
        how = f"beats the published defaults{self._where} by {points}"
        if not self.is_proven:
            more = f"finds {points} more than the published defaults{self._where}"
            how = f"{more}, which is not proven"
        return f"{self.best} {how}: it {best}, {control}{self._times}."

    @property
    def _where(self) -> str:
        return " on the test split" if self.is_tested else ""

    @property
    def _times(self) -> str:
        if not self.energy_wh or not self.best_energy_wh:
            return ""
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
        By how much the defaults may be below, where no test proves that they are.
    """
    standing = {each.strategy: each for each in standings}
    own = standing.pop(CONTROL, None)
    if own is None or not standing:
        return None
    is_tested = all(search.is_tested for found in searches.values() for search in found)
    ends = {name: [_found(s, is_tested) for s in found] for name, found in searches.items()}
    at_ends = _against_control(ends, searches)
    at_energy = () if is_tested else _at_energy(searches, equal_energy)
    finds = {name: median(accuracies) for name, accuracies in ends.items()}
    gains = {name: round(finds[name] - finds[CONTROL], DECIMALS) for name in standing}
    proven = {
        pair.larger
        for pair in (*at_ends, *at_energy)
        if pair.is_significant and gains.get(pair.larger, 0.0) > 0
    }
    best = max(
        sorted(proven or standing),
        key=lambda name: (finds[name], -(_energy(standing[name]) or 0.0)),
    )
    return Control(
        is_tested=is_tested,
        accuracy=finds[CONTROL],
        energy_wh=_energy(own),
        best=best,
        best_accuracy=finds[best],
        best_energy_wh=_energy(standing[best]),
        is_beaten=bool(proven) or gains[best] > tolerance,
        is_proven=bool(proven),
        at_equal_energy=at_energy,
        at_their_ends=at_ends,
    )


def _at_energy(searches: Searches, horizon: Horizon | None) -> tuple[Pair, ...]:
    """Test at equal energy, unless the only trial of the control had not ended then."""
    if horizon is None:
        return ()
    limit = horizon.limit
    counted = {name: [s for s in found if s.curve] for name, found in searches.items()}
    control = [s.curve.total_wh for s in counted[CONTROL] if s.curve]
    if not control or max(control) > limit * (1 + SLACK):
        return ()
    accuracies = {
        name: [float(s.curve.accuracy_at(limit)) for s in found if s.curve]
        for name, found in counted.items()
        if found
    }
    return _against_control(accuracies, counted)


def _against_control(accuracies: dict[str, list[float]], searches: Searches) -> tuple[Pair, ...]:
    own = (CONTROL, accuracies[CONTROL])
    couples = [(own, each) for each in accuracies.items() if each[0] != CONTROL]
    return of_searches(compare_together(couples, blocks_of(searches)))


def _found(search: Search, is_tested: bool) -> float:
    return search.test_score or 0.0 if is_tested else float(search.best[-1])


def _energy(standing: Standing) -> float | None:
    return None if standing.energy_wh is None else standing.energy_wh.median


def _finds(accuracy: float, energy_wh: float | None) -> str:
    found = f"finds {accuracy:.1%}" if accuracy else "finds nothing"
    return found if energy_wh is None else f"{found} with {with_unit(energy_wh)}"
