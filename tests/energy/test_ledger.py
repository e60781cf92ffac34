"""The ledger: every joule is booked once, to the phase that it was used in."""

import doctest

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from greenbench.energy import ledger as ledger_module
from greenbench.energy.ledger import Ledger
from greenbench.errors import EnergyError
from greenbench.results.account import PHASES, Account
from greenbench.results.readings import Provenance
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
    assert sum(account.energy_j(phase) for phase in PHASES) == pytest.approx(12.5 * len(PHASES))
    assert account.total.energy_j == pytest.approx(12.5 * len(PHASES))


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
    with pytest.raises(EnergyError, match="unknown phase 'training'; known: load, train, evaluate"):
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


def test_one_pass_is_booked_while_all_are_measured(ledger, clock):
    clock.advance(1.0)
    with ledger.phase("train") as window:
        clock.advance(12.0)
        window.passes = 4
    spend(ledger, clock, "evaluate", 2.0)
    account = ledger.take()
    assert account.energy_j("train") == pytest.approx(30.0)
    assert account.phases["train"].duration_s == pytest.approx(3.0)
    assert account.energy_j("other") == pytest.approx(10.0)
    assert account.energy_j("evaluate") == pytest.approx(20.0)
    assert ledger.measured.energy_j == pytest.approx(150.0)
    assert ledger.measured.duration_s == pytest.approx(15.0)


def test_each_window_is_divided_by_passes_of_its_own(ledger, clock):
    for seconds, passes in [(8.0, 4), (9.0, 3), (1.0, 1)]:
        with ledger.phase("train") as window:
            clock.advance(seconds)
            window.passes = passes
    assert ledger.take().energy_j("train") == pytest.approx(60.0)


def test_passes_of_a_phase_that_raised_are_divided_too(ledger, clock):
    def run_out_of_memory():
        with ledger.phase("train") as window:
            clock.advance(6.0)
            window.passes = 3
            raise MemoryError

    with pytest.raises(MemoryError):
        run_out_of_memory()
    assert ledger.take().energy_j("train") == pytest.approx(20.0)
    assert ledger.measured.energy_j == pytest.approx(60.0)


def test_what_was_measured_is_kept_over_takes_and_closing(ledger, clock):
    spend(ledger, clock, "train", 2.0)
    ledger.take()
    spend(ledger, clock, "train", 3.0)
    ledger.close()
    ledger.take()
    assert ledger.measured.energy_j == pytest.approx(50.0)


CPU_S = 0.5


class FakeWatch:
    """Counts what it is told: CPU seconds of this process, and half as many of others."""

    def __init__(self):
        self.used_s = 0.0

    def work(self):
        self.used_s += CPU_S

    def lap(self):
        used_s, self.used_s = self.used_s, 0.0
        return used_s, used_s / 2


@pytest.fixture
def watch():
    return FakeWatch()


@pytest.fixture
def watched(clock, watch):
    return Ledger(FakeMeter(clock), watch)


def test_cpu_seconds_are_booked_to_the_phase_that_used_them(watched, watch):
    watched.open()
    with watched.phase("train"):
        watch.work()
    with watched.phase("evaluate"):
        pass
    watched.close()
    phases = watched.take().phases
    assert phases["train"].cpu_s == CPU_S
    assert phases["evaluate"].cpu_s == 0
    assert phases["train"].other_cpu_s == CPU_S / 2


def test_cpu_seconds_before_the_ledger_opened_are_not_booked(watched, watch):
    watch.work()
    watched.open()
    watched.close()
    assert watched.take().total.cpu_s == 0


def test_cpu_seconds_of_one_pass_are_booked_while_all_are_measured(watched, watch):
    watched.open()
    with watched.phase("train") as window:
        watch.work()
        window.passes = 2
    watched.close()
    phases = watched.take().phases
    assert watched.measured.cpu_s == CPU_S
    assert 2 * phases["train"].cpu_s + phases["other"].cpu_s == pytest.approx(
        watched.measured.cpu_s
    )


def test_what_keeping_the_books_takes_is_in_a_window(clock):
    class Slow:
        def lap(self):
            clock.advance(0.5)
            return 0.0, 0.0

    ledger = Ledger(FakeMeter(clock, POWER_W), Slow())
    began_s = clock()
    ledger.open()
    for _ in range(3):
        spend(ledger, clock, "train", 1.0)
    ledger.close()
    assert ledger.measured.duration_s == pytest.approx(clock() - began_s)


def test_cpu_time_of_reading_the_meter_is_in_no_phase(clock):
    watch = FakeWatch()

    class Slow(FakeMeter):
        def begin_window(self):
            watch.work()
            super().begin_window()

        def end_window(self):
            watch.work()
            return super().end_window()

    ledger = Ledger(Slow(clock, POWER_W), watch)
    ledger.open()
    for _ in range(3):
        with ledger.phase("train"):
            clock.advance(1.0)
    ledger.close()
    assert ledger.measured.cpu_s == 0
    assert ledger.measured.other_cpu_s == 0


def test_no_part_of_what_is_done_aside_has_a_phase(ledger, clock):
    with ledger.aside():
        spend(ledger, clock, "save", 2.0)
    spend(ledger, clock, "train", 1.0)
    assert {name: each.duration_s for name, each in ledger.take().phases.items()} == {
        "other": 0.0,
        "train": 1.0,
    }


