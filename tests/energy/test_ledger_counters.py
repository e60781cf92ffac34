"""The ledger with counters that tick: joules of ticks, apportioned to the windows they fall in."""

from bisect import bisect_right
from dataclasses import replace
from math import cos, sin
from typing import Any

import pytest

from greenbench.energy.ledger import Ledger
from greenbench.errors import EnergyError
from greenbench.results.account import Account
from greenbench.results.quality import net_j
from greenbench.results.readings import Provenance, Reading
from greenbench.testing import FakeClock, FakeCounters, FakeMeter

IDLE_W = 120.0
TRAIN_W = 670.0
EVALUATE_W = 300.0
TICK_S = 0.1
RIPPLE = 0.05
RIPPLE_RAD_PER_S = 11.0
"""No power is constant: a share of it comes and goes."""


class Bench:
    """A ledger, and a device whose power depends on what is done; it knows the truth."""

    def __init__(self, tick_s: float = TICK_S) -> None:
        self.clock = FakeClock()
        self.clock.advance(0.537)
        self.since_s, self.power_w = [0.0], [IDLE_W]
        self.counters = FakeCounters(self.clock, self._power_w, tick_s)
        self.ledger = Ledger(
            FakeMeter(self.clock),
            counters=self.counters,
            clock=self.clock,
            pause=self.clock.advance,
        )
        self.true_j: dict[str, float] = {}

    def _power_w(self, at_s: float) -> float:
        level_w = self.power_w[bisect_right(self.since_s, at_s) - 1]
        return level_w * (1 + RIPPLE * sin(RIPPLE_RAD_PER_S * at_s))

    def spend(self, phase: str, seconds: float, power_w: float, passes: int = 1) -> None:
        with self.ledger.phase(phase) as window:
            self._use(phase, seconds, power_w, passes)
            window.passes = passes

    def rest(self, seconds: float) -> None:
        self._use("other", seconds, IDLE_W)

    def _use(self, phase: str, seconds: float, power_w: float, passes: int = 1) -> None:
        began_s = self.clock()
        self.clock.advance(seconds)
        self.since_s += [began_s, self.clock()]
        self.power_w += [power_w, IDLE_W]
        waves_s = (cos(RIPPLE_RAD_PER_S * began_s) - cos(RIPPLE_RAD_PER_S * self.clock())) / (
            RIPPLE_RAD_PER_S
        )
        used_j = power_w * (seconds + RIPPLE * waves_s)
        self.true_j[phase] = self.true_j.get(phase, 0.0) + used_j / passes

    def search(self, trials: int, train_s: float, passes: int = 1) -> list[Account]:
        self.ledger.open()
        taken = []
        for _ in range(trials):
            self.rest(0.31)
            self.spend("train", train_s * passes, TRAIN_W, passes)
            self.spend("evaluate", 0.17, EVALUATE_W)
            taken.append(self.ledger.take())
        self.ledger.close()
        return taken


class SlowMeter(FakeMeter):
    """Takes its time to be read, as one that asks a driver does."""

    def begin_window(self) -> None:
        self._clock.advance(0.02)
        super().begin_window()

    def end_window(self) -> Reading:
        reading = super().end_window()
        self._clock.advance(0.03)
        return reading


