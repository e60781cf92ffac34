"""A file of the user's own in which a program reports: read as it grows, or at the end."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from greenbench.errors import ProtocolError
from greenbench.trainings.messages import Lines

WHOLE = ".json"
"""Ends the name of a file that is one JSON document: it is read when the program has ended."""


class ReportFile:
    """What a program writes into a file, from when this is made on.

    Parameters
    ----------
    path : pathlib.Path
        May not exist yet; what an earlier program has written is not read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = Lines()
        self._before = self._state()
        self._offset = self._before[1]

    def read(self, *, is_last: bool) -> Iterator[bytes]:
        """Yield lines that are new; `is_last` says that nothing more will come."""
        if self._path.suffix == WHOLE:
            if is_last and self._state() != self._before:
                yield from self._whole()
            return
        inode, size, _ = self._state()
        if inode != self._before[0] or size < self._offset:
            # It was written anew.
            self._before, self._offset, self._lines = (inode, size, 0), 0, Lines()
        with suppress(OSError), self._path.open("rb") as file:
            file.seek(self._offset)
            piece = file.read()
            self._offset += len(piece)
            yield from self._lines.add(piece)
        if is_last:
            yield from self._lines.rest()

    def _whole(self) -> Iterator[bytes]:
        try:
            document = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise ProtocolError(f"its report {self._path} cannot be read: {error}") from error
        entries = document if isinstance(document, list) else [document]
        yield from (json.dumps(entry).encode() for entry in entries)

    def _state(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return 0, 0, 0
        return found.st_ino, found.st_size, found.st_mtime_ns
