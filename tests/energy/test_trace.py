"""Traces: energy between two moments, what is unknown about it, and files that hold none."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import trapezoid

from greenbench.energy.trace import Trace, load_traces
from greenbench.errors import ConfigurationError
from greenbench.results.readings import Provenance

WATTS = st.floats(0, 1000)
MOMENTS = st.integers(0, 700).map(lambda sevenths: sevenths / 7)
UNKNOWN = math.nan
# Between what is read every half a second there is room for windows that begin and end anywhere.
TIMES = st.lists(st.integers(0, 200), min_size=2, max_size=12, unique=True).map(
    lambda halves: np.array(sorted(halves)) / 2
)


@st.composite
def powers(draw, watts=WATTS):
    times_s = draw(TIMES)
    return times_s, np.array(draw(st.lists(watts, min_size=len(times_s), max_size=len(times_s))))


@st.composite
def counters(draw, wraps_at_j=50.0):
    """Return times, and what a counter that never wraps around would read at them."""
    times_s = draw(TIMES)
    # A step of almost the whole range is one of nothing, as far as floats can tell.
    steps = st.floats(0, 0.98 * wraps_at_j)
    steps_j = draw(st.lists(steps, min_size=len(times_s), max_size=len(times_s)))
    return times_s, np.cumsum(steps_j)


def close_to(energy_j):
    return pytest.approx(energy_j, rel=1e-9, abs=1e-6)


@given(powers(WATTS | st.just(UNKNOWN)), MOMENTS, MOMENTS, MOMENTS)
def test_energy_is_additive_over_adjacent_intervals(power, first, second, third):
    trace = Trace.of_power(*power)
    start_s, middle_s, end_s = sorted((first, second, third))
    parts = [trace.energy_j(start_s, middle_s), trace.energy_j(middle_s, end_s)]
    whole = trace.energy_j(start_s, end_s)
    assert (whole is None) == (None in parts)
    assert whole is None or whole == close_to(sum(parts))


@given(TIMES, WATTS, st.floats(0, 1), st.floats(0, 1))
def test_a_constant_trace_gives_power_times_time(times_s, power_w, one, other):
    trace = Trace.of_power(times_s, np.full(len(times_s), power_w))
    start_s, end_s = sorted(np.interp((one, other), (0, 1), times_s[[0, -1]]))
    assert trace.energy_j(start_s, end_s) == close_to(power_w * (end_s - start_s))


@given(powers())
def test_power_is_linear_between_readings(power):
    trace = Trace.of_power(*power)
    times_s, power_w = power
    assert trace.energy_j(times_s[0], times_s[-1]) == close_to(trapezoid(power_w, times_s))


def test_two_readings_of_one_moment_are_a_step_in_power():
    trace = Trace.of_power(np.array([0.0, 1.0, 1.0, 2.0]), np.array([10.0, 10.0, 50.0, 50.0]))
    assert [trace.energy_j(0, 1), trace.energy_j(1, 2), trace.energy_j(0.5, 1.5)] == [10, 50, 30]


@given(counters(wraps_at_j=50.0), MOMENTS, MOMENTS)
def test_a_counter_gives_the_same_energy_whether_or_not_it_wraps_around(counter, one, other):
    times_s, energy_j = counter
    start_s, end_s = sorted((one, other))
    plain = Trace.of_counter(times_s, energy_j, math.nan).energy_j(start_s, end_s)
    wrapped = Trace.of_counter(times_s, energy_j % 50.0, 50.0).energy_j(start_s, end_s)
    assert wrapped == (None if plain is None else close_to(plain))


@given(counters())
def test_a_counter_gives_all_that_it_counted(counter):
    times_s, energy_j = counter
    trace = Trace.of_counter(times_s, energy_j, math.nan)
    assert trace.energy_j(times_s[0], times_s[-1]) == close_to(energy_j[-1] - energy_j[0])


@given(counters(), st.data())
def test_a_missing_counter_reading_loses_nothing(counter, data):
    times_s, energy_j = counter
    inner = st.sets(st.integers(1, len(times_s) - 2)) if len(times_s) > 2 else st.just(set())
    missing = sorted(data.draw(inner))
    gapped_j = energy_j.copy()
    gapped_j[missing] = UNKNOWN
    trace = Trace.of_counter(times_s, gapped_j, math.nan)
    assert trace.energy_j(times_s[0], times_s[-1]) == close_to(energy_j[-1] - energy_j[0])


@pytest.mark.parametrize(
    ("times_s", "energy_j"),
    [([0, 1, 1, 2], [0, 10, 30, 40]), ([0, 1, 1, 2, 2], [60, 95, 5, 15, 20])],
    ids=["counting_on", "wrapping_around"],
)
def test_two_counter_readings_of_one_moment_lose_nothing(times_s, energy_j):
    trace = Trace.of_counter(np.array(times_s, float), np.array(energy_j, float), 100.0)
    expected_j = (energy_j[-1] - energy_j[0]) % 100
    assert trace.energy_j(0, 2) == close_to(expected_j)


@pytest.mark.parametrize(
    ("energy_j", "known", "unknown"),
    [
        ([UNKNOWN, 10, 20, 30], (1, 3), (0.5, 1.5)),
        ([0, 10, 20, UNKNOWN], (0, 2), (1.5, 2.5)),
        ([0, 10, 5, 15], (2, 3), (1.5, 2.5)),
        ([UNKNOWN, 10, UNKNOWN, UNKNOWN], (0, 0), (0, 3)),
        ([UNKNOWN] * 4, (0, 0), (0, 3)),
    ],
    ids=["no_first_reading", "no_last_reading", "backwards_without_a_wrap", "one_reading", "none"],
)
def test_what_a_counter_cannot_tell_is_unknown(energy_j, known, unknown):
    trace = Trace.of_counter(np.arange(4.0), np.array(energy_j, float), math.nan)
    assert trace.energy_j(*known) == close_to(10 * (known[1] - known[0]))
    assert trace.energy_j(*unknown) is None


@given(powers(WATTS | st.just(UNKNOWN)), MOMENTS, MOMENTS)
def test_energy_is_unknown_for_windows_that_touch_a_gap_and_for_no_others(power, one, other):
    times_s, power_w = power
    start_s, end_s = sorted((one, other))
    # Power is unknown from a reading that is missing to the next reading.
    known = list(zip(times_s[:-1], times_s[1:], np.isnan(power_w[:-1]), strict=True))
    gaps = [(low, high) for low, high, is_unknown in known if is_unknown]
    gaps += [(-math.inf, times_s[0]), (times_s[-1], math.inf)]
    touches = any(min(end_s, high) > max(start_s, low) for low, high in gaps)
    assert (Trace.of_power(times_s, power_w).energy_j(start_s, end_s) is None) == touches


@given(powers(), st.floats(1e-6, 1e6))
def test_nothing_before_the_start_or_after_the_end_is_known(power, seconds):
    trace = Trace.of_power(*power)
    start_s, end_s = power[0][0], power[0][-1]
    assert trace.energy_j(start_s, end_s) is not None
    assert trace.energy_j(start_s - seconds, end_s) is None
    assert trace.energy_j(start_s, end_s + seconds) is None


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trace.csv"


def test_a_file_gives_a_trace_for_each_component(path):
    path.write_text("time_s,cpu_w,gpu_j,ram_w\n0,10,0,1\n2,10,500,3\n")
    traces, _ = load_traces(path)
    assert {name: trace.energy_j(0, 2) for name, trace in traces.items()} == {
        "cpu": 20.0,
        "gpu": 500.0,
        "ram": 4.0,
    }


def test_a_cell_may_be_empty_and_a_line_may_be_a_remark(path):
    path.write_text(
        "# recorded on a Monday\n"
        "time_s, cpu_w, gpu_j\n"
        "0, 10,   0   # the warm-up\n"
        "1,   ,\n"
        "# the second minute\n"
        "2, 10, 100\n"
        "3, 10, 150\n"
    )
    traces, _ = load_traces(path)
    assert (traces["cpu"].energy_j(0, 1), traces["cpu"].energy_j(2, 3)) == (10.0, 10.0)
    assert traces["cpu"].energy_j(0.5, 1.5) is None
    assert traces["gpu"].energy_j(0, 3) == 150.0


def test_a_file_may_say_where_its_counters_wrap_around(path):
    path.write_text(
        "# gpu_j wraps at: 10\n# cpu_j wraps at: 1000\ntime_s,cpu_j,gpu_j\n0,990,9\n1,15,2\n"
    )
    traces, _ = load_traces(path)
    assert (traces["cpu"].energy_j(0, 1), traces["gpu"].energy_j(0, 1)) == (25.0, 3.0)


@pytest.mark.parametrize(
    ("note", "provenance"),
    [
        ("", Provenance.MODEL),
        ("# provenance: counter\n", Provenance.COUNTER),
        ("#provenance :  sampled \n", Provenance.SAMPLED),
        ("# made up by hand\n# provenance: constant\n", Provenance.CONSTANT),
        ("\ufeff# provenance: counter\n", Provenance.COUNTER),
    ],
    ids=["undeclared", "counter", "other_spaces", "second_line", "byte_order_mark"],
)
def test_provenance_is_as_declared_and_otherwise_a_model(path, note, provenance):
    path.write_text(f"{note}time_s,cpu_w\n0,1\n1,1\n", encoding="utf-8")
    assert load_traces(path)[1] is provenance


BAD_FILES = {
    "empty": (b"", "No columns"),
    "remarks_alone": (b"# provenance: counter\n", "No columns"),
    "binary": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "can't decode"),
    "zeros": (b"\x00" * 64, "expected time_s"),
    "no_time": (b"seconds,cpu_w\n0,1\n1,1\n", "expected time_s"),
    "no_component": (b"time_s\n0\n1\n", "expected time_s"),
    "unknown_component": (b"time_s,cpu_w,tpu_w\n0,1,1\n1,1,1\n", "tpu_w"),
    "one_component_twice": (b"time_s,cpu_w,cpu_j\n0,1,1\n1,1,1\n", "cpu_w, cpu_j"),
    "one_column_twice": (b"time_s,cpu_w,cpu_w\n0,1,1\n1,1,1\n", "cpu_w.1"),
    "columns_over_two_lines": (b'time_s,"cpu\nw"\n0,1\n1,1\n', "expected time_s"),
    "other_separator": (b"time_s;cpu_w\n0;1\n1;1\n", "0;1"),
    "unsorted": (b"time_s,cpu_w\n0,1\n2,1\n1,1\n", "in the order of time_s"),
    "no_moment": (b"time_s,cpu_w\n0,1\n,1\n2,1\n", "in the order of time_s"),
    "no_number": (b"time_s,cpu_w\n0,1\n1,hot\n", "hot"),
    "infinite_power": (b"time_s,cpu_w\n0,1\n1,inf\n", "finite"),
    "infinite_time": (b"time_s,cpu_w\n0,1\ninf,1\n", "finite"),
    "one_row_too_long": (b"time_s,cpu_w\n0,1\n1,1,1\n", "line 3"),
    "all_rows_too_long": (b"time_s,cpu_w\n0,1,1\n1,1,1\n", "for each column"),
    "open_quotation": (b'"time_s,cpu_w\n0,1\n1,1\n', "EOF"),
    "one_row": (b"time_s,cpu_w\n0,1\n", "two rows"),
    "header_alone": (b"time_s,cpu_w\n", "two rows"),
    "unknown_provenance": (b"# provenance: guess\ntime_s,cpu_w\n0,1\n1,1\n", "guess"),
    "no_provenance": (b"# provenance: none\ntime_s,cpu_w\n0,1\n1,1\n", "none"),
    "wraps_at_no_number": (b"# cpu_j wraps at: max\ntime_s,cpu_j\n0,1\n1,1\n", "max"),
}


@pytest.mark.parametrize(("content", "named"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_named_in_one_line(path, content, named):
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_traces(path)
    message = str(caught.value)
    assert message.startswith(f"trace {path} cannot be read: ")
    assert named in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()], ids=["no", "dir"])
def test_what_is_no_file_is_named_in_one_line(path, make):
    make(path)
    with pytest.raises(ConfigurationError, match=rf"^trace {path} cannot be read: .*{path}.*$"):
        load_traces(path)


CELLS = st.sampled_from(["0", "1", "2.5", "-1", "", "x", "nan", "inf", '"', "#", "1e400", "\x00"])
ROWS = st.lists(st.lists(CELLS, max_size=4).map(",".join), max_size=5).map("\n".join)
HEADERS = st.sampled_from(["time_s,cpu_w\n", "time_s,gpu_j,cpu_w\n", "# provenance: counter\n", ""])


@given(content=st.binary() | st.builds(str.encode, st.builds("{}{}".format, HEADERS, ROWS)))
def test_any_file_is_a_trace_or_a_configuration_error_of_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    traces, lines = {}, []
    try:
        traces, _ = load_traces(path)
    except ConfigurationError as error:
        lines = str(error).splitlines()
    assert len(lines) == (0 if traces else 1)
    assert all(np.isfinite(trace.end_s).all() for trace in traces.values())
