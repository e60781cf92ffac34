"""Reconciliation: phases against one window around them."""

import pytest

from greenbench.energy.ledger import Ledger
from greenbench.energy.reconcile import reconcile
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.results.reconciliation import Reconciliation, meters_apart
from greenbench.testing import FakeClock, FakeMeter
from tests.builders import make_reading


@pytest.mark.parametrize(
    ("provenance", "limit"),
    [
        (Provenance.COUNTER, 0.02),
        (Provenance.SAMPLED, 0.05),
        (Provenance.MODEL, 0.05),
        (Provenance.CONSTANT, 0.05),
    ],
)
def test_a_counter_is_held_to_less(provenance, limit):
    reading = make_reading(36.0, provenance=provenance)
    assert reconcile(reading, reading).limit == limit


def test_the_limit_is_that_of_the_worst_part():
    parts = {
        "cpu": Component(30.0, Provenance.COUNTER, "fake meter"),
        "gpu": Component(30.0, Provenance.SAMPLED, "fake meter"),
    }
    assert reconcile(Reading(2.0, parts), Reading(2.0, parts)).limit == 0.05


def of_gpu(gpu_j: float, cpu_j: float = 30.0, scope: tuple[str, ...] | None = None) -> Reading:
    parts = {
        "cpu": Component(cpu_j, Provenance.MODEL, "fake meter"),
        "gpu": Component(gpu_j, Provenance.COUNTER, "fake meter"),
    }
    return Reading(2.0, parts, scope=scope)


@pytest.mark.parametrize("scope", [None, ("gpu",)], ids=["total", "gpu"])
def test_a_counter_is_held_to_its_limit_whatever_is_modelled_with_it(scope):
    # Of the total, it would be 2.3%.
    found = reconcile(of_gpu(103.0, scope=scope), of_gpu(100.0, scope=scope))
    assert (found.booked_j, found.whole_j, found.limit) == (103.0, 100.0, 0.02)


def test_a_model_beside_the_headline_is_not_reconciled():
    scope = ("gpu",)
    assert reconcile(of_gpu(100.0, 60.0, scope), of_gpu(100.0, 30.0, scope)).deviation == 0
    assert reconcile(of_gpu(100.0, 60.0), of_gpu(100.0, 30.0)).deviation == 1.0


def test_what_the_window_does_not_know_it_cannot_check_but_what_it_lost_it_should_have():
    booked = of_gpu(100.0, scope=("gpu",))
    without = Reading(2.0, {"cpu": booked.components["cpu"]}, scope=("gpu",))
    assert reconcile(booked, without).booked_j is None
    lost = {**booked.components, "gpu": booked.components["gpu"].unknown("the card is gone")}
    found = reconcile(booked, Reading(2.0, lost, scope=("gpu",)))
    assert (found.booked_j, found.deviation) == (100.0, None)


def test_modelled_ram_counts_neither_for_the_limit_nor_for_the_energy():
    booked = make_reading(50.0, provenance=Provenance.COUNTER, ram_j=1.0)
    whole = make_reading(50.0, provenance=Provenance.COUNTER, ram_j=9.0)
    found = reconcile(booked, whole)
    assert (found.booked_j, found.whole_j, found.limit) == (50.0, 50.0, 0.02)


@pytest.mark.parametrize(
    ("booked_j", "whole_j", "deviation"),
    [
        (100.0, 100.0, 0.0),
        (103.0, 100.0, 0.03),
        (97.0, 100.0, 0.03),
        (0.0, 100.0, 1.0),
        (None, 100.0, None),
        (100.0, None, None),
        (None, None, None),
        (100.0, 0.0, None),
    ],
    ids=[
        *("equal", "more", "as_much_less", "nothing_booked"),
        *("booked_unknown", "whole_unknown", "both_unknown", "no_energy_at_all"),
    ],
)
def test_the_deviation_is_a_share_of_the_whole(booked_j, whole_j, deviation):
    found = reconcile(make_reading(booked_j), make_reading(whole_j))
    assert (found.booked_j, found.whole_j) == (booked_j, whole_j)
    assert found.deviation == (None if deviation is None else pytest.approx(deviation))


def test_a_ledger_reconciles_with_a_meter_around_it():
    # All passes are in the window around, so what was measured is compared, not what is booked.
    clock = FakeClock()
    around = FakeMeter(clock)
    ledger = Ledger(FakeMeter(clock))
    around.begin_window()
    ledger.open()
    for phase, seconds, passes in [("train", 9.0, 3), ("evaluate", 0.5, 1), ("train", 4.0, 2)]:
        with ledger.phase(phase) as window:
            clock.advance(seconds)
            window.passes = passes
        clock.advance(0.25)
        ledger.take()
    ledger.close()
    found = reconcile(ledger.measured, around.end_window())
    assert found.whole_j == pytest.approx(142.5)
    assert found.deviation == pytest.approx(0.0, abs=1e-12)


def test_meters_are_compared_over_all_that_they_read() -> None:
    def read(energy_j: float, known_j: float | None = None) -> dict[str, Component]:
        part = Component(energy_j, Provenance.COUNTER, "a counter", uncertainty_j=known_j)
        return {"gpu": part}

    # Phases leave out 20 J, and at edges 10 J too little were read.
    whole = Reading(10.0, read(1010.0), {"other": read(1000.0)})
    at_ticks, at_edges = Reading(10.0, read(1020.0, 5.0)), Reading(9.8, read(990.0))
    assert reconcile(at_ticks, whole).apart == pytest.approx(20 / 1020)
    found = reconcile(at_edges, whole)
    assert found.apart == pytest.approx(10 / 1010)
    # An interrupted process had read otherwise.
    before = Reading(10.0, read(1000.0), {"other": read(700.0)})
    assert reconcile(at_edges, whole, before).apart == pytest.approx(310 / 2010)
    one_pass = Reading(1.0, read(120.0), {"other": read(110.0)})
    assert meters_apart(one_pass, found) == found.apart
    assert meters_apart(one_pass, found, beyond_ticks=True) == found.apart_beyond_ticks
    # Older results have one pass alone.
    older = Reconciliation(1.0, 1.0, 0.02)
    assert meters_apart(one_pass, older) == meters_apart(one_pass, None) == 10 / 120
