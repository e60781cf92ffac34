"""Local stores of other versions of MLflow, half-made ones, and those that one may only read."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from greenbench.errors import TrackingError
from greenbench.machine.files import is_open_elsewhere
from greenbench.tracking import Store, local
from greenbench.tracking.schema import newest_revision
from tests.builders import make_result
from tests.tracking.older import OLDEST, older_store, revisions

# Stores are made anew, or taken through years of migrations.
pytestmark = pytest.mark.integration


@pytest.fixture
def database(store: Store, tmp_path: Path) -> Path:
    """A store of an older MLflow that has a result."""
    return older_store(tmp_path / "mlflow.db")


def revision(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def execute(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)
        connection.commit()


def test_older_store_is_migrated_after_a_line_that_says_so_and_a_copy(database: Path) -> None:
    lines: list[str] = []
    before = revision(database)

    migrated = Store(f"sqlite:///{database}", lines.append)

    migrated.log_result(make_result(suite="new"), "s/new")
    assert [row["suite"] for row in migrated.read_rows()] == ["new"]
    (line,) = lines
    copy = database.with_name(f"mlflow.db.before-{newest_revision()}")
    assert "was made by an older MLflow" in line
    assert copy.name in line
    assert (revision(copy), revision(database)) == (before, newest_revision())
    with closing(sqlite3.connect(database)) as connection:
        (name,) = connection.execute("SELECT name FROM runs WHERE run_uuid = 'old'").fetchone()
    assert name == "of old"
    # Once is enough.
    copied_at = copy.stat().st_mtime_ns
    Store(f"sqlite:///{database}", lines.append)
    assert (len(lines), copy.stat().st_mtime_ns) == (1, copied_at)
    assert not list(database.parent.glob(".mlflow.db.*"))


def test_older_store_is_migrated_for_whoever_reads_it(database: Path) -> None:
    lines: list[str] = []
    assert Store.existing(f"sqlite:///{database}", lines.append).read_rows() == []
    assert len(lines) == 1


def test_older_store_that_cannot_be_migrated_is_left_as_it_was(
    store: Store, tmp_path: Path
) -> None:
    database = older_store(tmp_path / "mlflow.db", OLDEST)
    # A migration that another program began has brought this, and was cut off.
    execute(database, "ALTER TABLE metrics ADD COLUMN step BIGINT")
    before = database.read_bytes()
    with pytest.raises(
        TrackingError, match=r"cannot be migrated \(.*\); it is left as it was"
    ) as e:
        Store(f"sqlite:///{database}")
    assert "\n" not in str(e.value)
    assert database.read_bytes() == before
    names = {path.name for path in database.parent.iterdir()}
    assert not [name for name in names if "half-made" in name or name.startswith(".mlflow")]


def test_store_of_a_newer_mlflow_says_to_upgrade_ours(database: Path) -> None:
    execute(database, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    before = database.read_bytes()
    for opened in (Store, Store.existing, Store.prepare):
        with pytest.raises(TrackingError, match=r"newer MLflow .*pip install -U mlflow"):
            opened(f"sqlite:///{database}")
    assert database.read_bytes() == before


def test_database_of_something_else_is_not_filled_with_our_tables(tmp_path: Path) -> None:
    database = tmp_path / "theirs.db"
    execute(database, "CREATE TABLE customers (name TEXT)")
    execute(database, "INSERT INTO customers VALUES ('Ann')")
    before = database.read_bytes()
    with pytest.raises(TrackingError, match="is a database of something else"):
        Store(f"sqlite:///{database}")
    assert database.read_bytes() == before


@pytest.mark.parametrize("back", [0, 1, 30], ids=["no tables", "nearly whole", "half"])
def test_half_made_store_that_holds_nothing_is_put_aside_and_made_anew(
    store: Store, tmp_path: Path, back: int
) -> None:
    database = tmp_path / "mlflow.db"
    if back:
        older_store(database, revisions()[back], has_run=False)
    else:
        execute(database, "PRAGMA journal_mode=WAL")
        execute(database, "CREATE TABLE alembic_version (version_num TEXT)")
    with pytest.raises(TrackingError, match=r"no store at .* but one half made"):
        Store.existing(f"sqlite:///{database}")
    before, lines = database.read_bytes(), list[str]()

    made = Store(f"sqlite:///{database}", lines.append)

    made.log_result(make_result(), "s/a")
    assert len(made.read_rows()) == 1
    (line,) = lines
    assert "is half made and holds nothing: it is put aside as mlflow.db.half-made-" in line
    (aside,) = tmp_path.glob("mlflow.db.half-made-*")
    assert aside.read_bytes() == before


MAKING = """
import sqlite3, sys
database, whole = map(sqlite3.connect, sys.argv[1:])
database.execute("CREATE TABLE alembic_version (version_num TEXT)")
print(flush=True)
sys.stdin.readline()
whole.backup(database)
database.close()
print(flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows what others have open")
def test_store_that_another_program_makes_slowly_is_left_to_it(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, whole = tmp_path / "mlflow.db", store.uri.reveal().removeprefix("sqlite:///")
    command = [sys.executable, "-c", MAKING, str(database), whole]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as making:
        assert making.stdin is not None
        assert making.stdout is not None
        making.stdout.readline()
        asked: list[bool] = []

        def look(path: Path) -> bool:
            asked.append(is_open_elsewhere(path))
            if len(asked) == 1:
                making.communicate(b"\n")
            return asked[-1]

        monkeypatch.setattr(local, "is_open_elsewhere", look)
        monkeypatch.setattr(local, "STILL_S", 0.0)
        lines: list[str] = []

        made = Store(f"sqlite:///{database}", lines.append)

    assert asked[0]
    assert lines == []
    assert made.read_rows() == store.read_rows()
    assert not list(tmp_path.glob("*half-made*"))


@pytest.mark.parametrize("statement", ["CREATE TABLE users (x)", "CREATE VIEW users AS SELECT 1"])
def test_empty_database_of_something_else_is_not_put_aside(tmp_path: Path, statement: str) -> None:
    database = tmp_path / "mlflow.db"
    execute(database, statement)
    before = database.read_bytes()
    for open_store in (Store, Store.existing):
        with pytest.raises(TrackingError, match="is a database of something else; set MLFLOW_"):
            open_store(f"sqlite:///{database}")
    assert database.read_bytes() == before


@pytest.mark.parametrize("kept_bytes", [50, 4096, None])
def test_damaged_store_is_named_with_what_to_do(
    database: Path, tmp_path: Path, kept_bytes: int | None
) -> None:
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(database.read_bytes()[:kept_bytes] if kept_bytes else b"no database" * 99)
    before = damaged.read_bytes()
    for open_store in (Store, Store.existing):
        with pytest.raises(TrackingError, match=r"is damaged, or no SQLite .*; move it away"):
            open_store(f"sqlite:///{damaged}")
    assert damaged.read_bytes() == before


def test_store_that_no_longer_says_its_form_is_taken_for_the_first(database: Path) -> None:
    execute(database, "DELETE FROM alembic_version")
    with pytest.raises(TrackingError, match=r"its form is the first\), and cannot be migrated"):
        Store(f"sqlite:///{database}")


@pytest.mark.parametrize("table", ["runs", "experiments"])
def test_half_made_store_that_holds_something_is_not_put_aside(
    store: Store, tmp_path: Path, table: str
) -> None:
    database = older_store(tmp_path / "mlflow.db", OLDEST)
    if table != "runs":
        execute(database, "DELETE FROM runs")
        execute(database, "UPDATE experiments SET name = 'theirs'")
    execute(database, "ALTER TABLE metrics ADD COLUMN step BIGINT")
    with pytest.raises(TrackingError, match="left as it was"):
        Store(f"sqlite:///{database}")
    assert not list(tmp_path.glob("*half-made*"))


def test_what_a_removed_store_left_beside_it_is_not_of_the_new_one(
    store: Store, tmp_path: Path
) -> None:
    source = sqlite3.connect(tmp_path / "mlflow.db")
    source.execute("PRAGMA journal_mode=WAL")
    source.execute("CREATE TABLE theirs (name TEXT)")
    shutil.copy(tmp_path / "mlflow.db-wal", tmp_path / "kept")
    source.close()
    (tmp_path / "mlflow.db").unlink()
    shutil.move(tmp_path / "kept", tmp_path / "mlflow.db-wal")
    assert Store(f"sqlite:///{tmp_path}/mlflow.db").read_rows() == []


def test_link_to_a_store_that_is_yet_to_be_made_stays_one(store: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "mlflow.db"
    link.symlink_to(tmp_path / "elsewhere" / "real.db")
    Store(f"sqlite:///{link}").log_result(make_result(), "s/a")
    assert link.is_symlink()
    assert (tmp_path / "elsewhere" / "real.db").stat().st_size > 0
