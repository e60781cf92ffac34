"""A local store is made whole or not at all: kills, Ctrl+C, full disks, other users, odd paths."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from greenbench.tracking import Store
from tests.builders import make_result
from tests.conftest import Greenbench
from tests.tracking.older import older_store

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user, which root alone may")

DIE = """
import os, resource, shutil, signal, sys, time
from pathlib import Path
from sqlalchemy import Engine, event
from greenbench.tracking import Store
from greenbench.tracking.asking import client_class as make_client_class
from tests.builders import make_result
from tests.tracking.older import older_store
client_class = make_client_class()
import mlflow.store.tracking.sqlalchemy_store  # Once, not in each of the children.

def make(how, uri, fatal, number):
    counted = [0]
    def count(*_):
        counted[0] += 1
        if counted[0] == fatal:
            os.kill(os.getpid(), number)
    def limit(name, *_):
        if name == "os.rename" and fatal == 0:
            os.kill(os.getpid(), number)
    event.listen(Engine, "before_cursor_execute", count)
    sys.addaudithook(limit)
    if how == "mlflow":
        client_class(uri).search_experiments(max_results=1)
    else:
        Store(uri)

def in_child(work):
    if pid := os.fork():
        return os.waitpid(pid, 0)[1]
    code = 1
    try:
        work()
        code = 0
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        print(type(error).__name__, error)
    finally:
        sys.stdout.flush()
        os._exit(code)

def look(uri):
    store = Store(uri, print)
    store.log_result(make_result(), "s/a")
    print("rows", len(store.read_rows()))

how, root, number, *points = sys.argv[1:]
for point in points:
    folder = Path(root, point)
    folder.mkdir()
    uri = f"sqlite:///{folder}/mlflow.db"
    if how == "older":
        in_child(lambda: older_store(folder / "mlflow.db"))
    status = in_child(lambda: make(how, uri, int(point), int(number)))
    print("died", status, sorted(path.name.split(".db")[-1] for path in folder.iterdir()))
    sys.stdout.flush()
    in_child(lambda: look(uri))
"""


def die(how: str, folder: Path, number: signal.Signals, *points: int) -> list[str]:
    """Let processes die at statements while they make a store; return what the next ones say.

    A point is the number of a statement; 0 is when the store that was made aside is renamed.
    """
    done = subprocess.run(
        [sys.executable, "-c", DIE, how, str(folder), str(int(number)), *map(str, points)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_store_whose_making_is_killed_is_made_by_whoever_comes_next(tmp_path: Path) -> None:
    said = die("greenbench", tmp_path, signal.SIGKILL, 150, 900, 0)
    deaths, rows = said[::2], said[1::2]
    assert rows == ["rows 1"] * 3, said
    for death in deaths:
        assert death.startswith(f"died {int(signal.SIGKILL)} ")
        # Nothing has the store's name that is not one.
        assert "''" not in death
    assert not list(tmp_path.glob("*/.mlflow.db*"))
    assert not list(tmp_path.glob("*/*half-made*"))


def test_ctrl_c_leaves_nothing_of_a_store_that_was_being_made(tmp_path: Path) -> None:
    said = die("greenbench", tmp_path, signal.SIGINT, 150)
    assert said == [f"died {130 << 8} ['.lock']", "rows 1"]


def test_store_that_mlflow_itself_left_half_made_is_put_aside_and_made_anew(tmp_path: Path) -> None:
    points = (250, 900)
    said = die("mlflow", tmp_path, signal.SIGKILL, *points)
    for place, point in enumerate(points):
        _, line, rows = said[3 * place : 3 * place + 3]
        assert "half made and holds nothing: it is put aside as mlflow.db.half-made-" in line
        assert rows == "rows 1"
        assert list((tmp_path / str(point)).glob("mlflow.db.half-made-*"))


def test_deleted_experiment_is_brought_back_by_the_command_as_it_is_printed(
    tmp_path: Path,
) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415

    from greenbench.errors import TrackingError  # noqa: PLC0415

    (tmp_path / "it's a place").mkdir()
    uri = f"sqlite:///{tmp_path}/it's a place/mlflow.db"
    store = Store(uri)
    store.log_result(make_result(), "s/a")
    MlflowClient(uri).delete_experiment(store.experiments()["greenbench/ci"])
    with pytest.raises(TrackingError, match="was deleted in MLflow") as error:
        Store(uri).log_result(make_result(), "s/b")
    command = str(error.value).partition("bring it back: ")[2]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(command, shell=True, check=True, env={**os.environ, "PATH": path})
    Store(uri).log_result(make_result(), "s/b")


FULL = """
import resource, signal, sys
from greenbench.tracking import Store
from greenbench.tracking.asking import client_class
client_class()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    Store(sys.argv[1])
except Exception as error:
    print(type(error).__name__, error)
"""


def opened_without_room(uri: str, room_bytes: int) -> list[str]:
    """Open a store where no file may be larger; return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, uri, str(room_bytes)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


