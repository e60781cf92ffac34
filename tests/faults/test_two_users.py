"""Several users on one machine: they wait for each other, and alter nothing that is not theirs."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenbench.tracking import Store
from tests.builders import make_result
from tests.conftest import Greenbench
from tests.lock_holders import Start, end, lock_holders, said

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users"),
]

FIRST, SECOND = 65533, 65534

RUN = ("run", "-s", "random", "-a", "dense.xs", "--trials", "1", "--epochs", "1", "--repeats", "1")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder like /tmp: everybody may write there, and delete what is theirs."""
    folder = Path(tempfile.mkdtemp(prefix="greenbench-shared-"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def start(shared: Path) -> Iterator[Start]:
    """Let a user take the lock in the shared folder, and keep it until they are told a line."""
    with lock_holders(shared / "host.lock") as start_one:
        yield start_one


def state(path: Path) -> tuple[int, int, int, float]:
    found = path.lstat()
    return found.st_mode, found.st_uid, found.st_size, found.st_mtime_ns


def test_second_user_waits_for_the_first_and_takes_the_lock_after_them(
    start: Start, shared: Path
) -> None:
    first = start(FIRST)
    assert said(first) == "held"
    before = state(shared / "host.lock")
    second = start(SECOND)
    assert said(second) == "waiting"
    end(first)
    assert said(second) == "held"
    third = start(FIRST)
    assert said(third) == "waiting"
    end(second)
    assert said(third) == "held"
    assert state(shared / "host.lock") == before


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o444])
def test_file_that_another_user_may_only_read_is_a_lock_like_any_other(
    start: Start, shared: Path, mode: int
) -> None:
    lock = shared / "host.lock"
    lock.write_text("of the first")
    lock.chmod(mode)
    before = state(lock)
    second = start(SECOND)
    assert said(second) == "held"
    assert said(start(FIRST)) == "waiting"
    assert state(lock) == before


def test_file_that_another_user_may_not_read_is_named(start: Start, shared: Path) -> None:
    lock = shared / "host.lock"
    lock.write_text("private")
    lock.chmod(0o600)
    before = state(lock)
    line = said(start(SECOND))
    assert line.startswith(f"host lock {lock} cannot be taken (Permission denied); set GREENBENCH")
    assert state(lock) == before


@pytest.mark.parametrize("what", ["a file", "a link to a file", "a link to nothing", "a pipe"])
def test_what_another_user_planted_stays_as_it_is(
    start: Start, shared: Path, tmp_path: Path, what: str
) -> None:
    lock, precious = shared / "host.lock", tmp_path / "precious"
    precious.write_text("of root")
    precious.chmod(0o600)
    if what == "a file":
        lock.write_text("of somebody else")
        lock.chmod(0o644)
    elif what == "a pipe":
        os.mkfifo(lock, 0o644)
    else:
        lock.symlink_to(precious if what == "a link to a file" else tmp_path / "nothing")
    os.chown(lock, SECOND, SECOND, follow_symlinks=False)
    before = state(lock), state(precious)
    line = said(start(os.getuid()))
    if what == "a file":
        assert line == "held"
    else:
        assert line.startswith(f"host lock {lock} cannot be taken (it is ")
    assert (state(lock), state(precious)) == before
    assert not (tmp_path / "nothing").exists()


def test_pipe_in_place_of_the_lock_ends_a_run_with_one_line(
    greenbench: Greenbench, shared: Path
) -> None:
    lock = shared / "host.lock"
    os.mkfifo(lock, 0o666)
    greenbench.environment["GREENBENCH_HOST_LOCK"] = str(lock)
    done = greenbench(*RUN)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: host lock {lock} cannot be taken (it is not a plain file); set")


@pytest.fixture
def restricted() -> list[str]:
    """What makes root an ordinary user, who may start our Python all the same."""
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


def test_runs_of_another_user_hold_up_neither_run_nor_sync(
    greenbench: Greenbench, restricted: list[str], tmp_path: Path
) -> None:
    done = greenbench(*RUN)
    assert done.returncode == 0, done.stderr
    (journal,) = greenbench.journals
    folder = journal.parent
    # Interrupted before it was delivered, and somebody else's; one may be looked at.
    (folder / "done").unlink()
    lines = [line for line in journal.read_text().splitlines() if '"delivered"' not in line]
    journal.write_text("\n".join(lines) + "\n")
    private = folder.with_name("adhoc-20200101-000000-1")
    shutil.copytree(folder, private)
    private.chmod(0o700)
    others = [*folder.parent.glob("*"), *folder.parent.glob("*/*")]
    for path in others:
        os.chown(path, SECOND, SECOND)
    before = {path: state(path) for path in others}

    def other(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*restricted, sys.executable, "-m", "greenbench", *arguments],
            cwd=tmp_path,
            env=greenbench.environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    synced = other("sync")
    assert synced.returncode == 0, synced.stderr
    assert synced.stdout.startswith("delivered 0 results")
    names = f"{private.name}, {folder.name}"
    assert f"left out, as not all of it may be written by you: {names}" in synced.stderr
    done = other(*RUN)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert f"the interrupted run {folder.name} is not gone on with: not all of it may be" in said
    assert len(greenbench.journals) == 3
    assert {path: state(path) for path in others} == before


def test_store_of_a_group_takes_results_of_each_of_its_users(
    restricted: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "of a group"
    folder.mkdir()
    uri = f"sqlite:///{folder}/mlflow.db"
    Store(uri).log_result(make_result(suite="first"), "s/a")
    # As `chmod g+w` leaves it, in a folder where one deletes only what is one's own.
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, SECOND, os.getgid())
        path.chmod(0o3775 if path.is_dir() else 0o664)
    lock = folder / "mlflow.db.lock"
    lock.chmod(0o644)
    before = state(lock)
    code = (
        "from greenbench.tracking import Store; from tests.builders import make_result; "
        f"Store({uri!r}).log_result(make_result(suite='second'), 's/b')"
    )
    done = subprocess.run(
        [*restricted, sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {row["suite"] for row in Store(uri).read_rows()} == {"first", "second"}
    assert state(lock) == before
