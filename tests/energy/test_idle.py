"""Idle power: measured where a meter measures, and never taken from an estimate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from greenbench.energy.idle import Trace, drift, is_steady, measure_idle, measures, parts_w
from greenbench.energy.ledger import Ledger
from greenbench.errors import EnergyError
from greenbench.results.quality import net_j
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.testing import FakeClock, FakeCounters, FakeMeter

COUNTER, SAMPLED, MODEL, CONSTANT, NONE = Provenance
DURATION_S = 10.0


class ScriptedMeter(FakeMeter):
    """Reads what it is given over each second of a clock."""

    def __init__(self, clock, components):
        super().__init__(clock)
        self._components = components

    def end_window(self):
        seconds = super().end_window().duration_s
        return Reading(seconds, {n: part * seconds for n, part in self._components.items()})

    def describe(self):
        return {name: replace(part, energy_j=None) for name, part in self._components.items()}


def component(energy_j, provenance=COUNTER):
    return Component(energy_j, provenance, "fake meter")


def reading(duration_s=DURATION_S, **components):
    return Reading(duration_s, components)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.mark.parametrize(
    ("provenances", "expected"),
    [
        ([], False),
        ([COUNTER], True),
        ([SAMPLED], True),
        ([MODEL], False),
        ([CONSTANT], False),
        ([NONE], False),
        ([MODEL, NONE, SAMPLED], True),
    ],
    ids=lambda value: "+".join(value) or "nothing" if isinstance(value, list) else None,
)
def test_one_measured_component_makes_idle_power_worth_measuring(clock, provenances, expected):
    components = {str(i): component(1.0, each) for i, each in enumerate(provenances)}
    assert measures(ScriptedMeter(clock, components)) is expected


def test_steady_power_is_its_mean_over_the_seconds_that_were_asked_for(clock):
    found = measure_idle(FakeMeter(clock, 12.5), 30.0, clock.advance)
    assert found.power_w == {"cpu": pytest.approx(12.5)}
    assert found.unsteady == []
    assert clock.now() == pytest.approx(30.0)


def test_idle_power_of_measured_components_alone(clock):
    meter = ScriptedMeter(
        clock,
        {
            "cpu": component(8.0, SAMPLED),
            "gpu": component(25.0),
            "ram": component(3.0, MODEL),
            "disk": component(2.0, CONSTANT),
            "npu": component(None, NONE),
            "dsp": component(None),
        },
    )
    found = measure_idle(meter, 5.0, clock.advance)
    assert found.power_w == pytest.approx({"cpu": 8.0, "gpu": 25.0})


def test_no_time_gives_no_idle_power(clock):
    assert measure_idle(FakeMeter(clock), 0.0, clock.advance).power_w == {}
    assert clock.now() == 0.0


def test_no_idle_power_of_nothing(clock):
    assert measure_idle(ScriptedMeter(clock, {}), 5.0, clock.advance).power_w == {}
    assert clock.now() == pytest.approx(5.0)


def test_idle_power_is_not_measured_inside_a_window(clock):
    meter = FakeMeter(clock)
    Ledger(meter).open()
    with pytest.raises(EnergyError):
        measure_idle(meter, 5.0, clock.advance)


@dataclass(frozen=True)
class Gpu:
    """A GPU after a load: its power by the second, and a counter that ticks."""

    power_w: Sequence[float]
    tick_s: float = 0.1

    def energy_j(self, time_s):
        whole = int(time_s)
        joules = sum(self.power_w[min(s, len(self.power_w) - 1)] for s in range(whole))
        return joules + (time_s - whole) * self.power_w[min(whole, len(self.power_w) - 1)]

    def ticks(self, until_s):
        times_s = [n * self.tick_s for n in range(int(until_s / self.tick_s + 1e-6) + 1)]
        return Trace(times_s, [self.energy_j(time_s) for time_s in times_s])


class GpuMeter(FakeMeter):
    """Reads a GPU's counter at the edges of windows, as of its last tick."""

    def __init__(self, clock, gpu):
        super().__init__(clock)
        self._gpu, self._seen = clock, gpu
        self._from_j = 0.0

    def _now_j(self):
        return self._seen.ticks(self._gpu.now()).energy_j[-1]

    def begin_window(self):
        super().begin_window()
        self._from_j = self._now_j()

    def end_window(self):
        seconds = super().end_window().duration_s
        part = Component(self._now_j() - self._from_j, COUNTER, "fake", tick_s=self._seen.tick_s)
        return Reading(seconds, {"gpu": part})


