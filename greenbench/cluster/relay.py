"""Relay: a journal and what belongs to it, which grow on one machine and then on another.

Whoever sends says where each piece begins, and goes on from where the other says that it is. So it
does not matter which messages are lost, repeated or late.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from greenbench.errors import ClusterError, JournalError
from greenbench.machine.files import reason, remedy, sync_folder
from greenbench.results.journal import Journal

PIECE_BYTES = 2**22
"""Most that one message brings of a file; lines of a journal are never cut."""


@dataclass(frozen=True)
class Piece:
    """What a message brings of one file.

    Attributes
    ----------
    name : str
        Of the file, in the folder of the journal.
    offset : int
        Where the data begin, in bytes.
    data : bytes
        They themselves; of a journal, whole lines.
    size : int
        Of the whole file; 0 of the journal, which grows.
    digest : str
        SHA-256 of the whole file; empty of the journal.
    """

    name: str
    offset: int
    data: bytes
    size: int = 0
    digest: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Piece":
        """Return what `to_dict` wrote.

        Raises
        ------
        ClusterError
            If it is something else.
        """
        try:
            return cls(
                str(values["name"]),
                int(values["offset"]),
                bytes(values["data"]),
                int(values["size"]),
                str(values["digest"]),
            )
        except (LookupError, TypeError, ValueError) as error:
            raise ClusterError(f"a worker sent what is no piece of a journal ({error})") from error


Bring = Callable[[Piece], int]
"""Hands a piece over, and returns how many bytes of that file are there then."""


class Sender:
    """Sends what has grown since it last did; files before the lines that tell of them.

    Parameters
    ----------
    journal : Journal
        What grows here.
    bring : callable
        Hands a piece over.
    drop : callable
        Tells which files are gone.
    """

    def __init__(self, journal: Journal, bring: Bring, drop: Callable[[list[str]], None]) -> None:
        self._journal = journal
        self._bring, self._drop = bring, drop
        self.begin()

    def begin(self) -> None:
        """Take all that is here for what the other side has, too."""
        self._sent = _stamps(self._journal)
        self._offset = self._journal.size()

    @property
    def is_gone(self) -> bool:
        """Whether the journal was here and is not any more: what it said does not hold."""
        return self._offset > 0 and not self._journal.path.exists()

    def send(self) -> None:
        """Return when the other side has all that is here, on its disk, and nothing else."""
        if gone := self.add():
            self._drop(gone)
            for name in gone:
                del self._sent[name]

    def add(self) -> list[str]:
        """Return when the other side has all that is here, on its disk.

        Returns
        -------
        list of str
            Files that it has and need not have any more: the lines that say so are there, too.
        """
        found = _stamps(self._journal)
        for name, stamp in found.items():
            if self._sent.get(name) != stamp and self._send_file(name):
                self._sent[name] = stamp
        self._send_lines()
        return sorted(self._sent.keys() - found.keys())

    def _send_lines(self) -> None:
        while lines := _lines(self._journal, self._offset):
            there = self._bring(Piece(self._journal.path.name, self._offset, lines))
            self._offset = there

    def _send_file(self, name: str) -> bool:
        # One that is gone meanwhile was of a trial that is over.
        with suppress(FileNotFoundError), (self._journal.path.parent / name).open("rb") as file:
            digest, size, offset = _digest(file), os.fstat(file.fileno()).st_size, 0
            while True:
                offset = self._bring(_piece(file, name, offset, size, digest))
                if offset >= size:
                    return True
        return False


class Receiver:
    """Keeps what a sender brings of one journal, durably, whatever comes twice or too early.

    Parameters
    ----------
    journal : Journal
        What grows here; in a folder that exists.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def take(self, piece: Piece) -> int:
        """Keep a piece; return how many bytes of its file are on the disk.

        Raises
        ------
        ClusterError
            If the file does not belong to the journal.
        JournalError
            If it cannot be written.
        """
        if piece.name == self._journal.path.name:
            return self._journal.extend(piece.offset, piece.data)
        path = self._path(piece.name)
        try:
            self._check_fence()
            return _grow(path, piece)
        except OSError as error:
            raise JournalError(
                f"{path} cannot be written ({reason(error)}); {remedy(error)}, then run the same "
                "command again"
            ) from error

    def drop(self, names: list[str]) -> None:
        """Remove files that the sender has no more."""
        self._check_fence()
        for name in names:
            # What cannot be removed takes room, and no more.
            with suppress(OSError):
                self._path(name).unlink(missing_ok=True)

    def pieces(self, name: str, offset: int) -> Piece:
        """Return what is here of a file from `offset` on, for one who begins with a copy.

        Raises
        ------
        ClusterError
            If there is no such file.
        """
        if name == self._journal.path.name:
            return Piece(name, offset, _lines(self._journal, offset))
        try:
            with self._path(name).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                return _piece(file, name, offset, size, _digest(file))
        except OSError as error:
            raise ClusterError(f"{name} cannot be sent ({reason(error)})") from error

    def sizes(self) -> dict[str, int]:
        """Return the sizes of all files, with the journal as the last one."""
        folder, journal = self._journal.path.parent, self._journal
        found = {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in journal.belongings()
        }
        return {**found, journal.path.name: journal.size()}

    def _check_fence(self) -> None:
        if self._journal.fence is not None:
            self._journal.fence.check()

    def _path(self, name: str) -> Path:
        stem, parts = self._journal.path.stem, PurePosixPath(name).parts
        is_model = parts[:1] == (self._journal.model.name,)
        is_checkpoint = len(parts) == 1 and name.startswith(f"{stem}.t")
        is_checkpoint &= name.endswith((".npz", ".state"))
        if ".." in parts or not (is_model or is_checkpoint) or "\0" in name:
            raise ClusterError(f"a worker sent {name!r}, which does not belong to {stem}")
        return self._journal.path.parent / name


