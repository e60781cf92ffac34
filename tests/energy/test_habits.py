"""What a session learns of its counters, from repeats and from a calibration."""

import numpy as np
import pytest

from benchmarks.bench_counter import CALIBRATION, make
from greenbench.energy.calibration import calibrate
from greenbench.energy.counter_values import Ticks
from greenbench.energy.habits import Apportioner, Habit, Habits
from greenbench.energy.ticks import Segments
from greenbench.testing import FakeClock, FakeCounters

LATE_S = 0.0015
"""By how much the reader is late, in the mean."""


def test_a_device_that_changed_is_learned_anew() -> None:
    rng, habit = np.random.default_rng(0), Habit()
    for lag_s in (0.005, 0.005, 0.03):
        repeat = make("40 × 0.05 s", "ramp of 50 ms", rng, 1.0, lag_s)
        found = habit.settle(repeat.ticks, repeat.segments)
        assert found.lag_s == pytest.approx(lag_s + LATE_S, abs=0.002)
    assert habit.earlier
    assert len(habit.earlier.regressions) == 1


def test_few_ticks_are_kept_of_many_repeats() -> None:
    rng, habit = np.random.default_rng(0), Habit()
    for _ in range(5):
        repeat = make("64 × 0.15 s", "none", rng, 1.0, 0.01)
        habit.learn(habit.evidence(repeat.ticks, repeat.segments))
    assert habit.earlier
    assert sum(each.work.joules.size for each in habit.earlier.regressions) <= 800


@pytest.mark.parametrize("transient", ["none", "ramp of 150 ms"])
def test_a_trial_that_no_tick_has_told_in_full_follows_its_transient(transient: str) -> None:
    rng, habit = np.random.default_rng(1), Habit()
    calibration = make(CALIBRATION, transient, rng, 1.0, 0.01)
    habit.learn(habit.evidence(calibration.ticks, calibration.segments))
    repeat = make("64 × 0.15 s", transient, rng, 1.0, 0.01)
    share, errors = Apportioner(habit), []
    edges, phases = repeat.segments.edges_s, repeat.segments.phases
    for ended in [at + 1 for at, phase in enumerate(phases) if phase == "train"][4:24]:
        shown = int(np.searchsorted(repeat.ticks.times_s, edges[ended]))
        ticks = Ticks(repeat.ticks.times_s[:shown], repeat.ticks.energy_j[:shown])
        found = share(ticks, Segments(edges[: ended + 1], phases[:ended]))
        errors.append(found.energy_j[-1] / repeat.used_j[ended - 1] - 1)
    assert abs(np.mean(errors)) < 0.015
    assert np.std(errors) < 0.03


class Device:
    """Uses more while it works, as long as a batch takes."""

    def __init__(self, tick_s: float = 0.1, batch_s: float = 0.007) -> None:
        self.clock = FakeClock()
        self.clock.advance(1.0)
        self.is_busy_until: list[tuple[float, float]] = []
        self.batch_s = batch_s
        self.counters = FakeCounters(self.clock, self._power_w, tick_s)
        self.habits = Habits()

    def _power_w(self, at_s: float) -> float:
        return 670.0 if any(b <= at_s < e for b, e in self.is_busy_until) else 120.0

    def work(self) -> None:
        began_s = self.clock()
        self.clock.advance(self.batch_s)
        self.is_busy_until.append((began_s, self.clock()))

    def calibrate(self) -> float:
        began_s = self.clock()
        calibrate(self.counters, self.habits, self.work, self.clock, self.clock.advance)
        return self.clock() - began_s


def test_a_calibration_tells_the_lag_once_and_takes_seconds() -> None:
    device = Device()
    assert 1.0 < device.calibrate() < 2.8
    earlier = device.habits.of("gpu", 0).earlier
    assert earlier
    best = max(earlier.nodes, key=lambda node: node[0])
    assert best[1] == pytest.approx(0.0, abs=0.002)
    assert best[2].kind == "none"
    assert device.calibrate() == 0.0


def test_batches_that_take_long_end_a_calibration() -> None:
    assert Device(batch_s=1.7).calibrate() < 7


def test_a_counter_that_ticks_fast_needs_no_calibration() -> None:
    assert Device(tick_s=0.01).calibrate() == 0.0


def test_counters_that_fail_leave_nothing_known() -> None:
    device = Device()
    device.counters.fault = "the process that reads counters ended"
    device.calibrate()
    assert device.habits.of("gpu", 0).earlier is None
