"""Warnings in a worker: what users must know is told, with its place; others are logged."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from greenbench.errors import ArchitectureWarning
from greenbench.machine.places import place_of_call
from greenbench.machine.secrets import redact
from greenbench.search.bench import Emit


class Warnings(logging.Handler):
    """Tells of what would only be written to the log; once a kind and place.

    That is what the user's code makes Python warn of, and the records of the loggers that this
    handler is added to.

    What a module says when it is imported waits until a repeat runs.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._log = warnings.showwarning
        self._send: Emit | None = None
        self._waiting: list[str] = []
        self._told: set[tuple[type[Warning], str]] = set()
        warnings.showwarning = self._show

    @contextmanager
    def passed_on(self, send: Emit) -> Iterator[None]:
        """Tell at once what is warned of inside, and before that what has waited.

        Parameters
        ----------
        send : callable
            Gets the event ``warning`` with a ``message``.
        """
        self._send = send
        for message in self._waiting:
            self._tell(message)
        self._waiting.clear()
        try:
            yield
        finally:
            self._send = None

    @contextmanager
    def silenced(self) -> Iterator[None]:
        """Tell of no record that is logged inside, since a repeat will do the same again.

        What Python warns of it may warn of once only, so that this waits.
        """
        self.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            self.setLevel(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of a logged record."""
        self._tell(record.getMessage())

    def _show(self, *given: Any, **options: Any) -> None:
        self._log(*given, **options)
        message, category, *_ = given
        text = " ".join(str(message).split())
        if not issubclass(category, ArchitectureWarning):
            place = place_of_call()
            if place is None:
                return
            text = f"{category.__name__}: {text} ({place})"
            key = category, place
        else:
            key = category, text
        if key not in self._told:
            self._told.add(key)
            self._tell(text)

    def _tell(self, text: str) -> None:
        text = redact(text)
        if self._send is not None:
            self._send("warning", {"message": text})
        else:
            self._waiting.append(text)
