"""One energy counter of one device: what it is, and how it is read. It imports nothing heavy."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Counter:
    """A counter that advances in ticks.

    Attributes
    ----------
    component : str
        ``"cpu"``, ``"gpu"`` or ``"ram"``.
    device : str
        Which one, for people.
    source : str
        By what it is read, for people.
    limit_w : float or None
        The power limit of the device, in W; None if it is not known.
    range_j : float or None
        The joules after which it starts over from zero; None if it never does.
    read_j : callable
        Returns its value in joules; raises whatever its driver does.
    """

    component: str
    device: str
    source: str
    limit_w: float | None
    range_j: float | None
    read_j: Callable[[], float]
