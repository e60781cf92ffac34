"""Standard output and error that show whatever they are given, and fail nobody.

A terminal may know few letters, a disk may be full, a reader may have left: what was measured is
worth more than what is said of it.
"""

import codecs
import errno
import io
import os
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, BinaryIO, TextIO, cast

from greenbench.text.clean import disarmed, escaped

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

SPELLED = {
    "–": "-", "—": "-", "−": "-", "·": "-", "…": "...", "×": "x", "±": "+-", "≤": "<=",
    "≥": ">=", "→": "->", "●": "*", "²": "^2", "η": "eta", "ε": "eps", "∞": "inf", "√": "sqrt",
    "≈": "~", "µ": "u", "μ": "u", "“": '"', "”": '"', "‘": "'", "’": "'", "\xa0": " ",
}  # fmt: skip
"""What we write, for streams that have no such letter."""


def fitted(text: str, encoding: str) -> str:
    r"""Return a text that an encoding has: ours spelled out, other letters as ``\u4e2d``.

    Parameters
    ----------
    text : str
        Any.
    encoding : str
        Of a stream; one that nobody knows is taken for ASCII.
    """
    try:
        codec = codecs.lookup(encoding)
    except LookupError:
        codec = codecs.lookup("ascii")
    try:
        codec.encode(text)
    except UnicodeError:
        known = (_spelled(letter, codec) for letter in text)
        return "".join(known)
    return text


def _spelled(letter: str, codec: codecs.CodecInfo) -> str:
    try:
        codec.encode(letter)
    except UnicodeError:
        return SPELLED.get(letter) or letter.encode("unicode-escape").decode("ascii")
    return letter


class _Stream(io.TextIOBase):
    """A text stream in front of another one, which nobody gets behind, also not by bytes."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream = stream
        self.buffer: BinaryIO = cast(BinaryIO, _Bytes(self))

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream behind."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """Letters that the stream does not have are replaced."""
        return "backslashreplace"

    def isatty(self) -> bool:
        """Return whether people look at it."""
        with suppress(ValueError, OSError, AttributeError):
            return bool(self._stream.isatty())
        return False

    def fileno(self) -> int:
        """Return the descriptor of the stream behind."""
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return int(self._stream.fileno())

    def writable(self) -> bool:
        """Return that it is."""
        return True

    def detach(self) -> BinaryIO:
        """Return ``buffer``, for whoever puts another text stream before it."""
        return self.buffer

    def reconfigure(self, **options: Any) -> None:
        """Stay as we are, which shows all letters to whoever asks for that."""

    def close(self) -> None:
        """Leave the stream behind open: it is not ours."""


class _Bytes(io.BufferedIOBase):
    """A text stream for whoever writes bytes."""

    def __init__(self, stream: _Stream) -> None:
        super().__init__()
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def write(self, given: "ReadableBuffer") -> int:
        """Write text that is UTF-8."""
        found = bytes(given)
        self._stream.write(self._decoder.decode(found))
        return len(found)

    def fileno(self) -> int:
        """Return the descriptor of the stream behind."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Return whether people look at it."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Return that it is."""
        return True

    def close(self) -> None:
        """Leave the stream behind open: it is not ours."""


class Printing(_Stream):
    """Shows lines without control characters or workflow commands, and never fails.

    Parameters
    ----------
    stream : file or None
        The stream behind; None for one that was closed before we started.

    Attributes
    ----------
    failure : OSError or ValueError or None
        Why the stream behind takes no more; what is written since is dropped.
    """

    def __init__(self, stream: IO[str] | None) -> None:
        super().__init__(stream)
        self.failure: OSError | ValueError | None = None
        self._begins = True

    @property
    def for_controls(self) -> TextIO:
        """The same stream, for whoever moves cursors and colours text that is clean."""
        return cast(TextIO, _WithControls(self))

    def write(self, text: str) -> int:
        """Write at once, or drop it."""
        self.show(escaped(text))
        return len(text)

    def show(self, text: str, *, with_commands: bool = False) -> None:
        """Write text with control characters.

        Parameters
        ----------
        text : str
            Whose names are clean.
        with_commands : bool
            Whether workflow commands are meant.
        """
        if self._stream is None and self.failure is None:
            self.failure = OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self.failure is not None:
            return
        shown = text if with_commands else self._disarmed(text)
        try:
            self._stream.write(fitted(shown, self.encoding))
            self._stream.flush()
        except (OSError, ValueError) as error:
            self.failure = error
            self._let_go()

    def _disarmed(self, text: str) -> str:
        """Return text whose lines are no commands; its first may go on with one that began."""
        # A line that has begun is none, whatever follows.
        found = disarmed(text) if self._begins else disarmed(f".{text}")[1:]
        before, end, last = text.rpartition("\n")
        if before or end:
            self._begins = not last.strip()
        else:
            self._begins = self._begins and not last.strip()
        return found

    def _let_go(self) -> None:
        """Send what the stream behind still holds to nowhere, before Python tries at its end."""
        with suppress(ValueError, OSError):
            descriptor = self.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)


class _WithControls(_Stream):
    """A `Printing` whose control characters are meant."""

    def write(self, text: str) -> int:
        self._stream.show(text)
        return len(text)


def printing(stream: "IO[str] | Printing | None") -> Printing:
    """Return a stream that shows whatever it is given; one that does so already as it is.

    Parameters
    ----------
    stream : file or None
        Such as ``sys.stdout``, which is None if it was closed.
    """
    return stream if isinstance(stream, Printing) else Printing(stream)


def open_closed() -> None:
    """Open standard streams that were closed, at nowhere.

    The next file that anybody opens would be standard output, and what is printed end in it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
