"""The strategy protocol: what proposes hyperparameters, and how it is asked."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from greenbench.errors import SearchSpaceError
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
    One that cannot take categorical dimensions raises `SearchSpaceError` when it is built.
    """

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None: ...

    def ask(self) -> Hyperparameters:
        """Return the next hyperparameters: of plain types, inside the space.

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


TAKE_CATEGORIES = (
    "default", "grid", "grid_log", "random", "random_log", "sobol", "survey", "bayesian",
    "bayesian_pi", "bayesian_cost", "bayesian_warm", "tpe", "tpe_warm", "gp",
)  # fmt: skip
"""Built-in strategies that take categorical dimensions. Advice must not import all of them."""

NUMERIC: Mapping[str, str] = {
    "cmaes": "Optuna's CMA-ES moves numbers alone, and would draw it at random, whatever it scores",
    "bayesian_paper": "the paper's process knows distances between numbers alone",
}
"""Built-in strategies that do not, and why."""


def refuse_categories(strategy: str, space: SearchSpace) -> None:
    """Raise `SearchSpaceError` if a space is categorical, and a built-in strategy takes none."""
    if strategy in NUMERIC and space.categories:
        raise SearchSpaceError(
            f"strategy {strategy!r} cannot take the categorical dimension "
            f"{space.categories[0].name!r} of search space {space.name!r}: {NUMERIC[strategy]}; "
            f"choose one of {', '.join(TAKE_CATEGORIES)}, or leave the dimension out"
        )
