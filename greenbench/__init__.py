"""greenbench: energy-aware benchmarking of deep-learning training."""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if sys.argv[:1] == ["-m"] and __name__ in sys.orig_argv and not sys.flags.safe_path:
    # `python -m greenbench` looks into the working folder first, where a queue.py would be taken
    # for Python's own.
    sys.path.append(sys.path.pop(0))

from greenbench.registry import (
    register_architecture,
    register_backend,
    register_dataset,
    register_meter,
    register_optimizer,
    register_schedule,
    register_scheduler,
    register_space,
    register_strategy,
    register_suite,
    register_task,
)

if TYPE_CHECKING:
    from greenbench.cases import Case
    from greenbench.integrations.python import Results, run
    from greenbench.machine.reporting import report
    from greenbench.measuring import measure, measured
    from greenbench.trainings import register_training

__version__ = "0.1.0"

# Where modules used to be, before they moved into rooms; for one release.
__path__.append(f"{__path__[0]}/moved")

_LATE = {
    "Case": "greenbench.cases",
    "measure": "greenbench.measuring",
    "measured": "greenbench.measuring",
    "register_training": "greenbench.trainings",
    "Results": "greenbench.integrations.python",
    "run": "greenbench.integrations.python",
    "report": "greenbench.machine.reporting",
}
"""Names that are imported when they are first asked for, by their modules."""

__all__ = [
    "Case",
    "Results",
    "measure",
    "measured",
    "register_architecture",
    "register_backend",
    "register_dataset",
    "register_meter",
    "register_optimizer",
    "register_schedule",
    "register_scheduler",
    "register_space",
    "register_strategy",
    "register_suite",
    "register_task",
    "register_training",
    "report",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LATE[name]), name)
