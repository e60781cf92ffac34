"""The ledger: every joule is booked once, to the phase that it was used in."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench.energy import ledger as ledger_module
from greenbench.energy.ledger import Ledger
from greenbench.errors import EnergyError
from greenbench.readings import PHASES, Account, Provenance
from greenbench.testing import FakeClock, FakeMeter

POWER_W = 10.0


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def ledger(clock):
    ledger = Ledger(FakeMeter(clock, POWER_W))
    ledger.open()
    return ledger


def spend(ledger, clock, phase, seconds):
    with ledger.phase(phase):
        clock.advance(seconds)


def test_energy_is_booked_to_its_phase(ledger, clock):
    spend(ledger, clock, "train", 3.0)
    spend(ledger, clock, "evaluate", 1.0)
    spend(ledger, clock, "train", 2.0)
    account = ledger.take()
    assert account.energy_j("train") == pytest.approx(50.0)
    assert account.energy_j("evaluate") == pytest.approx(10.0)
    assert account.phases["train"].duration_s == pytest.approx(5.0)
    assert account.phases["train"].provenance is Provenance.COUNTER


def test_what_is_in_no_phase_is_booked_to_other(ledger, clock):
    clock.advance(1.0)
    spend(ledger, clock, "train", 3.0)
    clock.advance(0.5)
    assert ledger.take().energy_j("other") == pytest.approx(15.0)


def test_a_phase_that_never_ran_used_nothing(ledger):
    assert ledger.take().energy_j("search") == 0.0


def test_phases_sum_to_the_total(ledger, clock):
    for phase in PHASES:
        spend(ledger, clock, phase, 1.0)
        clock.advance(0.25)
    account = ledger.take()
    assert sum(account.energy_j(phase) for phase in PHASES) == pytest.approx(62.5)
    assert account.total.energy_j == pytest.approx(62.5)


def test_taking_starts_over_from_zero(ledger, clock):
    spend(ledger, clock, "train", 2.0)
    ledger.take()
    spend(ledger, clock, "train", 3.0)
    assert ledger.take().energy_j("train") == pytest.approx(30.0)


def test_taking_inside_a_phase_splits_it(ledger, clock):
    with ledger.phase("train"):
        clock.advance(2.0)
        before = ledger.take()
        clock.advance(1.0)
    after = ledger.take()
    assert [before.energy_j("train"), after.energy_j("train")] == pytest.approx([20.0, 10.0])


def test_energy_of_a_phase_that_raised_is_booked(ledger, clock):
    def diverge():
        with ledger.phase("train"):
            clock.advance(2.0)
            raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged"):
        diverge()
    clock.advance(1.0)
    account = ledger.take()
    assert account.energy_j("train") == pytest.approx(20.0)
    assert account.energy_j("other") == pytest.approx(10.0)


def test_phases_do_not_nest(ledger, clock):
    with ledger.phase("train"):
        clock.advance(1.0)
        with pytest.raises(EnergyError, match="'evaluate' cannot start inside phase 'train'"):
            ledger.phase("evaluate").__enter__()
        clock.advance(1.0)
    assert ledger.take().energy_j("train") == pytest.approx(20.0)


def test_an_unknown_phase_is_refused_by_name(ledger):
    with pytest.raises(EnergyError, match="unknown phase 'training'; known: train, evaluate"):
        ledger.phase("training").__enter__()


def test_a_phase_needs_an_open_ledger(clock):
    with pytest.raises(EnergyError):
        Ledger(FakeMeter(clock)).phase("train").__enter__()


def test_what_was_booked_can_be_taken_after_closing(ledger, clock):
    spend(ledger, clock, "train", 2.0)
    clock.advance(1.0)
    ledger.close()
    clock.advance(5.0)
    assert ledger.take().total.energy_j == pytest.approx(30.0)


def test_closing_twice_is_fine(ledger):
    ledger.close()
    booked = ledger.take()
    ledger.close()
    assert set(booked.phases) == {"other"}
    assert ledger.take().phases == {}


steps = st.lists(
    st.tuples(
        st.sampled_from([*PHASES, "outside"]), st.floats(0.0, 1e4), st.booleans(), st.booleans()
    ),
    max_size=30,
)


@given(steps=steps)
def test_no_sequence_of_phases_loses_or_doubles_a_joule(steps):
    clock = FakeClock()
    ledger = Ledger(FakeMeter(clock, POWER_W))
    ledger.open()
    expected_s = dict.fromkeys(PHASES, 0.0)
    account = Account()
    for phase, seconds, takes_inside, takes_after in steps:
        if phase == "outside":
            clock.advance(seconds)
            expected_s["other"] += seconds
        else:
            with ledger.phase(phase):
                clock.advance(seconds / 2)
                if takes_inside:
                    account += ledger.take()
                clock.advance(seconds / 2)
            expected_s[phase] += seconds
        if takes_after:
            account += ledger.take()
    ledger.close()
    account += ledger.take()
    for phase, seconds in expected_s.items():
        assert account.energy_j(phase) == pytest.approx(POWER_W * seconds, abs=1e-6)
    assert account.total.energy_j == pytest.approx(POWER_W * clock.now(), abs=1e-6)


def test_documented_example_works():
    results = doctest.testmod(ledger_module)
    assert results.attempted > 0
    assert results.failed == 0
