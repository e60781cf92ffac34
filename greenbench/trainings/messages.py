"""Messages: what a line says that a program wrote, if it says anything."""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from greenbench.errors import ProtocolError
from greenbench.machine.reporting import WAITS

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "epoch": ("epoch",),
    "loss": ("loss",),
    "score": ("score",),
    "test_score": ("test_score", "final"),
    "samples": ("samples",),
    "parameters": ("parameters",),
    "train_flops_per_sample": ("train_flops_per_sample",),
}
"""What a message may say, by the keys that say it; the score may have its own name, too."""
LONGEST_LINE = 1 << 20
"""Bytes; what is longer is no message, and is not kept in memory."""
SHOWN = 80
EXAMPLE = '{"epoch": 1, "loss": 0.5, "score": 0.75}'


@dataclass(frozen=True)
class Message:
    """What a program told.

    Attributes
    ----------
    told : mapping of str to float
        By the names of `SPELLINGS`; only what was told.
    metrics : mapping of str to float
        Further figures.
    waits : bool
        Whether the program waits for leave to go on.
    """

    told: Mapping[str, float]
    metrics: Mapping[str, float] = field(default_factory=dict)
    waits: bool = False

    @property
    def ends_epoch(self) -> bool:
        """Whether it is the report of an epoch; a loss alone belongs to the next one."""
        return "score" in self.told or ("epoch" in self.told and "test_score" not in self.told)


def read_message(line: bytes, score: str, *, is_meant: bool) -> Message | None:
    """Return what a line tells; None if it is just output.

    Parameters
    ----------
    line : bytes
        Without its end.
    score : str
        Name of the score, which may stand for it.
    is_meant : bool
        Whether nothing but messages may stand there, as in a file of reports.

    Raises
    ------
    ProtocolError
        If a message has a text where a number should be, or what is meant to be one is none.
    """
    entry = _object_of(line)
    told, known = {}, set()
    for name, spellings in _spellings(score).items():
        for key in spellings:
            if entry is not None and entry.get(key) is not None and name not in told:
                told[name] = _number(key, entry[key], line)
                known.add(key)
    if entry is None or not told:
        if is_meant and line.strip():
            raise ProtocolError(f"it reports {shown(line)}; expected a line such as {EXAMPLE}")
        return None
    metrics = {
        key: float(value)
        for key, value in entry.items()
        if key not in known and _is_number(value) and key != WAITS
    }
    return Message(told, metrics, bool(entry.get(WAITS)))


def shown(line: bytes) -> str:
    """Return a line as messages quote it."""
    text = line.decode(errors="replace").strip()
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


class Lines:
    """Lines of what comes in pieces; of one that is too long, nothing."""

    def __init__(self) -> None:
        self._begun = b""
        self._is_too_long = False

    def add(self, piece: bytes) -> Iterator[bytes]:
        """Yield the lines that a piece ends."""
        *ended, rest = piece.split(b"\n")
        for end in ended:
            line, is_whole = self._begun + end, not self._is_too_long
            self._begun, self._is_too_long = b"", False
            if is_whole:
                yield line
        self._begun += rest
        if len(self._begun) > LONGEST_LINE:
            self._begun, self._is_too_long = b"", True

    def rest(self) -> Iterator[bytes]:
        """Yield the last line, which had no end."""
        yield from self.add(b"\n") if self._begun else ()


class Merged:
    """Losses and samples that are told on lines of their own, kept for the next report."""

    def __init__(self) -> None:
        self._kept: dict[str, float] = {}
        self._epochs: deque[float] = deque(maxlen=1)

    def add(self, message: Message) -> Message | None:
        """Return the report of an epoch with all that belongs to it; None of any other message.

        Raises
        ------
        ProtocolError
            If the epoch is none that comes next.
        """
        self._kept |= message.told
        if not message.ends_epoch:
            return None
        epoch = message.told.get("epoch")
        if epoch is not None and self._epochs and not epoch > self._epochs[0]:
            raise ProtocolError(
                f"it reports epoch {epoch:g} after epoch {self._epochs[0]:g}; expected one line "
                "an epoch, which has the loss and the score"
            )
        if epoch is not None:
            self._epochs.append(epoch)
        told, self._kept = self._kept, {}
        return Message(told, message.metrics, message.waits)


def _spellings(score: str) -> Mapping[str, tuple[str, ...]]:
    # A score that is called loss is the validation's; without another key, it is both.
    return {
        **SPELLINGS,
        "score": tuple(dict.fromkeys(("score", score))),
        "test_score": (*SPELLINGS["test_score"], f"test_{score}"),
    }


def _object_of(line: bytes) -> Mapping[str, Any] | None:
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(key: str, value: Any, line: bytes) -> float:
    if not _is_number(value):
        raise ProtocolError(f"it reports {shown(line)}; expected a number as {key!r}")
    try:
        return float(value)
    except OverflowError:
        raise ProtocolError(f"it reports {shown(line)}; {key!r} is too large") from None
