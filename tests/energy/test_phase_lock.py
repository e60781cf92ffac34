"""Following the ticks of counters in simulated time: how few looks, how near, what disturbs."""

from array import array
from dataclasses import dataclass, field

import numpy as np
import pytest

from greenbench.energy.counter import Counter
from greenbench.energy.phase_lock import FAST_S, MOST
from greenbench.energy.sampler import Sampled, Usage, follow

NVML_S, JITTER_S = 0.0998, 0.0025
BARE_S, VIRTUAL_S = 50e-6, 2.75e-3
"""What it takes to read NVML on bare metal, and in a virtual machine."""
SETTLED_S = 5.0


@dataclass
class Machine:
    """Simulated time, and what a process that sleeps and reads takes of it."""

    read_s: float
    delays: float = 0.0
    now_s: float = 0.0
    cpu_s: float = 0.0
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def clock(self) -> float:
        return self.now_s

    def cpu_clock(self) -> float:
        return self.cpu_s

    def sleep(self, seconds: float) -> None:
        """Wake up a little late; seldom 50 ms, when something else had the core."""
        self.now_s += seconds + self.random.exponential(80e-6)
        self.now_s += 0.05 if self.random.random() < self.delays else 0.0
        self.cpu_s += 30e-6

    def read(self) -> float:
        """Return when the value was taken."""
        began_s = self.now_s
        self.now_s += self.read_s
        self.cpu_s += self.read_s
        return began_s + self.read_s / 2


class Ticking:
    """A counter that advances by one at each of its ticks."""

    def __init__(self, machine: Machine, tick_s, jitter_s=0.0, drift=0.0, until_s=60.0) -> None:
        self.machine = machine
        lengths_s = tick_s * np.linspace(1, 1 + drift, int(until_s / tick_s) + 2)
        jitters_s = machine.random.uniform(-jitter_s, jitter_s, len(lengths_s))
        self.times_s = 0.037 + np.cumsum(lengths_s) + jitters_s
        self.reads = 0

    def read_j(self) -> float:
        self.reads += 1
        return float(np.searchsorted(self.times_s, self.machine.read(), side="right"))


class Busy(Ticking):
    """One whose driver does not answer for a while after each tick, as was seen of an H200."""

    BUSY_S = 0.0125

    def read_j(self) -> float:
        ticked = int(np.searchsorted(self.times_s, self.machine.now_s, side="right"))
        until_s = self.times_s[ticked - 1] + self.BUSY_S if ticked else 0.0
        wait_s = max(until_s - self.machine.now_s, 0.0)
        self.machine.now_s += wait_s
        self.machine.cpu_s += wait_s
        return super().read_j()


@dataclass
class Outcome:
    """What was seen once it had settled."""

    errors_s: np.ndarray
    bounds_s: np.ndarray
    within_s: np.ndarray
    jumps: np.ndarray
    reads: float
    share: float
    tick_s: float


def followed(machine: Machine, *counters: Ticking, until_s: float = 60.0) -> Outcome:
    """Follow counters, and return what came out of the first one."""
    share = 0.01 / len(counters)
    all_sampled = [
        Sampled(
            Counter("gpu", "", "", None, None, each.read_j), machine.clock, machine.cpu_clock, share
        )
        for each in counters
    ]

    def go_on(until_s: float) -> None:
        follow(all_sampled, machine.clock, machine.sleep, lambda: machine.now_s < until_s)

    go_on(SETTLED_S)
    all_sampled[0].take()
    before = machine.now_s, machine.cpu_s, counters[0].reads
    go_on(until_s)
    _, data = all_sampled[0].take()
    times_s, after_s, within_s, values = np.array(array("d", data)).reshape(4, -1)
    true_s = counters[0].times_s[values.astype(int) - 1]
    return Outcome(
        times_s - true_s,
        true_s - after_s,
        within_s,
        np.diff(values),
        (counters[0].reads - before[2]) / len(values),
        (machine.cpu_s - before[1]) / (machine.now_s - before[0]),
        all_sampled[0].lock.tick_s or 0.0,
    )


