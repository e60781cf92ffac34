"""What every meter must do, as tests to subclass."""

import math
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import ClassVar

import pytest

from greenbench.energy.meter import Meter
from greenbench.errors import EnergyError
from greenbench.results.readings import Provenance, Reading

GRACE_S = 10.0
WINDOW_S = 0.3
PARTS = 10
TOLERANCE = 4.0
"""By how much energy may be off: a model of the CPU's load sees little of a short window."""


class MeterConformance:
    """What every meter must do; subclass it in a test module and make the meter.

    Attributes
    ----------
    may_overlap : bool
        False for a meter that a process can use but once at a time. greenbench then cannot
        check its phases against a second one's window.

    Examples
    --------
    >>> class TestFake(MeterConformance):
    ...     def make_meter(self):
    ...         return FakeMeter(FakeClock())
    """

    may_overlap: ClassVar[bool] = True

    def make_meter(self) -> Meter:
        """Return a new meter without an open window."""
        pytest.fail("override make_meter so that it returns a new meter")

    def spend(self, seconds: float) -> None:
        """Let energy be used in an open window; wait, unless the meter reads work alone.

        Override it for a meter that reads nothing of a process that waits, with work of so many
        CPU seconds.
        """
        time.sleep(seconds)

    def _read(self, meter: Meter, seconds: float = 0.001) -> Reading:
        """Return what a window reads in which so much is spent."""
        meter.begin_window()
        self.spend(seconds)
        return meter.end_window()

    @pytest.fixture
    def meter(self) -> Iterator[Meter]:
        """Return a meter that is closed after the test."""
        meter = self.make_meter()
        yield meter
        meter.close()

    @pytest.fixture
    def second(self) -> Iterator[Meter]:
        """Return another meter of the kind, also closed after the test."""
        if not self.may_overlap:
            pytest.skip("the meter says that its windows may not overlap another one's")
        meter = self.make_meter()
        yield meter
        meter.close()

    def test_it_is_a_meter(self, meter: Meter) -> None:
        """Its verbs and its name are there."""
        assert isinstance(meter, Meter)
        assert meter.name

    def test_windows_do_not_nest(self, meter: Meter) -> None:
        """A second window would take the energy of the first."""
        meter.begin_window()
        with pytest.raises(EnergyError):
            meter.begin_window()
        assert meter.end_window().duration_s >= 0

    def test_a_window_ends_once(self, meter: Meter) -> None:
        """What was never begun, or has ended, cannot be read."""
        with pytest.raises(EnergyError):
            meter.end_window()
        self._read(meter)
        with pytest.raises(EnergyError):
            meter.end_window()

    def test_readings_are_plausible(self, meter: Meter) -> None:
        """Seconds and joules are finite and not negative; joules may be unknown."""
        assert _implausible(self._read(meter, 0.05)) == {}

    def test_a_millisecond_gives_a_figure_or_none(self, meter: Meter) -> None:
        """A phase may be over before the hardware has updated its counter."""
        assert _implausible(self._read(meter, 0.001)) == {}

    def test_a_longer_window_reads_no_less(self, meter: Meter) -> None:
        """Nothing gives energy back."""
        short, long = self._read(meter, WINDOW_S / 20), self._read(meter, WINDOW_S)
        # On a machine that stalls, the short window may have been the longer one.
        if short.duration_s < long.duration_s / 5:
            less = [name for name, (s, x) in _pairs_j(short, long).items() if s > 2 * x]
            assert less == []

    def test_windows_add_up(self, meter: Meter, second: Meter) -> None:
        """The phases of a case must make up what one window around them reads."""
        began_s, inside_s = time.perf_counter(), 0.0
        total = Reading(0.0)
        second.begin_window()
        for _ in range(PARTS):
            meter.begin_window()
            inside_s -= time.perf_counter()
            self.spend(WINDOW_S / PARTS)
            inside_s += time.perf_counter()
            total += meter.end_window()
        whole = second.end_window()
        # What beginning and ending takes may be in a part, or in none.
        edges_s = time.perf_counter() - began_s - inside_s
        assert abs(total.duration_s - whole.duration_s) <= edges_s + 0.1 * inside_s
        least = inside_s / (inside_s + edges_s) / TOLERANCE
        off = {
            name: (parts_j, whole_j)
            for name, (parts_j, whole_j) in _pairs_j(total, whole).items()
            if not least * whole_j <= parts_j <= TOLERANCE * whole_j
        }
        assert off == {}

    def test_two_meters_do_not_disturb_each_other(self, meter: Meter, second: Meter) -> None:
        """Neither takes energy from the other, nor breaks it off when it is closed."""
        known = set(_known_j(self._read(meter)))
        second.begin_window()
        inner = self._read(meter, WINDOW_S / 3)
        outer = second.end_window()
        assert set(_known_j(inner)) == set(_known_j(outer)) == known
        assert outer.duration_s >= inner.duration_s
        taken = [n for n, (i, o) in _pairs_j(inner, outer).items() if i > TOLERANCE * o]
        assert taken == []
        meter.begin_window()
        second.close()
        assert set(_known_j(meter.end_window())) == known

    def test_without_provenance_there_is_no_energy(self, meter: Meter) -> None:
        """A figure that came from nowhere is none."""
        for component in self._read(meter).components.values():
            if component.provenance is Provenance.NONE:
                assert component.energy_j is None

    def test_describe_names_what_readings_hold(self, meter: Meter) -> None:
        """One can tell beforehand what will be measured, and how."""
        described = meter.describe()
        assert {component.energy_j for component in described.values()} <= {None}
        assert set(described) == set(self._read(meter).components)

    def test_many_short_windows_work(self, meter: Meter) -> None:
        """The ledger opens one for every phase, however short."""
        described = set(meter.describe())
        assert all(set(self._read(meter).components) == described for _ in range(50))

    def test_closing_twice_is_fine(self, meter: Meter) -> None:
        """The clean-up after an error may come second."""
        meter.close()
        meter.close()

    @pytest.mark.parametrize("is_open", [False, True], ids=["after_a_window", "inside_a_window"])
    def test_no_work_outlives_close(self, is_open: bool) -> None:
        """Threads and child processes would be measured as somebody else's."""
        if os.name == "posix":
            # Python's own helper for what processes share stays on, whoever starts it.
            resource_tracker.ensure_running()
        before = _work()
        meter = self.make_meter()
        self._read(meter)
        if is_open:
            meter.begin_window()
        meter.close()
        deadline = time.monotonic() + GRACE_S
        while (left := _work() - before) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert left == set()


def _known_j(reading: Reading) -> dict[str, float]:
    joules = {name: part.energy_j for name, part in reading.components.items()}
    return {name: energy_j for name, energy_j in joules.items() if energy_j is not None}


def _implausible(reading: Reading) -> dict[str, float]:
    figures = {"duration_s": reading.duration_s, **_known_j(reading)}
    return {name: x for name, x in figures.items() if not (math.isfinite(x) and x >= 0)}


def _pairs_j(one: Reading, other: Reading) -> dict[str, tuple[float, float]]:
    """Return the joules of the components that both readings know."""
    ones, others = _known_j(one), _known_j(other)
    return {name: (ones[name], others[name]) for name in ones.keys() & others.keys()}


def _work() -> set[object]:
    """Return the threads of this process, and the ids of its children."""
    children = {child.pid for child in multiprocessing.active_children()}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = path.read_bytes().rpartition(b")")[2].split()[:2]
            # One that has ended, and that nobody asked for its exit code, does no work.
            if int(parent) == os.getpid() and state != b"Z":
                children.add(int(path.parent.name))
    return {*threading.enumerate(), *children}
