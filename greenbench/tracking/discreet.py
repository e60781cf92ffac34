"""Discretion: what MLflow and its libraries print and log of a store has no passwords in it."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from greenbench.machine.secrets import StoreUri

PRINTS_NO_ADDRESS = "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"

# Of requests that fail, urllib3 logs the query, and MLflow of databases what the driver says.
LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry", "mlflow.store.db.utils")


@contextmanager
def discreet(uri: StoreUri) -> Iterator[None]:
    """Let nobody print where a run is, with the password of its server, or log such an address."""
    before = os.environ.get(PRINTS_NO_ADDRESS)
    os.environ[PRINTS_NO_ADDRESS] = "true"
    hiding = _Hiding(uri)
    for name in LOGGERS:
        logging.getLogger(name).addFilter(hiding)
    try:
        yield
    finally:
        for name in LOGGERS:
            logging.getLogger(name).removeFilter(hiding)
        if before is None:
            os.environ.pop(PRINTS_NO_ADDRESS, None)
        else:
            os.environ[PRINTS_NO_ADDRESS] = before


class _Hiding(logging.Filter):
    def __init__(self, uri: StoreUri) -> None:
        super().__init__()
        self._uri = uri

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._uri.redact(record.getMessage()), ()
        if record.exc_info:
            text = logging.Formatter().formatException(record.exc_info)
            record.exc_text, record.exc_info = self._uri.redact(text), None
        return True
