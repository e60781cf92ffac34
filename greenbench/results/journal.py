"""The journal: what a repeat has achieved, durable line by line, before MLflow is told."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from greenbench.cases import Case
from greenbench.errors import ConfigurationError, JournalError
from greenbench.machine.claims import Fence
from greenbench.machine.files import (
    drop_torn_line,
    end_of_lines,
    read_plain,
    replacing,
    sync_folder,
)
from greenbench.results import CaseResult, Trial
from greenbench.results.checkpoints import Checkpoints, named
from greenbench.results.journal_state import JournalState

DAMAGE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    ConfigurationError,
)
"""What a line raises that is not what greenbench wrote."""
SCHEMA = 2
"""Of the lines: since 2, trials and results have scores, which were accuracies before."""
START_LINE = b'{"event": "start"'
PLACE_LINE = b'{"event": "place"'
LONGEST_NAME = 200
"""Of an id in the name of a file, which systems limit to 255; its hash tells it apart."""


class Journal(Checkpoints):
    """The record of one repeat of one case: a file with one JSON object a line.

    Each line is on the disk before `append` returns. A line that was cut off by a crash is
    dropped when the file is next written.

    Parameters
    ----------
    path : pathlib.Path
        The file; its folder exists.
    fence : Fence, optional
        Lets nothing be written once the run was taken over by another process.
    """

    _turns: ClassVar[dict[tuple[Path, str], int]] = {}
    """The last one that this process gave, by case: many repeats need not read all others."""

    @classmethod
    def of(cls, folder: Path, case: Case, repeat: int, fence: Fence | None = None) -> "Journal":
        """Return the journal of `case` and `repeat` in a run's folder."""
        return cls(folder / f"{case.id[:LONGEST_NAME]}.{case.hash}.r{repeat}.jsonl", fence)

    @property
    def repeat(self) -> int:
        """Which repeat of its case it is, as its name says."""
        return int(self.path.stem.rpartition(".r")[2])

    def start(self, at: float, basis: Mapping[str, Any] | None = None) -> None:
        """Record that the repeat starts, or starts again.

        Parameters
        ----------
        at : float
            Seconds since 1970-01-01 UTC.
        basis : mapping, optional
            What its figures rest on, and only a worker knows; see `greenbench.search.basis`.
        """
        given = {"basis": dict(basis)} if basis else {}
        turn = self._turns[self._of_case] = 1 + self._last_of_case()
        self._append("start", {"schema": SCHEMA, "at": at, "turn": turn, **given})

    def place(self, conditions: Mapping[str, Any]) -> None:
        """Record on which host the repeat goes on, where it is not that of the whole run."""
        self._append("place", {"conditions": dict(conditions)})

    def last_place(self) -> Mapping[str, Any]:
        """Return the conditions of the host that the repeat was last at; nothing if none was."""
        places = [line for line in self._whole_lines() if line.startswith(PLACE_LINE)]
        found: Mapping[str, Any] = json.loads(places[-1])["values"]["conditions"] if places else {}
        return found

    def add_trial(self, trial: Trial) -> None:
        """Record a trial that ended or paused."""
        self._append("trial", dataclasses.asdict(trial))

    def finish(self, result: CaseResult) -> None:
        """Record the result, and drop the checkpoints, which nobody needs any more."""
        self._append("result", result.to_dict())
        self.drop_checkpoints()

    def adopt(self, basis: Mapping[str, Any], result: CaseResult) -> None:
        """Record a result that another run has measured, and what its figures rest on."""
        self.start(result.started_at, basis)
        self._append("result", result.to_dict())

    def discard(self) -> None:
        """Drop what the repeat has achieved: it was achieved on something else than recorded."""
        self._check_fence()
        self.path.unlink(missing_ok=True)
        self.drop_checkpoints()
        self.drop_model()

    def mark_attempted(self) -> None:
        """Record that somebody else than the run's session is about to tell MLflow."""
        self._append("delivering", {})

    def mark_delivered(self) -> None:
        """Record that MLflow has the result."""
        self._append("delivered", {})

    def mark_mixed(self, changes: Sequence[str]) -> None:
        """Record that the run went on after changes; MLflow is to be told of it."""
        self._append("mixed", {"changes": list(changes)})

    def siblings(self) -> list["Journal"]:
        """Return the journals of the case's other repeats in this run."""
        folder, beginning = self._of_case
        paths = named(folder, beginning, ".jsonl")
        return [Journal(path) for path in paths if path != self.path]

    def last_start(self) -> Mapping[str, Any]:
        """Return ``at`` and ``basis`` of the last start; nothing if there was none."""
        try:
            told = self.path.stat()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unreadable(error) from error
        # Each repeat asks this of all others of its case, which have ended and do not change.
        return _last_start(self.path, told.st_ino, told.st_size, told.st_mtime_ns)

    def basis(self) -> Mapping[str, Any]:
        """Return what the figures rest on, and only a worker knew; nothing if that is not told."""
        found: Mapping[str, Any] = self.last_start().get("basis", {})
        return found

    def last_turn(self) -> int:
        """Return which of the starts of its case's repeats the last start was; 0 if unknown.

        Clocks are set back, and so do not tell which repeat was started last.
        """
        try:
            return int(self.last_start().get("turn", 0))
        except (JournalError, *DAMAGE):
            return 0

    @property
    def _of_case(self) -> tuple[Path, str]:
        """The folder, and how the names of the case's journals begin there."""
        return self.path.parent, f"{self.path.stem.rpartition('.r')[0]}.r"

    def _last_of_case(self) -> int:
        """Return the last turn of the case's repeats, which this process starts one by one."""
        known = self._turns.get(self._of_case)
        others = [each.last_turn() for each in self.siblings()] if known is None else [known]
        return max([self.last_turn(), *others])

    def renew(self) -> None:
        """Put a copy in its place: what a process still writes that has lost the run is lost.

        It may have made sure that the run was its own, and not written yet.
        """
        try:
            content = read_plain(self.path)
            with replacing(self.path) as file:
                file.write(content)
        except FileNotFoundError:
            # It was not begun, or discarded.
            return
        except OSError as error:
            raise self._unwritable(error) from error

    def read(self) -> JournalState:
        """Return what the journal says; an absent file says nothing.

        Raises
        ------
        JournalError
            If a line other than the last is damaged, or a newer greenbench wrote it.
        """
        history: list[Trial] = []
        starts: list[float] = []
        result, is_delivered, is_attempted = None, False, False
        for number, line in enumerate(self._whole_lines(), start=1):
            try:
                entry = json.loads(line)
                event, values = entry["event"], entry["values"]
                if event == "start":
                    self._check_schema(values["schema"])
                    starts.append(float(values["at"]))
                elif event == "trial":
                    history.append(Trial.from_dict(values))
                elif event == "result":
                    result = CaseResult.from_dict(values)
                elif event == "mixed" and result is not None:
                    result = dataclasses.replace(result, mixed=tuple(values["changes"]))
                    is_delivered = False
                elif event == "delivering":
                    is_attempted = True
                elif event == "delivered":
                    is_delivered = True
            except DAMAGE as error:
                raise JournalError(
                    f"journal {self.path}, line {number} is damaged "
                    f"({type(error).__name__}: {error}); move the file away and run again"
                ) from error
        first = starts[0] if starts else 0.0
        return JournalState(tuple(history), len(starts), first, result, is_delivered, is_attempted)

    def _whole_lines(self) -> list[bytes]:
        try:
            lines = read_plain(self.path).splitlines(keepends=True)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unreadable(error) from error
        return [line for line in lines if line.endswith(b"\n")]

    def _check_schema(self, schema: int) -> None:
        if schema > SCHEMA:
            raise JournalError(
                f"journal {self.path} was written by a newer greenbench; "
                "upgrade with `pip install --upgrade greenbench`"
            )

    def size(self) -> int:
        """Return how many bytes its whole lines have; 0 without a file.

        Raises
        ------
        JournalError
            If it cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                return end_of_lines(file)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise self._unreadable(error) from error

    def extend(self, offset: int, lines: bytes) -> int:
        """Append what another copy of this journal has from `offset` on; return the size then.

        What is here already is not appended again, and what would leave a gap is not at all:
        whoever sends goes on from the size that is returned.

        Parameters
        ----------
        offset : int
            Where `lines` begin in the other copy, in bytes.
        lines : bytes
            What is cut off at their end is left out.
        """
        size = self.size()
        whole = lines[: lines.rfind(b"\n") + 1]
        if 0 <= size - offset < len(whole):
            self._write(whole[size - offset :])
        return self.size()

    def _append(self, event: str, values: Mapping[str, Any]) -> None:
        self._write(json.dumps({"event": event, "values": values}).encode() + b"\n")

    def _write(self, lines: bytes) -> None:
        try:
            is_new = not self.path.exists()
            with self.path.open("ab+") as file:
                # Only now: whoever has taken the run over has put another file in its place.
                self._check_fence()
                drop_torn_line(file)
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                sync_folder(self.path.parent)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unreadable(self, error: OSError) -> JournalError:
        return JournalError(
            f"journal {self.path} cannot be read ({error.strerror}); move it away and run again"
        )


@lru_cache(maxsize=16384)
def _last_start(path: Path, *_version: int) -> Mapping[str, Any]:
    starts = [line for line in Journal(path)._whole_lines() if line.startswith(START_LINE)]
    values: Mapping[str, Any] = json.loads(starts[-1])["values"] if starts else {}
    return values
