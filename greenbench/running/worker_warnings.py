"""Warnings in a worker: those of the user's code are told, with their place; others are logged."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from greenbench.errors import ArchitectureWarning
from greenbench.places import place_of_call
from greenbench.search.bench import Emit


class Warnings:
    """Tells of what Python would only write to the log; once a kind and place.

    Parameters
    ----------
    emit : callable
        Gets the event ``warning`` with a ``message``, while repeats run; what a module says when
        it is imported waits until then.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._log = warnings.showwarning
        self._is_open = False
        self._waiting: list[str] = []
        self._told: set[tuple[type[Warning], str]] = set()
        warnings.showwarning = self._show

    @contextmanager
    def passed_on(self) -> Iterator[None]:
        """Tell at once what is warned of inside, and before that what has waited."""
        for message in self._waiting:
            self._emit("warning", {"message": message})
        self._waiting.clear()
        self._is_open = True
        try:
            yield
        finally:
            self._is_open = False

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
        if key in self._told:
            return
        self._told.add(key)
        if self._is_open:
            self._emit("warning", {"message": text})
        else:
            self._waiting.append(text)
