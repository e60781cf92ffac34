"""Idle power: measured where a meter measures, and never taken from an estimate."""

from dataclasses import replace

import pytest

from greenbench.energy.idle import drift, measure_idle_w, measures
from greenbench.energy.ledger import Ledger
from greenbench.errors import EnergyError
from greenbench.results.quality import net_j
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.testing import FakeClock, FakeMeter

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


def test_idle_power_is_energy_over_the_duration_of_one_window(clock):
    assert measure_idle_w(FakeMeter(clock, 12.5), 30.0, clock.advance) == {
        "cpu": pytest.approx(12.5)
    }
    assert clock.now() == 30.0


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
    assert measure_idle_w(meter, 5.0, clock.advance) == pytest.approx({"cpu": 8.0, "gpu": 25.0})


def test_no_time_gives_no_idle_power(clock):
    assert measure_idle_w(FakeMeter(clock), 0.0, clock.advance) == {}


def test_no_idle_power_of_nothing(clock):
    assert measure_idle_w(ScriptedMeter(clock, {}), 5.0, clock.advance) == {}


def test_idle_power_is_not_measured_inside_a_window(clock):
    meter = FakeMeter(clock)
    Ledger(meter).open()
    with pytest.raises(EnergyError):
        measure_idle_w(meter, 5.0, clock.advance)


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
    idle_w = measure_idle_w(meter, 30.0, clock.advance)
    ledger = Ledger(meter)
    ledger.open()
    with ledger.phase("train"):
        clock.advance(7.0)
    ledger.close()
    assert net_j(ledger.measured, idle_w) == pytest.approx(0.0, abs=1e-9)
