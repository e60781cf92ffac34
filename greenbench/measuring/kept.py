"""Measurements that were kept while their store was away: delivered later, each once."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenbench.errors import GreenbenchError, TrackingError, UndeliveredError
from greenbench.machine.files import read_plain, reason, replacing
from greenbench.measuring.logbook import KEPT, kept_alone, row_of
from greenbench.settings import Settings
from greenbench.tracking.measurements import Kept

if TYPE_CHECKING:
    from greenbench.tracking import Store

DAMAGE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
"""What a line raises that is not what greenbench wrote."""


def deliver_kept(settings: Settings) -> tuple[int, list[GreenbenchError]]:
    """Deliver measurements, and drop those from the file that MLflow has.

    One of a user's own run goes there, and any other one becomes a run of its own. What cannot be
    delivered stays in the file.

    Returns
    -------
    int
        How many were delivered.
    list of GreenbenchError
        What could not be: an `UndeliveredError` does not hold up the others.
    """
    path = settings.runs_dir / KEPT
    try:
        lines = read_plain(path).splitlines(keepends=True)
    except FileNotFoundError:
        return 0, []
    except OSError as error:
        return 0, [UndeliveredError(f"{path} cannot be read ({reason(error)})")]
    from greenbench.tracking import Store  # noqa: PLC0415

    errors: list[GreenbenchError] = []
    told: set[bytes] = set()
    try:
        store = Store(settings.tracking_uri, timeout_s=settings.store_timeout_s)
        for number, line in enumerate(lines, start=1):
            try:
                _deliver(store, line)
                told.add(line)
            except DAMAGE as error:
                what = f"is damaged ({type(error).__name__}: {error})"
                errors.append(UndeliveredError(f"{path}, line {number} {what}; remove it"))
            except TrackingError as error:
                errors.append(UndeliveredError(f"{path}, line {number}: {error}"))
                if not store.answers():
                    errors.append(TrackingError("the store is away; the rest is left for later"))
                    break
    except TrackingError as error:
        errors.append(error)
    finally:
        # Of what is left here after a kill MLflow knows by its key.
        _drop(settings, path, told, errors)
    return len(told), errors


def _deliver(store: "Store", line: bytes) -> None:
    found: dict[str, Any] = json.loads(line)
    row = row_of(found)
    row["started_at"] + row["duration_s"] + len(row["name"])
    run = found.get("run")
    if run is None:
        store.log_kept(Kept(row, hashlib.sha256(line).hexdigest()[:32], None))
        return
    if run["store"] != str(store.uri):
        raise TrackingError(
            f"it is of run {run['id']} of {run['store']}: set MLFLOW_TRACKING_URI to that"
        )
    store.log_kept(Kept(row, "", str(run["id"])))


def _drop(settings: Settings, path: Path, told: set[bytes], errors: list[GreenbenchError]) -> None:
    if not told:
        return
    try:
        with kept_alone(settings):
            # Others may have been kept meanwhile.
            lines = read_plain(path).splitlines(keepends=True)
            if left := [line for line in lines if line not in told]:
                with replacing(path) as file:
                    file.writelines(left)
            else:
                path.unlink()
    except OSError as error:
        errors.append(
            UndeliveredError(
                f"{path} cannot be written ({reason(error)}): what MLflow has stays there, and is "
                "not delivered again"
            )
        )
