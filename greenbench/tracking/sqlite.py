"""SQLite under a store: how its file is opened, and when the disk is waited for."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote


def may_write(database: Path) -> bool:
    """Return whether this user may write a store, for which SQLite writes files beside it."""
    folder = next(parent for parent in database.absolute().parents if parent.exists())
    paths = [folder, *([database] if database.exists() else [])]
    return all(os.access(path, os.W_OK) for path in paths)


@cache
def tune(database: Path) -> None:
    """Let MLflow open a local store as this user may, and wait for the disk only at `sync`.

    MLflow commits six times a run; a search of 64 trials would wait for the disk 400 times.
    """
    from sqlalchemy import Engine, event  # noqa: PLC0415

    ours = database.resolve()

    def connect(dialect: Any, _record: object, arguments: Any, options: Any) -> Any:
        is_ours = dialect.name == "sqlite" and arguments and Path(arguments[0]).resolve() == ours
        if not is_ours or may_write(ours):
            return None
        return sqlite3.connect(read_only_uri(ours), uri=True, **options)

    event.listen(Engine, "do_connect", connect)
    event.listen(Engine, "connect", _setting(database, "synchronous=NORMAL"))


def sync(database: Path) -> None:
    """Bring all that was committed to a local store to the disk."""
    # Not the database itself: to close that file would free the locks that SQLite holds on it.
    # What left the log for the database is on the disk already.
    with suppress(FileNotFoundError), Path(f"{database}-wal").open("rb") as log:
        os.fsync(log.fileno())


@contextmanager
def hurried(scratch: Path) -> Iterator[None]:
    """Let nothing wait for the disk that is thrown away if we are cut off."""
    from sqlalchemy import Engine, event  # noqa: PLC0415

    connected = _setting(scratch, "synchronous=OFF")
    event.listen(Engine, "connect", connected)
    try:
        yield
    finally:
        event.remove(Engine, "connect", connected)


def connect_to(database: Path) -> sqlite3.Connection:
    """Open a store that exists, to write it if this user may."""
    address = f"{_uri(database)}?mode=rw" if may_write(database) else read_only_uri(database)
    return sqlite3.connect(address, uri=True, timeout=30)


def _uri(database: Path) -> str:
    return f"file:{quote(str(database.absolute()))}"


def read_only_uri(database: Path) -> str:
    """Return SQLite's own URI of a file that we may not write.

    A writer adds to a log (``-wal``), whose index (``-shm``) lies beside it. While there is a log,
    the file alone is not the whole truth, and both are read as the writer's locks allow. Where
    there is none, nobody has the store open; SQLite would make both files, and may not, unless it
    is told that nothing changes. It is not told so for the sake of speed: of a store that somebody
    writes, it would be wrong.
    """
    with database.open("rb") as file:
        is_logged = file.read(20)[18:20] == b"\x02\x02"
    if is_logged and not Path(f"{database}-wal").exists():
        return f"{_uri(database)}?mode=ro&immutable=1"
    return f"{_uri(database)}?mode=ro&readonly_shm=1"


def _setting(database: Path, pragma: str) -> Callable[[Any, object], None]:
    ours = database.resolve()

    def connected(connection: Any, _record: object) -> None:
        # In pytest, other databases of the same process are not ours to change.
        if isinstance(connection, sqlite3.Connection):
            files = [row[2] for row in connection.execute("PRAGMA database_list")]
            if ours in [Path(file).resolve() for file in files if file]:
                connection.execute(f"PRAGMA {pragma}")

    return connected
