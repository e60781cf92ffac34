"""Claims: locks of files that other machines may reach, where locks lie or outlive their holder.

On a shared folder the system's lock may be granted to everybody, or to nobody. So whoever holds one
writes beside it who that is, and shows again and again that he lives; both must agree.
"""

import errno
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from greenbench.errors import TakenOverError
from greenbench.machine.files import read_plain, write_new
from greenbench.machine.locks import Lock, held, taken_past_looks
from greenbench.machine.owners import Owner

SUFFIX = ".owner"
BEAT_S = 5.0
"""How often an owner shows that he lives."""
LOOK_S, LOOKS = 1.0, 20
"""How often, and how many times in a row, one looks for a sign of life from another machine."""

_Sign = tuple[bytes, int]
"""What is written of the owner, and when that was touched last, by whichever clock."""


@dataclass(frozen=True)
class Fence:
    """Lets nobody through who has lost his claim.

    Attributes
    ----------
    note : pathlib.Path
        Says who the owner is.
    token : str
        Of the owner that may pass.
    """

    note: Path
    token: str

    def check(self) -> None:
        """Raise `TakenOverError` if somebody else is the owner by now; call it before each change.

        Raises
        ------
        OSError
            If that cannot be known.
        """
        try:
            content = read_plain(self.note)
        except FileNotFoundError:
            if not self.note.parent.is_dir():
                # Somebody removed it all, which whoever writes there is told.
                return
            content = b""
        if self.token.encode() not in content:
            owner = Owner.from_json(content)
            raise TakenOverError(str(self.note.parent), owner.node.name if owner else None)


