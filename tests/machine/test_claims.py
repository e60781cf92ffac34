"""Who owns what several machines can reach, when locks lie and owners sleep, wake up or die."""

import errno
import fcntl
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO

import pytest

from greenbench.errors import TakenOverError
from greenbench.machine import claims, owners
from greenbench.machine.claims import Claim
from greenbench.machine.locks import Lock
from greenbench.machine.owners import Owner
from greenbench.results.journal import Journal
from tests.builders import STARTED_AT
from tests.faults.made_up_nodes import make_up

ALIVE = "import sys; print(flush=True); sys.stdin.read()"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder / ".lock"


@pytest.fixture
def note(lock: Path) -> Path:
    return lock.with_name(".lock.owner")


@pytest.fixture(autouse=True)
def honest(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Grant every lock to everybody, as some shared folders do; return what the system does."""
    system = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    return system


@pytest.fixture
def go_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Be on another machine from then on."""
    return lambda name: monkeypatch.setattr(owners, "PROC", make_up(tmp_path / name))


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What happens while somebody looks for signs of life, one after another; no time passes."""
    happens: list[Callable[[], object]] = []
    monkeypatch.setattr(claims.time, "sleep", lambda _: happens and happens.pop(0)())
    # Nor does an owner of this process show a sign of life, however busy the machine.
    monkeypatch.setattr(claims, "BEAT_S", 3600.0)
    return happens


def claimed(lock: Path, said: list[str] | None = None) -> Claim:
    claim = Claim(lock, "the run", None if said is None else said.append)
    assert claim.acquire()
    return claim


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    """Another process of this machine."""
    command = [sys.executable, "-c", ALIVE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def owned_by(process: "subprocess.Popen[bytes]", started: str | None = None) -> bytes:
    started = started or owners.started_at(process.pid) or ""
    return replace(Owner.ours("theirs"), pid=process.pid, started=started).to_json()


def test_folder_of_nfs_locks_what_is_open_for_writing_alone(
    lock: Path, monkeypatch: pytest.MonkeyPatch, honest: Callable[..., None]
) -> None:
    def flock(file: BinaryIO, kind: int) -> None:
        access = fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE
        if kind & fcntl.LOCK_EX and access == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        honest(file, kind)

    monkeypatch.setattr(fcntl, "flock", flock)
    first, second = Claim(lock, "the run"), Claim(lock, "the run")
    assert (first.acquire(), second.acquire()) == (True, False)
    first.release()
    assert second.acquire()
    second.release()


@pytest.mark.parametrize("is_left", [False, True], ids=["let go", "interrupted"])
def test_who_only_looks_keeps_nobody_from_taking_or_looking_at_it(
    lock: Path,
    note: Path,
    monkeypatch: pytest.MonkeyPatch,
    honest: Callable[..., None],
    is_left: bool,
) -> None:
    monkeypatch.setattr(fcntl, "flock", honest)
    if is_left:
        note.write_bytes(replace(Owner.ours("theirs"), started="1").to_json())
    looking = Lock(lock)
    assert looking.acquire(is_shared=True)
    assert Claim(lock, "the run").is_free()
    monkeypatch.setattr(claims.time, "sleep", lambda _: looking.release())

    claim = claimed(lock)

    # Who owns it is not waited for.
    monkeypatch.setattr(claims.time, "sleep", lambda _: pytest.fail("it was waited for"))
    assert not Claim(lock, "the run").acquire()
    claim.release()


def test_owner_is_named_beside_the_lock_while_it_is_held(lock: Path, note: Path) -> None:
    claim = claimed(lock)
    assert json.loads(note.read_text())["pid"] == os.getpid()
    assert json.loads(note.read_text())["node"] == asdict(owners.Node.here())
    claim.check()
    claim.release()
    assert not note.exists()


@pytest.mark.usefixtures("meanwhile")
def test_process_of_this_machine_that_lives_keeps_its_own_though_the_lock_lies(
    lock: Path, note: Path, stranger: "subprocess.Popen[bytes]"
) -> None:
    note.write_bytes(owned_by(stranger))
    claim = Claim(lock, "the run")
    assert not claim.acquire()
    assert claim.is_free() is False


def test_process_of_this_machine_that_is_gone_is_followed_at_once_and_without_a_word(
    lock: Path,
    note: Path,
    stranger: "subprocess.Popen[bytes]",
    meanwhile: list[Callable[[], object]],
) -> None:
    note.write_bytes(owned_by(stranger))
    meanwhile.append(lambda: pytest.fail("it was looked for"))
    stranger.kill()
    # Nobody has asked for its exit code yet.
    os.waitid(os.P_PID, stranger.pid, os.WEXITED | os.WNOWAIT)
    said: list[str] = []
    claimed(lock, said).check()
    assert not said


@pytest.mark.usefixtures("meanwhile")
def test_number_that_another_process_has_by_now_is_not_taken_for_the_owner(
    lock: Path, note: Path, stranger: "subprocess.Popen[bytes]"
) -> None:
    note.write_bytes(owned_by(stranger, started="1"))
    assert Claim(lock, "the run").is_free()
    claimed(lock).check()


@pytest.mark.usefixtures("meanwhile")
def test_silent_owner_on_another_machine_loses_it_and_finds_out_before_it_writes(
    lock: Path, note: Path, go_to: Callable[[str], None]
) -> None:
    journal = Journal(lock.with_name("case.r0.jsonl"), claimed(lock).fence)
    journal.start(at=STARTED_AT)
    before = journal.path.read_bytes()
    # Whatever it shows by itself, it is asleep.
    go_to("other")
    said: list[str] = []
    assert Claim(lock, "the run").is_free() is None
    taken = claimed(lock, said)

    assert "signs of life" in said[0]
    assert "taken over from a process on" in said[1]
    assert taken.is_taken_over
    with pytest.raises(TakenOverError, match="was taken over by another greenbench"):
        journal.start(at=STARTED_AT)
    with pytest.raises(TakenOverError):
        journal.save_state(0, {}, b"")
    with pytest.raises(TakenOverError):
        journal.save_checkpoint(0, [])
    with pytest.raises(TakenOverError):
        journal.discard()
    assert journal.path.read_bytes() == before
    theirs = Journal(journal.path, taken.fence)
    theirs.save_state(0, {}, b"")
    theirs.save_checkpoint(0, [])
    with pytest.raises(TakenOverError):
        journal.drop_state(0)
    with pytest.raises(TakenOverError):
        journal.drop_checkpoints()
    assert len(theirs.belongings()) == 2
    taken.check()


def test_loser_lets_go_of_nothing(
    lock: Path, note: Path, go_to: Callable[[str], None], meanwhile: list[Callable[[], object]]
) -> None:
    first = claimed(lock)
    go_to("other")
    second = claimed(lock)
    first.release()
    second.check()
    with pytest.raises(TakenOverError):
        first.check()
    second.release()
    # Who wakes up after even that has lost it all the same.
    with pytest.raises(TakenOverError):
        Journal(lock.with_name("case.r0.jsonl"), claims.Fence(note, "0123")).start(STARTED_AT)


def test_who_has_no_time_leaves_it_to_another_machine_and_says_to_whom(
    lock: Path, go_to: Callable[[str], None], meanwhile: list[Callable[[], object]]
) -> None:
    said: list[str] = []
    go_to("first")
    first = claimed(lock)
    go_to("second")
    meanwhile.append(lambda: pytest.fail("it is waited for"))
    second = Claim(lock, "the run", said.append)
    assert not second.acquire(may_look=False)
    with pytest.raises(TimeoutError), second.held(0.0):
        pass
    assert said == [f"the run waits: process {os.getpid()} on {platform.node()} is at it"]
    meanwhile.clear()
    with second.held(1.0):
        assert said[-1].endswith("which shows no sign of life")
    first.release()


@pytest.mark.parametrize("clock", [-3600, 0, 3600], ids=["behind", "right", "ahead"])
def test_owner_on_another_machine_that_shows_a_sign_of_life_keeps_it(
    lock: Path,
    note: Path,
    go_to: Callable[[str], None],
    meanwhile: list[Callable[[], object]],
    clock: int,
) -> None:
    claim = claimed(lock)
    at = note.stat().st_mtime
    go_to("other")
    meanwhile += [lambda: None] * (claims.LOOKS - 2)
    meanwhile.append(lambda: os.utime(note, (at + clock, at + clock + 0.5)))
    said: list[str] = []
    assert not Claim(lock, "the run", said.append).acquire()
    assert "which is alive" in said[1]
    claim.check()


def test_owner_that_lives_shows_it_again_and_again(
    lock: Path,
    note: Path,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[[Callable[[], object]], None],
) -> None:
    monkeypatch.setattr(claims, "BEAT_S", 0.001)
    claimed(lock)
    for _ in range(2):
        os.utime(note, (0, 0))
        eventually(lambda: note.stat().st_mtime > 0)


@pytest.mark.parametrize("when", ["looking for", "taken over"])
@pytest.mark.usefixtures("meanwhile")
def test_of_two_machines_that_take_it_over_one_gets_it(
    lock: Path, go_to: Callable[[str], None], when: str
) -> None:
    claimed(lock)
    go_to("second")
    quicker: list[Claim] = []

    def say(message: str) -> None:
        if when in message:
            go_to("third")
            quicker.append(claimed(lock))
            go_to("second")

    assert not Claim(lock, "the run", say).acquire()
    quicker[0].check()


def test_owner_that_lets_go_meanwhile_is_followed(
    lock: Path, go_to: Callable[[str], None], meanwhile: list[Callable[[], object]]
) -> None:
    first = claimed(lock)
    go_to("other")
    meanwhile.append(first.release)
    claimed(lock).check()


@pytest.mark.usefixtures("meanwhile")
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"node": 3}', b"\xff" * 99])
def test_note_that_nobody_can_read_is_looked_at_like_another_machine_s(
    lock: Path, note: Path, content: bytes
) -> None:
    note.write_bytes(content)
    assert Claim(lock, "the run").is_free() is None
    said: list[str] = []
    claimed(lock, said).check()
    assert "nobody knows whom" in said[0]


def test_folder_that_somebody_removes_was_not_taken_over(lock: Path) -> None:
    claim = claimed(lock)
    for path in [*lock.parent.iterdir()]:
        path.unlink()
    with pytest.raises(TakenOverError):
        claim.check()
    lock.parent.rmdir()
    # What cannot be written says so.
    claim.check()
    claim.release()


def test_renewed_journal_is_out_of_reach_of_who_had_opened_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "case.r0.jsonl")
    journal.renew()
    assert not journal.path.exists()
    journal.start(at=STARTED_AT)
    with journal.path.open("ab") as late:
        journal.renew()
        late.write(b"late\n")
    assert journal.read().starts == 1
