import numpy as np
import pytest

from greenbench.energy.control import measure_control, work
from greenbench.results.readings import Component, Provenance, Reading


class Meter:
    """Reads the same of each window, and counts them."""

    name = "fixed"

    def __init__(self, **energy_j: float) -> None:
        self.windows = 0
        self._parts = {
            name: Component(joules, Provenance.COUNTER, "a test")
            for name, joules in energy_j.items()
        }

    def begin_window(self) -> None:
        self.windows += 1

    def end_window(self) -> Reading:
        return Reading(1.0, self._parts)

    def describe(self) -> dict[str, Component]:
        return self._parts

    def close(self) -> None:
        pass


def test_work_is_what_it_always_was() -> None:
    # Whoever changes these figures makes sessions from before and after incomparable.
    found = work(products=1, steps=100)
    assert found == pytest.approx((0.9999654, 0.8446821), rel=1e-4)


def test_work_is_the_same_on_any_number_of_threads() -> None:
    assert work(3, products=4, steps=5) == pytest.approx(work(1, products=4, steps=5))


def test_control_is_one_window_with_its_joules_and_cpu_time() -> None:
    meter = Meter(cpu=3.0)
    found = measure_control(meter)
    assert (meter.windows, found.energy_j) == (1, 3.0)
    assert found.cpu_s > 0


def test_control_has_no_joules_where_a_gpu_counts() -> None:
    assert measure_control(Meter(cpu=3.0, gpu=50.0)).energy_j is None
    assert measure_control(Meter()).energy_j is None


def test_control_leaves_random_state_alone() -> None:
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    work(products=1, steps=1)
    assert (np.random.get_state()[1] == before).all()
