"""Tracking: results into MLflow and rows out of it; the only package that knows MLflow."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenbench.tracking.attempts import session_key
    from greenbench.tracking.store import Store
    from greenbench.tracking.ui import serve_ui

__all__ = ["Store", "serve_ui", "session_key"]

_HOMES = {"Store": "store", "serve_ui": "ui", "session_key": "attempts"}


def __getattr__(name: str) -> Any:
    # Every command turns autologging off, which needs none of these.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