def p95_s(errors_s: np.ndarray) -> float:
    return float(np.quantile(np.abs(errors_s), 0.95))


def test_ticks_of_a_gpu_are_found_within_a_millisecond() -> None:
    machine = Machine(BARE_S)
    found = followed(machine, Ticking(machine, NVML_S, JITTER_S))
    assert set(found.jumps) == {1.0}
    assert p95_s(found.errors_s) < 1e-3
    assert abs(found.errors_s.mean()) < 0.2e-3
    assert found.tick_s == pytest.approx(NVML_S, rel=0.002)
    assert found.share < 0.01
    assert found.reads < MOST


def test_two_looks_a_tick_are_enough_where_one_takes_milliseconds() -> None:
    machine = Machine(VIRTUAL_S)
    found = followed(machine, Ticking(machine, NVML_S, JITTER_S))
    assert set(found.jumps) == {1.0}
    assert found.reads < 2.2
    assert p95_s(found.errors_s) < 4e-3
    assert abs(found.errors_s.mean()) < 1e-3


@pytest.mark.parametrize("jitter_s", [0.0, 1e-3, JITTER_S])
def test_looks_at_a_driver_that_is_busy_after_each_tick_seldom_wait_for_it(jitter_s: float) -> None:
    machine = Machine(VIRTUAL_S)
    found = followed(machine, Busy(machine, NVML_S, jitter_s))
    assert set(found.jumps) == {1.0}
    assert found.reads < 2.2
    assert found.share < 0.09
    assert p95_s(found.errors_s) < 4.5e-3
    assert abs(found.errors_s.mean()) < 1e-3
    assert (np.abs(found.errors_s) <= found.within_s).mean() > 0.95


def test_regular_ticks_are_found_with_fewer_looks() -> None:
    machine, other = Machine(BARE_S), Machine(BARE_S)
    regular = followed(machine, Ticking(machine, NVML_S))
    irregular = followed(other, Ticking(other, NVML_S, JITTER_S))
    assert regular.reads < irregular.reads
    assert p95_s(regular.errors_s) < 0.2e-3


@pytest.mark.parametrize("read_s", [BARE_S, VIRTUAL_S])
def test_a_busy_machine_makes_ticks_no_worse_than_jitter(read_s: float) -> None:
    machine = Machine(read_s, delays=0.02)
    found = followed(machine, Ticking(machine, NVML_S, JITTER_S))
    assert p95_s(found.errors_s) < 4e-3
    assert abs(found.errors_s.mean()) < 1e-3
    assert found.tick_s == pytest.approx(NVML_S, rel=0.002)


@pytest.mark.parametrize("read_s", [BARE_S, VIRTUAL_S])
def test_no_start_is_so_disturbed_that_ticks_are_never_found(read_s: float) -> None:
    for seed in range(12):
        machine = Machine(read_s, delays=0.02, random=np.random.default_rng(seed))
        found = followed(machine, Ticking(machine, NVML_S, JITTER_S, until_s=20.0), until_s=15.0)
        assert p95_s(found.errors_s) < 5e-3, seed
        assert found.tick_s == pytest.approx(NVML_S, rel=0.005), seed


@pytest.mark.parametrize(
    ("read_s", "tick_s", "typical_s"),
    [(BARE_S, NVML_S, 0.4e-3), (VIRTUAL_S, NVML_S, 4e-3), (15e-6, 0.001, 0.5e-3)],
)
def test_how_far_off_a_tick_may_be_is_told(read_s: float, tick_s: float, typical_s: float) -> None:
    machine = Machine(read_s)
    found = followed(machine, Ticking(machine, tick_s, tick_s / 40, until_s=31.0), until_s=30.0)
    assert np.mean(np.abs(found.errors_s) <= found.within_s) > 0.95
    assert np.median(found.within_s) < 1.1 * typical_s


