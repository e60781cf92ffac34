"""Tolerances: how far below the best is good enough, in a score's unit or relative to it."""

import math
from dataclasses import dataclass

from greenbench.errors import ConfigurationError
from greenbench.tasks import Score
from greenbench.tasks.score_format import difference, is_share

POINT = 0.01
"""The usual one: of a share a percentage point, of other scores 1% of the best."""
PERCENT = "%"


@dataclass(frozen=True)
class Tolerance:
    """How far below the best is good enough.

    Attributes
    ----------
    amount : float
        In the score's unit (0.01 of a share is a percentage point), or a share of the best.
    is_relative : bool
        Whether it is a share of the best.
    """

    amount: float
    is_relative: bool = False

    def of(self, best: float) -> float:
        """Return it in the score's unit, beside the best figure."""
        return self.amount * abs(best) if self.is_relative else self.amount

    def words(self, score: Score) -> str:
        """Return it as a sentence says it: ``"1 point"``, ``"0.1 bits"``, ``"1%"``."""
        if self.is_relative:
            return f"{100 * self.amount:.3g}%"
        return difference(score, self.amount)


def tolerance_for(score: Score, given: Tolerance | float | None) -> Tolerance:
    """Return what is given, or else the usual one for a score.

    Raises
    ------
    ConfigurationError
        If it is more than a share can be.
    """
    if given is None:
        return Tolerance(POINT, is_relative=not is_share(score))
    found = given if isinstance(given, Tolerance) else Tolerance(given)
    if is_share(score) and not found.is_relative and found.amount > 1:
        raise ConfigurationError(
            f"a tolerance of {found.amount:g} is more than the whole range of {score.name}, which "
            f"is a share; expected 0 to 1, such as 0.01 for a percentage point"
        )
    return found


def read_tolerance(text: str) -> Tolerance:
    """Return the tolerance that a text says: ``"0.01"`` or ``"1%"``.

    Raises
    ------
    ValueError
        If it says none.
    """
    number = text.strip()
    is_relative = number.endswith(PERCENT)
    amount = float(number.removesuffix(PERCENT)) / (100 if is_relative else 1)
    if not 0 <= amount < math.inf:
        raise ValueError(text)
    return Tolerance(amount, is_relative)