AFTER_A_LOAD_W = (149.0, 149.0, 123.7, 123.6, 123.4, 123.5)
"""As seen on a GPU: two seconds with raised clocks, then steady."""


@pytest.mark.parametrize("has_counters", [True, False], ids=["by_ticks", "by_windows"])
def test_idle_power_after_a_load_is_that_which_it_settles_at(clock, has_counters):
    gpu = Gpu(AFTER_A_LOAD_W)
    ticks = {"ticks": lambda since_s: {"gpu": [gpu.ticks(clock.now())]}} if has_counters else {}
    found = measure_idle(GpuMeter(clock, gpu), 3.0, clock.advance, **ticks)
    assert found.power_w == {"gpu": pytest.approx(123.57, rel=0.002)}
    assert found.unsteady == []
    assert clock.now() == pytest.approx(5.0)


def test_idle_power_that_does_not_settle_is_told_so_after_five_seconds_more(clock):
    gpu = Gpu([150.0 - 5.0 * second for second in range(12)])
    ticks = {"gpu": lambda: gpu.ticks(clock.now())}
    found = measure_idle(
        GpuMeter(clock, gpu),
        3.0,
        clock.advance,
        ticks=lambda since_s: {name: [read()] for name, read in ticks.items()},
    )
    assert found.unsteady == ["gpu"]
    assert found.power_w == {"gpu": pytest.approx(120.0)}
    assert clock.now() == pytest.approx(8.0)


def test_power_of_several_devices_is_their_sum(clock):
    first, second = Gpu([60.0]), Gpu([90.0], tick_s=0.07)
    found = measure_idle(
        GpuMeter(clock, first),
        3.0,
        clock.advance,
        ticks=lambda since_s: {"gpu": [each.ticks(clock.now()) for each in (first, second)]},
    )
    assert found.power_w == {"gpu": pytest.approx(150.0)}


@pytest.mark.parametrize(
    "found",
    [{}, {"gpu": Component(None, NONE, "fake meter", "does not find it")}],
    ids=["not_there", "not_found"],
)
def test_counters_tell_idle_power_of_what_the_meter_does_not_find(clock, found):
    gpu = Gpu([123.0])
    meter = ScriptedMeter(clock, {"cpu": component(64.0, MODEL), **found})
    read = FakeCounters(clock, lambda _: 123.0)
    assert not measures(meter)
    assert measures(meter, read)
    idle = measure_idle(
        meter, 3.0, clock.advance, ticks=lambda since_s: {"gpu": [gpu.ticks(clock.now())]}
    )
    assert (idle.power_w, idle.unsteady) == ({"gpu": pytest.approx(123.0)}, [])


def test_windows_stand_in_for_counters_that_fail(clock):
    def fail(since_s):
        raise EnergyError("the sampler died")

    found = measure_idle(GpuMeter(clock, Gpu([60.0])), 3.0, clock.advance, ticks=fail)
    assert found.power_w == {"gpu": pytest.approx(60.0, rel=0.04)}


@pytest.mark.parametrize(
    ("parts", "share", "expected"),
    [
        ((149.0, 149.0, 123.7), 0.02, False),
        ((149.0, 123.7, 123.6), 0.02, False),
        ((123.7, 123.6, 123.4), 0.02, True),
        ((100.0, 101.0, 102.1), 0.02, False),
        ((100.0, 101.0, 102.0), 0.02, True),
        ((149.0, 123.7, 123.6), 0.25, True),
        ((0.0, 0.0, 0.0), 0.02, True),
    ],
)
def test_steady_is_what_differs_by_a_small_share(parts, share, expected):
    assert is_steady(parts, share) is expected