@pytest.mark.parametrize("room_bytes", [300_000])
def test_full_disk_while_a_store_is_made_is_one_line(tmp_path: Path, room_bytes: int) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    (line,) = opened_without_room(uri, room_bytes)
    assert line.startswith(f"TrackingError MLflow store {uri} failed: ")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db.lock"]


@pytest.mark.parametrize("further_bytes", [-1, 4096], ids=["copy", "migration"])
def test_full_disk_while_a_store_is_migrated_leaves_it_as_it_was(
    tmp_path: Path, further_bytes: int
) -> None:
    database = older_store(tmp_path / "mlflow.db")
    before = database.read_bytes()
    room_bytes = len(before) + further_bytes
    said, line = sorted(opened_without_room(f"sqlite:///{database}", room_bytes), reverse=True)
    assert "was made by an older MLflow" in said
    assert line.startswith("TrackingError")
    assert "disk I/O error" in line
    assert database.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


def test_older_store_whose_migration_is_killed_is_migrated_by_whoever_comes_next(
    tmp_path: Path,
) -> None:
    said = die("older", tmp_path, signal.SIGKILL, 0, 12)
    for place, (death, line, rows) in zip((0, 12), (said[:3], said[3:]), strict=True):
        assert death.startswith(f"died {int(signal.SIGKILL)} ")
        assert "was made by an older MLflow" in line
        assert rows == "rows 1"
        (copy,) = tmp_path.glob(f"{place}/mlflow.db.before-*")
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("SELECT name FROM runs").fetchall() == [("of old",)]
    assert not list(tmp_path.glob("*/.mlflow.db*"))


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may enter and read, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


READ = """
import sys
from greenbench.errors import GreenbenchError
from greenbench.tracking import Store

for uri in sys.argv[1:]:
    try:
        print("rows", len(Store.existing(uri).read_rows()))
        Store(uri)
    except GreenbenchError as error:
        print(error)
"""
# Root as a user like any other: the libraries may lie where nobody else may look.
POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


def at_rest(store: Store, folder: Path) -> None:
    """Copy a store as it is when nobody has it open, which then has no log beside it."""
    folder.mkdir()
    source = sqlite3.connect(store.uri.reveal().removeprefix("sqlite:///"))
    with closing(source), closing(sqlite3.connect(folder / "mlflow.db")) as target:
        source.backup(target)
        assert target.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv, of util-linux, is absent")
def test_store_of_another_user_is_read_without_any_file_beside_it(
    shared: Path, store: Store
) -> None:
    store.log_result(make_result(), "s/rest")
    kept, everybody, in_use = folders = [shared / name for name in ("kept", "everybody", "in-use")]
    for folder in folders:
        at_rest(store, folder)
    everybody.chmod(0o1777)
    theirs = Store(f"sqlite:///{in_use}/mlflow.db")
    theirs.log_result(make_result(), "s/just")
    # The result is in the log still, and not in the file.
    assert (in_use / "mlflow.db-wal").stat().st_size
    for path in [each for folder in folders for each in (folder, *folder.rglob("*"))]:
        os.chown(path, NOBODY, NOBODY)
    before = [sorted(folder.iterdir()) for folder in folders]
    uris = [f"sqlite:///{folder}/mlflow.db" for folder in folders]

    done = subprocess.run(
        [*POWERLESS, sys.executable, "-c", READ, *uris],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )

    assert done.stderr == ""
    said = done.stdout.splitlines()
    count = len(store.read_rows())
    assert said[::2] == [f"rows {count}", f"rows {count}", f"rows {count + 1}"]
    assert all("may only be read by this user" in line for line in said[1::2])
    assert [sorted(folder.iterdir()) for folder in folders] == before
    assert [path.name for path in kept.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("name", ["a b", "a#b;c", "100%", "ü%zé", "it's", "[x]*", "a:b@c&d"])
def test_store_and_artifacts_lie_in_the_folder_that_was_asked_for(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (tmp_path / "report.html").write_text("<html>")
    store = Store(f"sqlite:///{folder}/mlflow.db")
    store.log_result(make_result(), "s/a")
    store.log_report(tmp_path, [Path("report.html")])
    assert len(Store.existing(store.uri).read_rows()) == 1
    assert (folder / "mlflow.db").exists()
    assert len(list((folder / "artifacts").glob("*/artifacts/report.html"))) == 1
    assert {path.name for path in tmp_path.iterdir()} == {name, "report.html"}


def test_folder_of_which_libraries_make_another_is_refused_before_anything_runs(
    greenbench: Greenbench,
) -> None:
    greenbench.environment["GREENBENCH_RUNS_DIR"] = str(greenbench.folder / "a%2Fb")
    done = greenbench("run", "-s", "random")
    assert done.returncode == 2
    assert "GREENBENCH_RUNS_DIR" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(greenbench.folder.iterdir()) == []
