"""The bench: what one worker process trains, measures and reports with."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from greenbench.backends import Backend
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.control import Control
from greenbench.energy.counters import Counters
from greenbench.energy.habits import Habits
from greenbench.energy.ledger import Stops
from greenbench.energy.meter import Meter
from greenbench.results.gpus import Gpu
from greenbench.results.scope import Names
from greenbench.search.kept_data import KeptData

Emit = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Bench:
    """What repeats are run with; one a worker process.

    Attributes
    ----------
    backend : Backend
        Trains.
    meter : Meter
        Reads energy.
    control : Meter
        Another meter of the same kind: reads one window around all of a repeat.
    intensity : CarbonIntensity
        Turns energy into emissions.
    environment : mapping
        Recorded with each result.
    data_dir : pathlib.Path
        Local image files.
    emit : callable
        Told of progress, outside measured windows where it can be.
    min_window_s : float
        Shortest training window; see `Conditions`.
    idle_w : mapping of str to float
        Idle power by component, where it was measured before the suite.
    mixed : sequence of str
        What had changed when the run was resumed all the same; recorded with each result.
    look : int
        Which look at its case a repeat comes before; recorded with each result.
    design : str or None
        Of a run that looks again and again; recorded likewise.
    conditions : str or None
        Digest of what a repeat depends on; recorded likewise.
    clock : callable
        Seconds since 1970-01-01 UTC.
    stops : Stops or None
        Tells when the process did not run.
    gpus : sequence of Gpu
        The cards that train.
    scope : tuple of str or None
        Components that count in what its meters read; see `greenbench.results.scope`.
    counters : Counters or None
        Energy counters that are read at each of their ticks, where the machine has any.
    habits : Habits
        What repeats of this process learned of them; each one adds to it.
    keep : callable or None
        Writes a framework's model to a folder; None if models are not kept.
    machine_state : Control or None
        What the control workload cost before the first repeat, where it was measured.
    host_lock : pathlib.Path or None
        Of a host that is shared with those who measure on other cards; None where it is not.
    kept : KeptData or None
        The data set that this process loaded last; None where each repeat loads its own.
    """

    backend: Backend
    meter: Meter
    control: Meter
    intensity: CarbonIntensity
    environment: Mapping[str, str]
    data_dir: Path
    emit: Emit
    min_window_s: float = 0.0
    idle_w: Mapping[str, float] = field(default_factory=dict)
    mixed: Sequence[str] = ()
    look: int = 1
    design: str | None = None
    conditions: str | None = None
    clock: Callable[[], float] = time.time
    stops: Stops | None = None
    gpus: Sequence[Gpu] = ()
    scope: Names | None = None
    counters: Counters | None = None
    habits: Habits = field(default_factory=Habits)
    keep: Callable[[object, Path], None] | None = None
    machine_state: Control | None = None
    host_lock: Path | None = None
    kept: KeptData | None = None
