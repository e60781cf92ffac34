"""Processes that take the host lock, say so, and keep it until they are told a line."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from greenbench.energy.hostlock import HOLDER as VARIABLE

# Another user may not even start our Python: it changes sides when all is imported.
HOLDER = """
import os, sys
from pathlib import Path
from greenbench.energy.hostlock import host_lock
from greenbench.errors import ConfigurationError
for user in map(int, sys.argv[2:]):
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    os.umask(0o077)
try:
    with host_lock(Path(sys.argv[1]), lambda _: print("waiting", flush=True), poll_s=0.02):
        print("held", flush=True)
        sys.stdin.readline()
    print("released", flush=True)
except ConfigurationError as error:
    print(error, flush=True)
"""

CARDS = """
import sys
from pathlib import Path
from greenbench.energy.hostlock import measuring_lock
from greenbench.results.gpus import Gpu
cards = [Gpu(index, uuid, "H200") for index, uuid in enumerate(sys.argv[2:])]
waiting = lambda _: print("waiting", flush=True)
with measuring_lock(Path(sys.argv[1]), cards, "gpu", waiting, poll_s=0.02):
    print("held", flush=True)
    sys.stdin.readline()
print("released", flush=True)
"""
"""Holds the cards whose UUIDs it is given."""

Start = Callable[..., "subprocess.Popen[str]"]


@contextmanager
def lock_holders(lock: Path) -> Iterator[Start]:
    """Yield what starts a holder of a lock: as us, or as the user whose number it is given.

    With the program `CARDS`, it is given UUIDs.
    """
    started: list[subprocess.Popen[str]] = []

    def start(*user: int | str, program: str = HOLDER) -> "subprocess.Popen[str]":
        # Strangers to this process, whose own children would not wait for it.
        strangers = {name: text for name, text in os.environ.items() if name != VARIABLE}
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(lock), *map(str, user)],
            env=strangers,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        with suppress(BrokenPipeError):
            process.communicate()


def said(process: "subprocess.Popen[str]") -> str:
    """Return the next line of a holder."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: "subprocess.Popen[str]") -> None:
    """Let a holder release the lock."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