def gpu(account: Account, phase: str) -> Any:
    return account.phases[phase].components["gpu"]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("train_s", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("passes", [1, 7])
def test_phases_get_what_they_used(bench: Bench, train_s: float, passes: int) -> None:
    bench.search(8, train_s, passes)
    whole = bench.ledger.whole()
    for phase, true_j in bench.true_j.items():
        part = gpu(whole, phase)
        assert part.energy_j == pytest.approx(true_j, rel=0.03)
        assert abs(part.energy_j - true_j) <= part.uncertainty_j + 0.005 * true_j
    total = whole.total.components["gpu"]
    assert total.energy_j == pytest.approx(sum(bench.true_j.values()), rel=0.01)
    assert total.energy_j == pytest.approx(sum(gpu(whole, p).energy_j for p in whole.phases))


def test_the_meter_keeps_what_no_counter_has(bench: Bench) -> None:
    bench.search(2, 0.5)
    train = bench.ledger.whole().phases["train"]
    assert train.components["cpu"].energy_j == pytest.approx(10.0 * train.duration_s)
    assert train.components["cpu"].uncertainty_j is None


def test_a_total_is_better_known_than_its_phases(bench: Bench) -> None:
    bench.search(8, 0.2)
    whole = bench.ledger.whole()
    parts = [gpu(whole, phase).uncertainty_j for phase in whole.phases]
    assert whole.total.components["gpu"].uncertainty_j < sum(u**2 for u in parts) ** 0.5


def test_a_trial_gets_what_is_known_when_it_ends(bench: Bench) -> None:
    bench.ledger.open()
    for trial in range(8):
        bench.rest(0.31)
        before_j = bench.true_j.get("train", 0.0)
        bench.spend("train", 0.2, TRAIN_W)
        true_j = bench.true_j["train"] - before_j
        train = gpu(bench.ledger.take(), "train")
        assert abs(train.energy_j - true_j) <= train.uncertainty_j
        if trial > 1:
            assert train.energy_j == pytest.approx(true_j, rel=0.1)


def test_what_no_tick_has_shown_yet_is_less_certain(bench: Bench) -> None:
    bench.ledger.open()
    bench.rest(1.0)
    bench.spend("train", 1.0, TRAIN_W)
    early = gpu(bench.ledger.take(), "train")
    bench.ledger.close()
    final = gpu(bench.ledger.whole(), "train")
    assert early.uncertainty_j > final.uncertainty_j
    assert early.energy_j == pytest.approx(final.energy_j, rel=0.1)


def test_a_window_that_no_tick_has_shown_has_the_power_of_its_phase(bench: Bench) -> None:
    bench.ledger.open()
    bench.rest(1.0)
    bench.spend("train", 1.0, TRAIN_W)
    bench.rest(1.0)
    bench.rest(0.01 + TICK_S - bench.clock() % TICK_S)
    bench.ledger.take()
    bench.spend("train", 0.05, TRAIN_W)
    part = gpu(bench.ledger.take(), "train")
    assert part.energy_j == pytest.approx(0.05 * TRAIN_W, rel=0.1)
    assert part.uncertainty_j >= 0.25 * part.energy_j


def test_a_trial_before_the_first_tick_has_no_figure_and_costs_the_total_none(
    bench: Bench,
) -> None:
    bench.clock.advance(0.61 - bench.clock())
    bench.ledger.open()
    bench.spend("train", 0.01, TRAIN_W)
    early = gpu(bench.ledger.take(), "train")
    assert early.energy_j is None
    assert early.provenance is Provenance.NONE
    assert "not ticked yet" in early.reason
    bench.spend("train", 1.0, TRAIN_W)
    bench.ledger.close()
    total = bench.ledger.whole().total.components["gpu"]
    assert total.energy_j == pytest.approx(bench.true_j["train"], rel=0.1)


def test_a_phase_below_a_tick_is_booked_with_its_neighbour_and_says_so(bench: Bench) -> None:
    bench.ledger.open()
    bench.rest(1.0)
    bench.spend("search", 0.08, TRAIN_W)
    bench.rest(1.0)
    bench.spend("train", 2.0, TRAIN_W)
    bench.ledger.close()
    whole = bench.ledger.whole()
    search = whole.phases["search"].judged.components["gpu"]
    assert search.energy_j is None
    assert search.reason == "it lasts less than a tick of fake counter, and is in 'other'"
    assert gpu(whole, "other").energy_j == pytest.approx(
        bench.true_j["other"] + bench.true_j["search"], rel=0.05
    )
    total = whole.total.judged.components["gpu"]
    assert total.energy_j == pytest.approx(sum(bench.true_j.values()), rel=0.01)


def test_a_phase_is_booked_with_its_neighbour_only_if_all_its_windows_are_short(
    bench: Bench,
) -> None:
    bench.ledger.open()
    for _ in range(20):
        bench.rest(0.3)
        bench.spend("search", 0.03, TRAIN_W)
        account = bench.ledger.take()
    assert account.phases["search"].energy_j is None
    bench.ledger.close()
    search = gpu(bench.ledger.whole(), "search")
    assert search.booked_with is None
    assert abs(search.energy_j - 20 * 0.03 * TRAIN_W) <= search.uncertainty_j


def test_shares_of_lanes_add_up_to_their_window(bench: Bench) -> None:
    (account, *_) = bench.search(1, 1.0)
    share = account * 0.25
    lanes = share + share + share + share
    assert gpu(lanes, "train").energy_j == pytest.approx(gpu(account, "train").energy_j)
    assert share.phases["train"].judged.components["gpu"].energy_j is not None


def test_a_resumed_repeat_keeps_the_figures_of_the_process_that_is_gone() -> None:
    first, second = Bench(), Bench()
    kept = sum(first.search(3, 0.5), Account())
    second.search(3, 0.5)
    whole = second.ledger.whole()
    total = (kept + whole).total.components["gpu"]
    true_j = sum(first.true_j.values()) + sum(second.true_j.values())
    assert total.energy_j == pytest.approx(true_j, rel=0.03)
    both = [each.total.components["gpu"].uncertainty_j for each in (kept, whole)]
    assert total.uncertainty_j == pytest.approx(sum(u**2 for u in both) ** 0.5)


def test_counters_that_die_cost_the_energy_and_not_the_trial(bench: Bench) -> None:
    bench.ledger.open()
    bench.spend("train", 1.0, TRAIN_W)
    known = bench.ledger.take()
    bench.counters.fault = "the reader of the GPU's counter is gone"
    bench.spend("train", 1.0, TRAIN_W)
    lost = bench.ledger.take()
    bench.ledger.close()
    whole = bench.ledger.whole()
    assert gpu(known, "train").energy_j is not None
    for account in (lost, whole):
        for phase in account.phases:
            part = gpu(account, phase)
            assert (part.energy_j, part.uncertainty_j) == (None, None)
            assert part.reason == "the reader of the GPU's counter is gone"
        assert account.phases["train"].components["cpu"].energy_j is not None
    assert bench.ledger.measured.components["gpu"].energy_j is None


def test_any_error_of_counters_is_a_reason(bench: Bench, monkeypatch: Any) -> None:
    def fail(since_s: float) -> Any:
        raise BrokenPipeError(32, "Broken\npipe")

    monkeypatch.setattr(bench.counters, "ticks", fail)
    bench.search(1, 0.5)
    part = gpu(bench.ledger.whole(), "train")
    assert part.reason == "BrokenPipeError: [Errno 32] Broken pipe"


def test_a_component_without_ticks_is_unknown(bench: Bench, monkeypatch: Any) -> None:
    monkeypatch.setattr(bench.counters, "ticks", lambda since_s: {})
    (account,) = bench.search(1, 0.5)
    assert gpu(account, "train").reason == "fake counter gave no ticks"


def test_a_counter_that_stands_still_is_unknown(bench: Bench) -> None:
    bench.counters.still_s = 0.0
    bench.search(2, 1.0)
    total = bench.ledger.whole().total.judged.components["gpu"]
    assert total.energy_j is None
    assert "stands still" in total.reason


def test_ticks_that_stop_coming_are_waited_for_in_vain_but_not_forever(
    bench: Bench, monkeypatch: Any
) -> None:
    frozen: Any = {}
    ask = bench.counters.ticks

    def stop(since_s: float) -> Any:
        return frozen or ask(since_s)

    monkeypatch.setattr(bench.counters, "ticks", stop)
    bench.ledger.open()
    bench.spend("train", 1.0, TRAIN_W)
    frozen |= ask(0.0)
    bench.spend("train", 5.0, TRAIN_W)
    bench.ledger.close()
    began_s = bench.clock()
    part = gpu(bench.ledger.whole(), "train")
    assert part.energy_j is None
    assert "do not cover" in part.reason
    assert bench.clock() - began_s < 3.0


def test_several_devices_add_up(bench: Bench, monkeypatch: Any) -> None:
    ask = bench.counters.ticks
    monkeypatch.setattr(
        bench.counters, "ticks", lambda since_s: {"gpu": [*ask(since_s)["gpu"]] * 2}
    )
    bench.search(4, 0.5)
    part = gpu(bench.ledger.whole(), "train")
    assert part.energy_j == pytest.approx(2 * bench.true_j["train"], rel=0.03)


def test_what_was_measured_holds_all_passes(bench: Bench) -> None:
    bench.search(4, 0.5, passes=3)
    measured = bench.ledger.measured.components["gpu"]
    true_j = 3 * bench.true_j["train"] + bench.true_j["other"] + bench.true_j["evaluate"]
    assert measured.energy_j == pytest.approx(true_j, rel=0.01)
    assert measured.uncertainty_j is not None


@pytest.mark.parametrize("train_s", [0.05, 0.5])
def test_what_reading_the_meter_takes_is_in_no_phase(train_s: float) -> None:
    def spent(slow: bool) -> tuple[Account, Reading]:
        clock = FakeClock()
        is_training: list[bool] = []
        counters = FakeCounters(clock, lambda _: 400.0 if is_training else IDLE_W, TICK_S)
        clock.advance(1.0)
        meter = SlowMeter(clock) if slow else FakeMeter(clock)
        ledger = Ledger(meter, counters=counters, clock=clock, pause=clock.advance)
        ledger.open()
        for _ in range(20):
            with ledger.phase("train"):
                is_training.append(True)
                clock.advance(train_s)
                is_training.clear()
            clock.advance(0.2)
        ledger.close()
        return ledger.whole(), ledger.measured

    (expected, _), (found, measured) = spent(slow=False), spent(slow=True)
    for phase in ("train", "other"):
        assert gpu(found, phase).energy_j == pytest.approx(gpu(expected, phase).energy_j, rel=0.05)
        assert found.phases[phase].duration_s == pytest.approx(expected.phases[phase].duration_s)
    assert found.uncertainty_j["gpu"] < 0.05 * found.total.components["gpu"].energy_j
    # It was used all the same, which whoever measures around all of it knows.
    read_s = measured.duration_s - found.total.duration_s
    assert read_s == pytest.approx(20 * 2 * 0.05, abs=0.06)
    more_j = measured.components["gpu"].energy_j - found.total.components["gpu"].energy_j
    assert more_j == pytest.approx(read_s * IDLE_W, rel=0.1)


def test_what_happens_aside_is_measured_and_in_no_phase() -> None:
    clock = FakeClock()
    ledger = Ledger(FakeMeter(clock, power_w=10.0))
    ledger.open()
    clock.advance(1.0)
    with ledger.aside():
        clock.advance(3.0)
    with ledger.phase("train"):
        clock.advance(2.0)
        with pytest.raises(EnergyError, match="'train'"), ledger.aside():
            pass
    ledger.close()
    whole = ledger.whole()
    assert {name: each.energy_j for name, each in whole.phases.items()} == {
        "other": 10.0,
        "train": 20.0,
    }
    assert ledger.measured.energy_j == 60.0


def test_seconds_are_those_that_the_joules_are_of_however_long_the_meter_takes() -> None:
    clock = FakeClock()
    counters = FakeCounters(clock, lambda _: IDLE_W, TICK_S)
    clock.advance(1.0)
    ledger = Ledger(SlowMeter(clock), counters=counters, clock=clock, pause=clock.advance)
    ledger.open()
    began_s = clock()
    taken = Account()
    for _ in range(10):
        with ledger.phase("train") as window:
            clock.advance(0.4)
            window.passes = 2
        clock.advance(0.1)
        taken += ledger.take()
    ledger.close()
    ended_s = clock() - 0.03
    whole = ledger.whole()
    assert whole.phases["train"].duration_s == pytest.approx(2.0)
    assert whole.phases["other"].duration_s == pytest.approx(1.0)
    assert ledger.measured.duration_s == pytest.approx(ended_s - began_s)
    assert taken.total.duration_s == pytest.approx(whole.total.duration_s)
    # Nothing but idle power was used.
    total = replace(whole.total, scope=("gpu",))
    assert net_j(total, {"gpu": IDLE_W}) == pytest.approx(0.0, abs=0.01 * (total.energy_j or 0.0))


def test_what_sharing_out_ticks_takes_is_in_no_phase(bench: Bench, monkeypatch: Any) -> None:
    ask = bench.counters.ticks

    def slow(since_s: float) -> Any:
        bench.clock.advance(0.3)
        return ask(since_s)

    monkeypatch.setattr(bench.counters, "ticks", slow)
    bench.search(4, 0.5)
    found = bench.ledger.whole()
    assert found.phases["other"].duration_s == pytest.approx(4 * 0.31)
    for phase in ("train", "other"):
        assert gpu(found, phase).energy_j == pytest.approx(bench.true_j[phase], rel=0.05)


@pytest.mark.parametrize("train_s", [0.04, 0.08])
def test_total_of_a_pass_that_is_shorter_than_a_tick_is_known_by_all_passes(
    bench: Bench, train_s: float
) -> None:
    bench.ledger.open()
    bench.rest(0.004)
    bench.spend("train", 3.0, TRAIN_W, passes=round(3.0 / train_s))
    bench.spend("evaluate", 0.01, EVALUATE_W)
    bench.ledger.close()
    total = bench.ledger.whole().total
    assert total.duration_s < TICK_S
    energy_j = total.judged.components["gpu"].energy_j
    assert energy_j == pytest.approx(sum(bench.true_j.values()), rel=0.1)
