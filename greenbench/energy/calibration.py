"""Calibration: bursts of work by which a counter that ticks shows how late it is.

One repeat with a single short window leaves open whether the counter or the power came late. A
dozen edges more, before anything is measured, tell.
"""

import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from greenbench.energy.counters import Counters
from greenbench.energy.habits import Habits
from greenbench.energy.ticks import Segments
from greenbench.errors import EnergyError

BURSTS = 10
SLOW_TICK_S = 0.05
"""Counters that tick faster have nothing to gain."""
LONGEST_S = 4.0
"""Work may take longer than its burst should."""
GOLDEN = (5**0.5 - 1) / 2


def bursts(tick_s: float) -> list[tuple[float, float]]:
    """Return the seconds of pauses, and of the bursts that follow them.

    They last about a tick each, and end at all places in one: multiples of the golden ratio, less
    their whole part, are spread as evenly as can be (Weyl 1916).
    """
    places = [(GOLDEN * number) % 1 for number in range(1, BURSTS + 1)]
    return [(tick_s * (0.8 + place), tick_s * (1.4 - place)) for place in places]


def calibrate(
    counters: Counters,
    habits: Habits,
    work: Callable[[], None],
    clock: Callable[[], float] = time.perf_counter,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Let the device work in bursts, and remember what the ticks of its counters tell.

    It takes 2 s with ticks of 0.1 s, and nothing where no counter ticks slowly or all is known.
    What fails leaves habits as they were.

    Parameters
    ----------
    counters : Counters
        Give the ticks.
    habits : Habits
        What is told.
    work : callable
        Keeps the device busy for a moment, and returns when it is done.
    clock : callable
        Seconds by the clock of the ticks.
    pause : callable
        Lets so many seconds pass.
    """
    slow = {
        name: part.tick_s
        for name, part in counters.describe().items()
        if part.tick_s and part.tick_s >= SLOW_TICK_S and habits.of(name, 0).earlier is None
    }
    if not slow:
        return
    tick_s = max(slow.values())
    edges_s, phases = [clock()], []
    for rest_s, busy_s in bursts(tick_s):
        pause(rest_s)
        began_s = clock()
        while clock() < began_s + busy_s:
            work()
        edges_s += [began_s, clock()]
        phases += ["other", "train"]
        if clock() > edges_s[0] + LONGEST_S:
            break
    pause(2 * tick_s)
    edges_s.append(clock())
    phases.append("other")
    pause(2 * tick_s)
    # Without, each repeat tells for itself.
    with suppress(EnergyError):
        found = counters.ticks(edges_s[0])
        segments = Segments(np.array(edges_s), phases)
        for name in slow:
            for number, ticks in enumerate(found.get(name, ())):
                habit = habits.of(name, number)
                habit.learn(habit.evidence(ticks, segments))