def fetch(receiver: Receiver, sizes: Mapping[str, int], ask: Callable[[str, int], Piece]) -> None:
    """Make a copy of what another receiver has.

    Parameters
    ----------
    receiver : Receiver
        Of the copy.
    sizes : mapping
        As `Receiver.sizes` says of the original.
    ask : callable
        Returns the piece of a file from an offset on.
    """
    for name, size in sizes.items():
        offset = -1
        while offset < size:
            offset = receiver.take(ask(name, max(offset, 0)))


def _stamps(journal: Journal) -> dict[str, tuple[int, int, int]]:
    return {name: stamp for name, stamp in _stamped(journal)}


def _stamped(journal: Journal) -> Iterator[tuple[str, tuple[int, int, int]]]:
    for path in journal.belongings():
        with suppress(FileNotFoundError):
            found = path.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            yield path.relative_to(journal.path.parent).as_posix(), stamp


def _lines(journal: Journal, offset: int) -> bytes:
    """Return whole lines from an offset on: as many as fit into a piece, and at least one."""
    try:
        with journal.path.open("rb") as file:
            file.seek(offset)
            data = file.read(PIECE_BYTES)
            if b"\n" not in data:
                data += file.readline()
    except FileNotFoundError:
        return b""
    return data[: data.rfind(b"\n") + 1]


def _piece(file: BinaryIO, name: str, offset: int, size: int, digest: str) -> Piece:
    file.seek(offset)
    return Piece(name, offset, file.read(PIECE_BYTES), size, digest)


def _digest(file: BinaryIO) -> str:
    found = os.fstat(file.fileno())
    return _digest_of(file, (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size))


_known: dict[tuple[int, ...], str] = {}


def _digest_of(file: BinaryIO, stamp: tuple[int, ...]) -> str:
    # Of a file in many pieces it is asked with each of them.
    if stamp not in _known:
        _known.clear()
        file.seek(0)
        digest = hashlib.sha256()
        while block := file.read(PIECE_BYTES):
            digest.update(block)
        _known[stamp] = digest.hexdigest()
    return _known[stamp]


def _grow(path: Path, piece: Piece) -> int:
    path.parent.mkdir(exist_ok=True, parents=True)
    # As `replacing` calls them, so that whoever tidies up finds it.
    growing = path.with_name(f"{path.name}.{piece.digest[:8]}.tmp")
    with growing.open("ab") as file:
        there = file.tell()
        if piece.offset != there:
            return piece.size if not there and _is_whole(path, piece) else there
        file.write(piece.data)
        file.flush()
        os.fsync(file.fileno())
        there = file.tell()
    if there < piece.size:
        return there
    if not _is_whole(growing, piece):
        # Nobody knows which part of it is wrong.
        growing.unlink(missing_ok=True)
        return 0
    growing.replace(path)
    sync_folder(path.parent)
    return there


def _is_whole(path: Path, piece: Piece) -> bool:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != piece.size:
                return False
            return _digest(file) == piece.digest
    except FileNotFoundError:
        return False
