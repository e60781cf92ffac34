"""Tasks: what is learned from what, and how it is judged.

Whoever reads figures needs `Score` alone: NumPy and data sets are imported for the rest only.
"""

import importlib
from typing import TYPE_CHECKING, Any

from greenbench.tasks.score import ACCURACY, Score

if TYPE_CHECKING:
    from greenbench.tasks.base import Task, check_loss, find_task
    from greenbench.tasks.classification import CLASSIFICATION

_LATER = {
    "CLASSIFICATION": "greenbench.tasks.classification",
    "Task": "greenbench.tasks.base",
    "check_loss": "greenbench.tasks.base",
    "find_task": "greenbench.tasks.base",
}

__all__ = ["ACCURACY", "CLASSIFICATION", "Score", "Task", "check_loss", "find_task"]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LATER[name]), name)
