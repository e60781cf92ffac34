"""Databases behind a store: first access, free room, and credentials that stay secret."""

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from filelock import FileLock

from greenbench.errors import TrackingError

ROOM_BYTES = 32 * 2**20


def redact(text: str) -> str:
    """Return `text` with the user information and secrets of URIs blanked out."""
    text = re.sub(r"(\w+://)[^/\s]+@", r"\1***@", text)
    return re.sub(r"(?i)([?&]\w*(?:password|token|key|secret)=)[^&\s]+", r"\1***", text)


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a local store, None for others."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


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


def use_wal(database: Path) -> None:
    """Let readers and a writer work at the same time."""
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
