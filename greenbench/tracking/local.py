"""Local stores: SQLite files that are made whole or not at all, kept up to date, and read."""

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from greenbench.errors import TrackingError
from greenbench.machine.files import is_open_elsewhere
from greenbench.machine.locks import Lock
from greenbench.tracking.schema import Schema, check_schema, newest_revision, upgrade
from greenbench.tracking.sqlite import connect_to, hurried, may_write

ROOM_BYTES = 32 * 2**20
LOCK_LIMIT_S = 300.0
COMPANIONS = ("", "-journal", "-wal", "-shm")
"""What SQLite keeps beside a file, and replays into whatever bears its name."""
STILL_S = 2.0
"""How long a half-made store must not have changed, to be nobody's who is still at it."""
OPEN_LIMIT_S = 120.0
"""The same where a process has it open that may be making it: on a busy machine, MLflow takes tens
of seconds between its tables and their migrations."""
ROWS_OF_NONE = {"alembic_version": None, "workspaces": "default", "experiments": "Default"}
"""Tables in which a store that holds nothing has a row, and its name."""

Say = Callable[[str], None]


def is_fresh(database: Path) -> bool:
    """Return whether a local store is yet to be made, which takes MLflow seconds."""
    return not database.exists() or not database.stat().st_size


def check_folder(database: Path) -> None:
    """Find out whether a store can be made, and make its folder.

    Raises
    ------
    TrackingError
        If there is no room.
    OSError
        If the folder cannot be written.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    _check_room(database, ROOM_BYTES)
    with first_access(database):
        pass


def make_ready(database: Path, artifacts: str, say: Say) -> None:
    """Make a store that is none yet, and bring one of an older MLflow up to date.

    Parameters
    ----------
    database : pathlib.Path
        Its file.
    artifacts : str
        Where a new store keeps artifacts of experiments that don't say.
    say : callable
        Told before an existing file is changed or put aside.

    Raises
    ------
    TrackingError
        If that cannot be done, or nobody should.
    """
    if not may_write(database):
        raise TrackingError(
            f"the store {database} may only be read by this user; get write access to the file "
            "and its folder, or set MLFLOW_TRACKING_URI to another store"
        )
    database.parent.mkdir(parents=True, exist_ok=True)
    _check_room(database, ROOM_BYTES)
    with first_access(database):
        _drop_asides(database)
        if is_fresh(database):
            _make(database, artifacts)
        # Of an earlier process, or of another program that was quicker.
        _bring_up_to_date(database, say)
        if is_fresh(database):
            _make(database, artifacts)
    with closing(connect_to(database)) as connection:
        # So that readers and a writer work at the same time.
        connection.execute("PRAGMA journal_mode=WAL")


def check_readable(database: Path) -> bool:
    """Return whether a store can be read as it is; if not, it is of an older MLflow.

    No lock is taken and nothing is written: it may be somebody else's.

    Raises
    ------
    TrackingError
        If there is nothing to read, or nothing that this MLflow can read.
    """
    make = "make one: greenbench run"
    if is_fresh(database):
        raise TrackingError(f"there is no store at {database} yet; {make}")
    found = _look(database)
    if found.revision == newest_revision():
        return True
    if _holds_nothing(database):
        raise TrackingError(f"there is no store at {database} yet, but one half made; {make}")
    check_schema(found, str(database))
    if not may_write(database):
        raise TrackingError(
            f"the store {database} was made by an older MLflow, and must be migrated before it can "
            "be read; its owner does that with `greenbench compare`, or copy it to a place of yours"
        )
    return False


@contextmanager
def first_access(database: Path) -> Iterator[None]:
    """Let one process at a time create and migrate a local store, which two would corrupt."""
    lock = Lock(Path(f"{database}.lock"))
    with ExitStack() as stack:
        try:
            stack.enter_context(lock.held(LOCK_LIMIT_S))
        except TimeoutError:
            raise TrackingError(
                f"the store {database} was being made or migrated by another process for "
                f"{LOCK_LIMIT_S:.0f} s ({lock.path} is locked); end that, and try again"
            ) from None
        yield


def _check_room(database: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(database.parent).free
    if free_bytes < needed_bytes:
        raise TrackingError(
            f"no room for the store {database}: {free_bytes // 2**20} MiB are free, and "
            f"{needed_bytes // 2**20} are needed"
        )


def _look(database: Path) -> Schema:
    try:
        return _looked(database)
    except sqlite3.OperationalError:
        # It is locked, or cannot be opened.
        raise
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"the store {database} is damaged, or no SQLite database ({error}); move it away, or "
            "set MLFLOW_TRACKING_URI to another"
        ) from error


def _looked(database: Path) -> Schema:
    with closing(connect_to(database)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        tables = frozenset(name for (name,) in found)
        if "alembic_version" not in tables:
            return Schema(tables)
        versions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        return Schema(tables, ", ".join(str(version) for (version,) in versions) or None)


def _holds_nothing(database: Path) -> bool:
    """Return whether nothing is lost with a store: no run, no experiment, no model of anybody."""
    found = _look(database)
    if found.tables - ROWS_OF_NONE.keys() and not found.is_of_mlflow:
        # Nothing of somebody else's is for us to put aside.
        return False
    with closing(connect_to(database)) as connection:
        for table in found.tables:
            columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
            named = ROWS_OF_NONE.get(table, "")
            condition = f" WHERE name <> '{named}'" if named and "name" in columns else ""
            if named is None or table.startswith("sqlite_"):
                continue
            if connection.execute(f'SELECT 1 FROM "{table}"{condition} LIMIT 1').fetchone():
                return False
    return True


def _bring_up_to_date(database: Path, say: Say) -> None:
    if _look(database).revision == newest_revision():
        return
    _wait_until_still(database)
    found = _look(database)
    if found.revision == newest_revision():
        return
    if _holds_nothing(database):
        _put_aside(database, say)
        return
    check_schema(found, str(database))
    _migrate(database, found.revision, say)


def _wait_until_still(database: Path) -> None:
    """Wait while somebody makes or migrates a store without our lock, as `mlflow ui` does."""
    deadline = time.monotonic() + LOCK_LIMIT_S
    before = _changed_at(database)
    still_since = time.monotonic()
    while time.monotonic() < deadline:
        still_s = time.monotonic() - still_since
        if still_s >= STILL_S and (still_s >= OPEN_LIMIT_S or not _is_being_made(database)):
            return
        time.sleep(0.1)
        if (now := _changed_at(database)) != before:
            before, still_since = now, time.monotonic()


def _is_being_made(database: Path) -> bool:
    if not is_open_elsewhere(database.resolve()):
        return False
    return _look(database).revision != newest_revision() and _holds_nothing(database)


def _changed_at(database: Path) -> list[int]:
    found = []
    for suffix in COMPANIONS:
        with suppress(FileNotFoundError):
            found.append(Path(f"{database}{suffix}").stat().st_mtime_ns)
    return found


def _put_aside(database: Path, say: Say) -> None:
    name = f"{database.name}.half-made-{time.strftime('%Y%m%d-%H%M%S')}"
    aside = database.with_name(name)
    for number in range(2, 100):
        if not aside.exists():
            break
        aside = database.with_name(f"{name}-{number}")
    say(
        f"the store {database} is half made and holds nothing: it is put aside as {aside.name}, "
        "and made anew"
    )
    # If we are killed in between, what is left beside it belongs to nothing.
    for suffix in COMPANIONS:
        with suppress(FileNotFoundError):
            Path(f"{database}{suffix}").rename(f"{aside}{suffix}")


def _make(database: Path, artifacts: str) -> None:
    """Make a store under another name, and rename it when it is whole."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415

    with _aside(database) as aside:
        with hurried(aside):
            store: Any = SqlAlchemyStore(f"sqlite:///{aside}", artifacts)  # type: ignore[no-untyped-call]
            store.engine.dispose()
        with closing(connect_to(aside)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        _sync_file(aside)
        if not is_fresh(database):
            return
        # What a file of this name has left, which was removed without them, is not of this one.
        for suffix in COMPANIONS[1:]:
            Path(f"{database}{suffix}").unlink(missing_ok=True)
        aside.replace(_file(database))


def _migrate(database: Path, revision: str | None, say: Say) -> None:
    """Migrate a copy and write it back as a whole: who is killed leaves the store as it was."""
    form = revision or "the first"
    _check_room(database, 3 * database.stat().st_size + ROOM_BYTES)
    copy = database.with_name(f"{database.name}.before-{newest_revision()}")
    say(
        f"the store {database} was made by an older MLflow (its form is {form}): migrating it now; "
        f"what it was stays as {copy.name}"
    )
    with closing(connect_to(database)) as connection, _aside(database) as aside:
        before = connection.execute("PRAGMA data_version").fetchone()
        _back_up(connection, aside)
        _back_up(connection, scratch := aside.with_name(f"{aside.name}.copy"))
        try:
            with hurried(aside):
                upgrade(f"sqlite:///{aside}")
        except Exception as error:
            text = " ".join(str(error).partition("[SQL:")[0].split())
            raise TrackingError(
                f"the store {database} was made by an older MLflow (its form is {form}), and "
                f"cannot be migrated ({text[:200]}); it is left as it was"
            ) from error
        _sync_file(scratch)
        scratch.replace(copy)
        if connection.execute("PRAGMA data_version").fetchone() != before:
            raise TrackingError(
                f"the store {database} was written while it was to be migrated, and is left as it "
                "was; end what writes there (an older greenbench, `mlflow ui`), and try again"
            )
        with closing(sqlite3.connect(aside)) as migrated:
            migrated.backup(connection)


def _back_up(connection: sqlite3.Connection, file: Path) -> None:
    with closing(sqlite3.connect(file)) as target:
        connection.backup(target)


@contextmanager
def _aside(database: Path) -> Iterator[Path]:
    """Offer another name beside a store, and remove what is left under it."""
    file = _file(database)
    try:
        yield file.with_name(f".{file.name}.{os.getpid()}")
    finally:
        _drop_asides(database)


def _drop_asides(database: Path) -> None:
    """Remove what was not finished: the lock is ours, so nobody is at it."""
    file = _file(database)
    ours = re.compile(rf"\.{re.escape(file.name)}\.\d+(\.copy)?(-\w+)?")
    for left in file.parent.iterdir():
        if ours.fullmatch(left.name):
            left.unlink(missing_ok=True)


def _file(database: Path) -> Path:
    """Return what bears the name; a link stays one."""
    return database.resolve() if database.is_symlink() else database.absolute()


def _sync_file(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
