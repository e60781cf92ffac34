"""The conformance suites pass what is right, and name what is broken."""

import re

import pytest

from greenbench.energy.meter import Meter
from greenbench.errors import ConfigurationError, EnergyError
from greenbench.results.readings import Provenance
from greenbench.testing import (
    FakeClock,
    FakeMeter,
    MeterConformance,
    SchedulerConformance,
    StrategyConformance,
)
from greenbench.testing import meters as conformance

IMPORTS = """
import multiprocessing
import random
import subprocess
import threading
import time
from dataclasses import replace
import numpy as np
from greenbench.errors import EnergyError, SearchExhaustedError
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.schedulers.halving import AshaScheduler
from greenbench.strategies.random import RandomStrategy
from greenbench.testing import (
    FakeClock, FakeMeter, MeterConformance, SchedulerConformance, StrategyConformance
)
"""

STRATEGY = """
class {name}(RandomStrategy):
    def __init__(self, space, *, trials, seed):
        super().__init__(space, trials=trials, seed=seed)
        self.space, self.told, self.asked = space, 0, 0

    def ask(self):
        self.asked += 1
        proposal = super().ask()
        {ask}
        return proposal

    def tell(self, hyperparameters, score):
        self.told += 1
        {tell}

class Test_{name}(StrategyConformance):
    strategy = {name}
"""

BROKEN_STRATEGIES = {
    "too_large": (
        "proposal = {name: 2.0 for name in proposal}",
        "pass",
        "test_proposals_stay_within_bounds",
    ),
    "excluded_bound": (
        "proposal = {each.name: each.high for each in self.space.dimensions}",
        "pass",
        "test_proposals_stay_within_bounds",
    ),
    "numpy_scalars": (
        "proposal = {name: np.float64(value) for name, value in proposal.items()}",
        "pass",
        "test_proposals_are_plain_numbers",
    ),
    "no_whole_numbers": (
        "proposal = {name: float(value) for name, value in proposal.items()}",
        "pass",
        "test_whole_number_dimensions_get_whole_numbers",
    ),
    "missing_name": (
        "proposal.pop('learning_rate')",
        "pass",
        "test_proposals_name_exactly_the_dimensions",
    ),
    "additional_name": (
        "proposal['momentum'] = 0.5",
        "pass",
        "test_proposals_name_exactly_the_dimensions",
    ),
    "no_use_of_the_seed": (
        "proposal = {each.name: each.at(self.asked / 99) for each in self.space.dimensions}",
        "pass",
        "test_another_seed_gives_another_search",
    ),
    "other_randomness": (
        "proposal = {each.name: each.at(random.SystemRandom().random()) "
        "for each in self.space.dimensions}",
        "pass",
        "test_same_seed_gives_the_same_search",
    ),
    "global_random_state": (
        "proposal = {each.name: each.at(random.random()) for each in self.space.dimensions}",
        "pass",
        "test_global_random_state_has_no_influence",
    ),
    "global_numpy_state": (
        "proposal = {each.name: each.at(np.random.rand()) for each in self.space.dimensions}",
        "pass",
        "test_global_random_state_is_left_alone",
    ),
    "no_failures": ("pass", "score + 0.0", "test_failures_may_be_told_for_every_trial"),
    "no_first_failure": (
        "pass",
        "assert score is not None or self.told > 1",
        "test_success_may_follow_failure",
    ),
    "wrong_end": (
        "if self.asked > 5: raise StopIteration",
        "pass",
        "test_a_finished_search_says_so",
    ),
    "end_and_more": (
        "if self.asked == 6: raise SearchExhaustedError('at an end')",
        "pass",
        "test_a_finished_search_says_so",
    ),
    "knows_objects_not_values": (
        "self.last = proposal",
        "self._space = self._space if hyperparameters is self.last else None",
        "test_replay_gives_the_same_next_proposal",
    ),
    "learns_and_denies_it": (
        "proposal = super().ask() if self.told else proposal",
        "pass",
        "test_one_that_does_not_learn_proposes_the_same_whatever_it_is_told",
    ),
    "no_second_score": (
        "pass",
        "key = str(hyperparameters); assert key not in vars(self); setattr(self, key, score)",
        "test_a_score_may_be_told_again",
    ),
    "no_infinite_scores": (
        "pass",
        "assert score is None or abs(score) < 9",
        "test_scores_that_are_not_finite_count_as_failures",
    ),
    "no_scores_below_0": (
        "pass",
        "assert score is None or not score < 0",
        "test_scores_may_be_of_any_range",
    ),
    "numpy_choices": (
        "proposal = {n: np.str_(v) if isinstance(v, str) else v for n, v in proposal.items()}",
        "pass",
        "test_of_choices_each_proposal_has_one",
    ),
    "knows_objects_of_choices": (
        "self.last = proposal",
        "self._space = self._space if hyperparameters is self.last else None",
        "test_search_of_choices_is_replayed",
    ),
    "no_unknown_energy": (
        "pass",
        "pass\n\n    def tell_energy(self, hyperparameters, energy_j): energy_j + 0.0",
        "test_energy_may_be_told",
    ),
    "no_wide_space": (
        "assert len(self.space.dimensions) < 12",
        "pass",
        "test_twelve_dimensions_are_searched",
    ),
}