def test_ticks_that_get_longer_are_followed() -> None:
    machine = Machine(BARE_S)
    found = followed(machine, Ticking(machine, NVML_S, JITTER_S, drift=0.02))
    assert set(found.jumps) == {1.0}
    assert p95_s(found.errors_s) < 1e-3
    assert found.tick_s == pytest.approx(1.02 * NVML_S, rel=0.003)


def test_ticks_that_nobody_saw_are_one_longer_tick() -> None:
    machine = Machine(BARE_S)
    counter = Ticking(machine, NVML_S, JITTER_S)
    plain = counter.read_j

    def read_j() -> float:
        # Stopped for three ticks, once.
        if 20.0 < machine.now_s < 20.3:
            machine.now_s = 20.31
        return plain()

    counter.read_j = read_j  # type: ignore[method-assign]
    found = followed(machine, counter)
    assert sorted(found.jumps)[-2:] in ([1.0, 3.0], [1.0, 4.0])
    assert p95_s(found.errors_s) < 1e-3
    assert abs(found.errors_s).max() < 2 * JITTER_S


@pytest.mark.parametrize("count", [1, 4])
def test_short_ticks_are_read_now_and_then_and_known_to_a_tick(count: int) -> None:
    machine = Machine(15e-6)
    counters = [Ticking(machine, 0.001, 20e-6, until_s=61.0) for _ in range(count)]
    found = followed(machine, *counters)
    assert found.reads == 1
    assert found.share < 0.01
    assert np.abs(found.errors_s).max() < 0.0011
    assert abs(found.errors_s.mean()) < 0.1e-3
    assert found.tick_s == pytest.approx(0.001, rel=0.05)


@pytest.mark.parametrize("tick_s", [1.1 * FAST_S, 0.03, 0.25])
def test_ticks_of_any_other_length_are_found(tick_s: float) -> None:
    machine = Machine(BARE_S)
    found = followed(machine, Ticking(machine, tick_s, tick_s / 40))
    assert set(found.jumps) == {1.0}
    assert p95_s(found.errors_s) < tick_s / 40
    assert found.tick_s == pytest.approx(tick_s, rel=0.005)


@pytest.mark.parametrize("read_s", [BARE_S, VIRTUAL_S])
def test_no_tick_was_before_the_old_value_was_last_seen(read_s: float) -> None:
    machine = Machine(read_s, delays=0.02)
    found = followed(machine, Ticking(machine, NVML_S, JITTER_S))
    assert found.bounds_s.min() >= 0


def test_what_learning_takes_is_no_part_of_the_share() -> None:
    machine = Machine(VIRTUAL_S)
    counter = Ticking(machine, NVML_S, JITTER_S)
    sampled = Sampled(
        Counter("gpu", "", "", None, None, counter.read_j), machine.clock, machine.cpu_clock, 0.01
    )
    usage = Usage([sampled], machine.clock, machine.cpu_clock)

    def share_at(until_s: float) -> float:
        def goes_on() -> bool:
            usage.note()
            return machine.now_s < until_s

        follow([sampled], machine.clock, machine.sleep, goes_on)
        return usage.share

    assert share_at(0.3) > 0.3
    # From 0.7 s on it is known.
    assert share_at(5.0) == pytest.approx(share_at(60.0), rel=0.2)


def test_a_counter_that_stands_still_costs_little() -> None:
    machine = Machine(BARE_S)
    counter = Ticking(machine, NVML_S, until_s=6.0)
    sampled = Sampled(
        Counter("gpu", "", "", None, None, counter.read_j), machine.clock, machine.cpu_clock, 0.01
    )
    follow([sampled], machine.clock, machine.sleep, lambda: machine.now_s < 60)
    still_reads = counter.reads
    assert len(np.array(array("d", sampled.take()[1]))) / 4 == len(counter.times_s)
    follow([sampled], machine.clock, machine.sleep, lambda: machine.now_s < 120)
    assert counter.reads - still_reads <= 60 / 0.05 + 1
