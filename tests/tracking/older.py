"""Stores as older versions of MLflow made them."""

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from mlflow.store import db_migrations
from mlflow.store.tracking.dbmodels.initial_models import Base
from sqlalchemy import create_engine

from greenbench.tracking.sqlite import hurried

MIGRATIONS = Path(db_migrations.__path__[0])


OLDEST = "base"
"""Before all migrations, the first of which adds ``metrics.step``, and fails if there is one."""


def older_store(database: Path, revision: str | None = None, *, has_run: bool = True) -> Path:
    """Make a store of some revision, by default the one before the newest; return its file."""
    database.write_bytes(_empty(revision or revisions()[1]))
    if has_run:
        _fill(database)
    return database


def revisions() -> list[str]:
    """Return all revisions, the newest first."""
    return [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]


@cache
def _empty(revision: str) -> bytes:
    """Return the file of a store that holds nothing: to make one takes a second."""
    with TemporaryDirectory() as folder:
        database = Path(folder) / "mlflow.db"
        with hurried(database):
            _make(database, revision)
        return database.read_bytes()


def _make(database: Path, revision: str) -> None:
    engine = create_engine(f"sqlite:///{database}")
    Base.metadata.create_all(engine)
    engine.dispose()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{database}")
    if revision != OLDEST:
        command.upgrade(config, revision)


def _fill(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage)"
            " VALUES (0, 'Default', '/tmp', 'active')"
        )
        connection.execute(
            "INSERT INTO runs (run_uuid, name, experiment_id, status, lifecycle_stage,"
            " start_time) VALUES ('old', 'of old', 0, 'FINISHED', 'active', 1)"
        )
        connection.commit()
