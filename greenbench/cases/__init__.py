"""Cases and suites: what may be asked."""

from greenbench.cases.case import (
    SCHEMA_VERSION,
    Case,
    Options,
    Scalar,
    freeze_options,
    matrix,
    split_network,
)

__all__ = [
    "SCHEMA_VERSION",
    "Case",
    "Options",
    "Scalar",
    "freeze_options",
    "matrix",
    "split_network",
]
