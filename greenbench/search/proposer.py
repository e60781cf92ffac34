"""The proposer: the strategy of a search, checked whenever it is asked and told in its terms."""

from collections.abc import Iterator
from contextlib import contextmanager

from greenbench import registry
from greenbench.cases import Case
from greenbench.errors import ConfigurationError
from greenbench.machine.places import calling
from greenbench.results import Trial
from greenbench.search.configuration import plain_proposal, space_of
from greenbench.strategies import EnergyAware, Strategy
from greenbench.strategies.spaces import Hyperparameters
from greenbench.tasks import Score


class Proposer:
    """A strategy that is built for a case; what a user's own raises names it, and the line.

    Parameters
    ----------
    case : Case
        Names it, and its search space.
    repeat : int
        Decides its seed.
    score : Score
        What trials have; the strategy is told gains, of which more is better.

    Attributes
    ----------
    prior : str
        How it spreads its proposals; see `CaseResult`.
    """

    def __init__(self, case: Case, repeat: int, score: Score) -> None:
        self._case, self._score = case, score
        self._factory = registry.strategies.get(case.proposer)
        self._space = space_of(case)
        seed = case.derive_seed(repeat, "strategy")
        with self._calling():
            self._strategy: Strategy = self._factory(self._space, trials=case.trials, seed=seed)
        self.prior: str = getattr(self._strategy, "prior", self._space.prior)

    def ask(self) -> Hyperparameters:
        """Return what it proposes as plain values, if every backend takes them.

        Raises
        ------
        HyperparameterError
            If they are not what the space names.
        SearchExhaustedError
            If there is nothing left to propose.
        """
        with self._calling():
            return plain_proposal(self._case, self._space, self._strategy.ask())

    def skip(self) -> None:
        """Ask for what was proposed before the search was interrupted."""
        self._strategy.ask()

    def tell(self, trial: Trial) -> None:
        """Tell what came out of a trial so far."""
        value = trial.val_score
        with self._calling():
            if isinstance(self._strategy, EnergyAware):
                energy_j = trial.account.total.energy_j
                self._strategy.tell_energy(dict(trial.hyperparameters), energy_j)
            gain = None if value is None else self._score.gain(value)
            self._strategy.tell(dict(trial.hyperparameters), gain)

    @contextmanager
    def _calling(self) -> Iterator[None]:
        with calling(f"strategy {self._case.proposer!r}", self._factory, ConfigurationError):
            yield
