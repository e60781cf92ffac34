"""When to look at a counter that ticks, so that few looks tell when it did.

Pure arithmetic on times that it is given; it reads no clock and no counter.
"""

import statistics
from dataclasses import dataclass
from itertools import pairwise

FAST_S = 0.015
"""Of shorter ticks each cannot be looked for: that would take more than the share."""
LOOK_S = 0.04
"""Between two looks at such a counter."""
SHARE = 0.01
"""The share of a core that all looks together may take."""
FEWEST, MOST = 2, 10
"""Looks a tick: one that sees the old value and one that sees the new one, or more."""

LEARNED, LEARNING_S = 6, 0.05
"""Ticks and seconds that are waited for with many looks, until the length of ticks is known."""
GROWTH = 0.05
"""By which share of the time since the last tick the next look waits meanwhile."""
SLOWEST_S = 0.05
"""Between two looks at a counter whose tick is overdue."""
OVERDUE = 1.3
"""By which factor each of those waits longer than the one before."""

PHASE_GAIN, LENGTH_GAIN, SCATTER_GAIN, COST_GAIN = 0.25, 0.02, 0.1, 0.1
GUARD = 3.0
"""How many mean deviations before the expected tick the first look is."""
WAITED = 0.5
"""By which share a look takes longer than others at least if it waited for its driver."""
FORGOTTEN = 0.02
"""The share of a wait by which looks are taken to last longer: they may, from now on."""
UNSEEN = 9
"""Ticks from one that was looked for while its driver is busy to the next one."""
WIDEST = 0.2
"""How much of a tick it is before it at most. Two looks are then less than half a tick apart, even
if who sleeps wakes up late: else no tick would be taken for found, and the guard would stay so."""


@dataclass(frozen=True)
class Seen:
    """A tick.

    Attributes
    ----------
    time_s : float
        When it was, as well as one knows: between two looks, or when it was expected.
    after_s : float
        When the last look began that still saw the old value: it was not before that.
    within_s : float
        How far from `time_s` it may have been: half the distance between the two looks, or how
        regular ticks are.
    """

    time_s: float
    after_s: float
    within_s: float


