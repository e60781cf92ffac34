import errno
import itertools
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenbench.energy import hostlock
from greenbench.energy.hostlock import HOLDER as HOLDER_VARIABLE
from greenbench.energy.hostlock import host_lock, measuring_lock
from greenbench.errors import ConfigurationError
from greenbench.machine.locks import LOCKS, Lock
from tests.lock_holders import HOLDER, Start, end, lock_holders, said

needs_linux = pytest.mark.skipif(not LOCKS.exists(), reason="needs Linux, which tells of locks")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "host.lock"


@pytest.fixture
def start(lock: Path) -> Iterator[Start]:
    """Start processes that take the lock, say so, and keep it until they are told a line."""
    with lock_holders(lock) as start_one:
        yield start_one


def test_second_process_is_told_and_gets_the_lock_when_the_first_ends(start: Start) -> None:
    first = start()
    assert said(first) == "held"
    second = start()
    assert said(second) == "waiting"
    time.sleep(0.1)
    assert second.poll() is None
    end(first)
    assert said(second) == "held"
    assert said(first) == "released"


def test_lock_of_a_killed_process_is_free(start: Start) -> None:
    first = start()
    assert said(first) == "held"
    second = start()
    assert said(second) == "waiting"
    os.kill(first.pid, signal.SIGKILL)
    assert said(second) == "held"


def test_free_lock_is_taken_without_a_word(lock: Path) -> None:
    told: list[str] = []
    with host_lock(lock, told.append):
        pass
    assert told == []


