"""When to look at a counter that ticks, so that few looks tell when it did.

Pure arithmetic on times that it is given; it reads no clock and no counter.
"""

import statistics
from dataclasses import dataclass

LOOK_S = 0.04
"""A counter that ticks more often is looked at once in so many seconds."""
SHARE = 0.01
"""The share of a core that all looks together may take."""
FEWEST, MOST = 2, 10
"""Looks a tick: one that sees the old value and one that sees the new one, or more."""

LEARNED = 6
"""Ticks that are waited for with many looks, until the seconds between two are known."""
GROWTH = 0.05
"""By which share of the time since the last tick the next look waits meanwhile."""
SLOWEST_S = 0.05
"""Between two looks at a counter whose tick is overdue."""

PHASE_GAIN, LENGTH_GAIN, SCATTER_GAIN, COST_GAIN = 0.25, 0.02, 0.1, 0.1
GUARD = 2.0
"""How many mean deviations before the expected tick the first look is."""


@dataclass(frozen=True)
class Seen:
    """A tick.

    Attributes
    ----------
    time_s : float
        When it was, as well as one knows: between two looks, or when it was expected.
    after_s : float
        When the last look began that still saw the old value: it was not before that.
    """

    time_s: float
    after_s: float


class PhaseLock:
    """Follows the ticks of one counter.

    First it looks often, until it knows how long a tick lasts. Then the first look is shortly
    before the next tick is expected, and others follow until the value has changed. Phase and
    length are filtered (an alpha-beta filter), so that ticks that come early, late, or unseen
    move them little; the mean deviation decides how early the first look is.

    Parameters
    ----------
    now_s : float
        When the counter was first looked at.
    share : float
        Of a core, that its looks may take.

    Attributes
    ----------
    due_s : float
        When to look next.
    tick_s : float or None
        Seconds between two ticks; None until that is known.
    """

    def __init__(self, now_s: float, share: float = SHARE) -> None:
        self.due_s = now_s
        self.tick_s: float | None = None
        self._share = share
        self._old_s = self._tick_s = self._phase_s = now_s
        self._learned: list[float] = []
        self._looks, self._stride = 0, 1
        self._scatter_s = self._cost_s = self._read_s = 0.0

    def looked(self, began_s: float, ended_s: float, cost_s: float, is_new: bool) -> Seen | None:
        """Take note of a look; return the tick that it saw, if any.

        Parameters
        ----------
        began_s, ended_s : float
            When the counter was read.
        cost_s : float
            CPU seconds that the look took.
        is_new : bool
            Whether the value has changed.
        """
        self._cost_s += COST_GAIN * (cost_s - self._cost_s) if self._cost_s else cost_s
        self._read_s += COST_GAIN * (ended_s - began_s - self._read_s)
        seen = None
        if is_new:
            seen = self._learn(ended_s) if self.tick_s is None else self._follow(ended_s)
            self._looks, self._tick_s = 0, seen.time_s
        else:
            self._looks += 1
        self._old_s = began_s
        self.due_s = self._next_s(ended_s, is_new)
        return seen

    def _learn(self, ended_s: float) -> Seen:
        seen = self._between(ended_s)
        self._learned.append(seen.time_s)
        if len(self._learned) == LEARNED:
            steps_s = [b - a for a, b in zip(self._learned, self._learned[1:], strict=False)]
            self.tick_s = statistics.median(steps_s)
            self._scatter_s = statistics.fmean(abs(step - self.tick_s) for step in steps_s)
            self._phase_s = seen.time_s
        return seen

    def _follow(self, ended_s: float) -> Seen:
        assert self.tick_s is not None
        guard_s = self._guard_s(self.tick_s)
        if self._looks and ended_s - self._old_s <= self.tick_s / 2:
            seen = self._between(ended_s)
            count = max(1, round((seen.time_s - self._phase_s) / self.tick_s))
            self._correct(seen.time_s, count)
            return seen
        # Nobody looked shortly before. Of several ticks, the value is that of the last one.
        count = max(1, int((ended_s + guard_s - self._phase_s) / self.tick_s))
        expected_s = self._phase_s + count * self.tick_s
        lowest_s = max(self._old_s, ended_s - self.tick_s)
        if ended_s >= expected_s:
            # The look was late, and tells nothing that was not known.
            self._phase_s = expected_s
            time_s = max(expected_s, lowest_s)
        else:
            time_s = max(ended_s - guard_s, lowest_s)
            self._correct(time_s, count)
        return Seen(max(time_s, self._tick_s), self._old_s)

    def _between(self, ended_s: float) -> Seen:
        return Seen(max((self._old_s + ended_s) / 2, self._tick_s), self._old_s)

    def _correct(self, time_s: float, count: int) -> None:
        """Move phase and length towards a tick that was the `count`th after the last one."""
        assert self.tick_s is not None
        expected_s = self._phase_s + count * self.tick_s
        error_s = time_s - expected_s
        is_lost = abs(error_s) > self.tick_s / 4
        self._phase_s = time_s if is_lost else expected_s + PHASE_GAIN * error_s
        bounded_s = max(-self.tick_s / 4, min(error_s, self.tick_s / 4))
        self.tick_s += LENGTH_GAIN * bounded_s / count
        self._scatter_s += SCATTER_GAIN * (abs(bounded_s) - self._scatter_s)
        # From one tick to one 40 ticks later the length must be known well: go there in steps.
        longest = max(1, round(LOOK_S / self.tick_s))
        self._stride = max(1, min(self._stride // 2 if is_lost else self._stride * 2, longest))

    def _next_s(self, ended_s: float, is_new: bool) -> float:
        if self.tick_s is None:
            return ended_s + min(GROWTH * (ended_s - self._tick_s), SLOWEST_S)
        guard_s = self._guard_s(self.tick_s)
        if is_new:
            passed = int((ended_s + guard_s - self._phase_s) / self.tick_s)
            return self._phase_s + max(self._stride, passed + 1) * self.tick_s - guard_s
        affordable = self._share * self._stride * self.tick_s / max(self._cost_s, 1e-9)
        looks = max(FEWEST, min(int(affordable), MOST))
        step_s = 2 * guard_s / (looks - 1)
        return ended_s + min(step_s * 1.3 ** max(self._looks - looks, 0), SLOWEST_S)

    def _guard_s(self, tick_s: float) -> float:
        return min(max(GUARD * self._scatter_s, self._read_s), tick_s / 4)
