"""Cool-down: a repeat waits until the GPU is as cool as before the first one, or says why not."""

import pytest

from greenbench.energy.cooling import LONGEST_WAIT_S, CoolDown, thermometer
from greenbench.errors import ConfigurationError
from greenbench.results.gpus import Gpu as Gpu_
from greenbench.testing import FakeClock
from tests.made_up_nvml import Card, install


class Gpu:
    """Cools by a degree a second, down to a temperature that it never falls below."""

    def __init__(self, clock: FakeClock, least_c: float = 30.0) -> None:
        self._clock, self.least_c = clock, least_c
        self._from: tuple[float, float] | None = (0.0, 40.0)

    def load(self, to_c: float) -> None:
        self._from = self._clock.now(), to_c

    def fall_off_the_bus(self) -> None:
        self._from = None

    def read_c(self) -> float | None:
        if self._from is None:
            return None
        at_s, from_c = self._from
        return max(from_c - (self._clock.now() - at_s), self.least_c)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def make(gpu: Gpu, clock: FakeClock) -> tuple[CoolDown, list[str]]:
    told: list[str] = []
    return CoolDown(gpu.read_c, told.append, clock.advance, clock.now), told


def test_first_repeat_waits_for_nothing(clock: FakeClock) -> None:
    cool_down, told = make(Gpu(clock), clock)
    cool_down.wait()
    assert (clock.now(), told) == (0.0, [])


@pytest.mark.parametrize(("hot_c", "wait_s"), [(41.9, 0), (42.0, 0), (43.0, 1), (61.5, 20)])
def test_repeat_waits_until_it_is_within_two_degrees_of_the_first(
    clock: FakeClock, hot_c: float, wait_s: float
) -> None:
    gpu = Gpu(clock)
    cool_down, told = make(gpu, clock)
    cool_down.wait()
    gpu.load(hot_c)
    cool_down.wait()
    assert clock.now() == wait_s
    expected = f"cooling down from {hot_c:g} to 42 °C, for {LONGEST_WAIT_S:g} s at most"
    assert told == ([expected] if wait_s else [])


def test_repeat_begins_all_the_same_when_it_stays_warm(clock: FakeClock) -> None:
    gpu = Gpu(clock)
    cool_down, told = make(gpu, clock)
    cool_down.wait()
    gpu.load(70.0)
    gpu.least_c = 50.0
    cool_down.wait()
    assert clock.now() == LONGEST_WAIT_S
    assert told[1:] == ["the GPU is still at 50 °C; the repeat begins all the same"]


def test_gpu_that_no_longer_answers_is_not_waited_for(clock: FakeClock) -> None:
    gpu = Gpu(clock)
    cool_down, told = make(gpu, clock)
    cool_down.wait()
    gpu.fall_off_the_bus()
    cool_down.wait()
    assert (clock.now(), told) == (0.0, [])


def test_without_a_temperature_it_is_refused_in_one_line(clock: FakeClock) -> None:
    gpu = Gpu(clock)
    gpu.fall_off_the_bus()
    with pytest.raises(ConfigurationError, match="cannot be read here; leave it out"):
        make(gpu, clock)


def test_there_is_no_temperature_without_a_gpu() -> None:
    assert thermometer(list)() is None


def test_temperature_is_that_of_the_warmest_gpu_that_trains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cards = Card("GPU-a", temperature=80), Card("GPU-b", temperature=41), Card("GPU-c")
    install(monkeypatch, *cards)
    gpus = [Gpu_(index, card.uuid, card.name) for index, card in enumerate(cards)]
    assert thermometer(lambda: gpus[1:])() == 41.0
