"""Looks at strategies: their pairs at the level that this look at the same repeats has."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from greenbench.compare.control import Control
from greenbench.compare.horizons import Horizon
from greenbench.compare.pairs import Pair
from greenbench.results.looks import UNTIL_DECIDED, Look

if TYPE_CHECKING:
    from greenbench.compare.strategies import Strategies

Seen = Callable[[str, Pair], Pair]
"""Returns what is told of a pair, given what is asked of it and its test."""


def at_look(answer: "Strategies", look: Look) -> "Strategies":
    """Return an answer whose pairs are tested at the level of a look."""
    level = level_of(look, has_control=answer.control is not None)
    return with_pairs(answer, lambda _, pair: replace(pair, level=level), look)


def level_of(look: Look, *, has_control: bool) -> float:
    """Return the level of a look at strategies.

    A run until it is decided says of the control, too, what its tests show: at equal energy, and
    once more at their ends. So each of the two families has half.
    """
    return look.level / 2 if has_control and look.design == UNTIL_DECIDED else look.level


def with_pairs(answer: "Strategies", seen: Seen, look: Look) -> "Strategies":
    """Return an answer with other tests of its pairs.

    Parameters
    ----------
    answer : Strategies
        As one look alone would prove it.
    seen : callable
        Returns what is told of each pair.
    look : Look
        Which it is.
    """

    def pairs_of(question: str, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
        return tuple(seen(question, pair) for pair in pairs)

    def of_horizon(question: str, horizon: Horizon) -> Horizon:
        return replace(horizon, pairs=pairs_of(question, horizon.pairs))

    energy, control = answer.equal_energy, answer.control
    if control:
        control = _proven(
            replace(
                control,
                at_their_ends=pairs_of("control at ends", control.at_their_ends),
                at_equal_energy=pairs_of("control at equal energy", control.at_equal_energy),
            ),
            answer.tolerance,
        )
    return replace(
        answer,
        equal_trials=of_horizon("equal trials", answer.equal_trials),
        equal_energy=energy and of_horizon("equal energy", energy),
        control=control,
        to_target=pairs_of("to target", answer.to_target),
        look=max(look.number, 1),
        level=level_of(look, has_control=control is not None),
        design=look.design,
    )


def _proven(control: Control, tolerance: float) -> Control:
    """Return what searching gains over the control, as its pairs prove it.

    Parameters
    ----------
    control : Control
        As one look alone would prove it, but for its pairs.
    tolerance : float
        By how much the defaults may be worse, where no test proves that they are.
    """
    is_proven = control.is_proven and any(
        pair.is_significant and pair.larger == control.best
        for pair in (*control.at_their_ends, *control.at_equal_energy)
    )
    score = control.judged_by
    gained = score.gain(control.best_score) - score.gain(control.score)
    return replace(control, is_proven=is_proven, is_beaten=is_proven or gained > tolerance)


def looked(words: str, look: int, level: float) -> str:
    """Return an answer, with which look it is where that is not the first."""
    return (
        f"{words} Look {look} at these repeats, at a level of {level:.2g}." if look > 1 else words
    )
