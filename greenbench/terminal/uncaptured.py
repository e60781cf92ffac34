"""The real standard error, where somebody else captures it for a while."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from io import StringIO

from greenbench.text import printing


class Uncaptured(StringIO):
    """Writes to the standard error that there is while nothing is captured.

    Parameters
    ----------
    uncaptured : callable
        Returns a context in which capturing is off.
    """

    def __init__(self, uncaptured: Callable[[], AbstractContextManager[object]]) -> None:
        super().__init__()
        self._uncaptured = uncaptured

    def write(self, text: str) -> int:
        """Write at once."""
        with self._uncaptured():
            printing(sys.stderr).show(text)
        return len(text)

    def isatty(self) -> bool:
        """Return whether people look at it."""
        with self._uncaptured():
            return printing(sys.stderr).isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the standard error."""
        with self._uncaptured():
            return printing(sys.stderr).encoding
