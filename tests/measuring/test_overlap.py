"""Counters of windows that overlap: none forgets what another one needs."""

from collections.abc import Mapping, Sequence

from greenbench.energy.counter_values import Ticks
from greenbench.energy.ledger import Ledger
from greenbench.measuring.overlap import SharedCounters, SharedMeter
from greenbench.testing import FakeClock, FakeCounters, FakeMeter


class Forgetful(FakeCounters):
    """Counters that have no ticks from before the moment that was last asked for."""

    since_s = 0.0

    def ticks(self, since_s: float) -> Mapping[str, Sequence[Ticks]]:
        self.since_s = max(self.since_s, since_s)
        return super().ticks(self.since_s)


def test_inner_window_leaves_the_ticks_of_the_outer_one() -> None:
    clock = FakeClock()
    counters = SharedCounters(Forgetful(clock, lambda _: 100.0, tick_s=0.1))
    meter = SharedMeter(FakeMeter(clock, power_w=10.0))

    def ledger() -> Ledger:
        return Ledger(meter.tap(), counters=counters, clock=clock, pause=clock.advance)

    clock.advance(1.0)
    outer, inner = ledger(), ledger()
    counters.keep(outer, clock.now())
    outer.open()
    clock.advance(5.0)
    counters.keep(inner, clock.now())
    inner.open()
    clock.advance(2.0)
    inner.close()
    inside = inner.whole().total
    counters.let_go(inner)
    clock.advance(3.0)
    outer.close()
    whole = outer.whole().total
    assert round(inside.components["gpu"].energy_j or 0) == 200
    # It waited for ticks after the inner one.
    assert (whole.components["gpu"].energy_j or 0) > 999
    assert whole.components["gpu"].uncertainty_j is not None
    # Of the meter each has its own seconds.
    assert round(inside.components["cpu"].energy_j or 0) == 20
