"""What every strategy must do, as tests to subclass."""

import json
import math
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import pytest

from greenbench.errors import SearchExhaustedError, SearchSpaceError
from greenbench.strategies import Categorical, Dimension, EnergyAware, SearchSpace, Strategy
from greenbench.strategies.spaces import ADAM, PAPER3, PAPER5, Hyperparameters

TRIALS = 5

RATE = Dimension("learning_rate", 1e-4, 1e-2, prior="log")
LAYERS = Dimension("layers", 1, 4, type="int", excludes_high=True)
UNITS = Dimension("units", 8, 512, prior="log", type="int")
SPACES = (ADAM, PAPER3, PAPER5, SearchSpace("one_dimension", (RATE,)))
WHOLE_NUMBERS = SearchSpace("whole_numbers", (LAYERS, UNITS, RATE))
CHOICES = SearchSpace(
    "choices",
    (
        Categorical("optimizer", ("sgd", "adam", "lion")),
        RATE,
        Categorical("nesterov", (False, True)),
        Categorical("batch_size", (16, 64, 256)),
        LAYERS,
    ),
    {"optimizer": "adam", "learning_rate": 1e-3, "nesterov": False, "batch_size": 64, "layers": 2},
)
NOTHING_ELSE = SearchSpace(
    "nothing_else",
    (CHOICES.dimensions[0], CHOICES.dimensions[2], CHOICES.dimensions[3]),
    CHOICES.defaults,
)
TWELVE = SearchSpace("twelve", tuple(Dimension(f"x{index}", 0.0, 1.0) for index in range(12)))


