"""For plugin authors: what a strategy and a meter must do, as tests to subclass; fakes.

The fakes are for unit tests of logic only: no figure of theirs says anything about energy.
"""

import json
import math
import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from greenbench.energy.meter import Meter
from greenbench.errors import ConfigurationError, EnergyError, SearchExhaustedError
from greenbench.readings import Component, Provenance, Reading
from greenbench.strategies import Dimension, SearchSpace, Strategy
from greenbench.strategies.spaces import ADAM, PAPER3, PAPER5, Hyperparameters

TRIALS = 5
GRACE_S = 2.0
WINDOW_S = 0.3
PARTS = 10
TOLERANCE = 4.0
"""By how much energy may be off: a model of the CPU's load sees little of a short window."""

RATE = Dimension("learning_rate", 1e-4, 1e-2, prior="log")
LAYERS = Dimension("layers", 1, 4, type="int", excludes_high=True)
UNITS = Dimension("units", 8, 512, prior="log", type="int")
SPACES = (ADAM, PAPER3, PAPER5, SearchSpace("one_dimension", (RATE,)))
WHOLE_NUMBERS = SearchSpace("whole_numbers", (LAYERS, UNITS, RATE))


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

    Examples
    --------
    >>> from greenbench.strategies.random import RandomStrategy
    >>> class TestRandom(StrategyConformance):
    ...     strategy = RandomStrategy
    """

    strategy: ClassVar[type[Strategy]]
    is_deterministic: ClassVar[bool] = False
    integer_space: ClassVar[SearchSpace | None] = WHOLE_NUMBERS

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
        first, second = (self.make_strategy(space, TRIALS, seed=1) for _ in range(2))
        assert _search(first) == _search(second)

    def test_another_seed_gives_another_search(self, space: SearchSpace) -> None:
        """Repeats differ."""
        if self.is_deterministic:
            pytest.skip("the strategy ignores its seed")
        first, second = (self.make_strategy(space, TRIALS, seed) for seed in (1, 2))
        assert _search(first) != _search(second)

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
                assert type(value) is {"int": int, "float": float}[dimension.type]
                assert value in dimension

    def test_failures_may_be_told_for_every_trial(self, space: SearchSpace) -> None:
        """A search in which nothing ever works goes on like any other."""
        strategy = self.make_strategy(space, TRIALS, seed=1)
        assert _search(strategy, score=lambda _: None) != []

    def test_success_may_follow_failure(self) -> None:
        """A first failure leaves no state that a score could trip over."""
        scores = iter([None, 0.5, None, 0.0, 1.0])
        strategy = self.make_strategy(ADAM, TRIALS, seed=1)
        assert _search(strategy, score=lambda _: next(scores)) != []

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

    def test_global_random_state_is_left_alone(self) -> None:
        """Training draws from it."""
        before = (random.getstate(), repr(np.random.get_state()))
        self._proposals(ADAM)
        assert (random.getstate(), repr(np.random.get_state())) == before

    def test_global_random_state_has_no_influence(self) -> None:
        """The seed alone decides."""
        kept = (random.getstate(), np.random.get_state())
        try:
            searches = []
            for seed in (1, 2):
                random.seed(seed)
                np.random.seed(seed)
                searches.append(self._proposals(ADAM))
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])
        assert searches[0] == searches[1]

    def _proposals(self, space: SearchSpace) -> list[Hyperparameters]:
        return _search(self.make_strategy(space, TRIALS, seed=1))


class MeterConformance:
    """What every meter must do; subclass it in a test module and make the meter.

    Attributes
    ----------
    may_overlap : bool
        False for a meter that a process can use but once at a time. greenbench then cannot
        check its phases against a second one's window.

    Examples
    --------
    >>> class TestFake(MeterConformance):
    ...     def make_meter(self):
    ...         return FakeMeter(FakeClock())
    """

    may_overlap: ClassVar[bool] = True

    def make_meter(self) -> Meter:
        """Return a new meter without an open window."""
        pytest.fail("override make_meter so that it returns a new meter")

    @pytest.fixture
    def meter(self) -> Iterator[Meter]:
        """Return a meter that is closed after the test."""
        meter = self.make_meter()
        yield meter
        meter.close()

    @pytest.fixture
    def second(self) -> Iterator[Meter]:
        """Return another meter of the kind, also closed after the test."""
        if not self.may_overlap:
            pytest.skip("the meter says that its windows may not overlap another one's")
        meter = self.make_meter()
        yield meter
        meter.close()

    def test_it_is_a_meter(self, meter: Meter) -> None:
        """Its verbs and its name are there."""
        assert isinstance(meter, Meter)
        assert meter.name

    def test_windows_do_not_nest(self, meter: Meter) -> None:
        """A second window would take the energy of the first."""
        meter.begin_window()
        with pytest.raises(EnergyError):
            meter.begin_window()
        assert meter.end_window().duration_s >= 0

    def test_a_window_ends_once(self, meter: Meter) -> None:
        """What was never begun, or has ended, cannot be read."""
        with pytest.raises(EnergyError):
            meter.end_window()
        _read(meter)
        with pytest.raises(EnergyError):
            meter.end_window()

    def test_readings_are_plausible(self, meter: Meter) -> None:
        """Seconds and joules are finite and not negative; joules may be unknown."""
        assert _implausible(_read(meter, duration_s=0.05)) == {}

    def test_a_millisecond_gives_a_figure_or_none(self, meter: Meter) -> None:
        """A phase may be over before the hardware has updated its counter."""
        assert _implausible(_read(meter, duration_s=0.001)) == {}

    def test_a_longer_window_reads_no_less(self, meter: Meter) -> None:
        """Nothing gives energy back."""
        short, long = _read(meter, WINDOW_S / 20), _read(meter, WINDOW_S)
        # On a machine that stalls, the short window may have been the longer one.
        if short.duration_s < long.duration_s / 5:
            less = [name for name, (s, x) in _pairs_j(short, long).items() if s > 2 * x]
            assert less == []

    def test_windows_add_up(self, meter: Meter, second: Meter) -> None:
        """The phases of a case must make up what one window around them reads."""
        began_s, inside_s = time.perf_counter(), 0.0
        total = Reading(0.0)
        second.begin_window()
        for _ in range(PARTS):
            meter.begin_window()
            inside_s -= time.perf_counter()
            time.sleep(WINDOW_S / PARTS)
            inside_s += time.perf_counter()
            total += meter.end_window()
        whole = second.end_window()
        # What beginning and ending takes may be in a part, or in none.
        edges_s = time.perf_counter() - began_s - inside_s
        assert abs(total.duration_s - whole.duration_s) <= edges_s + 0.1 * inside_s
        least = inside_s / (inside_s + edges_s) / TOLERANCE
        off = {
            name: (parts_j, whole_j)
            for name, (parts_j, whole_j) in _pairs_j(total, whole).items()
            if not least * whole_j <= parts_j <= TOLERANCE * whole_j
        }
        assert off == {}

    def test_two_meters_do_not_disturb_each_other(self, meter: Meter, second: Meter) -> None:
        """Neither takes energy from the other, nor breaks it off when it is closed."""
        known = set(_known_j(_read(meter)))
        second.begin_window()
        inner = _read(meter, WINDOW_S / 3)
        outer = second.end_window()
        assert set(_known_j(inner)) == set(_known_j(outer)) == known
        assert outer.duration_s >= inner.duration_s
        taken = [n for n, (i, o) in _pairs_j(inner, outer).items() if i > TOLERANCE * o]
        assert taken == []
        meter.begin_window()
        second.close()
        assert set(_known_j(meter.end_window())) == known

    def test_without_provenance_there_is_no_energy(self, meter: Meter) -> None:
        """A figure that came from nowhere is none."""
        for component in _read(meter).components.values():
            if component.provenance is Provenance.NONE:
                assert component.energy_j is None

    def test_describe_names_what_readings_hold(self, meter: Meter) -> None:
        """One can tell beforehand what will be measured, and how."""
        described = meter.describe()
        assert {component.energy_j for component in described.values()} <= {None}
        assert set(described) == set(_read(meter).components)

    def test_many_short_windows_work(self, meter: Meter) -> None:
        """The ledger opens one for every phase, however short."""
        described = set(meter.describe())
        assert all(set(_read(meter).components) == described for _ in range(50))

    def test_closing_twice_is_fine(self, meter: Meter) -> None:
        """The clean-up after an error may come second."""
        meter.close()
        meter.close()

    @pytest.mark.parametrize("is_open", [False, True], ids=["after_a_window", "inside_a_window"])
    def test_no_work_outlives_close(self, is_open: bool) -> None:
        """Threads and child processes would be measured as somebody else's."""
        if os.name == "posix":
            # Python's own helper for what processes share stays on, whoever starts it.
            resource_tracker.ensure_running()
        before = _work()
        meter = self.make_meter()
        _read(meter)
        if is_open:
            meter.begin_window()
        meter.close()
        deadline = time.monotonic() + GRACE_S
        while (left := _work() - before) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert left == set()


