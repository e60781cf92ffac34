"""Reuse from the store: results of a team, or of runs whose folders were deleted here."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from greenbench.cases import Case
from greenbench.errors import TrackingError
from greenbench.results.journal import Journal
from greenbench.running.conditions import Conditions, digest_of
from greenbench.running.delivery import silence
from greenbench.running.reusable import Found, doubts, first_found, objection
from greenbench.settings import Settings
from greenbench.tracking.uris import sqlite_path

if TYPE_CHECKING:
    from greenbench.tracking import Store
    from greenbench.tracking.whole import Stored


class StoredResults:
    """What a store has of repeats, as long as it answers.

    Parameters
    ----------
    settings : Settings
        Where it is, and where the folders of runs are.
    notice : callable
        Told once if it does not answer: what it may have is measured anew.
    """

    def __init__(self, settings: Settings, notice: Callable[[str], None]) -> None:
        self._settings, self._notice = settings, notice
        self._store: Store | None = None
        self._is_away = False

    def look(
        self, case: Case, repeat: int, now: Conditions, here: Mapping[str, str]
    ) -> Found | str | None:
        """Return what the store has of a repeat, or why that is of no use; None if nothing.

        Parameters
        ----------
        case : Case
            The definition.
        repeat : int
            Which repeat, from 0.
        now, here
            As of `objection`.
        """
        digest = digest_of(now, case, repeat)
        try:
            store = None if self._is_away or digest is None else self._opened()
            if store is None or digest is None:
                return None
            stored = store.stored(digest)
            return first_found(self._judged(each, case, repeat, now, here) for each in stored)
        except TrackingError as error:
            self._is_away = True
            self._notice(f"nothing is reused from the store: {error}")
            return None

    def _judged(
        self, stored: "Stored", case: Case, repeat: int, now: Conditions, here: Mapping[str, str]
    ) -> Found | str | None:
        from greenbench.tracking.whole import NotWholeError  # noqa: PLC0415

        if Journal.of(self._settings.journal_dir / stored.session, case, repeat).path.exists():
            # Which knows more, and was asked before.
            return None
        if marks := doubts(stored.marks):
            return marks
        try:
            result, basis = stored.read()
        except NotWholeError as error:
            return f"their {error}"
        if result.idle_w and not (stored.is_drift_known or result.reused_from):
            return "the store does not know by how much idle power changed during their run"
        return objection(result, now, here) or Found(stored.session, result, basis)

    def _opened(self) -> "Store | None":
        """Return the store; None if it is a file that is yet to be made."""
        settings = self._settings
        database = sqlite_path(settings.tracking_uri)
        if self._store is None and (database is None or database.exists()):
            if away := silence(settings):
                raise away
            from greenbench.tracking import Store  # noqa: PLC0415

            self._store = Store.existing(settings.tracking_uri, timeout_s=settings.store_timeout_s)
        return self._store
