"""Databases behind a store: first access, free room, and credentials that stay secret."""

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from greenbench.errors import ConfigurationError, TrackingError

ROOM_BYTES = 32 * 2**20


def redact(text: str) -> str:
    """Return `text` with the user information and secrets of URIs blanked out."""
    text = re.sub(r"(\w+://)[^/\s]+@", r"\1***@", text)
    return re.sub(r"(?i)([?&]\w*(?:password|token|key|secret)=)[^&\s]+", r"\1***", text)


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a local store, None for others."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def check_uri(uri: str) -> None:
    """Raise `ConfigurationError` for a plain folder, which MLflow 3.7 and later refuse."""
    if uri.startswith("file:") or ("://" not in uri and not uri.startswith("databricks")):
        folder = uri.removeprefix("file:").removeprefix("//").rstrip("/")
        raise ConfigurationError(
            f"MLFLOW_TRACKING_URI is {uri!r}; MLflow no longer writes to plain folders: "
            f"use sqlite:///{folder}/mlflow.db or a server's http:// address"
        )


@contextmanager
def first_access(database: Path | None) -> Iterator[None]:
    """Let one process at a time create and migrate a local store, which two would corrupt."""
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock") if database else nullcontext():
        yield


def probe(uri: str, database: Path | None) -> None:
    """Fail at once where MLflow would try again for minutes before it says the same."""
    if database is not None:
        free_bytes = shutil.disk_usage(database.parent).free
        if free_bytes < ROOM_BYTES:
            raise TrackingError(
                f"no room for the store {database}: {free_bytes // 2**20} MiB are free, and "
                f"{ROOM_BYTES // 2**20} are needed"
            )
        with closing(sqlite3.connect(database, timeout=30)) as connection:
            connection.execute("PRAGMA schema_version")
    elif not uri.startswith(("http://", "https://", "databricks")):
        from sqlalchemy import create_engine  # noqa: PLC0415

        engine = create_engine(uri)
        engine.connect().close()
        engine.dispose()


def is_fresh(database: Path | None) -> bool:
    """Return whether a local store is yet to be made, which takes MLflow seconds."""
    return database is not None and (not database.exists() or not database.stat().st_size)


def use_wal(database: Path) -> None:
    """Let readers and a writer work at the same time."""
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def sync_seldom(database: Path) -> None:
    """Let commits to a local store wait for the disk only when `sync` says so.

    MLflow commits six times a run; a search of 64 trials would wait for the disk 400 times.
    """
    from sqlalchemy import Engine, event  # noqa: PLC0415

    ours = database.resolve()

    def connected(connection: Any, _record: object) -> None:
        # In pytest, other databases of the same process are not ours to change.
        if isinstance(connection, sqlite3.Connection):
            files = [row[2] for row in connection.execute("PRAGMA database_list")]
            if ours in [Path(file).resolve() for file in files if file]:
                connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(Engine, "connect", connected)


def sync(database: Path) -> None:
    """Bring all that was committed to a local store to the disk."""
    # Not the database itself: to close that file would free the locks that SQLite holds on it.
    # What left the log for the database is on the disk already.
    with suppress(FileNotFoundError), Path(f"{database}-wal").open("rb") as log:
        os.fsync(log.fileno())
