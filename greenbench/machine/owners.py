"""Who a process is, told apart from all others of any machine, and whether it is still there."""

import hashlib
import json
import os
import platform
import pwd
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

PROC = Path("/proc")
"""Where Linux tells of processes, and which start of which machine this is.

Tests put a folder of their own in its place, and so are on another machine: with ``self``, a link
to the real one, and ``sys/kernel/random/boot_id``.
"""
MACHINE_ID = Path("/etc/machine-id")
UNKNOWN = "?"
"""When a process started that is there, where the system does not tell."""

_STATE, _STARTED = 0, 19
"""Fields of ``/proc/PID/stat`` after the name of the program; see ``proc(5)``."""


@dataclass(frozen=True)
class Node:
    """Where numbers of processes mean something: one start of one machine, in one container.

    Attributes
    ----------
    name : str
        Of the host, for people.
    machine : str
        Digest of the machine's id, which is to stay on it.
    boot : str
        Other than at any other start.
    space : str
        Of the numbers: containers have their own.
    """

    name: str
    machine: str
    boot: str
    space: str

    @classmethod
    def here(cls) -> "Node":
        """Return that of this process."""
        try:
            machine_id = MACHINE_ID.read_bytes()
        except OSError:
            machine_id = str(uuid.getnode()).encode()
        machine = hashlib.sha256(b"greenbench " + machine_id).hexdigest()[:12]
        boot, space = "", ""
        with suppress(OSError):
            boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        with suppress(OSError):
            space = os.readlink(PROC / "self/ns/pid")  # noqa: PTH115 (it is no path)
        return cls(platform.node(), machine, boot, space)


@dataclass(frozen=True)
class Owner:
    """A process that owns something.

    Attributes
    ----------
    node : Node
        Where it is.
    pid : int
        Its number there, which another process may have later.
    started : str
        When it started, as the system counts; no clock that somebody sets.
    token : str
        Random: tells apart what one process owned at different times.
    """

    node: Node
    pid: int
    started: str
    token: str

    @classmethod
    def ours(cls, token: str) -> "Owner":
        """Return this process as an owner."""
        pid = os.getpid()
        return cls(Node.here(), pid, started_at(pid) or UNKNOWN, token)

    @classmethod
    def from_json(cls, content: bytes) -> "Owner | None":
        """Return what `to_json` wrote; None if it is anything else."""
        try:
            found = json.loads(content)
            node = Node(**{name: str(value) for name, value in found["node"].items()})
            return cls(node, int(found["pid"]), str(found["started"]), str(found["token"]))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None

    def to_json(self) -> bytes:
        """Return it as a line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    def is_alive(self) -> bool | None:
        """Return whether the process runs; None if that cannot be known from here."""
        if self.node != Node.here():
            return None
        started = started_at(self.pid)
        if UNKNOWN in (started, self.started):
            return False if started is None else None
        return started == self.started


def named(pid: int) -> str:
    """Return who a process is for people: its number, and its user where the system tells.

    What it runs stays out: a command line may hold what is none of its reader's business. Of one
    that has ended, whose children have what it had open, only that is known.
    """
    if started_at(pid) is None:
        return f"process {pid}, which has ended, or one that it started"
    try:
        uid = (PROC / str(pid)).stat().st_uid
    except OSError:
        return f"process {pid}"
    try:
        return f"process {pid} of {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"process {pid} of user {uid}"


def started_at(pid: int) -> str | None:
    """Return when a process started, as its system counts; None if there is none of this number.

    One that has ended, and whose parent has not asked how, is none.
    """
    try:
        stat = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return None if stat[_STATE] in (b"Z", b"X") else stat[_STARTED].decode()
    except (OSError, IndexError):
        pass
    try:
        # Without ``/proc``, or where that hides the processes of others.
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass
    return UNKNOWN