class FakeClock:
    """Seconds that pass only when told to; for unit tests of logic only.

    Examples
    --------
    >>> clock = FakeClock()
    >>> clock.advance(2.0)
    >>> clock.now(), clock()
    (2.0, 2.0)
    """

    def __init__(self) -> None:
        self._now_s = 0.0

    def now(self) -> float:
        """Return the seconds that have passed so far."""
        return self._now_s

    __call__ = now

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Raises
        ------
        ConfigurationError
            If `seconds` is negative: the clock never goes back.
        """
        if seconds < 0:
            raise ConfigurationError(f"the clock cannot go back by {-seconds} s")
        self._now_s += seconds


class FakeMeter:
    """Reads a constant power over the seconds of a clock; for unit tests of logic only.

    It calls its figures a counter's, lest tests miss what is done with measured energy.

    Parameters
    ----------
    clock : callable
        Returns seconds; usually a `FakeClock`.
    power_w : float
        Power of the only component, ``cpu``.
    """

    name = "fake"

    def __init__(self, clock: Callable[[], float], power_w: float = 10.0) -> None:
        self._clock = clock
        self._power_w = power_w
        self._component = Component(None, Provenance.COUNTER, "fake meter")
        self._began_s: float | None = None

    def begin_window(self) -> None:
        """Remember the time; windows do not nest."""
        if self._began_s is not None:
            raise EnergyError("windows do not nest; end the open one first")
        self._began_s = self._clock()

    def end_window(self) -> Reading:
        """Return the power times the seconds since `begin_window`."""
        if self._began_s is None:
            raise EnergyError("no window is open; begin one first")
        elapsed_s = self._clock() - self._began_s
        self._began_s = None
        energy_j = self._power_w * elapsed_s
        return Reading(elapsed_s, {"cpu": replace(self._component, energy_j=energy_j)})

    def describe(self) -> dict[str, Component]:
        """Return the only component."""
        return {"cpu": self._component}

    def close(self) -> None:
        """Forget an open window."""
        self._began_s = None


def _smooth(proposal: Hyperparameters) -> float:
    return 1.0 / (1.0 + sum(abs(value) for value in proposal.values()))


def _some_fail(proposal: Hyperparameters) -> float | None:
    score = _smooth(proposal)
    return None if round(score * 1e6) % 3 == 0 else score


def _search(
    strategy: Strategy,
    trials: int = TRIALS,
    score: Callable[[Hyperparameters], float | None] = _smooth,
) -> list[Hyperparameters]:
    """Return what is proposed in `trials` trials, fewer if the strategy ends early."""
    proposals: list[Hyperparameters] = []
    with suppress(SearchExhaustedError):
        for _ in range(trials):
            proposal = strategy.ask()
            proposals.append(dict(proposal))
            strategy.tell(proposal, score(proposal))
    return proposals


def _read(meter: Meter, duration_s: float = 0.001) -> Reading:
    meter.begin_window()
    time.sleep(duration_s)
    return meter.end_window()


def _known_j(reading: Reading) -> dict[str, float]:
    joules = {name: part.energy_j for name, part in reading.components.items()}
    return {name: energy_j for name, energy_j in joules.items() if energy_j is not None}


def _implausible(reading: Reading) -> dict[str, float]:
    figures = {"duration_s": reading.duration_s, **_known_j(reading)}
    return {name: x for name, x in figures.items() if not (math.isfinite(x) and x >= 0)}


def _pairs_j(one: Reading, other: Reading) -> dict[str, tuple[float, float]]:
    """Return the joules of the components that both readings know."""
    ones, others = _known_j(one), _known_j(other)
    return {name: (ones[name], others[name]) for name in ones.keys() & others.keys()}


def _work() -> set[object]:
    """Return the threads of this process, and the ids of its children."""
    children = {child.pid for child in multiprocessing.active_children()}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = path.read_bytes().rpartition(b")")[2].split()[:2]
            # One that has ended, and that nobody asked for its exit code, does no work.
            if int(parent) == os.getpid() and state != b"Z":
                children.add(int(path.parent.name))
    return {*threading.enumerate(), *children}