def test_wait_is_told_once_at_once_and_not_at_every_try(
    start: Start, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long so many tries take on a busy machine.
    monkeypatch.setattr(hostlock, "TELL_AFTER_S", 3600.0)
    first = start()
    assert said(first) == "held"
    tries: list[int] = []

    def let_go() -> None:
        tries.append(len(told))
        if len(tries) == 9:
            end(first)

    told: list[str] = []
    with measuring_lock(lock, (), None, told.append, 0.01, while_waiting=let_go):
        assert len(told) == 1
    # The second try, after a moment that somebody's look takes, is told.
    assert tries[:3] == [0, 0, 1]


@needs_linux
def test_whoever_waits_is_told_which_process_holds_the_lock(start: Start, lock: Path) -> None:
    first = start()
    assert said(first) == "held"
    # Who holds it is the system's word, whatever is written there.
    lock.write_text("process 1 of root")

    def let_go(line: str) -> None:
        told.append(line)
        end(first)

    told: list[str] = []
    take(lock, let_go)
    (line,) = told
    # However long that took on a busy machine.
    line = re.sub(r"\(\d+ s\)", "(0 s)", line)
    user = pwd.getpwuid(os.getuid()).pw_name
    assert line == (
        "waiting for the host lock (0 s): another greenbench is measuring on this machine "
        f"(process {first.pid} of {user}); two at once would measure each other ({lock})"
    )


LEAVES_IT_TO_A_CHILD = """
import fcntl, subprocess, sys
file = open(sys.argv[1], "rb")
fcntl.flock(file, fcntl.LOCK_EX)
subprocess.Popen(["cat"], stdin=0, stdout=subprocess.DEVNULL, pass_fds=[file.fileno()])
"""


@needs_linux
def test_holder_that_has_ended_and_left_the_lock_to_a_child_is_told_as_such(lock: Path) -> None:
    lock.touch()
    first = subprocess.Popen(
        [sys.executable, "-c", LEAVES_IT_TO_A_CHILD, str(lock)], stdin=subprocess.PIPE
    )
    assert first.wait() == 0
    assert first.stdin is not None
    told: list[str] = []

    def let_go(line: str) -> None:
        told.append(line)
        first.stdin.close()

    take(lock, let_go)
    assert f"(process {first.pid}, which has ended, or one that it started); two at" in told[0]


def test_holder_that_the_system_does_not_tell_is_left_out(
    start: Start, lock: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("greenbench.machine.locks.LOCKS", tmp_path / "nothing")
    first = start()
    assert said(first) == "held"
    told: list[str] = []

    def let_go(line: str) -> None:
        told.append(line)
        end(first)

    take(lock, let_go)
    assert "is measuring on this machine; two at once" in told[0]


def test_long_wait_is_told_at_intervals_that_double(
    start: Start, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start()
    assert said(first) == "held"
    clock = itertools.count(step=5)
    monkeypatch.setattr(hostlock.time, "monotonic", lambda: next(clock))
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if len(told) == 10:
            end(first)

    take(lock, tell)
    waited = [float(re.findall(r"\((\d+) s\)", line)[0]) for line in told]
    silences = [later - earlier for earlier, later in itertools.pairwise(waited)]
    assert silences[0] <= 20
    assert all(b == pytest.approx(2 * a, abs=15) for a, b in itertools.pairwise(silences[:6]))
    assert silences[-1] <= 620


def test_wait_ends_where_nobody_waits_for_it_any_more(start: Start, lock: Path) -> None:
    assert said(start()) == "held"

    def give_up() -> None:
        raise ZeroDivisionError

    with (
        pytest.raises(ZeroDivisionError),
        measuring_lock(lock, (), None, lambda _: None, while_waiting=give_up),
    ):
        pass


def take(lock: Path, on_wait: Callable[[str], None]) -> None:
    with host_lock(lock, on_wait, poll_s=0.01):
        pass


def test_lock_is_free_after_an_error_inside(start: Start, lock: Path) -> None:
    with pytest.raises(ZeroDivisionError), host_lock(lock, lambda _: None):
        raise ZeroDivisionError
    assert said(start()) == "held"


def test_other_users_may_lock_it_too_from_its_first_moment(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut: list[bool] = []
    change = os.fchmod

    def look(handle: int, mode: int) -> None:
        shut.append(lock.exists())
        change(handle, mode)

    monkeypatch.setattr(os, "fchmod", look)
    before = os.umask(0o077)
    try:
        with host_lock(lock, lambda _: None):
            assert lock.stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)
    assert not any(shut)
    assert {path.name for path in lock.parent.iterdir()} == {lock.name, f"{lock.name}.turn"}


def test_file_system_without_links_has_a_lock(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    with host_lock(lock, lambda _: None):
        assert lock.exists()


def test_file_that_may_only_be_read_is_locked_and_stays_as_it_is(lock: Path, start: Start) -> None:
    lock.write_text("of somebody else\n")
    lock.chmod(0o444)
    before = lock.stat()
    with host_lock(lock, lambda _: None):
        second = start()
        assert said(second) == "waiting"
    assert said(second) == "held"
    assert lock.read_text() == "of somebody else\n"
    after = lock.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


@pytest.mark.parametrize("what", ["a link", "a link to nothing", "a pipe", "a socket"])
def test_what_is_no_plain_file_is_refused_and_stays_as_it_is(lock: Path, what: str) -> None:
    target = lock.with_name("precious")
    if what == "a link":
        target.write_text("kept")
        target.chmod(0o600)
    if what.startswith("a link"):
        lock.symlink_to(target)
    elif what == "a pipe":
        os.mkfifo(lock, 0o600)
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(lock))
    before = lock.lstat()

    with (
        pytest.raises(ConfigurationError, match=r"host lock .*plain file\); set GREENBENCH_HOST_"),
        host_lock(lock, lambda _: pytest.fail("there is nobody to wait for")),
    ):
        pass

    assert lock.lstat().st_mode == before.st_mode
    assert target.exists() == (what == "a link")
    if what == "a link":
        assert (target.read_text(), target.stat().st_mode & 0o777) == ("kept", 0o600)


def test_file_that_was_cleared_away_is_not_waited_for(lock: Path, start: Start) -> None:
    first = start()
    assert said(first) == "held"
    second = start()
    assert said(second) == "waiting"
    lock.unlink()
    # It takes the new one, as whoever comes after it does.
    assert said(second) == "held"
    third = start()
    assert said(third) == "waiting"


def test_forked_child_does_not_keep_the_lock_of_a_killed_process(start: Start) -> None:
    held = 'print("held"'
    forking = HOLDER.replace(held, f"os.fork() or sys.stdin.read()\n        {held}")
    process = start(program=forking)
    assert said(process) == "held"
    os.kill(process.pid, signal.SIGKILL)
    # The child lives for as long as its standard input is open.
    assert said(start()) == "held"


@pytest.mark.parametrize("place", ["a folder", "below a file"])
def test_lock_that_cannot_be_written_is_reported_with_what_to_set(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    path = {"a folder": tmp_path, "below a file": tmp_path / "file" / "lock"}[place]
    with (
        pytest.raises(ConfigurationError, match="set GREENBENCH_HOST_LOCK to a file"),
        host_lock(path, lambda _: None),
    ):
        pass


CHILD = """
import os, sys
from pathlib import Path
from greenbench.energy.hostlock import host_lock
def waiting(said):
    print("waiting", flush=True)
    os._exit(1)
with host_lock(Path(sys.argv[1]), waiting):
    print("inside", flush=True)
"""


def output_of_child(lock: Path) -> str:
    command = [sys.executable, "-c", CHILD, str(lock)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_what_the_holder_has_started_is_a_part_of_it(lock: Path) -> None:
    told: list[str] = []
    with host_lock(lock, told.append):
        assert output_of_child(lock) == "inside\n"
        with host_lock(lock, told.append):
            pass
        # The inner one has let nothing go.
        assert not Lock(lock).acquire()
        # Another lock is another matter, and changes nothing for this one.
        with host_lock(lock.with_name("other.lock"), told.append):
            pass
        assert output_of_child(lock) == "inside\n"
    assert told == []
    assert HOLDER_VARIABLE not in os.environ


def test_variable_that_names_a_stranger_is_no_proof(
    start: Start, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = start()
    assert said(holder) == "held"
    monkeypatch.setenv(HOLDER_VARIABLE, f"{holder.pid} {lock}")
    assert output_of_child(lock) == "waiting\n"
