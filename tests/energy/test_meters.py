"""Meters by name: what may be asked for, and the one line that says why it may not."""

import re
import sys
import time

import pytest

from greenbench import registry
from greenbench.energy.meters import check_meters, meter_names, open_meter
from greenbench.errors import ConfigurationError, MissingPackageError, UnknownNameError
from greenbench.results.readings import Component, Provenance
from greenbench.testing import FakeMeter

TRACE = "# provenance: counter\ntime_s,cpu_w\n0,30\n3600,30\n"


@pytest.fixture(autouse=True)
def _own_meters(monkeypatch):
    """Forget after each test what it registers."""
    for table in ("_loaded", "_origins"):
        monkeypatch.setattr(registry.meters, table, dict(getattr(registry.meters, table)))


@pytest.fixture
def made():
    """Register meters that take no argument, one, or either; return what they were given."""
    arguments = []

    class Steady(FakeMeter):
        name = "steady"

        def __init__(self):
            super().__init__(time.perf_counter, 10.0)
            arguments.append(())

    class Powered(FakeMeter):
        name = "powered"

        def __init__(self, power_w):
            super().__init__(time.perf_counter, float(power_w))
            arguments.append((power_w,))

    class Tunable(FakeMeter):
        name = "tunable"

        def __init__(self, power_w="7"):
            super().__init__(time.perf_counter, float(power_w))
            arguments.append((power_w,))

    for meter in (Steady, Powered, Tunable):
        registry.register_meter(meter.name)(meter)
    return arguments


def error_of(names, act=check_meters):
    with pytest.raises(ConfigurationError) as caught:
        act(names)
    return str(caught.value)


@pytest.mark.parametrize(
    ("names", "parsed"),
    [
        ("codecarbon", ["codecarbon"]),
        ("codecarbon,zeus", ["codecarbon", "zeus"]),
        (" codecarbon , zeus ", ["codecarbon", "zeus"]),
        ("zeus,codecarbon", ["zeus", "codecarbon"]),
        ("replay:trace.csv", ["replay"]),
        ("replay:C:\\trace.csv,zeus", ["replay", "zeus"]),
        ("codecarbon,replay:some/trace.csv", ["codecarbon", "replay"]),
    ],
)
def test_names_are_listed_in_order_without_arguments(names, parsed):
    check_meters(names)
    assert meter_names(names) == parsed


@pytest.mark.parametrize("act", [check_meters, meter_names, open_meter])
@pytest.mark.parametrize(
    "names", ["", " ", ",", "codecarbon,", ",codecarbon", "codecarbon,,zeus", ":trace.csv"]
)
def test_a_name_that_is_missing_is_said(names, act):
    assert error_of(names, act) == f"meter is {names!r}; expected a name, or names with commas"


@pytest.mark.parametrize("act", [check_meters, open_meter])
def test_an_unknown_meter_is_said_with_the_nearest_name(act):
    with pytest.raises(UnknownNameError, match=r"meter 'codecarbn'.*codecarbon"):
        act("codecarbn")
    with pytest.raises(UnknownNameError, match=re.escape("unknown meter 'b.csv'")):
        act("replay:a,b.csv")


@pytest.mark.parametrize(
    ("names", "twice"),
    [
        ("zeus,zeus", "zeus"),
        ("codecarbon, zeus ,codecarbon", "codecarbon"),
        ("replay:a.csv,replay:b.csv", "replay"),
    ],
)
@pytest.mark.parametrize("act", [check_meters, open_meter])
def test_a_meter_is_no_second_opinion_on_itself(names, twice, act):
    assert error_of(names, act) == (
        f"meter {twice!r} is listed twice in {names!r}; a second opinion needs another meter"
    )


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ("steady:5", "meter 'steady' takes no argument, but got '5' (too many positional arg"),
        ("powered", "meter 'powered' needs an argument (missing a required argument: 'power_w')"),
        ("powered:", "meter 'powered' needs an argument (missing a required argument: 'power_w')"),
        ("tunable,powered", "meter 'powered' needs an argument (missing a required argument"),
        ("replay", "meter 'replay' needs an argument (missing a required argument: 'path')"),
        ("codecarbon:5", "meter 'codecarbon' takes no argument, but got '5' (too many"),
    ],
)
@pytest.mark.parametrize("act", [check_meters, open_meter])
def test_a_meter_takes_the_arguments_that_it_takes(made, names, line, act):
    error = error_of(names, act)
    assert error.startswith(line)
    assert error.splitlines() == [error]
    # A meter may start processes: none is made before all are known to be right.
    assert made == []