class StrategyConformance:
    """What every strategy must do; subclass it in a test module and name the strategy.

    Attributes
    ----------
    strategy : type of Strategy
        What `make_strategy` builds.
    is_deterministic : bool
        True for a strategy that ignores its seed.
    integer_space : SearchSpace or None
        A space with whole numbers; None for a strategy that has no use for them.
    wide_space : SearchSpace or None
        A space of twelve dimensions; None for a strategy that has no use for their names.
    categorical_spaces : tuple of SearchSpace
        Spaces with categorical dimensions, one of them without any other; empty for a strategy
        that cannot take them, which must say so when it is built.

    Examples
    --------
    >>> from greenbench.strategies.random import RandomStrategy
    >>> class TestRandom(StrategyConformance):
    ...     strategy = RandomStrategy
    """

    strategy: ClassVar[type[Strategy]]
    is_deterministic: ClassVar[bool] = False
    integer_space: ClassVar[SearchSpace | None] = WHOLE_NUMBERS
    wide_space: ClassVar[SearchSpace | None] = TWELVE
    categorical_spaces: ClassVar[tuple[SearchSpace, ...]] = (CHOICES, NOTHING_ELSE)

    def make_strategy(self, space: SearchSpace, trials: int, seed: int) -> Strategy:
        """Return a new strategy; override it for one that takes more arguments."""
        return type(self).strategy(space, trials=trials, seed=seed)

    @pytest.fixture(params=SPACES, ids=lambda space: space.name)
    def space(self, request: pytest.FixtureRequest) -> SearchSpace:
        """Return each of the spaces that every strategy must search."""
        space: SearchSpace = request.param
        return space

    def test_same_seed_gives_the_same_search(self, space: SearchSpace) -> None:
        """A search can be repeated."""
        assert _search(self.make_strategy(space, TRIALS, seed=1)) == self._proposals(space)

    def test_another_seed_gives_another_search(self, space: SearchSpace) -> None:
        """Repeats differ."""
        if self.is_deterministic:
            pytest.skip("the strategy ignores its seed")
        assert _search(self.make_strategy(space, TRIALS, seed=2)) != self._proposals(space)

    def test_proposals_name_exactly_the_dimensions(self, space: SearchSpace) -> None:
        """Nothing is left out, nothing is added."""
        names = {dimension.name for dimension in space.dimensions}
        assert all(set(proposal) == names for proposal in self._proposals(space))

    def test_proposals_stay_within_bounds(self, space: SearchSpace) -> None:
        """An excluded upper bound is never proposed, either."""
        for proposal in self._proposals(space):
            assert [each.name for each in space.dimensions if proposal[each.name] not in each] == []

    def test_proposals_are_plain_numbers(self, space: SearchSpace) -> None:
        """A NumPy scalar would break the journal."""
        for proposal in self._proposals(space):
            assert {type(value) for value in proposal.values()} <= {int, float}

    def test_whole_number_dimensions_get_whole_numbers(self) -> None:
        """They are int and within bounds; the other dimensions are float."""
        space = self.integer_space
        if space is None:
            pytest.skip("the strategy takes no whole numbers")
        for proposal in self._proposals(space):
            for dimension in space.dimensions:
                value = proposal[dimension.name]
                assert isinstance(dimension, Dimension)
                assert type(value) is {"int": int, "float": float}[dimension.type]
                assert value in dimension

    def test_of_choices_each_proposal_has_one(self) -> None:
        """It is as plain as the space has it, and the numbers beside are within bounds."""
        for space in self.categorical_spaces:
            for proposal in self._proposals(space):
                for dimension in space.dimensions:
                    value = proposal[dimension.name]
                    assert value in dimension
                    if isinstance(dimension, Categorical):
                        assert type(value) in {type(each) for each in dimension.choices}

    def test_search_of_choices_is_replayed(self) -> None:
        """What was told is found again in a journal, which is JSON; failures may be among it."""
        for space in self.categorical_spaces:
            proposals = _search(self.make_strategy(space, TRIALS, seed=1), score=_some_fail)
            replayed = self.make_strategy(space, TRIALS, seed=1)
            for proposal in json.loads(json.dumps(proposals)):
                assert replayed.ask() == proposal
                replayed.tell(proposal, _some_fail(proposal))

    def test_choices_are_refused_at_once_where_they_cannot_be_taken(self) -> None:
        """The line names the dimension."""
        if self.categorical_spaces:
            pytest.skip("the strategy takes choices")
        with pytest.raises(SearchSpaceError, match="optimizer"):
            self.make_strategy(CHOICES, TRIALS, seed=1)

    def test_failures_may_be_told_for_every_trial(self, space: SearchSpace) -> None:
        """A search in which nothing ever works goes on like any other."""
        strategy = self.make_strategy(space, TRIALS, seed=1)
        assert _search(strategy, score=lambda _: None) != []

    def test_success_may_follow_failure(self) -> None:
        """A first failure leaves no state that a score could trip over."""
        scores = iter([None, 0.5, None, 0.0, 1.0])
        strategy = self.make_strategy(ADAM, TRIALS, seed=1)
        assert _search(strategy, score=lambda _: next(scores)) != []

    def test_scores_that_are_not_finite_count_as_failures(self) -> None:
        """A loss that overflowed is no reason to end a search."""
        searches = []
        for failure in (None, math.nan, math.inf, -math.inf):
            strategy = self.make_strategy(ADAM, TRIALS, seed=1)
            searches.append(_search(strategy, score=_one_by_one(0.5, failure, 0.7, failure, 0.6)))
        assert searches[1:] == searches[:1] * 3

    def test_scores_may_be_of_any_range(self, space: SearchSpace) -> None:
        """R² may lie far below 0, and a negated loss always does; failures are worse still."""
        for low, width in ((-1e6, 2e6), (-3.0, 1.0), (5e3, 1e-3)):
            strategy = self.make_strategy(space, TRIALS, seed=1)

            def score(
                proposal: Hyperparameters, low: float = low, w: float = width
            ) -> float | None:
                share = _some_fail(proposal)
                return None if share is None else low + w * share

            for proposal in _search(strategy, score=score):
                assert [d.name for d in space.dimensions if proposal[d.name] not in d] == []

    def test_a_score_may_be_told_again(self, space: SearchSpace) -> None:
        """A trial that was trained further has a newer score, and replays to the same end."""
        first, second = (self.make_strategy(space, TRIALS, seed=1) for _ in range(2))
        search = _search_with_second_thoughts(first)
        assert search == _search_with_second_thoughts(second)
        for proposal in search:
            for dimension in space.dimensions:
                assert proposal[dimension.name] in dimension

    def test_energy_may_be_told(self) -> None:
        """Known, unknown or meaningless, before each score."""
        if not isinstance(self.make_strategy(ADAM, TRIALS, seed=1), EnergyAware):
            pytest.skip("the strategy weighs no energy")
        for energies_j in ((None,), (5.0,), (2.0, None, 0.0, math.nan, 9.0)):
            searches = []
            for _ in range(2):
                strategy = self.make_strategy(ADAM, TRIALS, seed=1)
                searches.append(_search(strategy, energies_j=energies_j))
            assert searches[0] == searches[1] != []

    def test_twelve_dimensions_are_searched(self) -> None:
        """A grid over so many does not fit into memory."""
        space = self.wide_space
        if space is None:
            pytest.skip("the strategy has no use for other names")
        proposals = self._proposals(space)
        assert proposals
        for proposal in proposals:
            assert [each.name for each in space.dimensions if proposal[each.name] not in each] == []

    def test_a_finished_search_says_so(self) -> None:
        """Asked for more, it goes on, or raises `SearchExhaustedError` and stays finished."""
        strategy = self.make_strategy(ADAM, TRIALS, seed=1)
        asked = 2 * TRIALS
        if len(_search(strategy, asked)) < asked:
            with pytest.raises(SearchExhaustedError):
                strategy.ask()

    def test_replay_gives_the_same_next_proposal(self, space: SearchSpace) -> None:
        """A repeat that was cut off is taken up from its journal, which is JSON."""
        proposals = _search(self.make_strategy(space, TRIALS, seed=1), score=_some_fail)
        *journal, last = [json.loads(json.dumps(proposal)) for proposal in proposals]
        replayed = self.make_strategy(space, TRIALS, seed=1)
        for proposal in journal:
            replayed.ask()
            replayed.tell(proposal, _some_fail(proposal))
        assert replayed.ask() == last

    def test_one_that_does_not_learn_proposes_the_same_whatever_it_is_told(
        self, space: SearchSpace
    ) -> None:
        """Its trials may be trained at once: it is asked for several before it is told of any."""
        if getattr(type(self).strategy, "learns", True):
            pytest.skip("the strategy may learn")
        asked = self.make_strategy(space, TRIALS, seed=1)
        ahead = [dict(asked.ask()) for _ in range(len(self._proposals(space)))]
        for score in (_smooth, lambda proposal: -_smooth(proposal), _some_fail):
            assert _search(self.make_strategy(space, TRIALS, seed=1), score=score) == ahead

    def test_global_random_state_is_left_alone(self) -> None:
        """Training draws from it."""
        before = (random.getstate(), repr(np.random.get_state()))
        _search(self.make_strategy(ADAM, TRIALS, seed=1))
        assert (random.getstate(), repr(np.random.get_state())) == before

    def test_global_random_state_has_no_influence(self) -> None:
        """The seed alone decides."""
        kept = (random.getstate(), np.random.get_state())
        try:
            searches = []
            for seed in (1, 2):
                random.seed(seed)
                np.random.seed(seed)
                searches.append(_search(self.make_strategy(ADAM, TRIALS, seed=1)))
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])
        assert searches[0] == searches[1]

    def _proposals(self, space: SearchSpace) -> list[Hyperparameters]:
        """Return those of the search that most rules look at; it is made once a space."""
        found = _searched.setdefault(type(self), {})
        if (key := repr(space)) not in found:
            found[key] = _search(self.make_strategy(space, TRIALS, seed=1))
        return deepcopy(found[key])


