"""What a training imports late: imported early, so that no trial pays for it."""

import ast
import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress

from greenbench.backends.process_state import random_numbers_of
from greenbench.trainings.declaration import Training


def import_early(training: Training) -> None:
    """Import what the function of a training imports inside itself, and let torch train a little.

    Frameworks take seconds to import, and more for their first steps, which would be in the energy
    of the first trial of a process, and of no other. What cannot be imported, the training says
    itself.
    """
    with suppress(OSError, TypeError, SyntaxError):
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(training.train)))
        for name in _imported(ast.parse(source)):
            with suppress(Exception):
                importlib.import_module(name)
    if "torch" in sys.modules:
        from greenbench.backends.torch_exercise import exercise  # noqa: PLC0415

        # One that cannot, such as on a GPU that somebody else fills, tells nothing here.
        with random_numbers_of({}, goes_on=False), suppress(Exception):
            exercise()


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