REFUSAL = "test_choices_are_refused_at_once_where_they_cannot_be_taken"
SAYS_NOTHING_OF_CHOICES = """
class Test_silent(StrategyConformance):
    strategy = RandomStrategy
    categorical_spaces = ()
"""

SCHEDULER = """
class {name}(AshaScheduler):
    {body}

class Test_{name}(SchedulerConformance):
    scheduler = {name}
"""

BROKEN_SCHEDULERS = {
    "from_scratch": (
        "def target(self, index): return 1",
        "test_every_trial_is_trained_further_each_time",
    ),
    "starts_itself": (
        """calls = 0

    def promote(self, *, is_last):
        self.calls += 1
        return 3 if self.calls == 1 else super().promote(is_last=is_last)
        """,
        "test_all_trials_are_started_in_order",
    ),
    "hopes": (
        "def report(self, index, score): super().report(index, 1.0 if score is None else score)",
        "test_failed_trials_never_go_on",
    ),
    "never_ends": (
        "def promote(self, *, is_last): return super().promote(is_last=False)",
        "test_some_trial_gets_to_its_end",
    ),
    "no_failures": (
        "def report(self, index, score): super().report(index, score + 0.0)",
        "test_nothing_breaks_if_all_fail",
    ),
    "no_scores_below_0": (
        """def report(self, index, score):
        assert score is None or score >= 0
        super().report(index, score)
        """,
        "test_scores_may_be_of_any_range",
    ),
    "counts_questions": (
        """calls = 0

    def promote(self, *, is_last):
        self.calls += 1
        return super().promote(is_last=is_last) if self.calls > 9 or is_last else None
        """,
        "test_replayed_reports_lead_to_the_same_decisions",
    ),
    "keeps_what_is_lost": (
        "def drop(self, index): pass",
        "test_dropped_trials_never_go_on",
    ),
}

READING_OF = """
def reading_of(duration_s, energy_j):
    return Reading(duration_s, {"cpu": Component(energy_j, Provenance.COUNTER, "")})
"""

METER = """
class {name}(FakeMeter):
    {body}

class Test_{name}(MeterConformance):
    def make_meter(self):
        return {name}(time.perf_counter)
"""


def reading(duration="0.0", name="cpu", energy="1.0", provenance="COUNTER"):
    component = f"Component({energy}, Provenance.{provenance}, '')"
    return f"""def end_window(self):
        super().end_window()
        return Reading({duration}, {{'{name}': {component}}})
"""


