"""Warm start: any search, with the published defaults as its first trial."""

from typing import ClassVar

from greenbench.strategies.base import Strategy
from greenbench.strategies.default import DefaultStrategy
from greenbench.strategies.spaces import Hyperparameters, SearchSpace


class WarmStart:
    """Proposes the optimiser's published defaults, then what another strategy proposes.

    The other strategy is told all scores, that of the defaults too. Subclass it to name the
    other strategy.

    Parameters
    ----------
    space : SearchSpace
        What to search; the published defaults lie inside.
    trials, seed : int
        For the other strategy.

    Raises
    ------
    SearchSpaceError
        If a dimension has no published default, or has one outside its bounds.
    """

    inner: ClassVar[type[Strategy]]

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        self._first: Hyperparameters | None = DefaultStrategy(space, trials=1, seed=seed).ask()
        self._then = self.inner(space, trials=trials, seed=seed)

    def ask(self) -> Hyperparameters:
        """Return the defaults first, and then the other strategy's proposals."""
        if self._first is None:
            return self._then.ask()
        proposal, self._first = self._first, None
        return proposal

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        """Pass a score on."""
        self._then.tell(hyperparameters, score)
