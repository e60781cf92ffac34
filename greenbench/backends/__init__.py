"""Backends: turn an architecture into a model that trains."""

from greenbench.backends.base import Backend, BuildRequest, TrainableModel

__all__ = ["Backend", "BuildRequest", "TrainableModel"]