BROKEN_METERS = {
    "nesting": (
        "def begin_window(self): self._began_s = 0.0",
        "test_windows_do_not_nest",
    ),
    "outer_window_lost": (
        """def begin_window(self):
        try:
            super().begin_window()
        except Exception:
            self._began_s = None
            raise
        """,
        "test_windows_do_not_nest",
    ),
    "reading_without_window": (
        "def end_window(self): return Reading(0.0, {'cpu': self._component})",
        "test_a_window_ends_once",
    ),
    "negative_energy": (reading(energy="-1.0"), "test_readings_are_plausible"),
    "infinite_energy": (reading(energy="float('inf')"), "test_readings_are_plausible"),
    "energy_not_a_number": (reading(energy="float('nan')"), "test_readings_are_plausible"),
    "negative_duration": (reading(duration="-1.0"), "test_readings_are_plausible"),
    "energy_from_nowhere": (
        reading(provenance="NONE"),
        "test_without_provenance_there_is_no_energy",
    ),
    "undescribed_component": (reading(name="gpu"), "test_describe_names_what_readings_hold"),
    "described_energy": (
        "def describe(self): return {'cpu': replace(self._component, energy_j=0.0)}",
        "test_describe_names_what_readings_hold",
    ),
    "short_window_left_out": (
        """windows = 0

    def end_window(self):
        self.windows += 1
        reading = super().end_window()
        return reading if self.windows < 20 else Reading(0.0)
        """,
        "test_many_short_windows_work",
    ),
    "one_close": (
        """is_closed = False

    def close(self):
        assert not self.is_closed
        self.is_closed = True
        """,
        "test_closing_twice_is_fine",
    ),
    "thread_left": (
        """def __init__(self, clock):
        super().__init__(clock)
        threading.Thread(target=time.sleep, args=(2,), daemon=True).start()
        """,
        "test_no_work_outlives_close",
    ),
    "process_left": (
        """def __init__(self, clock):
        super().__init__(clock)
        multiprocessing.get_context("fork").Process(target=time.sleep, args=(2,)).start()
        """,
        "test_no_work_outlives_close",
    ),
    "program_left": (
        """def __init__(self, clock):
        super().__init__(clock)
        subprocess.Popen(["sleep", "2"])
        """,
        "test_no_work_outlives_close",
    ),
    "a_millisecond_too_short": (
        """def end_window(self):
        reading = super().end_window()
        energy_j = 1.0 if reading.duration_s > 3600 else float('nan')
        return reading_of(reading.duration_s, energy_j)
        """,
        "test_a_millisecond_gives_a_figure_or_none",
    ),
    "energy_given_back": (
        """windows = 0

    def end_window(self):
        super().end_window()
        self.windows += 1
        return reading_of(0.1 * self.windows**3, 1 / self.windows**2)
        """,
        "test_a_longer_window_reads_no_less",
    ),
    "energy_of_all_windows_so_far": (
        """energy_j = 0.0

    def end_window(self):
        self.energy_j += 1
        return reading_of(super().end_window().duration_s, self.energy_j)
        """,
        "test_windows_add_up",
    ),
    "energy_of_long_windows_alone": (
        """def end_window(self):
        duration_s = super().end_window().duration_s
        return reading_of(duration_s, duration_s**64)
        """,
        "test_windows_add_up",
    ),
    "duration_in_milliseconds": (
        """def end_window(self):
        duration_s = super().end_window().duration_s
        return reading_of(1000 * duration_s, duration_s)

    def begin_window(self):
        super().begin_window()
        time.sleep(0.01)
        """,
        "test_windows_add_up",
    ),
    "one_at_a_time": (
        """is_taken = False

    def begin_window(self):
        if type(self).is_taken:
            raise EnergyError("another meter is reading")
        super().begin_window()
        type(self).is_taken = True

    def end_window(self):
        type(self).is_taken = False
        return super().end_window()
        """,
        "test_two_meters_do_not_disturb_each_other",
    ),
    "read_empties_the_counter": (
        """read_s = time.perf_counter()

    def begin_window(self):
        super().begin_window()
        type(self).read_s = self._clock()

    def end_window(self):
        energy_j = self._clock() - self.read_s
        type(self).read_s = self._clock()
        return reading_of(super().end_window().duration_s, energy_j)
        """,
        "test_two_meters_do_not_disturb_each_other",
    ),
    "closes_for_all": (
        """is_closed = False

    def close(self):
        type(self).is_closed = True

    def end_window(self):
        reading = super().end_window()
        return reading_of(reading.duration_s, None) if self.is_closed else reading
        """,
        "test_two_meters_do_not_disturb_each_other",
    ),
}


