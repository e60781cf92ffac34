"""The values of one counter since a while: wrap-around undone, and what cannot be believed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from greenbench.energy.counter_values import Floats, Ticks
from greenbench.energy.limits import NVML_TICK_S, sum_w
from greenbench.energy.phase_lock import LOOK_S
from greenbench.results.readings import (
    CEILING_W,
    MARGIN,
    SLOWEST_TICK_S,
    Component,
    Provenance,
)

STILL_S = 1.0
TICKS_S = {"gpu": NVML_TICK_S, "cpu": LOOK_S, "ram": LOOK_S}
"""Until they are measured."""


class History:
    """What one counter was seen to do.

    Parameters
    ----------
    component, device, source : str
        As in `greenbench.energy.counter.Counter`.
    limit_w, range_j : float or None
        As there.

    Attributes
    ----------
    tick_s : float
        Measured seconds between two ticks that are told; of RAPL's not each one is.
    """

    def __init__(
        self,
        component: str,
        device: str,
        source: str,
        limit_w: float | None,
        range_j: float | None,
    ) -> None:
        self.component, self.device, self.source = component, device, source
        self.limit_w, self._range_j = limit_w, range_j
        self.tick_s = TICKS_S.get(component, SLOWEST_TICK_S)
        self._times_s = self._energy_j = self._within_s = np.empty(0)
        self._raw_j: float | None = None
        self._began_s: float | None = None
        self._faults: list[tuple[float, str]] = []
        self._present: str | None = None

    @property
    def has_ticked(self) -> bool:
        """Whether a tick was seen."""
        return len(self._times_s) > 0

    def add(self, seen: Floats, told: Mapping[str, Any], now_s: float) -> None:
        """Take note of new ticks, as the sampler tells them, and how the counter is at `now_s`."""
        self.tick_s = told["interval_s"] or self.tick_s
        if self._began_s is None:
            self._began_s = told["looked_s"]
        if seen.size:
            self._append(*seen)
        self._present = self._trouble(told, now_s)

    def ticks(self) -> Ticks:
        """Return what is known."""
        return Ticks(self._times_s, self._energy_j, self._within_s)

    def fault(self, since_s: float) -> str | None:
        """Return why the energy since then is unknown; None if it is not."""
        past = next((reason for until_s, reason in self._faults if until_s > since_s), None)
        return past or self._present

    def forget(self, since_s: float) -> None:
        """Drop what was before the last tick at or before `since_s`."""
        first = max(int(np.searchsorted(self._times_s, since_s, side="right")) - 1, 0)
        self._times_s, self._energy_j = self._times_s[first:], self._energy_j[first:]
        self._within_s = self._within_s[first:]
        self._faults = [fault for fault in self._faults if fault[0] > since_s]

    def _append(self, times_s: Floats, after_s: Floats, within_s: Floats, raw_j: Floats) -> None:
        self._within_s = np.concatenate((self._within_s, within_s))
        if self._raw_j is None:
            self._times_s, self._energy_j = times_s[:1].copy(), np.zeros(1)
            self._raw_j = float(raw_j[0])
            times_s, after_s, raw_j = times_s[1:], after_s[1:], raw_j[1:]
        before_s = np.concatenate((self._times_s[-1:], times_s))[:-1]
        steps_j = np.diff(raw_j, prepend=self._raw_j)
        unwrapped_j = np.where(steps_j < 0, steps_j + (self._range_j or math.nan), steps_j)
        seconds = times_s - before_s
        are_possible = (unwrapped_j >= 0) & (unwrapped_j <= self._most_j(seconds))
        stood_s = after_s - before_s
        for index in np.flatnonzero(~are_possible | (stood_s >= STILL_S)):
            reason = (
                self._jump(steps_j[index], seconds[index])
                if not are_possible[index]
                else f"{self._name} stood still for {stood_s[index]:.1f} s"
            )
            self._faults.append((float(times_s[index]), reason))
        energy_j = self._energy_j[-1] + np.cumsum(np.where(are_possible, unwrapped_j, 0.0))
        self._times_s = np.concatenate((self._times_s, times_s))
        self._energy_j = np.concatenate((self._energy_j, energy_j))
        self._raw_j = float(raw_j[-1]) if len(raw_j) else self._raw_j

    def _most_j(self, seconds: Floats) -> Floats:
        limit_w = MARGIN * self.limit_w if self.limit_w else CEILING_W[self.component]
        most_j: Floats = limit_w * (seconds + self.tick_s)
        return most_j

    def _jump(self, step_j: float, seconds: float) -> str:
        how = "fell" if step_j < 0 else "rose"
        return (
            f"{self._name} {how} by {abs(step_j):.6g} J in {seconds:.3g} s: it was reset, or is "
            "wrong"
        )

    def _trouble(self, told: Mapping[str, Any], now_s: float) -> str | None:
        if failure := told["failure"]:
            return f"{self._name} could not be read ({failure['why']})"
        still_s = told["looked_s"] - (self._times_s[-1] if self.has_ticked else self._began_s)
        if still_s >= STILL_S:
            return f"{self._name} has stood still for {still_s:.1f} s"
        unseen_s = now_s - told["looked_s"]
        if unseen_s >= STILL_S:
            return f"{self._name} was not read for {unseen_s:.1f} s: its driver does not answer"
        return None

    @property
    def _name(self) -> str:
        return f"the counter of {self.device}"


def combined(histories: Sequence[History]) -> Component:
    """Return the component that some devices make up, without energy."""
    return Component(
        None,
        Provenance.COUNTER,
        " + ".join(dict.fromkeys(history.source for history in histories)),
        None,
        max(history.tick_s for history in histories),
        sum_w(history.limit_w for history in histories),
    )
