"""Tracking: results into MLflow and rows out of it; the only package that knows MLflow."""

from greenbench.tracking.database import redact
from greenbench.tracking.store import Store, session_key
from greenbench.tracking.ui import serve_ui

__all__ = ["Store", "redact", "serve_ui", "session_key"]