def test_checking_makes_no_meter(made):
    check_meters("steady,powered:5,tunable")
    assert made == []


def test_only_opening_tells_whether_a_trace_is_there(tmp_path):
    trace = tmp_path / "absent.csv"
    check_meters(f"replay:{trace}")
    error = error_of(f"replay:{trace}", open_meter)
    assert str(trace) in error
    assert error.splitlines() == [error]


def test_a_meter_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "zeus", None)
    monkeypatch.setitem(sys.modules, "zeus.monitor", None)
    with pytest.raises(MissingPackageError, match=re.escape("pip install 'greenbench[zeus]'")):
        open_meter("zeus")


@pytest.mark.parametrize(
    ("names", "arguments"),
    [
        ("steady", [()]),
        ("steady:", [()]),
        ("powered:12.5", [("12.5",)]),
        ("tunable", [("7",)]),
        ("tunable:3", [("3",)]),
        # Only the first colon parts a name from its argument.
        ("tunable: 3 ", [(" 3",)]),
        ("steady,powered:5", [(), ("5",)]),
    ],
)
def test_a_registered_meter_is_made_with_its_argument(made, names, arguments):
    open_meter(names).close()
    assert made == arguments


@pytest.mark.usefixtures("made")
def test_one_meter_reads_alone():
    meter = open_meter("powered:12.5")
    assert meter.name == "powered"
    meter.begin_window()
    time.sleep(0.001)
    reading = meter.end_window()
    assert reading.energy_j == pytest.approx(12.5 * reading.duration_s)
    assert reading.witnesses == {}


@pytest.mark.usefixtures("made")
def test_of_several_meters_the_first_counts():
    meter = open_meter("powered:20,steady,tunable:3")
    assert meter.name == "powered,steady,tunable"
    meter.begin_window()
    time.sleep(0.001)
    reading = meter.end_window()
    assert reading.energy_j == pytest.approx(20 * reading.duration_s)
    assert sorted(reading.witnesses) == ["steady", "tunable"]


@pytest.fixture
def failing():
    """Register a meter that cannot start a window."""

    @registry.register_meter("failing")
    class FailingMeter(FakeMeter):
        name = "failing"

        def __init__(self):
            super().__init__(time.perf_counter)

        def begin_window(self):
            raise OSError("no counter")


LOST = Component(
    None,
    Provenance.NONE,
    "fake meter",
    "failing could not start a window (OSError: no counter)",
)


@pytest.mark.usefixtures("made", "failing")
@pytest.mark.parametrize("names", ["failing", "failing,steady"])
def test_the_first_meter_runs_behind_a_guard(names):
    meter = open_meter(names)
    meter.begin_window()
    reading = meter.end_window()
    assert reading.components == {"cpu": LOST}
    assert {name: parts["cpu"].provenance for name, parts in reading.witnesses.items()} == (
        {"steady": Provenance.COUNTER} if "," in names else {}
    )


@pytest.mark.usefixtures("made", "failing")
def test_a_witness_that_fails_costs_the_first_meter_nothing():
    meter = open_meter("steady,failing")
    meter.begin_window()
    reading = meter.end_window()
    assert reading.energy_j == pytest.approx(10.0 * reading.duration_s)
    assert reading.witnesses == {"failing": {"cpu": LOST}}


def test_a_trace_is_opened_by_its_path(tmp_path):
    # Not only the words are checked: the real meter reads the real file.
    trace = tmp_path / "a:b.csv"
    trace.write_text(TRACE)
    meter = open_meter(f"replay:{trace}")
    meter.begin_window()
    time.sleep(0.01)
    reading = meter.end_window()
    assert reading.energy_j == pytest.approx(30.0 * reading.duration_s)
    assert reading.provenance is Provenance.COUNTER
