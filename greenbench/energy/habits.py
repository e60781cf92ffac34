"""What a session learns of its counters: by how much they run behind, and how power follows work.

Both belong to the device, so every repeat that a worker measures tells of them. They live as long
as the worker: one that starts anew, as after an interruption, begins with nothing.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from greenbench.energy.counter_values import Ticks
from greenbench.energy.plausibility import Earlier, Evidence, Explanation
from greenbench.energy.regression import Regression
from greenbench.energy.ticks import Apportioned, Segments, apportion, work_of

MOST_EARLIER = 800
"""Ticks of earlier repeats that are looked at again, at least one repeat's; the latest ones."""
MORE = 1.25


class Habit:
    """What the ticks of one counter have told so far.

    Attributes
    ----------
    earlier : Earlier or None
        None before anything was learned.
    """

    def __init__(self) -> None:
        self.earlier: Earlier | None = None

    def evidence(self, ticks: Ticks, segments: Segments, *, is_open: bool = False) -> Evidence:
        """Return what ticks tell of lag and transient, with what is known.

        Raises
        ------
        EnergyError
            If nothing can be told from them.
        """
        work, _, _ = work_of(ticks, segments, is_open=is_open)
        return Evidence(Regression(work), self.earlier)

    def learn(self, evidence: Evidence) -> None:
        """Remember what ticks tell; if the device has changed since, only that."""
        self.earlier = evidence.learned().latest(MOST_EARLIER)

    def settle(self, ticks: Ticks, segments: Segments) -> Apportioned:
        """Apportion all ticks of a repeat, and learn from them."""
        evidence = self.evidence(ticks, segments)
        found = apportion(ticks, segments, evidence.explanations)
        self.learn(evidence)
        return found


class Habits:
    """The habits of all devices that a worker reads."""

    def __init__(self) -> None:
        self._habits: defaultdict[tuple[str, int], Habit] = defaultdict(Habit)

    def of(self, component: str, device: int) -> Habit:
        """Return that of one device of a component, by number."""
        return self._habits[component, device]


class Apportioner:
    """Apportions one counter's ticks while they grow, at a fraction of the cost.

    Lag and transient are fitted anew only when there are a quarter more ticks than the last time.
    Powers are always those of the ticks at hand.

    Parameters
    ----------
    habit : Habit, optional
        What earlier repeats told.
    """

    def __init__(self, habit: Habit | None = None) -> None:
        self._habit = habit or Habit()
        self._fitted = 0
        self._known: Sequence[Explanation] = ()

    def __call__(self, ticks: Ticks, segments: Segments) -> Apportioned:
        """Return what `apportion` does, of all ticks until now, which segments may outlast."""
        count = np.size(ticks.times_s)
        if count >= MORE * self._fitted:
            self._fitted = count
            self._known = self._habit.evidence(ticks, segments, is_open=True).explanations
        return apportion(ticks, segments, self._known, is_open=True)
