"""Bookings: the joules of counters that tick, by the windows of a ledger."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import hypot
from operator import attrgetter

import numpy as np

from greenbench.energy.counter_values import Ticks
from greenbench.energy.counters import Counters
from greenbench.energy.habits import Apportioner, Habits
from greenbench.energy.pieces import Estimate, Piece
from greenbench.energy.ticks import Apportioned, Segments
from greenbench.errors import EnergyError
from greenbench.machine.secrets import redact
from greenbench.results.account import Account
from greenbench.results.readings import SLOWEST_TICK_S, Component, Reading

HISTORY_S = 20.0
"""Of earlier windows that tell the power of phases for a figure of the moment: a search may take
days, and all of it is looked at once, at the end."""
Share = Callable[[Ticks, Segments], Apportioned]
LONGEST_WAIT_S = 2.0
"""For the ticks after the last window. They come within two ticks, unless the machine is busy."""
EXTRAPOLATED = 0.25
"""Half-width of the interval of joules that no tick has shown yet, as a share of them: windows of
one phase may differ by as much while their power rises."""


class Bookings:
    """What a ledger's windows used, by counters that tick.

    Nothing is read at the edges of windows: their times are noted, and the joules of all ticks
    are apportioned to them. The seconds that reading the other meter takes are a window of their
    own, and in no phase: in a virtual machine they are more than a small network trains for. What
    fails makes a component unknown, with the reason, and never falls back to what another meter
    read: one repeat has one method.

    Parameters
    ----------
    counters : Counters
        Give the ticks.
    clock : callable
        Seconds by the clock of the ticks.
    pause : callable
        Lets so many seconds pass.
    habits : Habits, optional
        What earlier repeats told of the counters; this one tells it more.
    """

    def __init__(
        self,
        counters: Counters,
        clock: Callable[[], float],
        pause: Callable[[float], None],
        habits: Habits | None = None,
    ) -> None:
        # Whose import the first ticks would wait for, amid a search.
        import scipy.optimize  # noqa: F401, PLC0415

        self._counters = counters
        self._components = dict(counters.describe())
        self._clock = clock
        self._pause = pause
        self._pieces: list[Piece] = []
        self._taken = 0
        self._edge_s = 0.0
        self._habits = habits or Habits()
        self._for_now: dict[tuple[str, int], Share] = {}

    def open(self, at_s: float) -> None:
        """Note that the first window begins.

        Raises
        ------
        EnergyError
            If there were windows before: ticks between them would belong to none.
        """
        if self._pieces:
            raise EnergyError("a ledger with counters is opened once")
        self._edge_s = at_s

    def end(self, phase: str, at_s: float, passes: int) -> None:
        """Note that a window ended, and that the next one begins."""
        self._pieces.append(Piece(phase, self._edge_s, at_s, passes))
        self._edge_s = at_s

    def taken(self, account: Account, *, stays: bool = False) -> Account:
        """Return an account of the windows since the last call, by what is known by now.

        Of windows that the last tick does not cover, the power of their phases tells. What
        `stays` is returned again by the next call.
        """
        first = self._taken
        if not stays:
            self._taken = len(self._pieces)
        pieces = self._pieces[first:]
        if not pieces:
            return account
        since_s = pieces[0].began_s - HISTORY_S
        earlier = [each for each in self._pieces[:first] if each.began_s >= since_s]
        account = _timed(account, pieces)
        found = self._estimates([*earlier, *pieces], is_final=False)
        for name, part in self._components.items():
            one = found[name]
            if isinstance(one, Estimate):
                own = replace(
                    one,
                    energy_j=one.energy_j[len(earlier) :],
                    uncertainty_j=one.uncertainty_j[len(earlier) :],
                )
                account = _booked(account, name, _by_phase(part, pieces, own))
            else:
                account = _booked(account, name, dict.fromkeys(account.phases, part.unknown(one)))
        return account

    def settled(self, account: Account, measured: Reading) -> tuple[Account, Reading]:
        """Return the account of all windows, and what was measured in them, by all ticks.

        Waits for the ticks after the last window.

        Parameters
        ----------
        account : Account
            One pass of each window.
        measured : Reading
            All passes.
        """
        if not self._pieces:
            return account, measured
        self._await_ticks()
        account = _timed(account, self._pieces)
        seconds = self._pieces[-1].ended_s - self._pieces[0].began_s
        measured = replace(measured, duration_s=seconds)
        found = self._estimates(self._pieces, is_final=True)
        for name, part in self._components.items():
            one = found[name]
            if isinstance(one, Estimate):
                phases = _settled(part, self._pieces, one)
                whole = replace(
                    part,
                    energy_j=float(one.energy_j.sum()),
                    tick_s=one.tick_s,
                    uncertainty_j=one.total_uncertainty_j,
                )
            else:
                phases = dict.fromkeys(account.phases, part.unknown(one))
                whole = part.unknown(one)
            account = _booked(account, name, phases)
            if isinstance(one, Estimate) and all(piece.passes == 1 for piece in self._pieces):
                known = {**account.uncertainty_j, name: one.booked_uncertainty_j}
                account = replace(account, uncertainty_j=known)
            measured = replace(measured, components={**measured.components, name: whole})
        return account, measured

    def _await_ticks(self) -> None:
        tick_s = max((p.tick_s or SLOWEST_TICK_S for p in self._components.values()), default=0.0)
        until_s = self._clock() + max(LONGEST_WAIT_S, 2 * tick_s)
        while self._clock() < until_s:
            try:
                found = self._counters.ticks(self._pieces[0].began_s)
            except Exception:
                # It will say so again.
                return
            devices = [each for ticks in found.values() for each in ticks]
            # Two of them: counters run behind by up to a tick.
            if all(np.sum(each.times_s >= self._edge_s) > 1 for each in devices):
                return
            self._pause(tick_s / 4)

    def _estimates(self, pieces: Sequence[Piece], *, is_final: bool) -> dict[str, "Estimate | str"]:
        """Return by component what its counters say, or why they say nothing."""
        # All of them, always: what is not asked for is forgotten.
        opened_s = self._pieces[0].began_s
        try:
            ticks = self._counters.ticks(opened_s)
            faults = self._counters.faults(opened_s)
        except Exception as error:
            return dict.fromkeys(self._components, _one_line(error))
        return {
            name: _estimate(
                ticks[name],
                pieces,
                [self._share(name, n, is_final=is_final) for n in range(len(ticks[name]))],
                is_final=is_final,
            )
            if ticks.get(name)
            else faults.get(name, f"{part.source} gave no ticks")
            for name, part in self._components.items()
        }

    def _share(self, component: str, device: int, *, is_final: bool) -> Share:
        habit = self._habits.of(component, device)
        if is_final:
            return habit.settle
        return self._for_now.setdefault((component, device), Apportioner(habit))


def _estimate(
    devices: Sequence[Ticks], pieces: Sequence[Piece], shares: Sequence[Share], *, is_final: bool
) -> "Estimate | str":
    told = _whole if is_final else _until_now
    try:
        estimates = [told(each, pieces, share) for each, share in zip(devices, shares, strict=True)]
    except Exception as error:
        return _one_line(error)
    total = estimates[0]
    for each in estimates[1:]:
        total += each
    joules = float(total.energy_j.sum())
    return total if math.isfinite(joules) else f"its counter read {joules:g} J"


def _whole(ticks: Ticks, pieces: Sequence[Piece], share: Share) -> Estimate:
    return _as_estimate(share(ticks, _segments(pieces)))


def _until_now(ticks: Ticks, pieces: Sequence[Piece], share: Share) -> Estimate:
    """Return what is known before the next ticks; the rest is extrapolated."""
    last_s = float(ticks.times_s[-1])
    if last_s <= pieces[0].began_s:
        raise EnergyError("its counter has not ticked yet since the repeat began")
    found = share(ticks, _segments(pieces))
    # A counter that runs behind has not told what was just before its last tick, either.
    told_s = last_s - found.lag_s
    shown = {each.kind for each in pieces if each.began_s < told_s}
    doubts = np.zeros(len(pieces))
    for index, piece in enumerate(pieces):
        rest_s = piece.ended_s - max(piece.began_s, told_s)
        if rest_s > 0:
            doubt = EXTRAPOLATED if piece.kind in shown else 1.0
            share_of = rest_s / (piece.ended_s - piece.began_s)
            doubts[index] = doubt * share_of * found.energy_j[index]
    known = _as_estimate(found)
    return replace(known, uncertainty_j=np.hypot(known.uncertainty_j, doubts))


def _segments(pieces: Sequence[Piece]) -> Segments:
    edges = np.array([pieces[0].began_s, *(each.ended_s for each in pieces)])
    kinds = [each.kind for each in pieces]
    return Segments(edges, kinds, [each.is_booked for each in pieces])


def _as_estimate(found: Apportioned) -> Estimate:
    return Estimate(
        found.energy_j,
        found.segment_uncertainty_j,
        found.phase_uncertainty_j,
        found.total_uncertainty_j,
        found.counted_uncertainty_j,
        found.booked_with,
        found.tick_s,
    )


def _by_phase(part: Component, pieces: Sequence[Piece], one: Estimate) -> dict[str, Component]:
    """Return by phase what one pass of each piece used that is booked.

    A phase that lasts less than a tick in all has no figure of its own. Its joules are added to
    its neighbour's, or kept beside it where the neighbour has no piece here, so that all sums
    stay right.
    """
    phases = {piece.phase for piece in pieces if piece.is_booked}
    joules = dict.fromkeys(phases, 0.0)
    doubts = dict.fromkeys(phases, 0.0)
    for piece, energy_j, doubt_j in zip(pieces, one.energy_j, one.uncertainty_j, strict=True):
        if not piece.is_booked:
            continue
        holder = one.booked_with.get(piece.phase, piece.phase)
        phase = holder if holder in phases else piece.phase
        joules[phase] += float(energy_j) / piece.passes
        doubts[phase] = hypot(doubts[phase], float(doubt_j) / piece.passes)
    return {
        phase: replace(
            part,
            energy_j=joules[phase],
            # What a pass takes resolves as much finer as there are more of them.
            tick_s=one.tick_s / min(each.passes for each in pieces if each.phase == phase),
            uncertainty_j=doubts[phase],
            booked_with=one.booked_with.get(phase),
        )
        for phase in phases
    }


def _settled(part: Component, pieces: Sequence[Piece], one: Estimate) -> dict[str, Component]:
    """Return the same with the uncertainties of whole phases, whose pieces are not independent."""
    phases = _by_phase(part, pieces, one)
    alike = [replace(each, passes=1, phase=each.kind) for each in pieces]
    whole = _by_phase(part, alike, one)
    for phase, known_j in one.phase_uncertainty_j.items():
        if phase not in phases:
            continue
        all_j = whole[phase].energy_j or 0.0
        share = (phases[phase].energy_j or 0.0) / all_j if all_j else 1.0
        phases[phase] = replace(phases[phase], uncertainty_j=known_j * share)
    return phases


def _timed(account: Account, pieces: Sequence[Piece]) -> Account:
    """Return an account with the seconds that its joules are of.

    The meter's own windows are a little shorter: of idle power, as much would be taken too little.
    """
    seconds = dict.fromkeys(account.phases, 0.0)
    for piece in filter(attrgetter("is_booked"), pieces):
        seconds[piece.phase] += (piece.ended_s - piece.began_s) / piece.passes
    phases = account.phases.items()
    return replace(
        account,
        phases={phase: replace(each, duration_s=seconds[phase]) for phase, each in phases},
    )


def _booked(account: Account, name: str, found: Mapping[str, Component]) -> Account:
    return replace(
        account,
        phases={
            phase: replace(reading, components={**reading.components, name: found[phase]})
            for phase, reading in account.phases.items()
        },
    )


def _one_line(error: Exception) -> str:
    text = " ".join(redact(str(error)).split())
    is_ours = isinstance(error, EnergyError)
    return text if is_ours and text else f"{type(error).__name__}: {text}"
