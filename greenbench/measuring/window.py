"""Windows: what is used between two moments of this process, however they overlap."""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Self

from greenbench.errors import EnergyError, OverBudgetError, UndecidedBudgetError
from greenbench.measuring.asked import Log, check_log, check_max_wh, check_name
from greenbench.settings import Settings, unread

if TYPE_CHECKING:
    from greenbench.measuring.measurement import Measurement
    from greenbench.measuring.process import Measuring

_log = logging.getLogger(__name__)
_names: ContextVar[tuple[str, ...]] = ContextVar("names of open windows", default=())
_said: set[str] = set()


def measure(
    name: str, *, max_wh: float | None = None, log: Log = True, include_disturbed: bool = False
) -> "Window":
    """Return a window for a ``with`` block: what the machine uses while that runs.

    Parameters
    ----------
    name : str
        What is measured, for people and for MLflow.
    max_wh : float, optional
        Budget of the block, in Wh.
    log : bool or "active"
        Whether it is logged: to the active MLflow run, or else to a new one of our store; with
        ``"active"`` to an active run only.
    include_disturbed : bool
        Whether an energy over the budget counts though something else used the machine meanwhile.

    Raises
    ------
    ConfigurationError
        If name or budget make no sense; when the block begins, if a setting does not.
    OverBudgetError
        When the block has ended, if it used more than its budget.
    UndecidedBudgetError
        Then, if nobody knows: its energy is unknown, or too uncertain.
    """
    return Window(name, max_wh=max_wh, log=log, include_disturbed=include_disturbed)


class Window:
    """A block that is measured, once; see `measure`.

    Windows may be nested, and may overlap in threads and tasks: each has all that the machine used
    while it was open. One inside another one of the same name is a part of that, and is not logged.
    """

    def __init__(
        self,
        name: str,
        *,
        max_wh: float | None = None,
        log: Log = True,
        include_disturbed: bool = False,
        settings: Settings | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.name = check_name(name)
        self._max_wh = check_max_wh(max_wh)
        self._log, self._include_disturbed = check_log(log), include_disturbed
        self._settings, self._say = settings, say or _say
        self._measuring: Measuring | None = None
        self._measurement: Measurement | None = None
        self._token: Token[tuple[str, ...]] | None = None

    @property
    def measurement(self) -> "Measurement":
        """What was used; known once the block has ended.

        Raises
        ------
        EnergyError
            If it has not.
        """
        if self._measurement is None:
            raise EnergyError(
                f"window {self.name!r} has no measurement yet: ask for it after its block"
            )
        return self._measurement

    def __enter__(self) -> Self:
        if self._measuring is not None:
            raise EnergyError(
                f"window {self.name!r} is measured once; call greenbench.measure for another one"
            )
        # Heavy, and none of the block's.
        from greenbench.measuring.process import Measuring  # noqa: PLC0415

        is_part = is_inside(self.name)
        settings = self._settings or _read_settings(self._say)
        self._measuring = Measuring(settings, False if is_part else self._log, self._say)
        self._measuring.begin()
        self._token = _names.set((*_names.get(), self.name))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        measuring = self._measuring
        # A forked child leaves its parent's block, too, which goes on there.
        if measuring is None or measuring.pid != os.getpid():
            return
        # Who begins and who ends it may be two tasks.
        with suppress(ValueError):
            if self._token is not None:
                _names.reset(self._token)
        # Whoever interrupts a program does not want to wait for a store.
        self._measurement = measuring.end(
            self.name,
            has_failed=error is not None and not _is_success(error),
            is_logged=not isinstance(error, KeyboardInterrupt),
        )
        _log.info("%s", self._measurement)
        if error is None:
            self._judge()

    def _judge(self) -> None:
        if self._max_wh is None:
            return
        from greenbench.gate.judgement import Verdict  # noqa: PLC0415
        from greenbench.gate.wording import sentence  # noqa: PLC0415
        from greenbench.measuring.budget import judge  # noqa: PLC0415

        found = judge(self.measurement, self._max_wh, include_disturbed=self._include_disturbed)
        if found.verdict is Verdict.FAIL:
            raise OverBudgetError(sentence(found))
        if found.verdict is Verdict.INCONCLUSIVE:
            raise UndecidedBudgetError(sentence(found))


def is_inside(name: str) -> bool:
    """Return whether a window of that name is open around the code that runs."""
    return name in _names.get()


def _read_settings(say: Callable[[str], None]) -> Settings:
    """Return the settings of the environment; say once a process what of it is not read."""
    settings = Settings.from_environment(os.environ)
    for line in unread(os.environ):
        if line not in _said:
            _said.add(line)
            say(line)
    return settings


def _is_success(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code in (None, 0)


def _say(line: str) -> None:
    _log.warning("%s", line)
