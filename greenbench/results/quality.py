"""What readings say of their own quality: other processes, other meters, idle power.

Functions of readings alone: how they were taken is the business of `greenbench.energy`.
"""

from collections.abc import Mapping

from greenbench.results.readings import Component, Components, Reading
from greenbench.results.uncertainty import combined_j

SHARE = 0.05
"""Of the host's CPU time, used by others, above which a sample is disturbed."""
TICK_S = 0.02
"""Kernels account CPU time in ticks of 10 ms, at both ends of a window."""
DRIFT = 0.05
"""Change of idle power during a suite, as a share, above which its net figures are in doubt."""
DISAGREEMENT = 0.05
"""Share by which two meters may differ."""


def others_share(other_cpu_s: float | None, duration_s: float, cores: int) -> float | None:
    """Return the share of the host's CPU time that others used; None if it is unknown."""
    if other_cpu_s is None or duration_s <= 0:
        return None
    return other_cpu_s / (duration_s * cores)


def is_disturbed(other_cpu_s: float | None, duration_s: float, cores: int) -> bool:
    """Return whether others used over 5% of the host, beyond what ticks can resolve."""
    surely_s = None if other_cpu_s is None else other_cpu_s - TICK_S * cores
    share = others_share(surely_s, duration_s, cores)
    return share is not None and share > SHARE


def was_suspended(reading: Reading) -> bool:
    """Return whether the process was stopped, or the machine slept, in a part of its time."""
    return reading.stopped_s is not None and reading.stopped_s > 0


def net_j(reading: Reading, idle_w: Mapping[str, float]) -> float | None:
    """Return the headline joules above idle power; None unless all of them are measured.

    What is modelled beside the headline does not matter.

    Idle power is never taken from a modelled figure: the model has an idle power of its own.
    """
    parts = reading.counting
    if not parts or not all(p.provenance.is_measured and n in idle_w for n, p in parts.items()):
        return None
    energy_j = reading.energy_j
    if energy_j is None:
        return None
    return energy_j - sum(idle_w[name] for name in parts) * reading.duration_s


def disagreement(reading: Reading, *, beyond_ticks: bool = False) -> float | None:
    """Return the largest share by which a witness differs from the first meter.

    Only components that both measured are compared: a model is no witness. None if there
    are none.

    Parameters
    ----------
    reading : Reading
        With witnesses.
    beyond_ticks : bool
        Whether only what the ticks of counters do not explain counts.
    """
    found = reading.judged
    shares = [
        share
        for components in found.witnesses.values()
        for share in _shares(
            found.components, components, found.duration_s if beyond_ticks else None
        )
    ]
    return max(shares, default=None)


def _shares(
    first: Components, second: Mapping[str, Component], seconds: float | None
) -> list[float]:
    shares = []
    for name in first.keys() & second.keys():
        one, other = first[name], second[name]
        both_measured = one.provenance.is_measured and other.provenance.is_measured
        if both_measured and one.energy_j and other.energy_j is not None:
            apart_j = abs(other.energy_j - one.energy_j)
            if seconds is not None:
                apart_j = max(apart_j - combined_j(one, other, seconds), 0.0)
            shares.append(apart_j / one.energy_j)
    return shares
