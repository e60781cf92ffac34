"""Files that are written as a whole or not at all, and what to do where one cannot be."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room within your quota",
    errno.EFBIG: "allow larger files",
    errno.EIO: "see to the disk",
    errno.ENOENT: "somebody removed its folder",
    errno.ENOTDIR: "a file is where its folder should be",
}
"""By the number of an error of the system; of others, the folder is the wrong one."""

NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""Of file systems on which a file has one name."""

PROC = Path("/proc")
"""Where Linux tells of processes."""

WORDS_READ, WORDS_LINES = 4096, 3
"""How much of a log is read for its last lines, in bytes, and how many are told."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` once it is written and on the disk.

    Whoever reads `path` meanwhile, or after a crash, finds what was there before. What an
    error cuts off is dropped; a killed process leaves it beside, under a name that ends in
    ``.tmp``.

    Parameters
    ----------
    path : pathlib.Path
        In a folder that exists. Its permissions are those of any new file.
    """
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with scratch.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        # What cannot be removed takes room, and no more.
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_new(path: Path, content: bytes) -> bool:
    """Write a file as a whole unless there is one, and return whether it was written.

    Of several processes that try at once, on whichever machines, one succeeds.

    Parameters
    ----------
    path : pathlib.Path
        In a folder that exists.
    content : bytes
        Other than what anybody else would write there.
    """
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with scratch.open("xb") as file:
            file.write(content)
        try:
            os.link(scratch, path)
        except FileExistsError:
            # Or it was us, and a server's answer was lost.
            return path.read_bytes() == content
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            # Not as a whole, but once.
            with suppress(FileExistsError), path.open("xb") as file:
                file.write(content)
                return True
            return False
        return True
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)


def drop_torn_line(file: BinaryIO) -> None:
    """Cut off what somebody had begun to append when he was killed, or the disk was full.

    Parameters
    ----------
    file : binary file
        Of lines; it can be read and appended to.
    """
    if (whole := end_of_lines(file)) < file.seek(0, os.SEEK_END):
        file.truncate(whole)


def end_of_lines(file: BinaryIO) -> int:
    """Return how many bytes the whole lines of a file have."""
    end = file.seek(0, os.SEEK_END)
    # Its last byte tells: a journal that is read anew for each line would cost its square.
    file.seek(max(end - 1, 0))
    if file.read() in (b"", b"\n"):
        return end
    file.seek(0)
    return file.read().rfind(b"\n") + 1


def last_words(log: Path, since: int = 0) -> str:
    """Return the last lines of a log, as one line; nothing if it cannot be read.

    Parameters
    ----------
    log : pathlib.Path
        What somebody wrote, in whichever encoding.
    since : int
        Bytes that others wrote before.
    """
    try:
        with log.open("rb") as logged:
            size = logged.seek(0, os.SEEK_END)
            logged.seek(max(since, size - WORDS_READ))
            text = logged.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    said = " | ".join([line for line in lines if line][-WORDS_LINES:])
    return "".join(letter if letter.isprintable() else "?" for letter in said)


def read_plain(path: Path) -> bytes:
    """Read a file, if it is one: to read a pipe would wait for ever.

    Raises
    ------
    OSError
        If it cannot be read, or is something else.
    """
    if not path.is_file():
        # It is not there at all, or else:
        path.lstat()
        raise OSError(errno.EINVAL, "it is no file")
    return path.read_bytes()


def is_open_elsewhere(path: Path) -> bool:
    """Return whether another process has a file open; False where the system does not show it.

    It is Linux that does, and of other users' processes to root alone.

    Parameters
    ----------
    path : pathlib.Path
        An absolute one, and no link.
    """
    for process in _numbered(PROC):
        if process.name == str(os.getpid()):
            continue
        for descriptor in _numbered(process / "fd"):
            # It may be closed by now.
            with suppress(OSError):
                if descriptor.readlink() == path:
                    return True
    return False


def _numbered(folder: Path) -> Iterator[Path]:
    # What is not ours to look into, or is gone meanwhile, has nothing.
    with suppress(OSError):
        yield from [path for path in folder.iterdir() if path.name.isdecimal()]


def sync_folder(folder: Path) -> None:
    """Bring the names of files to the disk: until then, their contents may be lost with them."""
    # Not every file system can, and then there is nothing to do about it.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def reason(error: OSError) -> str:
    """Return in a few words why a file could not be written."""
    return error.strerror or str(error) or type(error).__name__


def remedy(error: OSError) -> str:
    """Return what to do before the same can be written."""
    return REMEDIES.get(error.errno or 0, "choose a folder that you may write")


@contextmanager
def folder_made(folder: Path) -> Iterator[None]:
    """Make a folder and its parents; those that are new and empty go at the end of the block.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        with suppress(OSError):
            for each in new:
                each.rmdir()
