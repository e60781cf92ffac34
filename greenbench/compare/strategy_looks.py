"""Looks at strategies: their pairs at the level that this look at the same repeats has."""

from collections.abc import Iterable
from dataclasses import replace

from greenbench.compare.control import Control
from greenbench.compare.horizons import Horizon
from greenbench.compare.pairs import Pair
from greenbench.results.looks import Look


def horizon_at(horizon: Horizon, look: Look) -> Horizon:
    """Return a horizon whose pairs are tested at the level of a look."""
    return replace(horizon, pairs=pairs_at(horizon.pairs, look))


def control_at(control: Control, look: Look, tolerance: float) -> Control:
    """Return what searching gains over the control, as a look proves it.

    Parameters
    ----------
    control : Control
        As one look alone would prove it.
    look : Look
        Which it is.
    tolerance : float
        By how much the defaults may be worse, where no test proves that they are.
    """
    ends, energy = (
        pairs_at(pairs, look) for pairs in (control.at_their_ends, control.at_equal_energy)
    )
    is_proven = control.is_proven and any(
        pair.is_significant and pair.larger == control.best for pair in (*ends, *energy)
    )
    score = control.judged_by
    gained = score.gain(control.best_score) - score.gain(control.score)
    return replace(
        control,
        at_their_ends=ends,
        at_equal_energy=energy,
        is_proven=is_proven,
        is_beaten=is_proven or gained > tolerance,
    )


def pairs_at(pairs: Iterable[Pair], look: Look) -> tuple[Pair, ...]:
    """Return pairs that are tested at the level of a look."""
    return tuple(replace(pair, level=look.level) for pair in pairs)


def looked(words: str, look: int, level: float) -> str:
    """Return an answer, with which look it is where that is not the first."""
    return (
        f"{words} Look {look} at these repeats, at a level of {level:.2g}." if look > 1 else words
    )
