"""Backends: turn an architecture into a model that trains."""

from greenbench.backends.base import Backend, BuildRequest, ReplayingBackend, TrainableModel

__all__ = ["Backend", "BuildRequest", "ReplayingBackend", "TrainableModel"]
