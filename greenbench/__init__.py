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

# Where modules used to be, before they moved into rooms; for one release.
__path__.append(f"{__path__[0]}/moved")

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
