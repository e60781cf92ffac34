"""greenbench: energy-aware benchmarking of deep-learning training."""

from greenbench.registry import (
    register_architecture,
    register_backend,
    register_dataset,
    register_meter,
    register_scheduler,
    register_space,
    register_strategy,
    register_suite,
)

__version__ = "0.1.0"

__all__ = [
    "register_architecture",
    "register_backend",
    "register_dataset",
    "register_meter",
    "register_scheduler",
    "register_space",
    "register_strategy",
    "register_suite",
]