class PhaseLock:
    """Follows the ticks of one counter.

    First it looks often, until it knows how long a tick lasts. Then the first look is shortly
    before the next tick is expected, and others follow until the value has changed; the tick was
    halfway between the last two. Phase and length are filtered (an alpha-beta filter), so that
    ticks that come early, late or unseen move them little. How early the first look is follows
    from the mean deviation, as far as the distance between looks does not explain it.

    Some drivers do not answer for a while after each tick, and who looks then waits, computing,
    until they do. Where that was seen, the second look is after that while: it tells that there
    was a tick, which is taken to have been when it was expected. At every tenth tick it is as
    early as elsewhere, and waits.

    A counter of short ticks, such as RAPL's, is looked at now and then: its last tick was less
    than one ago, which is near enough.

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
        self._old_s = self._last_s = self._phase_s = now_s
        self._learned: list[float] = []
        self._looks = self._unseen = 0
        self._busy_s = 0.0
        self._scatter_s = self._cost_s = self._read_s = self._late_s = 0.0

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
        self._cost_s = _filtered(self._cost_s, cost_s)
        waited_s = self._waited_s(ended_s - began_s)
        if self._looks == 0 and self.tick_s is not None:
            self._late_s = _filtered(self._late_s, min(began_s - self.due_s, self.tick_s / 4))
        self._looks += 1
        seen = None
        if is_new:
            tell = self._learn if self.tick_s is None else self._follow
            time_s, within_s = tell(ended_s - waited_s)
            self._learn_wait(began_s + waited_s - time_s if waited_s else 0.0)
            self._last_s = max(time_s, self._last_s)
            seen = Seen(self._last_s, self._old_s, within_s)
            self._looks = 0
        self._old_s = began_s
        self.due_s = max(self._next_s(began_s, ended_s), ended_s)
        return seen

    def _waited_s(self, took_s: float) -> float:
        """Return for how long a look waited for its driver, and learn what looks take."""
        late_s = took_s - self._read_s
        if not self._read_s or late_s <= WAITED * self._read_s:
            self._read_s = _filtered(self._read_s, took_s)
            return 0.0
        self._read_s += FORGOTTEN * late_s
        # After a longer one, other ticks may have been since.
        return late_s if self.tick_s and late_s <= WIDEST * self.tick_s else 0.0

    def _learn_wait(self, busy_s: float) -> None:
        """Learn for how long after a tick its driver is busy, at a tick that was looked for."""
        if self._is_spared:
            self._unseen += 1
        else:
            self._unseen, self._busy_s = 0, busy_s

    @property
    def _is_spared(self) -> bool:
        """Whether the second look at this tick was after the driver was busy."""
        return self._looks > 1 and self._busy_s > 0 and self._unseen < UNSEEN

    def _learn(self, ended_s: float) -> tuple[float, float]:
        time_s = (self._old_s + ended_s) / 2
        self._learned.append(time_s)
        if len(self._learned) >= LEARNED and time_s - self._learned[0] >= LEARNING_S:
            steps_s = [after - before for before, after in pairwise(self._learned)]
            middle_s = statistics.median(steps_s)
            # Some may hold several ticks.
            counts = [max(1, round(step_s / middle_s)) for step_s in steps_s]
            self.tick_s = sum(steps_s) / sum(counts)
            self._scatter_s = statistics.fmean(
                abs(step_s - count * self.tick_s)
                for step_s, count in zip(steps_s, counts, strict=True)
            )
            self._phase_s = time_s
        return time_s, ended_s - time_s

    def _follow(self, ended_s: float) -> tuple[float, float]:
        assert self.tick_s is not None
        if self._is_fast:
            return max(self._old_s, ended_s - self.tick_s / 2), self.tick_s / 2
        guard_s = self._guard_s
        if self._is_spared:
            count = round((ended_s - self._busy_s - self._phase_s) / self.tick_s)
            return max(self._phase_s + count * self.tick_s, self._old_s), guard_s
        if self._looks > 1 and ended_s - self._old_s <= self.tick_s / 2:
            within_s = (ended_s - self._old_s) / 2
            time_s = ended_s - within_s
            self._correct(time_s, within_s, round((time_s - self._phase_s) / self.tick_s))
            return time_s, within_s
        # Nobody looked shortly before. Of several ticks, the value is that of the last one.
        count = max(1, int((ended_s + guard_s - self._phase_s) / self.tick_s))
        expected_s = self._phase_s + count * self.tick_s
        if ended_s < expected_s:
            time_s = max(ended_s - guard_s, self._old_s)
            self._correct(time_s, guard_s, count)
            return time_s, guard_s
        # The look was late, and tells nothing that was not known: the next one is to be earlier.
        self._phase_s = expected_s
        # It grows to no more than the guard can tell, or regular ticks would not be for long.
        self._scatter_s += SCATTER_GAIN * min(ended_s - expected_s, guard_s)
        self._scatter_s = min(self._scatter_s, WIDEST * self.tick_s / GUARD)
        return max(expected_s, self._old_s), guard_s

    def _correct(self, time_s: float, within_s: float, count: int) -> None:
        """Move phase and length towards a tick that was the `count`th after the last one."""
        assert self.tick_s is not None
        count = max(count, 1)
        expected_s = self._phase_s + count * self.tick_s
        error_s = time_s - expected_s
        most_s = self.tick_s / 4
        self._phase_s = time_s if abs(error_s) > most_s else expected_s + PHASE_GAIN * error_s
        bounded_s = max(-most_s, min(error_s, most_s))
        # As much a tick, however many were not looked for.
        self.tick_s += min(LENGTH_GAIN * count, PHASE_GAIN) * bounded_s / count
        unexplained_s = max(abs(bounded_s) - within_s, 0.0)
        self._scatter_s += SCATTER_GAIN * (unexplained_s - self._scatter_s)

    def _next_s(self, began_s: float, ended_s: float) -> float:
        if self.tick_s is None:
            return ended_s + min(GROWTH * (ended_s - self._last_s), SLOWEST_S)
        if self._is_fast:
            return began_s + LOOK_S
        guard_s = self._guard_s
        if self._looks == 0:
            passed = int((ended_s + guard_s - self._phase_s) / self.tick_s)
            # Whoever sleeps wakes up a little late.
            return self._phase_s + (passed + 1) * self.tick_s - guard_s - self._late_s
        affordable = self._share * self.tick_s / max(self._cost_s, 1e-9)
        looks = max(FEWEST, min(int(affordable), MOST))
        # Were there so many, the first would begin as long before the tick as the last one ends
        # after it.
        step_s = (2 * guard_s - self._read_s) / (looks - 1)
        step_s *= OVERDUE ** max(self._looks - looks, 0)
        if self._looks == 1 and self._unseen < UNSEEN:
            step_s += self._busy_s
        return began_s + min(step_s, SLOWEST_S)

    @property
    def interval_s(self) -> float | None:
        """Seconds between two ticks that are told; None until that is known."""
        return LOOK_S if self._is_fast else self.tick_s

    @property
    def _is_fast(self) -> bool:
        return self.tick_s is not None and self.tick_s < FAST_S

    @property
    def _guard_s(self) -> float:
        assert self.tick_s is not None
        return min(max(GUARD * self._scatter_s, self._read_s), WIDEST * self.tick_s)


def _filtered(mean: float, value: float) -> float:
    return mean + COST_GAIN * (value - mean) if mean else value
