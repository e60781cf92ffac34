"""Asking MLflow: with little patience, in silence, and with its errors in our words."""

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from greenbench.errors import ConfigurationError, TrackingError
from greenbench.machine.secrets import StoreUri
from greenbench.text import storable
from greenbench.tracking.discreet import discreet
from greenbench.tracking.limits import through_proxy

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULTS = {
    # An absent server must be noticed in seconds; MLflow's own defaults take minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # A server may ask for an hour's patience.
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    # Lines on standard output that nobody asked for, and a further request a run.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A thread that reports to MLflow's makers would do so while something is measured.
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def client_class() -> "type[MlflowClient]":
    """Import MLflow, and return its client, which is patient with no server, and silent."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient  # noqa: PLC0415

        # Importing MLflow sets these to INFO.
        for logger in ("mlflow", "alembic"):
            logging.getLogger(logger).setLevel(logging.WARNING)
    return MlflowClient


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave it to us to say what failed, in one line: MLflow logs each error with its traceback."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "sqlalchemy")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            # MLflow's and SQLAlchemy's deprecations are not for our users to mend.
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def translated(uri: StoreUri) -> Iterator[None]:
    """Let whatever a store fails with be a `TrackingError` of one line, without passwords."""
    try:
        with discreet(uri), _quiet():
            yield
    except (TrackingError, ConfigurationError):
        raise
    except Exception as error:
        # SQLAlchemy adds the statement, which says nothing to a user.
        text = " ".join(uri.redact(str(error).partition("[SQL:")[0]).split())
        # Neither its own text nor the frames that it came through are fit to be shown.
        raise TrackingError(
            f"MLflow store {uri} failed{through_proxy(uri)}: {type(error).__name__}: {text[:300]}"
        ) from None


def unquoted(name: str) -> str:
    """Return a name that can be stored, and looked for: MLflow knows no way to write a quote."""
    return re.sub("['\"`]", "_", storable(name))
