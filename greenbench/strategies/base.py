"""The strategy protocol: what proposes hyperparameters, and how it is asked."""

from typing import Protocol, runtime_checkable

from greenbench.strategies.spaces import Hyperparameters, SearchSpace


@runtime_checkable
class Strategy(Protocol):
    """Proposes hyperparameters.

    The runner calls `ask`, trains, and calls `tell` with the same hyperparameters, one
    trial at a time. A strategy is built as ``Strategy(space, trials=..., seed=...)`` and
    depends on nothing else, so that replaying its asks and tells gives the same search.

    It may have an attribute `prior`, ``"uniform"``, ``"log"`` or ``"none"``, if it does not
    spread its proposals as the space says. It may have a class attribute `learns`, False if it
    proposes the same whatever it is told: then it may be asked several times before it is told.
    """

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None: ...

    def ask(self) -> Hyperparameters:
        """Return the next hyperparameters: plain int and float, inside the space.

        Raises
        ------
        SearchExhaustedError
            If there is nothing left to propose.
        """

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        """Report the score of what `ask` proposed.

        Under a scheduler it is called again with the same hyperparameters when they were
        trained further; the newer score replaces the older one.

        Parameters
        ----------
        hyperparameters : dict
            As proposed.
        score : float or None
            Validation score, to be maximised: of any range, and negated where lower is better.
            None if the trial failed, which counts as the worst score.
        """


@runtime_checkable
class EnergyAware(Protocol):
    """A strategy that weighs what a trial costs; `tell_energy` comes before each `tell`."""

    def tell_energy(self, hyperparameters: Hyperparameters, energy_j: float | None) -> None:
        """Report the joules of a trial so far, proposal included; None if they are unknown."""
