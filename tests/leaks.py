"""Where a password is seen that nobody may see: in texts, in files, in the list of processes."""

import base64
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

# Words that nobody else says; each alone is too much.
FIRST, LAST = "hyena", "walrus"
WORDS = re.compile(f"{FIRST}|{LAST}", re.IGNORECASE)


def found_in(text: str) -> str | None:
    """Return where a text has a part of the password, or what a header makes of it."""
    for user in ("bob", "", f"{FIRST}-{LAST}"):
        for between in ("-", "@", ":", "/", " "):
            for password in (f"{FIRST}{between}{LAST}", ""):
                header = base64.b64encode(f"{user}:{password}".encode()).decode()
                if len(header) > 12 and header in text:
                    return f"{user}:{password} in base64"
    found = WORDS.search(text)
    return text[max(found.start() - 200, 0) : found.end() + 100] if found else None


def check_files(folder: Path, *, but: tuple[str, ...] = ()) -> None:
    for path in folder.rglob("*"):
        assert not WORDS.search(path.name), path
        if path.is_file() and path.name not in but:
            text = path.read_bytes().decode("utf-8", "replace")
            assert not found_in(text), f"{path}: {found_in(text)}"


@contextmanager
def watching() -> Iterator[set[str]]:
    """Yield the arguments of all processes that this one has started, as they come."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for each in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    seen.add(" ".join(each.cmdline()))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def watched(command: list[str], folder: Path) -> tuple[str, str, int]:
    """Run a command; return its output, and the arguments of all processes that it started."""
    with watching() as seen:
        done = subprocess.run(
            command,
            cwd=folder,
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
            check=False,
        )
    return done.stdout, "\n".join(seen), done.returncode