class Claim:
    """A lock that holds across machines: of the system, and by a note beside it.

    Whether a process of this machine lives, the system tells. Of another machine's, changes are
    looked for that it makes: the clocks of two machines differ, and jump.

    Parameters
    ----------
    path : pathlib.Path
        The file that is locked; the note lies beside it.
    what : str
        What is claimed, for people.
    say : callable, optional
        Is told when that was another machine's.

    Attributes
    ----------
    fence : Fence or None
        While it is held, and once it was lost.
    is_taken_over : bool
        Whether somebody had it who did not let go, and of whom something may still go on: he
        himself, when his machine wakes up, or a process that he has started, for a moment.
    """

    def __init__(self, path: Path, what: str, say: Callable[[str], None] | None = None) -> None:
        self.note = path.with_name(path.name + SUFFIX)
        self._lock = Lock(path)
        self._what = what
        self._say = say or (lambda message: None)
        self._pid = os.getpid()
        self._is_over = threading.Event()
        self.fence: Fence | None = None
        self.is_taken_over = False

    def acquire(self, *, may_look: bool = True) -> bool:
        """Take what is claimed if nobody has it, and return whether nobody had.

        Parameters
        ----------
        may_look : bool
            Whether there is time to look for signs of life from another machine, which may well
            be `LOOKS` times `LOOK_S` seconds; if not, who is there is taken for alive, and for an
            owner.

        Raises
        ------
        OSError
            If that cannot be written.
        """
        take = self._lock.acquire
        if not (taken_past_looks(take, self._may_be_looked_at) if may_look else take()):
            return False
        try:
            self.fence = self._take(may_look=may_look)
        finally:
            if self.fence is None:
                self._lock.release()
        if self.fence is None:
            return False
        self._is_over = threading.Event()
        threading.Thread(target=self._beat, args=(self.fence, self._is_over), daemon=True).start()
        return True

    def release(self) -> None:
        """Let others take it; what was taken from us stays so."""
        self._is_over.set()
        # A forked child has a copy of this, and nothing to let go.
        if self.fence is not None and os.getpid() == self._pid:
            with suppress(OSError, TakenOverError):
                self.fence.check()
                note, self.fence = self.fence.note, None
                note.unlink()
        self._lock.release()

    def check(self) -> None:
        """Raise `TakenOverError` if it was taken from us; see `Fence`."""
        if self.fence is not None:
            self.fence.check()

    @contextmanager
    def held(self, limit_s: float) -> Iterator[None]:
        """Hold it, once others let it go; see `greenbench.machine.locks.Lock.held`.

        Who has no time at all waits for nobody, wherever that is. Whoever has it is told of.
        """
        with ExitStack() as stack:
            if self.acquire(may_look=False):
                stack.callback(self.release)
            else:
                self._tell_holder()
                if not limit_s:
                    raise TimeoutError(errno.ETIMEDOUT, "held by another process")
                stack.enter_context(held(self, limit_s))
            yield

    def _tell_holder(self) -> None:
        sign = _sign(self.note)
        if sign is not None and (owner := Owner.from_json(sign[0])) is not None:
            self._say(f"{self._what} waits: process {owner.pid} on {owner.node.name} is at it")

    def is_free(self) -> bool | None:
        """Return whether nobody has it; None if only another machine can tell.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        # Shared: of several who look, none takes another one for the owner.
        if not self._lock.acquire(is_shared=True):
            return False
        try:
            sign = _sign(self.note)
            return True if sign is None else self._is_gone(Owner.from_json(sign[0]))
        finally:
            self._lock.release()

    def _may_be_looked_at(self) -> bool:
        """Return whether no owner has the lock: who only looks at it has, or is about to be one."""
        if (sign := _sign(self.note)) is None:
            return True
        owner = Owner.from_json(sign[0])
        return owner is not None and owner.is_alive() is False

    def _take(self, *, may_look: bool) -> Fence | None:
        if (sign := _sign(self.note)) is not None:
            owner = Owner.from_json(sign[0])
            is_gone = self._is_gone(owner)
            if is_gone is None and may_look:
                is_gone = self._shows_nothing(owner, sign)
            if not is_gone or not self._clear(sign[0]):
                return None
            self.is_taken_over = True
        token = secrets.token_hex(8)
        is_ours = write_new(self.note, Owner.ours(token).to_json())
        return Fence(self.note, token) if is_ours else None

    def _is_gone(self, owner: Owner | None) -> bool | None:
        if owner is None:
            return None
        is_alive = owner.is_alive()
        if is_alive and owner.pid == os.getpid():
            # What this process has, its locks tell: they are those of one system.
            return True
        return None if is_alive is None else not is_alive

    def _shows_nothing(self, owner: Owner | None, sign: _Sign) -> bool:
        """Watch an owner on another machine, and return that he showed no sign of life."""
        name = f"a process on {owner.node.name}" if owner else "nobody knows whom"
        self._say(
            f"{self._what} belongs to {name}: looking for signs of life, for "
            f"{LOOK_S * LOOKS:.0f} s at most"
        )
        looks, looked = 0, time.monotonic()
        while looks < LOOKS:
            time.sleep(LOOK_S)
            # Who was stopped himself, or waited for the disk, has not looked meanwhile.
            now, before = time.monotonic(), looked
            looks, looked = (0 if now - before > BEAT_S + LOOK_S else looks + 1), now
            found = _sign(self.note)
            if found is None:
                return True
            if found != sign:
                self._say(f"{self._what} is left to {name}, which is alive")
                return False
        self._say(f"{self._what} is taken over from {name}, which shows no sign of life")
        return True

    def _clear(self, content: bytes) -> bool:
        """Put away the note of an owner who is gone; of several who try, one succeeds."""
        aside = self.note.with_name(f"{self.note.name}.{secrets.token_hex(4)}.tmp")
        try:
            self.note.rename(aside)
        except FileNotFoundError:
            return True
        is_his = aside.read_bytes() == content
        if not is_his:
            # Somebody was quicker, and owns it.
            with suppress(OSError):
                os.link(aside, self.note)
        aside.unlink()
        return is_his

    @staticmethod
    def _beat(fence: Fence, is_over: threading.Event) -> None:
        while not is_over.wait(BEAT_S):
            # A disk that fails now may not the next time.
            with suppress(OSError):
                try:
                    fence.check()
                except TakenOverError:
                    return
                # By the clock of whoever serves the folder; it takes no room.
                os.utime(fence.note)


def _sign(note: Path) -> _Sign | None:
    """Return what is known of an owner; None if there is none.

    To open it asks the server of a shared folder; to look at its name would not.
    """
    try:
        with note.open("rb") as file:
            return file.read(), os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None
