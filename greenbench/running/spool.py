"""The spool: results and notes that wait in the journal's folders until MLflow takes them."""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from greenbench.errors import GreenbenchError, JournalError, TrackingError, UndeliveredError
from greenbench.machine.claims import Claim
from greenbench.machine.files import read_plain
from greenbench.results.journal import Journal
from greenbench.running.manifest import UNREADABLE
from greenbench.running.run_folder import may_write
from greenbench.settings import Settings
from greenbench.tracking.uris import check_uri

if TYPE_CHECKING:
    from greenbench.tracking import Store

IDLE_DRIFT = "idle-drift.json"
LOCK_LIMIT_S = 120.0
SYNC_LOCK = ".sync.lock"


class BusyError(TrackingError):
    """Another process delivers results of the same run."""


@contextmanager
def turn(
    folder: Path, limit_s: float = LOCK_LIMIT_S, say: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Let one process at a time deliver results of a run: its session, or a ``sync`` beside it.

    Parameters
    ----------
    folder : pathlib.Path
        The run's.
    limit_s : float
        Most seconds that another one is waited for, while it lives; 0 waits for nobody.
    say : callable, optional
        Is told who that is.

    Raises
    ------
    BusyError
        If it does not come in `limit_s` seconds.
    TrackingError
        If the folder cannot be written: so neither could the journal be told that its result is
        delivered.
    """
    with ExitStack() as stack:
        try:
            delivering = Claim(folder / ".delivery.lock", f"the delivery of {folder.name}", say)
            stack.enter_context(delivering.held(limit_s))
        except TimeoutError:
            raise BusyError(
                f"results of {folder} are not delivered: another process has been at it for "
                f"{limit_s:.0f} s; end that, then run `greenbench sync`"
            ) from None
        except OSError as error:
            raise TrackingError(
                f"results of {folder} are not delivered: the folder cannot be written "
                f"({error.strerror}), so nobody could note that they are"
            ) from error
        yield


@contextmanager
def syncing(root: Path, on_wait: Callable[[], None], poll_s: float = 0.2) -> Iterator[None]:
    """Let one ``sync`` at a time deliver what waits in a folder of runs.

    Parameters
    ----------
    root : Path
        Where the runs are.
    on_wait : callable
        Called once if another one is at it, whose end is waited for: it ends in time, as each of
        its calls does, and the system frees the lock if it is killed.
    poll_s : float
        Seconds between tries.
    """
    with ExitStack() as stack:
        # In a folder that is not ours nothing is made; each result has a lock of its own, too.
        with suppress(OSError):
            lock = Claim(root / SYNC_LOCK, "the sync")
            is_told = False
            while root.is_dir() and not lock.acquire(may_look=is_told):
                if not is_told:
                    on_wait()
                    is_told = True
                time.sleep(poll_s)
            stack.callback(lock.release)
        yield


def deliver_all(
    settings: Settings, say: Callable[[str], None] | None = None
) -> tuple[int, list[GreenbenchError]]:
    """Deliver what MLflow does not have of finished repeats, each on its own.

    Parameters
    ----------
    settings : Settings
        Where runs and store are.
    say : callable, optional
        Is told of other processes that are waited for.

    Returns
    -------
    int
        How many repeats were delivered.
    list of GreenbenchError
        What could not be: an `UndeliveredError` does not hold up the others.

    Raises
    ------
    ConfigurationError
        If the store is none that MLflow takes.
    """
    check_uri(settings.tracking_uri)
    errors: list[GreenbenchError] = []
    waiting = list(_waiting(settings.journal_dir, errors, say))
    if not waiting:
        return 0, errors
    from greenbench.tracking import Store  # noqa: PLC0415

    delivered, busy = 0, set[Path]()
    try:
        store = Store(settings.tracking_uri, timeout_s=settings.store_timeout_s)
    except TrackingError as error:
        return 0, [*errors, error]
    for number, item in enumerate(waiting, start=1):
        if item.folder in busy:
            # One of its results has waited, and one line says so.
            continue
        try:
            delivered += item(store)
        except GreenbenchError as error:
            busy |= {item.folder} if isinstance(error, BusyError) else set()
            # Of a folder that cannot be written, one line says it.
            if str(error) not in map(str, errors):
                errors.append(UndeliveredError(str(error)))
            if not store.answers():
                left = len(waiting) - number
                errors.append(TrackingError(f"the store is away; {left} more are left for later"))
                break
    return delivered, errors


@dataclass(frozen=True)
class _Result:
    """A result that waits in a journal."""

    journal: Journal
    say: Callable[[str], None] | None

    @property
    def folder(self) -> Path:
        return self.journal.path.parent

    def __call__(self, store: "Store") -> bool:
        from greenbench.tracking import session_key  # noqa: PLC0415

        with turn(self.folder, LOCK_LIMIT_S, self.say):
            # Its session, or another sync, may have been quicker.
            state = self.journal.read()
            if state.result is None or state.is_delivered:
                return False
            # If we are cut off, a session that goes on knows that it is not the first.
            self.journal.mark_attempted()
            try:
                key = session_key(self.journal.path)
                basis = self.journal.basis()
                run_id = store.log_result(state.result, key, may_exist=True, basis=basis)
                store.log_model(run_id, self.journal.model)
            except TrackingError as error:
                raise UndeliveredError(f"{self.journal.path} is not delivered: {error}") from error
            self.journal.mark_delivered()
            self.journal.drop_model()
            return True


@dataclass(frozen=True)
class _Drift:
    """By how much idle power changed, which waits in a file of its own."""

    note: Path
    say: Callable[[str], None] | None

    @property
    def folder(self) -> Path:
        return self.note.parent

    def __call__(self, store: "Store") -> bool:
        with turn(self.folder, LOCK_LIMIT_S, self.say):
            if not self.note.exists():
                return False
            if (noted := read_drift(self.note)) is None:
                raise self._damaged()
            suite, drift, since_s, first = noted
            store.log_idle_drift(suite, self.note.parent.name, drift, since_s, first)
            self.note.unlink(missing_ok=True)
        return False

    def _damaged(self) -> JournalError:
        aside = self.note.with_suffix(".damaged")
        try:
            self.note.replace(aside)
        except OSError as error:
            return JournalError(f"{self.note} cannot be read or put aside ({error.strerror})")
        return JournalError(
            f"{self.note} is damaged, as after a full disk, and is put aside as {aside.name}: by "
            "how much idle power changed during that run stays unknown"
        )


def read_drift(note: Path) -> tuple[str, float, float, dict[str, int]] | None:
    """Return suite, idle drift, and of which repeats; None if nothing is noted, or not understood.

    These are all that started since a time, of older notes, and from a repeat on, by case.
    """
    try:
        found = json.loads(read_plain(note))
        suite, drift = str(found["suite"]), float(found["drift"])
        since_s = float(found.get("since_s", 0.0))
        first = {str(case): int(repeat) for case, repeat in found.get("first", {}).items()}
    except (*UNREADABLE, LookupError, OverflowError):
        return None
    return (suite, drift, since_s, first) if math.isfinite(drift + since_s) else None


def left_out(journal_dir: Path) -> list[Path]:
    """Return the runs' folders that are left to other users, who alone may write all in them."""
    return sorted(path for path in journal_dir.glob("*") if path.is_dir() and not may_write(path))


def _waiting(
    root: Path, errors: list[GreenbenchError], say: Callable[[str], None] | None
) -> Iterator[_Result | _Drift]:
    for folder in _listed(root, errors):
        if not folder.is_dir() or not may_write(folder):
            continue
        # A repeat before the note, which is told to all of them.
        paths = _listed(folder, errors)
        for path in (path for path in paths if path.suffix == ".jsonl"):
            journal = Journal(path)
            try:
                state = journal.read()
            except JournalError as error:
                errors.append(UndeliveredError(str(error)))
                continue
            if state.result is not None and not state.is_delivered:
                yield _Result(journal, say)
        yield from (_Drift(path, say) for path in paths if path.name == IDLE_DRIFT)


def _listed(folder: Path, errors: list[GreenbenchError]) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        errors.append(
            UndeliveredError(
                f"{folder} cannot be read ({error.strerror}); if results wait there, they are "
                "left to whoever may read it"
            )
        )
        return []
