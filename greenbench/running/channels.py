"""The channels of a process that is told what to do line by line, each a JSON object."""

import json
import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO


def take_over() -> tuple[BinaryIO, BinaryIO]:
    """Return channels for what is written and read that nobody else's code writes or reads.

    Standard output goes to standard error from now on, and standard input is empty.
    """
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    given = os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)
    # Into the log line by line: what waits in a buffer would be gone with the process.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    return events, given


def write(channel: BinaryIO, message: Mapping[str, Any]) -> None:
    """Write a line."""
    channel.write(json.dumps(message).encode() + b"\n")


def listen(stream: BinaryIO) -> "queue.Queue[dict[str, Any]]":
    """Read requests in a thread, which ends the process as soon as its parent is gone.

    If it leads a group, all of that ends.
    """
    requests: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        try:
            for line in stream:
                requests.put(json.loads(line))
        finally:
            # The parent may have been killed, in the middle of a line, too. Nobody waits for this
            # measurement any more, and whoever resumes it must not find us still writing to the
            # journal. Nor is anybody left to end what our code has started.
            if os.getpgrp() == os.getpid():
                os.killpg(0, signal.SIGKILL)
            for child in multiprocessing.active_children():
                child.kill()
            os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return requests