def test_without_a_watch_cpu_seconds_are_unknown(ledger, clock):
    spend(ledger, clock, "train", 2.0)
    train = ledger.take().phases["train"]
    assert (train.cpu_s, train.other_cpu_s) == (None, None)


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


@given(turns=st.lists(st.tuples(st.sampled_from([*PHASES, None]), st.integers(0, 100))))
def test_turns_from_phase_to_phase_book_all_in_one_window_each(turns):
    clock = FakeClock()
    meter = CountedMeter(clock, POWER_W)
    ledger = Ledger(meter)
    ledger.open()
    expected_s = dict.fromkeys(PHASES, 0.0)
    windows, before = 1, "other"
    for phase, seconds in turns:
        ledger.turn(phase)
        clock.advance(seconds)
        expected_s[phase or "other"] += seconds
        windows += before != (phase or "other")
        before = phase or "other"
    ledger.close()
    account = ledger.take()
    assert {phase: account.energy_j(phase) for phase in PHASES} == {
        phase: POWER_W * seconds for phase, seconds in expected_s.items()
    }
    assert meter.windows == windows


def test_turns_are_of_known_phases_and_of_none_aside(ledger, clock):
    with pytest.raises(EnergyError, match="unknown phase 'training'; known: load, train, evaluate"):
        ledger.turn("training")
    with ledger.aside():
        ledger.turn("train")
        clock.advance(1.0)
    assert ledger.take().total.duration_s == 0


class CountedMeter(FakeMeter):
    """Counts the windows that were begun."""

    windows = 0

    def begin_window(self):
        super().begin_window()
        self.windows += 1


class WindowCounter(FakeMeter):
    """Counts open windows."""

    is_open = False

    def begin_window(self):
        super().begin_window()
        self.is_open = True

    def end_window(self):
        reading = super().end_window()
        self.is_open = False
        return reading


class LedgerMachine(RuleBasedStateMachine):
    """Uses a ledger in any order, and keeps the same books by hand."""

    def __init__(self):
        super().__init__()
        self.clock = FakeClock()
        self.meter = WindowCounter(self.clock, POWER_W)
        self.ledger = Ledger(self.meter)
        self.ledger.open()
        self.is_open = True
        self.phase = None
        self.window_s = 0.0
        self.all_s = 0.0
        self.expected_s = dict.fromkeys(PHASES, 0.0)
        self.taken = Account()

    def book(self, passes=1):
        self.expected_s[self.phase[0] if self.phase else "other"] += self.window_s / passes
        self.window_s = 0.0

    @rule(seconds=st.floats(0.0, 1e4))
    def time_passes(self, seconds):
        self.clock.advance(seconds)
        if self.is_open:
            self.window_s += seconds
            self.all_s += seconds

    @precondition(lambda self: self.is_open and not self.phase)
    @rule(name=st.sampled_from(PHASES))
    def a_phase_starts(self, name):
        self.book()
        context = self.ledger.phase(name)
        self.phase = name, context, context.__enter__()

    @precondition(lambda self: self.phase)
    @rule(passes=st.integers(1, 9), raises=st.booleans())
    def a_phase_ends(self, passes, raises):
        _, context, window = self.phase
        window.passes = passes
        if raises:
            error = ValueError("diverged")
            assert not context.__exit__(ValueError, error, None)
        else:
            context.__exit__(None, None, None)
        self.book(passes)
        self.phase = None

    @precondition(lambda self: self.phase and self.phase[0] != "other")
    @rule(name=st.sampled_from([*PHASES, "unheard_of"]))
    def a_phase_is_refused(self, name):
        with pytest.raises(EnergyError):
            self.ledger.phase(name).__enter__()

    @rule()
    def the_account_is_taken(self):
        if self.is_open:
            self.book()
        self.taken += self.ledger.take()

    @precondition(lambda self: not self.phase)
    @rule()
    def the_ledger_is_closed(self):
        if self.is_open:
            self.book()
        self.ledger.close()
        self.is_open = False

    @precondition(lambda self: not self.is_open)
    @rule()
    def the_ledger_is_opened_again(self):
        self.ledger.open()
        self.is_open = True

    @invariant()
    def exactly_one_window_is_open(self):
        # A second one would have raised.
        assert self.meter.is_open == self.is_open

    def teardown(self):
        if self.phase:
            self.a_phase_ends(passes=1, raises=False)
        self.the_ledger_is_closed()
        self.the_account_is_taken()
        booked = {phase: self.taken.energy_j(phase) for phase in PHASES}
        for phase, seconds in self.expected_s.items():
            assert booked[phase] == pytest.approx(POWER_W * seconds, abs=1e-6)
        if self.taken.phases:
            assert self.taken.total.energy_j == pytest.approx(sum(booked.values()), abs=1e-6)
        assert self.ledger.measured.duration_s == pytest.approx(self.all_s, abs=1e-6)
        assert self.ledger.measured.energy_j == pytest.approx(POWER_W * self.all_s, abs=1e-6)


TestAnyUseOfALedger = LedgerMachine.TestCase
TestAnyUseOfALedger.settings = hypothesis.settings(
    hypothesis.settings.default, max_examples=40, stateful_step_count=25
)


def test_documented_example_works():
    results = doctest.testmod(ledger_module)
    assert results.attempted > 0
    assert results.failed == 0
