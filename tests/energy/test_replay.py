"""The replay meter: what a trace says of the seconds since a process's first window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench.energy.replay import ReplayMeter
from greenbench.errors import ConfigurationError, EnergyError
from greenbench.results.readings import Provenance
from greenbench.testing import FakeClock, MeterConformance

RAMP = "time_s,cpu_w\n0,0\n100,200\n"
FLAT = "# provenance: counter\ntime_s,cpu_w,gpu_j\n0,10,0\n1000,10,50000\n"


@pytest.fixture
def trace(tmp_path_factory):
    """Write a trace in a folder of its own: what was replayed goes on for the whole process."""

    def write(text):
        path = tmp_path_factory.mktemp("trace") / "trace.csv"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def clock():
    return FakeClock()


def read(meter, clock, seconds):
    meter.begin_window()
    clock.advance(seconds)
    return meter.end_window()


def joules(reading):
    return {name: part.energy_j for name, part in reading.components.items()}


class TestReplayMeter(MeterConformance):
    @pytest.fixture(autouse=True)
    def _trace(self, trace):
        self.path = trace(FLAT)

    def make_meter(self):
        return ReplayMeter(self.path)


def test_it_reads_what_the_trace_holds(trace, clock):
    meter = ReplayMeter(trace(FLAT), clock)
    reading = read(meter, clock, 20.0)
    assert reading.duration_s == 20.0
    assert joules(reading) == pytest.approx({"cpu": 200.0, "gpu": 1000.0})


def test_a_trace_begins_with_the_first_window_and_goes_on_between_windows(trace, clock):
    meter = ReplayMeter(trace(RAMP), clock)
    clock.advance(1000.0)
    first = read(meter, clock, 10.0)
    clock.advance(10.0)
    third = read(meter, clock, 10.0)
    assert joules(first) == pytest.approx({"cpu": 100.0})
    assert joules(third) == pytest.approx({"cpu": 500.0})


def test_two_meters_of_one_trace_replay_the_same_moment(trace, clock):
    path = trace(RAMP)
    first, second = (ReplayMeter(path, clock) for _ in range(2))
    read(first, clock, 30.0)
    first.begin_window()
    inner = read(second, clock, 10.0)
    assert joules(first.end_window()) == joules(inner) == pytest.approx({"cpu": 700.0})


def test_a_meter_that_is_made_later_replays_the_same_moment(trace, clock, monkeypatch):
    path = trace(RAMP)
    read(ReplayMeter(path, clock), clock, 30.0)
    folder, _, name = path.rpartition("/")
    monkeypatch.chdir(folder)
    assert joules(read(ReplayMeter(name, clock), clock, 10.0)) == pytest.approx({"cpu": 700.0})


def test_another_trace_begins_with_its_own_first_window(trace, clock):
    read(ReplayMeter(trace(RAMP), clock), clock, 30.0)
    other = ReplayMeter(trace(RAMP), clock)
    assert joules(read(other, clock, 10.0)) == pytest.approx({"cpu": 100.0})


@given(st.lists(st.floats(0, 30), min_size=1, max_size=8))
def test_windows_that_follow_one_another_add_up(tmp_path_factory, lengths_s):
    path = tmp_path_factory.mktemp("trace") / "trace.csv"
    path.write_text("time_s,cpu_w\n0,0\n90,900\n240,0\n")
    clock = FakeClock()
    around, meter = (ReplayMeter(str(path), clock) for _ in range(2))
    around.begin_window()
    parts = [read(meter, clock, seconds) for seconds in lengths_s]
    whole = around.end_window()
    assert sum(part.energy_j for part in parts) == pytest.approx(whole.energy_j)
    assert sum(part.duration_s for part in parts) == pytest.approx(whole.duration_s)


def test_a_gap_makes_the_component_unknown_in_windows_that_touch_it_and_in_no_others(trace, clock):
    meter = ReplayMeter(trace("time_s,cpu_w,gpu_w\n0,10,5\n10,,5\n20,10,5\n40,10,5\n"), clock)
    before, inside, across, after = (read(meter, clock, seconds) for seconds in (8, 4, 10, 10))
    assert joules(before) == pytest.approx({"cpu": 80.0, "gpu": 40.0})
    assert joules(inside) == {"cpu": None, "gpu": pytest.approx(20.0)}
    assert joules(across) == {"cpu": None, "gpu": pytest.approx(50.0)}
    assert joules(after) == pytest.approx({"cpu": 100.0, "gpu": 50.0})
    cpu = inside.components["cpu"]
    assert cpu.provenance is Provenance.NONE
    assert cpu.reason == "the trace has a gap between 8.0 and 12.0 s, or ends"


def test_nothing_is_known_after_the_end_of_a_trace(trace, clock):
    meter = ReplayMeter(trace("time_s,cpu_w\n0,10\n10,10\n"), clock)
    inside, over, after = (read(meter, clock, 8.0) for _ in range(3))
    assert joules(inside) == pytest.approx({"cpu": 80.0})
    assert joules(over) == joules(after) == {"cpu": None}
    assert over.duration_s == 8.0
    assert over.components["cpu"].reason
    assert over.energy_j is None


@pytest.mark.parametrize(
    ("note", "provenance"),
    [("", Provenance.MODEL), ("# provenance: sampled\n", Provenance.SAMPLED)],
    ids=["undeclared", "declared"],
)
def test_figures_have_the_provenance_of_the_trace_and_say_that_they_are_replayed(
    trace, clock, note, provenance
):
    meter = ReplayMeter(trace(note + RAMP), clock)
    reading = read(meter, clock, 1.0)
    assert reading.provenance is provenance
    for cpu in (reading.components["cpu"], meter.describe()["cpu"]):
        assert cpu.provenance is provenance
        assert cpu.source == "replay of trace.csv, which is not this machine's energy"


def test_a_window_that_close_broke_off_is_forgotten(trace, clock):
    meter = ReplayMeter(trace(FLAT), clock)
    meter.begin_window()
    meter.close()
    with pytest.raises(EnergyError, match="no replay window is open"):
        meter.end_window()


def test_a_bad_trace_is_refused_when_the_meter_is_made(tmp_path):
    with pytest.raises(ConfigurationError, match=r"trace .*missing\.csv cannot be read"):
        ReplayMeter(str(tmp_path / "missing.csv"))
