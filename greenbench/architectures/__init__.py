"""Architectures: framework-neutral layer specs, or native builders for one backend."""

from greenbench.architectures.base import build_architecture, family, native, sizes_of
from greenbench.architectures.spec import (
    BatchNorm,
    Conv,
    Flatten,
    Layer,
    Linear,
    MaxPool,
    Native,
    ReLU,
    Spec,
)

__all__ = [
    "BatchNorm",
    "Conv",
    "Flatten",
    "Layer",
    "Linear",
    "MaxPool",
    "Native",
    "ReLU",
    "Spec",
    "build_architecture",
    "family",
    "native",
    "sizes_of",
]
