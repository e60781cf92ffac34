"""Schemas of databases: of which MLflow they are, and what to do with those of another."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from greenbench.errors import TrackingError
from greenbench.machine.secrets import StoreUri

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection

MAKING_LOCK = 0x6772656E62656E63
"""Of those who make tables in a PostgreSQL, by a number that is nobody else's."""


@dataclass(frozen=True)
class Schema:
    """What a database holds.

    Attributes
    ----------
    tables : frozenset of str
        Their names.
    revision : str or None
        Of the schema, as MLflow's migrations count; None if it has none.
    """

    tables: frozenset[str] = frozenset()
    revision: str | None = None

    @property
    def is_of_mlflow(self) -> bool:
        """Whether MLflow has begun with it, however far it came."""
        return "experiments" in self.tables


def check_schema(found: Schema, name: str) -> None:
    """Raise `TrackingError` for a database that is not MLflow's, or of a newer one."""
    if not found.is_of_mlflow:
        raise TrackingError(
            f"{name} is a database of something else; set MLFLOW_TRACKING_URI to another"
        )
    if found.revision is not None and found.revision not in known_revisions():
        raise TrackingError(
            f"the store {name} was made by a newer MLflow (its form, {found.revision}, is unknown "
            f"to MLflow {version('mlflow')}); upgrade: pip install -U mlflow"
        )


def is_whole(uri: StoreUri) -> bool:
    """Return whether a shared database is MLflow's, of the form that is installed here."""
    with _connected(uri) as connection:
        return _look(connection).revision == newest_revision()


def make_alone(uri: StoreUri, make: Callable[[str], object]) -> None:
    """Fill a shared database that is empty, while no other process does, as far as that can be.

    Two that do fail both, or one of them reads what the other has made half. Of PostgreSQL alone
    we know a lock that its holder's end frees.

    Parameters
    ----------
    uri : StoreUri
        Of the database.
    make : callable
        Makes MLflow's tables in the database whose address it gets.

    Raises
    ------
    TrackingError
        If it is one that MLflow would migrate without asking.
    """
    with _connected(uri) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({MAKING_LOCK})")
        found = _look(connection)
        # One that is empty is left to MLflow, which fills it. Where another program counts its
        # migrations, MLflow would make half of its tables before it found out.
        is_taken = found.is_of_mlflow or found.revision is not None
        if is_taken and found.revision != newest_revision():
            check_schema(found, str(uri))
            raise TrackingError(
                f"the store {uri} was made by an older MLflow (its form is {found.revision}); "
                "others may use it, so it is not migrated by itself: make a copy, then run "
                "`mlflow db upgrade` with its address"
            )
        make(uri.reveal())


@contextmanager
def _connected(uri: StoreUri) -> Iterator["Connection"]:
    from sqlalchemy import create_engine  # noqa: PLC0415

    engine = create_engine(uri.reveal())
    try:
        # Whoever changes tables would wait for a transaction that has read them.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection
    finally:
        engine.dispose()


def _look(connection: "Connection") -> Schema:
    from alembic.migration import MigrationContext  # noqa: PLC0415
    from sqlalchemy import inspect  # noqa: PLC0415

    tables = frozenset(inspect(connection).get_table_names())
    heads = MigrationContext.configure(connection).get_current_heads()
    return Schema(tables, ", ".join(heads) or None)


def newest_revision() -> str:
    """Return the schema that the installed MLflow reads and writes."""
    return ", ".join(_scripts().get_heads())


@cache
def known_revisions() -> frozenset[str]:
    """Return all schemas from which the installed MLflow can migrate."""
    return frozenset(script.revision for script in _scripts().walk_revisions())


def upgrade(uri: str) -> None:
    """Migrate a database, as ``mlflow db upgrade`` does."""
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    config.set_main_option("sqlalchemy.url", uri.replace("%", "%%"))
    command.upgrade(config, "heads")


@cache
def _scripts() -> "ScriptDirectory":
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    return ScriptDirectory(str(_migrations()))


def _migrations() -> Path:
    package = find_spec("mlflow")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "store" / "db_migrations"
