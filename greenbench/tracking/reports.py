"""Reports in MLflow: each a run of its own, whose artifacts its UI shows."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from greenbench.machine.secrets import StoreUri
from greenbench.tracking.attempts import settle
from greenbench.tracking.experiments import open_experiment
from greenbench.tracking.logs import create_run

REPORTS = "greenbench/reports"


def log_report(
    client: Any, uri: StoreUri, folder: Path, files: Sequence[Path], location: str | None
) -> str:
    """Log files as the artifacts of a new run, and return its path in the MLflow UI.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of the store.
    uri : StoreUri
        Of the store.
    folder : Path
        Where the files are.
    files : sequence of Path
        Relative to the folder, the page first.
    location : str or None
        URI of artifacts, if the store has no place of its own for them.

    Raises
    ------
    TrackingError
        If the experiment of reports was deleted.
    """
    experiment, _ = open_experiment(client, uri, REPORTS, location)
    key = uuid.uuid4().hex
    tags = {"kind": "report", "key": key, "mlflow.source.name": "greenbench"}
    run_id = create_run(client, experiment, tags, "report", None)
    try:
        for name in files:
            parent = None if name.parent == Path() else name.parent.as_posix()
            client.log_artifact(run_id, str(folder / name), parent)
    except Exception:
        # What failed first is what is said.
        with suppress(Exception):
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)
    settle(client, experiment, "report", key)
    return f"/#/experiments/{experiment}/runs/{run_id}/artifacts/{files[0].as_posix()}"