def failures(pytester, *classes, only=()):
    """Return the names of failed tests by the class that is broken."""
    path = pytester.makepyfile("\n".join([IMPORTS, READING_OF, *classes]))
    tests = [f"{path}::Test_{case}::{test}" for case, test in only]
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-q", *tests)
    failed = {}
    for line in result.outlines:
        if line.startswith("FAILED"):
            _, case, test = re.match(r"FAILED (.*)::Test_(\w+)::(\w+)", line).groups()
            failed.setdefault(case, set()).add(test)
    return failed


@pytest.mark.slow
def test_broken_strategies_fail_where_they_are_broken(pytester):
    failed = failures(
        pytester,
        *(
            STRATEGY.format(name=name, ask=ask, tell=tell)
            for name, (ask, tell, _) in BROKEN_STRATEGIES.items()
        ),
    )
    expected = {name: test for name, (_, _, test) in BROKEN_STRATEGIES.items()}
    assert {name: test for name, test in expected.items() if test not in failed[name]} == {}


def test_a_strategy_that_cannot_take_choices_must_say_so(pytester):
    assert failures(pytester, SAYS_NOTHING_OF_CHOICES) == {"silent": {REFUSAL}}


def test_broken_schedulers_fail_where_they_are_broken(pytester):
    expected = {name: test for name, (_, test) in BROKEN_SCHEDULERS.items()}
    schedulers = (
        SCHEDULER.format(name=name, body=body) for name, (body, _) in BROKEN_SCHEDULERS.items()
    )
    failed = failures(pytester, *schedulers)
    assert {name: test for name, test in expected.items() if test not in failed[name]} == {}


def test_broken_meters_fail_where_they_are_broken(pytester, monkeypatch):
    monkeypatch.setattr(conformance, "GRACE_S", 0.0)
    expected = {name: test for name, (_, test) in BROKEN_METERS.items()}
    meters = (METER.format(name=name, body=body) for name, (body, _) in BROKEN_METERS.items())
    assert failures(pytester, *meters, only=expected.items()) == {
        name: {test} for name, test in expected.items()
    }


def test_a_sound_strategy_fails_nowhere(pytester):
    assert failures(pytester, STRATEGY.format(name="sound", ask="pass", tell="pass")) == {}


def test_a_sound_meter_fails_nowhere(pytester):
    assert failures(pytester, METER.format(name="sound", body="pass")) == {}


def test_a_meter_may_say_that_it_cannot_overlap(pytester):
    honest = (
        METER.format(name="honest", body=BROKEN_METERS["one_at_a_time"][0])
        + "    may_overlap = False\n"
    )
    assert failures(pytester, honest) == {}


@pytest.mark.parametrize(
    ("suite", "broken"),
    [
        (StrategyConformance, BROKEN_STRATEGIES),
        (SchedulerConformance, BROKEN_SCHEDULERS),
        (MeterConformance, BROKEN_METERS),
    ],
)
def test_every_rule_is_broken_by_something(suite, broken):
    rules = {name for name in vars(suite) if name.startswith("test_")}
    rules -= {"test_it_is_a_meter", REFUSAL}
    assert rules == {case[-1] for case in broken.values()}


class TestFakeMeter(MeterConformance):
    def make_meter(self):
        return FakeMeter(FakeClock())


def test_fake_meter_reads_power_times_elapsed_seconds():
    clock = FakeClock()
    meter: Meter = FakeMeter(clock, power_w=25.0)
    clock.advance(7.0)
    meter.begin_window()
    clock.advance(2.0)
    reading = meter.end_window()
    (cpu,) = reading.components.values()
    assert (reading.duration_s, cpu.energy_j) == (2.0, 50.0)
    assert (cpu.provenance, cpu.source) == (Provenance.COUNTER, "fake meter")


def test_fake_meter_forgets_a_window_on_close():
    meter = FakeMeter(FakeClock())
    meter.begin_window()
    meter.close()
    with pytest.raises(EnergyError, match="no window is open"):
        meter.end_window()


def test_fake_clock_stands_still_unless_advanced():
    clock = FakeClock()
    assert clock.now() == clock() == 0.0
    clock.advance(1.5)
    assert clock.now() == clock() == 1.5


def test_fake_clock_never_goes_back():
    with pytest.raises(ConfigurationError, match="cannot go back"):
        FakeClock().advance(-1.0)
