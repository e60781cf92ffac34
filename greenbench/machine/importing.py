"""What follows an import: something is done as soon as a module has been executed."""

from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def followed(spec: ModuleSpec | None, then: Callable[[ModuleType], None]) -> ModuleSpec | None:
    """Let something follow the execution of a module that is about to be imported.

    Parameters
    ----------
    spec : importlib.machinery.ModuleSpec or None
        Of the module, as finders find it; None if there is none.
    then : callable
        Called with the module.

    Returns
    -------
    importlib.machinery.ModuleSpec or None
        What was given.
    """
    loader: Any = spec.loader if spec else None
    if loader is not None:
        execute = loader.exec_module

        def execute_and_follow(module: ModuleType) -> None:
            execute(module)
            then(module)

        loader.exec_module = execute_and_follow
    return spec
