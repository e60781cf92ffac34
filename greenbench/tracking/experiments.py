"""Experiments: found by their name, or made by whichever process comes first."""

import shlex
from typing import TYPE_CHECKING

from greenbench.errors import TrackingError
from greenbench.machine.secrets import StoreUri

if TYPE_CHECKING:
    from mlflow import MlflowClient


def open_experiment(
    client: "MlflowClient", uri: StoreUri, name: str, location: str | None
) -> tuple[str, dict[str, str]]:
    """Return the id and the tags of an experiment, which is made if there is none.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of the store.
    uri : StoreUri
        Of the store, as a user would name it to MLflow.
    name : str
        Of the experiment.
    location : str or None
        URI of artifacts, if the store has no place of its own for them.

    Raises
    ------
    TrackingError
        If it was deleted.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return _named(client.create_experiment(name, location)), {}
        except MlflowException:
            # Another process may have created it since we looked.
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    number = _named(found.experiment_id)
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"experiment {name!r} was deleted in MLflow; bring it back: "
            + _command(uri, f"mlflow experiments restore --experiment-id {number}")
        )
    return number, found.tags


def _command(uri: StoreUri, command: str) -> str:
    """Return a command that works as it is printed, unless the address has secrets in it."""
    if str(uri) != uri.reveal():
        return f"set MLFLOW_TRACKING_URI to the address of the store, then run `{command}`"
    return f"MLFLOW_TRACKING_URI={shlex.quote(str(uri))} {command}"


def _named(number: str | None) -> str:
    if not number:
        raise TrackingError(
            "the MLflow store answered, but named no experiment: is something else at its address?"
        )
    return str(number)