_searched: WeakKeyDictionary[type, dict[str, list[Hyperparameters]]] = WeakKeyDictionary()


def _smooth(proposal: Hyperparameters) -> float:
    numbers = (len(each) if isinstance(each, str) else abs(each) for each in proposal.values())
    return 1.0 / (1.0 + float(sum(numbers)))


def _some_fail(proposal: Hyperparameters, low: float = 0.0, width: float = 1.0) -> float | None:
    score = _smooth(proposal)
    return None if round(score * 1e6) % 3 == 0 else low + width * score


def _one_by_one(*scores: float | None) -> Callable[[Hyperparameters], float | None]:
    remaining = iter(scores)
    return lambda _: next(remaining)


def _search(
    strategy: Strategy,
    trials: int = TRIALS,
    score: Callable[[Hyperparameters], float | None] = _smooth,
    energies_j: Sequence[float | None] = (),
) -> list[Hyperparameters]:
    """Return what is proposed in `trials` trials, fewer if the strategy ends early."""
    proposals: list[Hyperparameters] = []
    with suppress(SearchExhaustedError):
        for index in range(trials):
            proposal = strategy.ask()
            proposals.append(dict(proposal))
            if energies_j and isinstance(strategy, EnergyAware):
                strategy.tell_energy(proposal, energies_j[index % len(energies_j)])
            strategy.tell(proposal, score(proposal))
    return proposals


def _search_with_second_thoughts(strategy: Strategy) -> list[Hyperparameters]:
    """Return what is proposed when each score is told again, better, after the next trial."""
    proposals: list[Hyperparameters] = []
    with suppress(SearchExhaustedError):
        for index in range(TRIALS):
            proposals.append(dict(strategy.ask()))
            strategy.tell(proposals[-1], _smooth(proposals[-1]))
            if index:
                strategy.tell(proposals[-2], 1.1 * _smooth(proposals[-2]))
        proposals.append(dict(strategy.ask()))
    return proposals