@pytest.mark.parametrize("seconds", [0.5, 2.0, 3.0])
def test_readings_that_do_not_reach_back_tell_no_power(seconds):
    trace = Trace([0.0, 1.0, 1.75], [0.0, 40.0, 70.0])
    expected = None if seconds > 1.95 else [pytest.approx(40.0)] * 3
    assert parts_w([trace], seconds) == expected
    assert parts_w([trace, Trace([], [])], seconds) is None
    assert parts_w([], seconds) is None


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        ({}, {}, None),
        ({"cpu": 10.0}, {}, None),
        ({}, {"cpu": 10.0}, None),
        ({"cpu": 10.0}, {"gpu": 10.0}, None),
        ({"cpu": 0.0}, {"cpu": 10.0}, None),
        ({"cpu": 10.0}, {"cpu": 10.0}, 0.0),
        ({"cpu": 10.0}, {"cpu": 11.0}, 0.1),
        ({"cpu": 10.0}, {"cpu": 9.0}, 0.1),
        ({"cpu": 10.0}, {"cpu": 0.0}, 1.0),
        ({"cpu": 10.0, "gpu": 50.0}, {"cpu": 11.0, "gpu": 40.0}, 0.2),
        ({"cpu": 10.0, "gpu": 50.0}, {"cpu": 12.0, "gpu": 51.0}, 0.2),
        ({"cpu": 10.0, "gpu": 0.0, "ram": 5.0}, {"cpu": 10.5, "gpu": 7.0}, 0.05),
    ],
    ids=[
        *("nothing", "not_after", "not_before", "other_components", "from_zero", "none"),
        *("up", "as_far_down", "to_zero", "gpu_more", "cpu_more", "what_can_be_told"),
    ],
)
def test_drift_is_the_largest_change_of_a_component(before, after, share):
    assert drift(before, after) == (None if share is None else pytest.approx(share))


def test_net_is_what_is_left_of_measured_energy():
    found = reading(cpu=component(500.0), gpu=component(900.0, SAMPLED))
    assert net_j(found, {"cpu": 20.0, "gpu": 30.0}) == pytest.approx(1400.0 - 500.0)


def test_net_may_be_below_zero():
    # Noise around idle is symmetric; a floor at 0 would hide it.
    assert net_j(reading(cpu=component(190.0)), {"cpu": 20.0}) == pytest.approx(-10.0)


@pytest.mark.parametrize("provenance", [MODEL, CONSTANT, NONE])
def test_idle_power_is_never_taken_from_what_was_not_measured(provenance):
    # Not even if somebody has an idle power for it: the model has one of its own.
    assert net_j(reading(cpu=component(500.0, provenance)), {"cpu": 20.0}) is None


@pytest.mark.parametrize(
    ("components", "idle_w"),
    [
        ({}, {"cpu": 20.0}),
        ({"ram": component(30.0, MODEL)}, {"ram": 3.0}),
        ({"cpu": component(500.0)}, {}),
        ({"cpu": component(500.0), "gpu": component(900.0)}, {"cpu": 20.0}),
        (
            {"cpu": component(500.0, MODEL), "gpu": component(900.0)},
            {"cpu": 20.0, "gpu": 30.0},
        ),
        (
            {"cpu": component(None, NONE), "gpu": component(900.0)},
            {"cpu": 20.0, "gpu": 30.0},
        ),
        ({"cpu": component(None)}, {"cpu": 20.0}),
    ],
    ids=[
        *("no_component", "ram_model_alone", "no_idle_power", "idle_power_of_one"),
        *("one_is_modelled", "one_is_lost", "energy_unknown"),
    ],
)
def test_without_all_parts_there_is_no_net(components, idle_w):
    assert net_j(reading(**components), idle_w) is None


def test_modelled_ram_is_no_part_of_net():
    found = reading(cpu=component(500.0), ram=component(30.0, MODEL))
    assert net_j(found, {"cpu": 20.0}) == pytest.approx(300.0)
    assert net_j(found, {"cpu": 20.0, "ram": 3.0}) == pytest.approx(300.0)


def test_measured_ram_is_part_of_net():
    found = reading(cpu=component(500.0), ram=component(80.0))
    assert net_j(found, {"cpu": 20.0, "ram": 3.0}) == pytest.approx(580.0 - 230.0)
    assert net_j(found, {"cpu": 20.0}) is None


def test_what_was_idle_all_along_has_no_net(clock):
    meter = FakeMeter(clock, 12.5)
    idle_w = measure_idle(meter, 30.0, clock.advance).power_w
    ledger = Ledger(meter)
    ledger.open()
    with ledger.phase("train"):
        clock.advance(7.0)
    ledger.close()
    assert net_j(ledger.measured, idle_w) == pytest.approx(0.0, abs=1e-9)
