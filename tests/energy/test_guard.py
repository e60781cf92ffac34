"""The guard: whatever a meter does, the trial goes on and no false joule is booked."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench.energy.guard import GuardedMeter
from greenbench.energy.ledger import Ledger
from greenbench.errors import EnergyError
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.testing import FakeClock, FakeMeter, MeterConformance

POWER_W = 10.0
SOURCE = "fake meter"
READ_ERROR = OSError("[Errno 5] Input/output error:\n  '/sys/class/powercap'")
READ_ERROR_LINE = "OSError: [Errno 5] Input/output error: '/sys/class/powercap'"


class FaultyMeter(FakeMeter):
    """Raises each error that it is given once, before or after it has done what it was asked."""

    def __init__(self, clock, *, begin=(), end=(), is_done_first=True):
        super().__init__(clock, POWER_W)
        self._errors = {"begin": list(begin), "end": list(end)}
        self._is_done_first = is_done_first
        self.reading = None

    def begin_window(self):
        self._try("begin", super().begin_window)

    def end_window(self):
        reading = self._try("end", super().end_window)
        return self.reading or reading

    def _try(self, verb, work):
        if not self._errors[verb]:
            return work()
        error = self._errors[verb].pop(0)
        if self._is_done_first:
            work()
        raise error


class WallClock:
    """Goes with another clock, and can be set."""

    def __init__(self, clock):
        self._clock = clock
        self.ahead_s = 1.7e9

    def __call__(self):
        return self._clock() + self.ahead_s


class TestGuardedMeter(MeterConformance):
    def make_meter(self):
        return GuardedMeter(FakeMeter(time.perf_counter))


class TestGuardOfAMeterThatAlwaysRaises(MeterConformance):
    def make_meter(self):
        return GuardedMeter(
            FaultyMeter(time.perf_counter, begin=[READ_ERROR] * 999, end=[READ_ERROR] * 999)
        )


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def wall(clock):
    return WallClock(clock)


@pytest.fixture
def guarded(clock, wall):
    """Return a guard around a meter, which goes by the clocks of the test."""
    return lambda meter: GuardedMeter(meter, monotonic=clock, wall=wall)


def read(meter, clock, seconds=2.0):
    meter.begin_window()
    clock.advance(seconds)
    return meter.end_window()


def read_as(reading, clock, guarded, seconds=2.0):
    """Return what a guard makes of a reading after some seconds."""
    meter = FaultyMeter(clock)
    meter.reading = reading
    return read(guarded(meter), clock, seconds)


def cpu(energy_j, provenance=Provenance.COUNTER, reason=None):
    return {"cpu": Component(energy_j, provenance, SOURCE, reason)}


def lost(reason):
    return cpu(None, Provenance.NONE, reason)


def test_a_good_reading_passes_as_it_is(clock, guarded):
    assert read(guarded(FakeMeter(clock, POWER_W)), clock) == Reading(2.0, cpu(20.0))


def test_a_guard_bears_the_name_and_the_components_of_its_meter(clock, guarded):
    meter = FakeMeter(clock)
    assert guarded(meter).name == "fake"
    assert guarded(meter).describe() == meter.describe()


@pytest.mark.parametrize("is_done_first", [False, True], ids=["at_once", "having_done_it"])
@pytest.mark.parametrize(
    ("errors", "what"),
    [
        ({"begin": [READ_ERROR]}, "could not start a window"),
        ({"end": [READ_ERROR]}, "could not end a window"),
        # What went wrong first is the cause.
        ({"begin": [READ_ERROR], "end": [ValueError("not begun")]}, "could not start a window"),
    ],
    ids=["begin", "end", "both"],
)
def test_a_meter_that_raises_loses_that_window_alone(clock, guarded, errors, what, is_done_first):
    guard = guarded(FaultyMeter(clock, **errors, is_done_first=is_done_first))
    assert read(guard, clock) == Reading(2.0, lost(f"fake {what} ({READ_ERROR_LINE})"))
    assert read(guard, clock) == Reading(2.0, cpu(20.0))


def test_an_error_without_words_is_named_by_its_class(clock, guarded):
    guard = guarded(FaultyMeter(clock, end=[TimeoutError()]))
    reason = read(guard, clock).components["cpu"].reason
    assert reason == "fake could not end a window (TimeoutError)"


def test_ctrl_c_inside_a_meter_is_no_fault_of_the_meter(clock, guarded):
    guard = guarded(FaultyMeter(clock, end=[KeyboardInterrupt()]))
    with pytest.raises(KeyboardInterrupt):
        read(guard, clock)


def test_misuse_still_raises(clock, guarded):
    guard = guarded(FakeMeter(clock))
    with pytest.raises(EnergyError, match="no fake window is open; begin one first"):
        guard.end_window()
    guard.begin_window()
    with pytest.raises(EnergyError, match="fake windows do not nest; end the open one first"):
        guard.begin_window()
    clock.advance(1.0)
    assert guard.end_window().energy_j == pytest.approx(10.0)


def test_misuse_of_a_meter_that_raises_still_raises(clock, guarded):
    guard = guarded(FaultyMeter(clock, begin=[READ_ERROR], end=[READ_ERROR]))
    with pytest.raises(EnergyError):
        guard.end_window()
    guard.begin_window()
    with pytest.raises(EnergyError):
        guard.begin_window()


def test_closing_forgets_a_window_and_its_fault(clock, guarded):
    guard = guarded(FaultyMeter(clock, begin=[READ_ERROR]))
    guard.begin_window()
    guard.close()
    assert read(guard, clock) == Reading(2.0, cpu(20.0))


@pytest.mark.parametrize(
    ("energy_j", "figure"),
    [
        (-0.001, "-0.001 J"),
        (-1e6, "-1e+06 J"),
        (math.nan, "nan J"),
        (math.inf, "inf J"),
        (-math.inf, "-inf J"),
        (0.0, "0 J in 2.0 s: it stands still"),
        (-0.0, "0 J in 2.0 s: it stands still"),
    ],
    ids=["negative", "very_negative", "nan", "inf", "minus_inf", "nothing", "minus_nothing"],
)
def test_a_figure_that_cannot_be_is_lost(clock, guarded, energy_j, figure):
    reading = read_as(Reading(2.0, cpu(energy_j)), clock, guarded)
    part = reading.components["cpu"]
    assert (part.energy_j, part.provenance) == (None, Provenance.NONE)
    assert part.reason.replace("-0 J", "0 J") == f"fake meter read {figure}"


@pytest.mark.parametrize(("seconds", "is_lost"), [(0.0, False), (0.99, False), (1.0, True)])
def test_no_joule_is_believed_for_less_than_a_second(clock, guarded, seconds, is_lost):
    reading = read_as(Reading(seconds, cpu(0.0)), clock, guarded, seconds)
    assert reading.components["cpu"].energy_j == (None if is_lost else 0.0)


def test_other_components_keep_their_energy(clock, guarded):
    gpu = Component(7.0, Provenance.SAMPLED, SOURCE)
    reading = read_as(Reading(2.0, {**cpu(-1.0), "gpu": gpu}), clock, guarded)
    assert reading.components == {**lost("fake meter read -1 J"), "gpu": gpu}
    assert reading.energy_j is None


def test_an_energy_that_the_meter_does_not_know_keeps_its_reason(clock, guarded):
    reading = read_as(Reading(2.0, lost("no readable counter")), clock, guarded)
    assert reading == Reading(2.0, lost("no readable counter"))


@pytest.mark.parametrize(
    "component",
    [
        Component(None, Provenance.COUNTER, SOURCE),
        Component(None, Provenance.NONE, SOURCE),
        Component(5.0, Provenance.NONE, SOURCE),
    ],
    ids=["counter_without_energy", "nothing_at_all", "energy_from_nowhere"],
)
def test_an_energy_that_is_lost_without_a_word_gets_one(clock, guarded, component):
    reading = read_as(Reading(2.0, {"cpu": component}), clock, guarded)
    assert reading.components == lost("fake meter gave no reading")


@pytest.mark.parametrize(
    ("jump_s", "reason"),
    [
        (-3600.0, "the clock jumped by -3600.0 s: it was set, or the machine slept"),
        (-1.5, "the clock jumped by -1.5 s: it was set, or the machine slept"),
        (-0.5, None),
        (0.5, None),
        (1.5, "the clock jumped by +1.5 s: it was set, or the machine slept"),
        (3600.0, "the clock jumped by +3600.0 s: it was set, or the machine slept"),
    ],
)
def test_a_clock_that_jumps_loses_the_window(clock, wall, guarded, jump_s, reason):
    guard = guarded(FakeMeter(clock, POWER_W))
    guard.begin_window()
    clock.advance(2.0)
    wall.ahead_s += jump_s
    assert guard.end_window() == Reading(2.0, lost(reason) if reason else cpu(20.0))


def test_a_clock_that_jumps_between_windows_loses_none(clock, wall, guarded):
    guard = guarded(FakeMeter(clock, POWER_W))
    read(guard, clock)
    wall.ahead_s -= 3600.0
    assert read(guard, clock) == Reading(2.0, cpu(20.0))


@pytest.mark.parametrize(
    ("meter_s", "own_s", "is_lost"),
    [
        # 5% of a long window; a tenth of a second of a short one.
        (10.4, 10.0, False),
        (9.6, 10.0, False),
        (10.6, 10.0, True),
        (9.4, 10.0, True),
        (0.59, 0.5, False),
        (0.41, 0.5, False),
        (0.61, 0.5, True),
        (0.39, 0.5, True),
        (math.inf, 10.0, True),
        (-math.inf, 10.0, True),
        (math.nan, 10.0, True),
        (-10.0, 10.0, True),
    ],
)
def test_a_meter_whose_duration_is_not_ours_loses_the_window(
    clock, guarded, meter_s, own_s, is_lost
):
    reading = read_as(Reading(meter_s, cpu(20.0)), clock, guarded, own_s)
    why = f"the meter's window lasted {meter_s:.3f} s where {own_s:.3f} s passed"
    assert reading == (Reading(own_s, lost(why)) if is_lost else Reading(meter_s, cpu(20.0)))


class KeptMeter(FakeMeter):
    """Loses its core for a while in each call, outside its own window."""

    KEPT_S = 0.7

    def begin_window(self):
        self._clock.advance(self.KEPT_S)
        super().begin_window()

    def end_window(self):
        reading = super().end_window()
        self._clock.advance(self.KEPT_S)
        return reading


def test_a_busy_machine_that_keeps_a_meter_in_its_calls_loses_no_window(clock, guarded):
    assert read(guarded(KeptMeter(clock, POWER_W)), clock) == Reading(2.0, cpu(20.0))


def test_a_fault_in_one_phase_costs_no_other_phase_its_energy(clock, guarded):
    meter = FaultyMeter(clock)
    ledger = Ledger(guarded(meter))
    ledger.open()
    with ledger.phase("train"):
        clock.advance(3.0)
        meter.reading = Reading(3.0, cpu(math.nan))
    meter.reading = None
    with ledger.phase("evaluate"):
        clock.advance(1.0)
    ledger.close()
    account = ledger.take()
    assert account.energy_j("train") is None
    assert account.energy_j("evaluate") == pytest.approx(10.0)
    assert account.phases["train"].components == lost("fake meter read nan J")
    assert account.total.components == lost("fake meter read nan J")
    assert account.total.duration_s == pytest.approx(4.0)


seconds = st.floats(0.0, 1e5)
components = st.dictionaries(
    st.sampled_from(["cpu", "gpu", "ram"]),
    st.builds(
        Component,
        st.none() | st.floats(),
        st.sampled_from(Provenance),
        st.just(SOURCE),
        st.none() | st.just("no counter"),
    ),
)


@given(
    own_s=seconds,
    meter_off_s=st.just(0.0) | st.floats(-0.2, 0.2) | st.floats(),
    jump_s=st.just(0.0) | st.floats(-1e6, 1e6),
    parts=components,
)
def test_whatever_a_meter_returns_what_comes_out_is_sound(own_s, meter_off_s, jump_s, parts):
    clock = FakeClock()
    wall = WallClock(clock)
    meter = FaultyMeter(clock)
    meter.reading = Reading(own_s + meter_off_s, parts)
    guard = GuardedMeter(meter, monotonic=clock, wall=wall)
    guard.begin_window()
    clock.advance(own_s)
    wall.ahead_s += jump_s
    reading = guard.end_window()

    assert math.isfinite(reading.duration_s)
    assert reading.duration_s >= 0
    assert set(reading.components) == set(parts)
    for part in reading.components.values():
        if part.energy_j is None:
            assert part.provenance is Provenance.NONE
            assert part.reason
            assert part.reason.splitlines() == [part.reason]
        else:
            assert math.isfinite(part.energy_j)
            assert part.energy_j >= 0
            assert part.provenance is not Provenance.NONE


@given(
    own_s=seconds,
    power_w=st.floats(1e-9, 1000.0),
    provenance=st.sampled_from([each for each in Provenance if each is not Provenance.NONE]),
)
def test_whatever_is_plausible_passes_as_it_is(own_s, power_w, provenance):
    energy_j = power_w * (own_s + 0.01)
    clock = FakeClock()
    meter = FaultyMeter(clock)
    meter.reading = Reading(own_s, cpu(energy_j, provenance))
    guard = GuardedMeter(meter, monotonic=clock, wall=WallClock(clock))
    assert read(guard, clock, own_s) == meter.reading
