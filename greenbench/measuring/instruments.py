"""What a process measures with: the meter, the counters, and which components count."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from greenbench import registry
from greenbench.energy.carbon import CarbonIntensity, carbon_intensity
from greenbench.energy.counters import TICKING, Counters, open_counters
from greenbench.energy.gpus import gpus_to_read, visible_gpus
from greenbench.energy.habits import Habits
from greenbench.energy.idle import IdlePower, measure_idle, measures
from greenbench.energy.meters import meter_names, open_meter
from greenbench.energy.scoped import ScopedMeter
from greenbench.machine.environment import describe_environment
from greenbench.measuring.overlap import SharedCounters, SharedMeter
from greenbench.results.gpus import Gpu
from greenbench.results.marks import REPLAYING
from greenbench.results.scope import GPU, ON_CPU, Names, names_in
from greenbench.settings import Settings


@dataclass(frozen=True)
class Instruments:
    """What all windows of a process are measured with.

    Attributes
    ----------
    meter : SharedMeter
        Reads energy, for any number of windows at once.
    counters : SharedCounters or None
        Energy counters that are read at each of their ticks, where the machine has any.
    scope : tuple of str or None
        Components that count.
    gpus : sequence of Gpu
        The cards that are read.
    intensity : CarbonIntensity
        Turns energy into emissions.
    environment : mapping of str to str
        Machine and versions, and ``meter``.
    habits : Habits
        What windows learned of the counters.
    """

    meter: SharedMeter
    counters: SharedCounters | None
    scope: Names | None
    gpus: Sequence[Gpu]
    intensity: CarbonIntensity
    environment: Mapping[str, str]
    habits: Habits = field(default_factory=Habits)

    def measure_idle(self, seconds: float) -> IdlePower:
        """Return the idle power of what is measured; nothing of a model.

        Parameters
        ----------
        seconds : float
            For how long.
        """
        if not seconds or not measures(self.meter.tap(), self.counters):
            return IdlePower()
        ticks = self.counters.ticks if self.counters else None
        return measure_idle(self.meter.tap(), seconds, ticks=ticks)

    def close(self) -> None:
        """Stop all background work."""
        self.meter.close()
        if self.counters:
            self.counters.close()


def open_instruments(settings: Settings) -> Instruments:
    """Return what a process measures with, as workers do; it takes up to a second.

    What is measured may be anything, so all cards are read that CUDA shows to this process, and of
    the headline it is taken to compute on them, if there are any.

    Parameters
    ----------
    settings : Settings
        The meter, the headline, the carbon intensity.

    Raises
    ------
    ConfigurationError
        If one of them cannot be used.
    """
    intensity = carbon_intensity(settings.carbon_g_per_kwh, settings.country)
    names = meter_names(settings.meter)
    if not set(names) <= set(registry.meters.names()):
        registry.load_plugins()
    gpus = visible_gpus(os.environ) or gpus_to_read(os.environ)
    with ExitStack() as opened:
        counters = _open_counters(names[0], gpus)
        if counters:
            opened.callback(counters.close)
        counted = counters.describe() if counters else {}
        meter = open_meter(settings.meter, gpus, counted=counted)
        opened.callback(meter.close)
        read = {**meter.describe(), **counted}
        device = _device(gpus) if GPU in read else ON_CPU
        scope = names_in(settings.headline, read, None if names[0] in REPLAYING else device)
        opened.pop_all()
    environment = describe_environment(settings.threads, {"device": device})
    # How many threads compute is the program's affair.
    known = {name: text for name, text in environment.items() if name != "threads"}
    return Instruments(
        SharedMeter(ScopedMeter(meter, scope)),
        SharedCounters(counters) if counters else None,
        scope,
        gpus or (),
        intensity,
        {**known, "meter": ",".join(names)},
    )


def _open_counters(meter: str, gpus: Sequence[Gpu] | None) -> Counters | None:
    # What another meter reads, or replays, is that meter's figure.
    if meter not in TICKING:
        return None
    return open_counters(None if gpus is None else [gpu.uuid for gpu in gpus], TICKING[meter])


def _device(gpus: Sequence[Gpu] | None) -> str:
    return gpus[0].name if gpus else "GPU"
