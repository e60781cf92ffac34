"""The report: what a training of one's own tells after an epoch, and what is kept of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from greenbench.backends.process_state import RandomStates


class Books(Protocol):
    """Books energy, as `greenbench.energy.ledger.Ledger` does."""

    def turn(self, phase: str | None) -> None:
        """Book to a phase from now on, or to none."""

    def rename(self, phase: str) -> None:
        """Book the window that is open to another phase."""


@dataclass(frozen=True)
class Report:
    """What a training tells at the end of an epoch.

    Attributes
    ----------
    loss, score : float or None
        Mean training loss, and the validation score.
    samples : int or None
        Training samples of the epoch.
    metrics : mapping of str to float
        What else it tells.
    """

    loss: float | None = None
    score: float | None = None
    samples: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Saved:
    """Where a training was when it was cut off.

    Attributes
    ----------
    epochs : int
        That it had reported.
    state : bytes or None
        What it saved; see `greenbench.trainings.states`.
    random : dict
        Where all random generators were.
    """

    epochs: int
    state: bytes | None
    random: RandomStates
