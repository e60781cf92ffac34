"""A measurement: what a block, a function or a program used, and how that is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from greenbench.compare.units import energy_unit, mass_unit, with_unit
from greenbench.results.emissions import WORLD_AVERAGE, are_rough, one_digit
from greenbench.results.gpus import TrainedGpu
from greenbench.results.marks import MEANINGS
from greenbench.results.quality import net_j, others_share
from greenbench.results.readings import JOULES_PER_WH, Component, Provenance, Reading
from greenbench.text import clean

FINISHED, FAILED = "finished", "failed"


@dataclass(frozen=True)
class Measurement:
    """What was used between two moments.

    Energy is the machine's, whichever process, thread or task used it; ``disturbed`` says that
    others did. An energy that is unknown is None, never 0.

    Attributes
    ----------
    name : str
        What was measured.
    reading : Reading
        Joules by component, and seconds.
    marks : tuple of str
        What a reader must know; see `greenbench.results.marks.MEANINGS`.
    started_at : float
        Seconds since 1970-01-01 UTC.
    intensity_g_per_kwh : float
        Carbon intensity, in g CO2e/kWh.
    emissions_source : str
        Where that comes from.
    environment : mapping of str to str
        Machine, versions, and ``meter``.
    idle_w : mapping of str to float
        Idle power by component, in W, where it was measured.
    gpus : tuple of TrainedGpu
        The cards that were read, and their states at both ends.
    status : str
        ``finished``, or ``failed`` if the block raised, or the program's exit code is not 0.
    """

    name: str
    reading: Reading
    marks: tuple[str, ...]
    started_at: float
    intensity_g_per_kwh: float
    emissions_source: str
    environment: Mapping[str, str] = field(default_factory=dict)
    idle_w: Mapping[str, float] = field(default_factory=dict)
    gpus: tuple[TrainedGpu, ...] = ()
    status: str = FINISHED

    @property
    def energy_wh(self) -> float | None:
        """Headline energy, in Wh; None if it is unknown."""
        return _to_wh(self.reading.energy_j)

    @property
    def uncertainty_wh(self) -> float | None:
        """Half-width of the 95% interval that ticks of counters leave, in Wh; None if unknown."""
        return _to_wh(self.reading.judged.uncertainty_j)

    @property
    def net_wh(self) -> float | None:
        """Headline energy above idle power, in Wh; None unless both are measured."""
        return _to_wh(net_j(self.reading.judged, self.idle_w))

    @property
    def components(self) -> dict[str, Component]:
        """Components that were read, by name; those beside the headline, too."""
        return dict(self.reading.judged.components)

    @property
    def provenance(self) -> Provenance:
        """How the headline energy came about."""
        return self.reading.judged.provenance

    @property
    def scope(self) -> str | None:
        """Which components the headline covers, such as ``cpu+gpu``."""
        return self.reading.covers

    @property
    def reason(self) -> str | None:
        """Why the headline energy is unknown; None if it is known."""
        return next((part.reason for part in self.reading.headline if part.reason), None)

    @property
    def emissions_g(self) -> float | None:
        """Headline energy times carbon intensity, in g CO2e."""
        return None if self.energy_wh is None else self.energy_wh / 1e3 * self.intensity_g_per_kwh

    @property
    def duration_s(self) -> float:
        """Wall seconds."""
        return self.reading.duration_s

    @property
    def cpu_s(self) -> float | None:
        """CPU seconds of this process and all that it started; None if unknown."""
        return self.reading.cpu_s

    @property
    def other_cpu_share(self) -> float | None:
        """Share of the host's CPU time that others used; None if unknown."""
        cores = int(self.environment.get("cores", 1))
        return others_share(self.reading.other_cpu_s, self.duration_s, cores)

    @property
    def meter(self) -> str:
        """Names of the meters; the first counts."""
        return self.environment.get("meter", "")

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, under the names that results of cases have."""
        read = self.reading.judged
        return {
            "name": self.name,
            "status": self.status,
            "started_at": self.started_at,
            "energy_wh": self.energy_wh,
            "uncertainty_wh": self.uncertainty_wh,
            "net_wh": self.net_wh,
            "energy_provenance": self.provenance.value,
            "energy_scope": self.scope,
            "energy_source": "; ".join(dict.fromkeys(part.source for part in read.headline)),
            "energy_reason": self.reason,
            "components": {name: _described(part) for name, part in self.components.items()},
            "witnesses": {
                meter: {name: _described(part) for name, part in parts.items()}
                for meter, parts in read.witnesses.items()
            },
            "emissions_g": self.emissions_g,
            "intensity_g_per_kwh": self.intensity_g_per_kwh,
            "emissions_source": self.emissions_source,
            "duration_s": self.duration_s,
            "cpu_s": self.cpu_s,
            "other_cpu_share": self.other_cpu_share,
            "stopped_s": self.reading.stopped_s,
            "idle_w": dict(self.idle_w),
            "marks": list(self.marks),
            "meter": self.meter,
            "environment": dict(self.environment),
        }

    @property
    def sentence(self) -> str:
        """What was used, in one line."""
        said = [f"{self.name}: {self._energy()} in {self.duration_s:.3g} s"]
        if self.cpu_s is not None:
            said += [f"{self.cpu_s:.3g} s of CPU time"]
        if self.emissions_g is not None:
            unit, times = mass_unit([self.emissions_g])
            is_rough = are_rough([self.emissions_source])
            mass = self.emissions_g * times
            shown = one_digit(mass) if is_rough else f"{mass:.3g}"
            said += [f"{shown} {unit} CO2e" + (f" at a {WORLD_AVERAGE}" if is_rough else "")]
        return clean(", ".join(said) + (f" ({', '.join(self.marks)})" if self.marks else ""))

    def lines(self) -> list[str]:
        """Return the sentence, a line for each component, and what each mark means."""
        counting = self.reading.counting
        lines = [self.sentence]
        for name, part in sorted(self.components.items()):
            beside = "" if name in counting else ", beside the headline"
            what = part.reason if part.energy_j is None else part.source
            lines.append(f"  {name}: {_amount(part)}{beside}: {what}")
        # What else they mean is said of cases.
        lines += [f"  {mark}: {MEANINGS[mark].partition(': ')[0]}" for mark in self.marks]
        return [clean(line) for line in lines]

    def __str__(self) -> str:
        return self.sentence

    def _energy(self) -> str:
        if self.energy_wh is None:
            return f"unknown energy ({self.reason or 'nothing was read'})"
        shown = with_unit(self.energy_wh)
        if self.uncertainty_wh is not None:
            times = energy_unit([self.energy_wh])[1]
            amount, unit = shown.split(" ")
            shown = f"{amount} ± {self.uncertainty_wh * times:.2g} {unit}"
        return f"{shown} ({self.scope}, {self.provenance.label} by {self.meter})"


def _described(part: Component) -> dict[str, Any]:
    return {
        "energy_wh": _to_wh(part.energy_j),
        "uncertainty_wh": _to_wh(part.uncertainty_j),
        "provenance": part.provenance.value,
        "source": part.source,
        "reason": part.reason,
    }


def _amount(part: Component) -> str:
    if part.energy_j is None:
        return "unknown"
    energy = with_unit(part.energy_j / JOULES_PER_WH)
    return f"{energy}, {part.provenance.label} ({part.provenance})"


def _to_wh(joules: float | None) -> float | None:
    return None if joules is None else joules / JOULES_PER_WH
