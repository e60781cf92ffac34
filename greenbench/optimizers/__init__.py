"""Optimisers and schedules of the learning rate: what they are called, and what they take."""

from greenbench.optimizers.options import (
    AdadeltaOptions,
    AdagradOptions,
    AdamOptions,
    AdamWOptions,
    LionOptions,
    OptimizerOptions,
    RMSpropOptions,
    SGDOptions,
    optimizer_options,
)
from greenbench.optimizers.schedules import Constant, Schedule, make_schedule

__all__ = [
    "AdadeltaOptions",
    "AdagradOptions",
    "AdamOptions",
    "AdamWOptions",
    "Constant",
    "LionOptions",
    "OptimizerOptions",
    "RMSpropOptions",
    "SGDOptions",
    "Schedule",
    "make_schedule",
    "optimizer_options",
]
