"""The outbox: results that wait for the store, told to it call by call while there is time."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from greenbench.errors import GreenbenchError
from greenbench.results.journal import Journal
from greenbench.running.spool import BusyError, turn

if TYPE_CHECKING:
    from greenbench.tracking import Store
    from greenbench.tracking.stepwise import Stepwise

Refused = Callable[[str, GreenbenchError], bool]
"""Told which result was not taken, and why; returns whether the others are tried."""


@dataclass(frozen=True)
class Due:
    """A result that waits.

    Attributes
    ----------
    name : str
        Of the repeat, for people.
    journal : Journal
        Holds it.
    may_exist : bool
        Whether the store may have it, or some of it.
    """

    name: str
    journal: Journal
    may_exist: bool


@dataclass
class _Begun:
    """A result that is on its way."""

    steps: "Stepwise"
    size: int
    """Of its journal: who marks it meanwhile makes it grow."""


class Outbox:
    """Brings one result after another to the store, and keeps their journals' paths alone.

    Parameters
    ----------
    opened : callable
        Returns the store; opens it if it is not.
    refused : callable
        Told of what failed.
    say : callable, optional
        Told who delivers of the same run, and is waited for.
    """

    def __init__(
        self,
        opened: Callable[[], "Store"],
        refused: Refused,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._opened, self._refused, self._tell = opened, refused, say
        self._waiting: deque[Due] = deque()
        self._begun: _Begun | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, due: Due) -> None:
        """Let a result wait."""
        self._waiting.append(due)

    def work(self, is_over: Callable[[], bool], limit_s: float) -> None:
        """Deliver until nothing waits, or it is over, which is asked before each call.

        Parameters
        ----------
        is_over : callable
            Asked again and again.
        limit_s : float
            Most seconds that another process is waited for that delivers of the same run.
        """
        while self._waiting and not is_over():
            due = self._waiting[0]
            try:
                with turn(due.journal.path.parent, limit_s, self._tell):
                    while self._step(due):
                        if is_over():
                            return
            except BusyError as error:
                if not limit_s:
                    return
                self._refused(due.name, error)
            except GreenbenchError as error:
                self._begun = None
                if not self._refused(due.name, error):
                    self._waiting[0] = replace(due, may_exist=True)
                    return
            self._waiting.popleft()

    def _step(self, due: Due) -> bool:
        """Take a step with the first result; return whether it needs another one."""
        journal, begun = due.journal, self._begun
        size = journal.size()
        if begun is None or begun.size != size:
            state = journal.read()
            if state.result is None or state.is_delivered:
                self._begun = None
                return False
            from greenbench.tracking import session_key  # noqa: PLC0415

            may_exist = due.may_exist or state.is_attempted or begun is not None
            key = session_key(journal.path)
            basis = journal.basis()
            steps = self._opened().steps(state.result, key, may_exist=may_exist, basis=basis)
            self._begun = _Begun(steps, size)
            return True
        if begun.steps.take():
            return True
        self._opened().log_model(begun.steps.run_id, journal.model)
        self._begun = None
        journal.mark_delivered()
        journal.drop_model()
        return False
