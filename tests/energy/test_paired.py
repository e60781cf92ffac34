"""Several meters at once: the first counts, the others are kept beside it."""

import time

import pytest

from greenbench.energy.ledger import Ledger
from greenbench.energy.paired import PairedMeter
from greenbench.errors import EnergyError
from greenbench.results.quality import disagreement
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.testing import FakeClock, FakeMeter, MeterConformance


class NamedMeter(FakeMeter):
    """A fake meter with a name, which notes what it is asked."""

    def __init__(self, clock, power_w, name, asked):
        super().__init__(clock, power_w)
        self.name = name
        self._asked = asked

    def begin_window(self):
        self._asked.append(f"begin {self.name}")
        super().begin_window()

    def end_window(self):
        self._asked.append(f"end {self.name}")
        return super().end_window()

    def close(self):
        self._asked.append(f"close {self.name}")
        super().close()


class TestPairedMeter(MeterConformance):
    def make_meter(self):
        clock = time.perf_counter
        return PairedMeter(FakeMeter(clock), [NamedMeter(clock, 12.0, "second", [])])


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def asked():
    return []


@pytest.fixture
def paired(clock, asked):
    first, *witnesses = (
        NamedMeter(clock, power_w, name, asked)
        for power_w, name in [(10.0, "first"), (11.0, "second"), (12.0, "third")]
    )
    return PairedMeter(first, witnesses)


def read(meter, clock, seconds=2.0):
    meter.begin_window()
    clock.advance(seconds)
    return meter.end_window()


def test_the_first_window_is_around_all_others(paired, clock, asked):
    # What the others cost is in the figure that counts, rather than in nobody's.
    read(paired, clock)
    assert asked == [
        *("begin first", "begin second", "begin third"),
        *("end third", "end second", "end first"),
    ]


def test_the_first_counts_and_the_others_are_kept_by_name(paired, clock):
    reading = read(paired, clock)
    assert reading.energy_j == pytest.approx(20.0)
    assert {name: parts["cpu"].energy_j for name, parts in reading.witnesses.items()} == {
        "second": pytest.approx(22.0),
        "third": pytest.approx(24.0),
    }


def test_it_is_named_after_all_and_describes_the_first(paired):
    assert paired.name == "first,second,third"
    assert paired.describe() == {"cpu": Component(None, Provenance.COUNTER, "fake meter")}


def test_closing_closes_all(paired, asked):
    paired.close()
    assert sorted(asked) == ["close first", "close second", "close third"]


def test_a_window_that_is_refused_leaves_the_open_one_as_it_was(paired, clock):
    paired.begin_window()
    clock.advance(1.0)
    with pytest.raises(EnergyError):
        paired.begin_window()
    clock.advance(1.0)
    reading = paired.end_window()
    assert reading.energy_j == pytest.approx(20.0)
    assert reading.witnesses["third"]["cpu"].energy_j == pytest.approx(24.0)


def test_what_witnesses_read_is_summed_like_the_rest(paired, clock):
    ledger = Ledger(paired)
    ledger.open()
    for _ in range(2):
        with ledger.phase("train") as window:
            clock.advance(4.0)
            window.passes = 2
    ledger.close()
    train = ledger.take().phases["train"]
    assert train.energy_j == pytest.approx(40.0)
    assert train.witnesses["second"]["cpu"].energy_j == pytest.approx(44.0)
    assert ledger.measured.witnesses["second"]["cpu"].energy_j == pytest.approx(88.0)


COUNTER, SAMPLED, MODEL, CONSTANT, NONE = Provenance


def component(energy_j, provenance=COUNTER):
    return Component(energy_j, provenance, "fake meter")


def against(first, *others):
    names = ["second", "third"]
    return Reading(1.0, first, dict(zip(names, others, strict=False)))


@pytest.mark.parametrize(
    ("witness_j", "share"),
    [(100.0, 0.0), (110.0, 0.1), (90.0, 0.1), (200.0, 1.0)],
    ids=["equal", "above", "as_far_below", "double"],
)
def test_disagreement_is_a_share_of_the_first(witness_j, share):
    reading = against({"cpu": component(100.0)}, {"cpu": component(witness_j)})
    assert disagreement(reading) == pytest.approx(share)


def test_a_witness_that_stands_still_is_none():
    assert disagreement(against({"cpu": component(100.0)}, {"cpu": component(0.0)})) is None


def test_swapping_two_meters_changes_only_what_it_is_a_share_of():
    low, high = {"cpu": component(80.0)}, {"cpu": component(100.0)}
    assert disagreement(against(low, high)) == pytest.approx(20.0 / 80.0)
    assert disagreement(against(high, low)) == pytest.approx(20.0 / 100.0)


@pytest.mark.parametrize("first", Provenance)
@pytest.mark.parametrize("second", Provenance)
def test_only_measured_components_disagree(first, second):
    reading = against({"cpu": component(100.0, first)}, {"cpu": component(300.0, second)})
    both_measured = {first, second} <= {COUNTER, SAMPLED}
    assert disagreement(reading) == (2.0 if both_measured else None)


@pytest.mark.parametrize(
    ("first", "others"),
    [
        ({"cpu": component(100.0)}, []),
        ({"cpu": component(100.0)}, [{}]),
        ({"cpu": component(100.0)}, [{"gpu": component(100.0)}]),
        ({"cpu": component(None, NONE)}, [{"cpu": component(100.0)}]),
        ({"cpu": component(100.0)}, [{"cpu": component(None, NONE)}]),
        ({"cpu": component(None)}, [{"cpu": component(100.0)}]),
        ({"cpu": component(100.0)}, [{"cpu": component(None)}]),
        # A window too short for either to tell: no share of 0 J.
        ({"cpu": component(0.0)}, [{"cpu": component(0.0)}]),
    ],
    ids=[
        *("no_witness", "empty_witness", "another_component", "first_lost", "witness_lost"),
        *("first_unknown", "witness_unknown", "nothing_read"),
    ],
)
def test_without_two_measurements_there_is_no_disagreement(first, others):
    assert disagreement(against(first, *others)) is None


def test_one_unknown_component_does_not_hide_the_others():
    first = {"cpu": component(None, NONE), "gpu": component(100.0), "ram": component(5.0, MODEL)}
    second = {"cpu": component(50.0), "gpu": component(107.0, SAMPLED), "ram": component(9.0)}
    assert disagreement(against(first, second)) == pytest.approx(0.07)


def test_the_largest_disagreement_counts():
    first = {"cpu": component(100.0), "gpu": component(100.0)}
    close = {"cpu": component(101.0), "gpu": component(99.0)}
    far = {"cpu": component(102.0), "gpu": component(70.0)}
    assert disagreement(against(first, close, far)) == pytest.approx(0.3)
    assert disagreement(against(first, far, close)) == pytest.approx(0.3)
