"""MLflow's autologging stays off: it would be measured as training, and fill a store of its own."""

import importlib.util
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from greenbench.machine.importing import followed

SWITCH = "mlflow.utils.autologging_utils"
"""The module that decides whether any of MLflow's integrations logs."""

_held: list[AbstractContextManager[None]] = []
"""What keeps it off; it would be on again as soon as this was collected."""


def forbid_autologging() -> None:
    """Turn autologging off for this process, whoever turns it on, before or after.

    MLflow is not imported for that: if somebody else does so later, it is turned off then.
    """
    if SWITCH in sys.modules:
        _turn_off(sys.modules[SWITCH])
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Turns autologging off when MLflow has been imported, and is gone then."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != SWITCH:
            return None
        sys.meta_path.remove(self)
        return followed(importlib.util.find_spec(name), _turn_off)


def _turn_off(module: Any) -> None:
    off = module.disable_autologging()
    off.__enter__()
    _held.append(off)
