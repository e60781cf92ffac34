"""The line between a worker and the driver: questions that are asked until they are answered."""

import queue
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from greenbench.errors import GreenbenchError

ANSWER_S = 5.0
"""After how many seconds a question is asked again: its answer may have been lost."""

SHORTEST_POLL_S, LONGEST_POLL_S, LONGEST_S = 0.005, 0.25, 3600.0

AWAY = (TimeoutError, queue.Empty, queue.Full)


class Channel(Protocol):
    """A queue of plain data, of Dask or of this process."""

    def put(self, value: Any, timeout: float | None = None) -> Any:
        """Add something; raise one of `AWAY` if there is no room in time."""

    def get(self, timeout: float | None = None) -> Any:
        """Return the first of what is there; raise one of `AWAY` if there is nothing in time."""


class AbandonedError(GreenbenchError):
    """Nobody waits any more for what is done here."""


class Line:
    """The worker's end.

    Parameters
    ----------
    up : Channel
        To the driver, from all workers.
    down : Channel
        From the driver, for this repeat alone.
    token : str
        Which repeat it is about, and which attempt at it.
    is_wanted : callable
        Tells whether somebody still waits for it.
    """

    def __init__(
        self, up: Channel, down: Channel, token: str, is_wanted: Callable[[], bool]
    ) -> None:
        self._up, self._down = up, down
        self._token, self._is_wanted = token, is_wanted
        self._number = 0

    def ask(self, op: str, **values: Any) -> dict[str, Any]:
        """Return the answer to a question, however long it takes.

        Raises
        ------
        AbandonedError
            If nobody will answer.
        """
        self._number += 1
        while True:
            with suppress(*AWAY):
                self._send(op, self._number, values)
                while (answer := self._down.get(timeout=ANSWER_S))["number"] != self._number:
                    self.check()
                return dict(answer)
            self.check()

    def tell(self, op: str, **values: Any) -> None:
        """Say what needs no answer, and may be lost."""
        self.check()
        with suppress(*AWAY):
            self._send(op, 0, values)

    def check(self) -> None:
        """Raise `AbandonedError` if nobody waits any more."""
        if not self._is_wanted():
            raise AbandonedError(f"nobody waits for {self._token} any more")

    def _send(self, op: str, number: int, values: Mapping[str, Any]) -> None:
        message = {"op": op, "token": self._token, "number": number, "values": dict(values)}
        self._up.put(message, timeout=ANSWER_S)


class Polled:
    """A queue that is asked again and again: one that waits logs an error where nothing comes.

    Parameters
    ----------
    channel : distributed.Queue
        The queue.
    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._found: deque[Any] = deque()

    def put(self, value: Any, timeout: float | None = None) -> None:
        """Add something."""
        self._channel.put(value, timeout=timeout)

    def get(self, timeout: float | None = None) -> Any:
        """Return the first of what is there; raise `TimeoutError` if there is nothing in time."""
        deadline = time.monotonic() + (LONGEST_S if timeout is None else timeout)
        pause_s = SHORTEST_POLL_S
        while not self._found:
            self._found.extend(self._channel.get(batch=True))
            if not self._found:
                if time.monotonic() > deadline:
                    raise TimeoutError
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_POLL_S)
        return self._found.popleft()
