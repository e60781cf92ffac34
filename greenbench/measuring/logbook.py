"""Where measurements go: to MLflow, and to a file where that is away."""

import json
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenbench.errors import GreenbenchError
from greenbench.machine.files import drop_torn_line, reason
from greenbench.machine.locks import Lock
from greenbench.machine.secrets import StoreUri
from greenbench.measuring.measurement import Measurement
from greenbench.settings import Settings
from greenbench.tracking.measurements import Place, Record, active_run, open_active, undisturbed
from greenbench.tracking.uris import check_uri

KEPT = "measurements.jsonl"
"""In the folder of the runs, what MLflow could not take: a JSON object a line."""
LOCK_LIMIT_S = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A measurement that is to be logged.

    Attributes
    ----------
    measurement : Measurement
        What.
    settings : Settings
        Which store, unless there is an active run.
    place : Place or None
        The active run.
    may_make : bool
        Whether a run is made where there is none.
    """

    measurement: Measurement
    settings: Settings
    place: Place | None
    may_make: bool


def place_now() -> Place | None:
    """Return the active run of MLflow, if there is one."""
    return active_run(os.environ)


class Logbook:
    """Writes measurements of a process; what MLflow cannot take is kept in a file.

    Without an active run, all of a process go to one run. After a failure that store is not tried
    again: to wait for it at each measurement would keep the program.

    Attributes
    ----------
    last : str or None
        Where the last measurement went, for people.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._records: dict[Place | StoreUri, Record] = {}
        self._away: set[Place | StoreUri] = set()
        self.last: str | None = None

    def write(self, entries: Sequence[Entry]) -> None:
        """Log measurements in their order; what fails is said in one line, and raises nothing."""
        with self._turn:
            for entry in entries:
                if entry.place is not None or entry.may_make:
                    self._write(entry)

    def _write(self, entry: Entry) -> None:
        uri = entry.settings.tracking_uri
        to: Place | StoreUri = entry.place or uri
        row = row_of(entry.measurement.to_dict())
        if to in self._away:
            self._keep(entry, "")
            return
        try:
            with undisturbed():
                record = self._records.get(to) or self._opened(entry, to)
                self._records[to] = record
                _write_to(record, row, entry)
        except GreenbenchError as error:
            self._away.add(to)
            self._keep(entry, f"{error}; ")
            return
        store = StoreUri(entry.place.uri) if entry.place else uri
        self.last = f"MLflow run {record.run_id} of {store}"

    def _opened(self, entry: Entry, to: Place | StoreUri) -> Record:
        timeout_s = entry.settings.store_timeout_s
        if isinstance(to, Place):
            return open_active(to, timeout_s)
        check_uri(to)
        from greenbench.tracking import Store  # noqa: PLC0415

        return Store(to, timeout_s=timeout_s).measurements(_name_of_run(entry.measurement))

    def _keep(self, entry: Entry, why: str) -> None:
        path = entry.settings.runs_dir / KEPT
        line = json.dumps({**entry.measurement.to_dict(), **_of_run(entry.place)})
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with kept_alone(entry.settings), path.open("ab+") as file:
                # It would spoil this one, too.
                drop_torn_line(file)
                file.write(f"{line}\n".encode())
        except OSError as error:
            # The figures are all that is left.
            _log.warning("%s%s cannot be written (%s): %s", why, path, reason(error), line)
            return
        self.last = str(path)
        if why:
            _log.warning("%sthe measurement is kept in %s", why, path)


@contextmanager
def kept_alone(settings: Settings) -> Iterator[None]:
    """Keep other processes from changing the file meanwhile; without a lock if there is none."""
    with ExitStack() as stack:
        with suppress(OSError):
            lock = Lock(settings.runs_dir / f".{KEPT}.lock")
            stack.enter_context(lock.held(LOCK_LIMIT_S))
        yield


def row_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a measurement as columns with the names of MLflow's metrics and tags.

    Parameters
    ----------
    found : mapping
        As `Measurement.to_dict` tells it.
    """
    parts = {f"{name}_wh": part["energy_wh"] for name, part in found["components"].items()}
    return {
        **dict.fromkeys(("cpu_wh", "gpu_wh", "ram_wh")),
        **found,
        **parts,
        "marks": " ".join(found["marks"]) or None,
        "host": found["environment"].get("host"),
    }


def _of_run(place: Place | None) -> dict[str, Any]:
    # Without the password of its store.
    return {"run": {"id": place.run_id, "store": str(StoreUri(place.uri))}} if place else {}


def _write_to(record: Record, row: dict[str, Any], entry: Entry) -> None:
    from greenbench.tracking.asking import translated  # noqa: PLC0415

    uri = StoreUri(entry.place.uri) if entry.place else entry.settings.tracking_uri
    with translated(uri):
        record.write(row)


def _name_of_run(measurement: Measurement) -> str:
    script = Path(sys.argv[0]).name if sys.argv and sys.argv[0] not in ("", "-c", "-m") else ""
    return script or measurement.name
