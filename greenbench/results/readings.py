"""Readings: energy by component with its provenance, between two moments."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import hypot
from typing import Any

from greenbench.results.scope import Names, counting, to_text

JOULES_PER_WH = 3600.0

CEILING_W = {"cpu": 4_000.0, "ram": 4_000.0, "gpu": 20_000.0}
"""More than all devices of a kind in one machine use, where nobody knows their own limit."""
MARGIN = 1.5
"""By how much a device may exceed its power limit for a moment."""
SLOWEST_TICK_S = 0.1
"""Of a counter whose resolution nobody knows: that of GPU drivers."""


class Provenance(StrEnum):
    """How an energy figure came about, best first."""

    COUNTER = "counter"
    SAMPLED = "sampled"
    MODEL = "model"
    CONSTANT = "constant"
    NONE = "none"

    @property
    def is_measured(self) -> bool:
        """True for a hardware counter and for integrated power readings."""
        return self in (Provenance.COUNTER, Provenance.SAMPLED)

    @property
    def label(self) -> str:
        """``measured``, ``estimated`` or ``none``, for people."""
        if self is Provenance.NONE:
            return "none"
        return "measured" if self.is_measured else "estimated"

    @classmethod
    def worst(cls, provenances: Iterable["Provenance"]) -> "Provenance":
        """Return the least trustworthy; a sum is no better than its worst part."""
        order = list(cls)
        return max(provenances, key=order.index, default=cls.NONE)


@dataclass(frozen=True)
class Component:
    """Energy of one hardware component.

    Attributes
    ----------
    energy_j : float or None
        Joules; None if unknown, which is never the same as 0.
    provenance : Provenance
        How the figure came about.
    source : str
        By which meter and method, for people.
    reason : str or None
        Why the energy is unknown; None if it is known.
    tick_s : float or None
        Seconds between two advances of its counter; None where it has none, or nobody knows.
    limit_w : float or None
        The power limit of all its devices; None if it is not known.
    uncertainty_j : float or None
        Half-width of the 95% interval that the ticks of its counter leave, in joules; None where
        nobody knows, as of a model.
    booked_with : str or None
        The phase whose figure holds its joules, or should: its own lasts less than a tick.
    is_affected_by_others : bool
        Whether what others compute on the machine meanwhile may be in it, as in a counter of the
        whole CPU or a model of its load.
    """

    energy_j: float | None
    provenance: Provenance
    source: str
    reason: str | None = None
    tick_s: float | None = None
    limit_w: float | None = None
    uncertainty_j: float | None = None
    booked_with: str | None = None
    is_affected_by_others: bool = True

    def __add__(self, other: "Component") -> "Component":
        known = self.energy_j is not None and other.energy_j is not None
        total = (self.energy_j or 0.0) + (other.energy_j or 0.0) if known else None
        worst = Provenance.worst((self.provenance, other.provenance))
        source = self.source
        if source != other.source:
            source = " + ".join(sorted({*source.split(" + "), *other.source.split(" + ")}))
        return Component(
            total,
            worst if known else Provenance.NONE,
            source,
            self.reason or other.reason,
            _larger(self.tick_s, other.tick_s),
            _larger(self.limit_w, other.limit_w),
            _quadrature([self.uncertainty_j, other.uncertainty_j]) if known else None,
            self.booked_with if self.booked_with == other.booked_with else None,
            self.is_affected_by_others or other.is_affected_by_others,
        )

    def __mul__(self, share: float) -> "Component":
        # A share of a window resolves as much finer as it is smaller.
        return replace(
            self,
            energy_j=_times(self.energy_j, share),
            tick_s=_times(self.tick_s, share),
            uncertainty_j=_times(self.uncertainty_j, share),
        )

    def unknown(self, reason: str) -> "Component":
        """Return this component without energy, and why."""
        return replace(
            self,
            energy_j=None,
            provenance=Provenance.NONE,
            reason=reason,
            uncertainty_j=None,
            booked_with=None,
        )

    def excess(self, name: str, seconds: float) -> str | None:
        """Return why its energy is more than its devices can use in that time; None if not.

        A window as short as a tick may hold what was used before it.
        """
        if self.energy_j is None or not self.provenance.is_measured:
            return None
        known_w = None if self.limit_w is None else MARGIN * self.limit_w
        limit_w = known_w or CEILING_W.get(name, max(CEILING_W.values()))
        if self.energy_j <= limit_w * (seconds + (self.tick_s or SLOWEST_TICK_S)):
            return None
        return (
            f"{self.source} read {self.energy_j:.6g} J in {seconds:.3g} s, above the "
            f"{limit_w:g} W that it can use: its counter was reset, or is wrong"
        )

    def judged(self, name: str, seconds: float) -> "Component":
        """Return it as a figure for so many seconds: unknown, with the reason, if it is none."""
        if self.energy_j is None or not self.provenance.is_measured:
            return self
        read = f"{self.source} read {self.energy_j:.3g} J in {seconds:.3g} s"
        reason = self.excess(name, seconds)
        if self.booked_with is not None:
            reason = f"it lasts less than a tick of {self.source}, and is in {self.booked_with!r}"
        elif self.tick_s is not None and seconds < self.tick_s:
            reason = f"{read}, less than the {self.tick_s:.3g} s between two ticks of its counter"
        elif self.energy_j == 0 and seconds > 0:
            # Hardware that is on uses energy: a figure of 0 J is one that was not read.
            reason = f"{read}: it stands still, or that is too short for it"
        return self.unknown(reason) if reason else self


Components = Mapping[str, Component]
"""Components by name: ``cpu``, ``gpu``, ``ram``."""


@dataclass(frozen=True)
class Reading:
    """What was read between two moments.

    Its joules are summed as they were read: of windows that are shorter than a counter's
    tick one holds nothing and the next one a whole tick, and their sum is right. What a sum
    says for itself is decided when somebody asks: see `judged`.

    Attributes
    ----------
    duration_s : float
        Wall seconds.
    components : dict of str to Component
        Energy by component.
    witnesses : dict of str to dict of str to Component
        What further meters read of the same moments, by meter.
    cpu_s : float or None
        CPU seconds of this process, all its threads; None if unknown.
    other_cpu_s : float or None
        CPU seconds of everything else on the host; None if unknown.
    stopped_s : float or None
        Seconds in which this process was stopped, or the machine slept; None if unknown.
    scope : tuple of str or None
        Names of the components that count; None for all but RAM that is only modelled.
    """

    duration_s: float
    components: Components = field(default_factory=dict)
    witnesses: Mapping[str, Components] = field(default_factory=dict)
    cpu_s: float | None = 0.0
    other_cpu_s: float | None = 0.0
    stopped_s: float | None = 0.0
    scope: Names | None = None

    def __add__(self, other: "Reading") -> "Reading":
        witnesses = {
            meter: _merge(
                (self.witnesses.get(meter, {}), self.duration_s),
                (other.witnesses.get(meter, {}), other.duration_s),
            )
            for meter in _union(self.witnesses, other.witnesses)
        }
        return Reading(
            self.duration_s + other.duration_s,
            _merge((self.components, self.duration_s), (other.components, other.duration_s)),
            witnesses,
            _plus(self.cpu_s, other.cpu_s),
            _plus(self.other_cpu_s, other.other_cpu_s),
            _plus(self.stopped_s, other.stopped_s),
            self._scope_with(other),
        )

    def __mul__(self, share: float) -> "Reading":
        return Reading(
            self.duration_s * share,
            {name: part * share for name, part in self.components.items()},
            {
                meter: {name: part * share for name, part in parts.items()}
                for meter, parts in self.witnesses.items()
            },
            _times(self.cpu_s, share),
            _times(self.other_cpu_s, share),
            _times(self.stopped_s, share),
            self.scope,
        )

    def _scope_with(self, other: "Reading") -> Names | None:
        # Where nothing was read, nothing counts; what was read for two scopes has but its total.
        if not (self.components and other.components):
            return self.scope if self.components else other.scope
        return self.scope if self.scope == other.scope else None

    @property
    def judged(self) -> "Reading":
        """The same with every figure unknown that is none; what is shown is taken from here.

        That is a measured component that read 0 J, in fewer seconds than its counter's tick,
        or more than its devices can use.
        """
        return replace(
            self,
            components=_judged(self.components, self.duration_s),
            witnesses={
                meter: _judged(parts, self.duration_s) for meter, parts in self.witnesses.items()
            },
        )

    @property
    def counting(self) -> dict[str, Component]:
        """Components that count by its `scope`, as they are `judged`, by name."""
        return headline(self.judged.components, self.scope)

    @property
    def headline(self) -> list[Component]:
        """Components that count by its `scope`, as they are `judged`."""
        return list(self.counting.values())

    @property
    def covers(self) -> str | None:
        """Names of the components that count, such as ``gpu`` or ``cpu+gpu``; None if none do."""
        return to_text(self.counting)

    @property
    def energy_j(self) -> float | None:
        """Joules of the headline components; None if any of them is unknown."""
        return sum_energy_j(self.headline)

    @property
    def uncertainty_j(self) -> float | None:
        """Half-width of the 95% interval of `energy_j`, in joules; None if it is not known."""
        return _quadrature([part.uncertainty_j for part in self.headline])

    @property
    def provenance(self) -> Provenance:
        """Provenance of `energy_j`."""
        return Provenance.worst(component.provenance for component in self.headline)

    @property
    def is_affected_by_others(self) -> bool:
        """Whether what others compute on the machine may be in `energy_j`."""
        return not self.components or any(part.is_affected_by_others for part in self.headline)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Reading":
        """Rebuild a reading from its `dataclasses.asdict` form."""
        witnesses = values.get("witnesses", {})
        return cls(
            values["duration_s"],
            _components(values["components"]),
            {meter: _components(parts) for meter, parts in witnesses.items()},
            values.get("cpu_s"),
            values.get("other_cpu_s"),
            values.get("stopped_s"),
            # What older versions wrote counts in total.
            None if values.get("scope") is None else tuple(values["scope"]),
        )


def headline(components: Components, scope: Names | None = None) -> dict[str, Component]:
    """Return the components that count, by name; one that was not read is unknown."""
    return {
        name: part or Component(None, Provenance.NONE, name, f"no reading of the {name.upper()}")
        for name, part in counting(components, scope).items()
    }


def sum_energy_j(components: Iterable[Component]) -> float | None:
    """Return the joules of all `components`; None if there are none, or one is unknown."""
    joules = [component.energy_j for component in components]
    if not joules or any(j is None for j in joules):
        return None
    return sum(j for j in joules if j is not None)


def _components(values: Mapping[str, Any]) -> dict[str, Component]:
    return {
        name: Component(**{**part, "provenance": Provenance(part["provenance"])})
        for name, part in values.items()
    }


def _judged(components: Components, seconds: float) -> dict[str, Component]:
    return {name: part.judged(name, seconds) for name, part in components.items()}


def _quadrature(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return hypot(*known) if parts and len(known) == len(parts) else None


def _larger(first: float | None, second: float | None) -> float | None:
    return max((x for x in (first, second) if x is not None), default=None)


def _union(first: Iterable[str], second: Iterable[str]) -> list[str]:
    return list(dict.fromkeys((*first, *second)))


def _plus(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second


def _times(value: float | None, share: float) -> float | None:
    return None if value is None else value * share


def _merge(
    first: tuple[Components, float], second: tuple[Components, float]
) -> dict[str, Component]:
    """Return the sum of components, each pair with the seconds that it covers."""
    merged = {}
    for name in _union(first[0], second[0]):
        if name in first[0] and name in second[0]:
            merged[name] = first[0][name] + second[0][name]
            continue
        is_first = name in first[0]
        full, (_, empty_s) = (first, second) if is_first else (second, first)
        part = full[0][name]
        # The first cause is kept, and may well be that of the second, too.
        reason = (part.reason if is_first else None) or "not read in every window"
        # A component missing from a window of no length is no gap in the account.
        merged[name] = part if empty_s == 0 else part.unknown(reason)
    return merged
