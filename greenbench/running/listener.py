"""Who is told what a session does."""

from collections.abc import Mapping
from typing import Any, Protocol

from greenbench.cases import Case
from greenbench.results import CaseResult


class Listener(Protocol):
    """Is told what a session does; renders it or not."""

    def notice(self, message: str) -> None:
        """Show one line that the user must see."""

    def repeat_started(
        self, case: Case, repeat: int, done_trials: int, revision: str | None = None
    ) -> None:
        """Show that a repeat begins; `done_trials` were finished before an interruption."""

    def event(self, kind: str, values: Mapping[str, Any]) -> None:
        """Show a worker's event: ``trial_started``, ``epoch``, ``trial_finished``, ``warning``."""

    def repeat_finished(self, result: CaseResult | None) -> None:
        """Show that a repeat ended; None if it failed."""
