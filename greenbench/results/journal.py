"""The journal: what a repeat has achieved, durable line by line, before MLflow is told."""

import dataclasses
import glob
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from greenbench.cases import Case
from greenbench.errors import ConfigurationError, JournalError
from greenbench.machine.claims import Fence
from greenbench.machine.files import read_plain, reason, remedy, replacing, sync_folder
from greenbench.results import CaseResult, Trial
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


class Journal:
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

    def __init__(self, path: Path, fence: Fence | None = None) -> None:
        self.path = path
        self.fence = fence

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
        turn = 1 + max(each.last_turn() for each in [self, *self.siblings()])
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

    @property
    def model(self) -> Path:
        """The folder of the incumbent's model, until MLflow has it."""
        return self.path.with_suffix(".model")

    def drop_model(self) -> None:
        """Drop the incumbent's model: MLflow has it, or it is of a repeat that is dropped."""
        shutil.rmtree(self.model, ignore_errors=True)

    def siblings(self) -> list["Journal"]:
        """Return the journals of the case's other repeats in this run."""
        stem, _, _ = self.path.stem.rpartition(".r")
        paths = sorted(self.path.parent.glob(f"{glob.escape(stem)}.r*.jsonl"))
        return [Journal(path) for path in paths if path != self.path]

    def last_start(self) -> Mapping[str, Any]:
        """Return ``at`` and ``basis`` of the last start; nothing if there was none."""
        starts = [line for line in self._whole_lines() if line.startswith(START_LINE)]
        values: Mapping[str, Any] = json.loads(starts[-1])["values"] if starts else {}
        return values

    def last_turn(self) -> int:
        """Return which of the starts of its case's repeats the last start was; 0 if unknown.

        Clocks are set back, and so do not tell which repeat was started last.
        """
        try:
            return int(self.last_start().get("turn", 0))
        except (JournalError, *DAMAGE):
            return 0

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

    def save_checkpoint(self, trial: int, weights: Sequence[NDArray[np.float32]]) -> None:
        """Keep the weights of a trial, so that a resumed search can still test them.

        They are on the disk before the trial's line is, and another trial's stay where they
        are: a search that is cut off between both goes on with the incumbent that its lines tell.

        Parameters
        ----------
        trial : int
            Its index.
        weights : sequence of ndarray
            After its last epoch.
        """
        checkpoint = self._checkpoint(trial)
        try:
            self._check_fence()
            with replacing(checkpoint) as file:
                np.savez(file, *weights)
        except OSError as error:
            raise self._unwritable(error, f"checkpoint {checkpoint}") from error

    def load_checkpoint(self, trial: int) -> list[NDArray[np.float32]]:
        """Return weights as `save_checkpoint` kept them for that trial."""
        checkpoint = self._checkpoint(trial)
        try:
            with np.load(checkpoint, allow_pickle=False) as arrays:
                return [arrays[name] for name in arrays.files]
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise JournalError(
                f"checkpoint {checkpoint} cannot be read ({error}); "
                "start over with `greenbench run --fresh`"
            ) from error

    def save_state(self, trial: int, about: Mapping[str, Any], state: bytes) -> None:
        """Keep where a training of somebody's own is, so that it goes on from there.

        Parameters
        ----------
        trial : int
            Its index.
        about : mapping
            What is known of it, JSON-ready; ``epochs`` is a list, one for each that is done.
        state : bytes
            All else.
        """
        path = self._state(trial)
        try:
            self._check_fence()
            with replacing(path) as file:
                file.write(json.dumps(dict(about)).encode() + b"\n")
                file.write(state)
        except OSError as error:
            raise self._unwritable(error, f"checkpoint {path}") from error

    def load_state(self, trial: int) -> tuple[dict[str, Any], bytes] | None:
        """Return what `save_state` kept last of that trial; None if there is nothing.

        Raises
        ------
        JournalError
            If it cannot be read.
        """
        path = self._state(trial)
        try:
            with path.open("rb") as file:
                about: dict[str, Any] = json.loads(file.readline())
                return about, file.read()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise JournalError(
                f"checkpoint {path} cannot be read ({error}); "
                "start over with `greenbench run --fresh`"
            ) from error

    def belongings(self) -> list[Path]:
        """Return the files beside it that belong to it: checkpoints, and the incumbent's model."""
        stem = glob.escape(self.path.stem)
        beside = [
            *self.path.parent.glob(f"{stem}.t*.npz"),
            *self.path.parent.glob(f"{stem}.t*.state"),
        ]
        return sorted([*beside, *(path for path in self.model.rglob("*") if path.is_file())])

    def drop_checkpoint(self, trial: int) -> None:
        """Drop the weights of a trial that is the incumbent no more, and where it was."""
        _drop(self._checkpoint(trial))
        self.drop_state(trial)

    def drop_state(self, trial: int) -> None:
        """Drop where a training of somebody's own was: it is over."""
        _drop(self._state(trial))

    def drop_checkpoints(self) -> None:
        """Drop all weights, and what is left of one that was cut off."""
        for suffix in ("npz", "state", "tmp"):
            for path in self.path.parent.glob(f"{glob.escape(self.path.stem)}.*.{suffix}"):
                _drop(path)

    def _checkpoint(self, trial: int) -> Path:
        return self.path.with_suffix(f".t{trial}.npz")

    def _state(self, trial: int) -> Path:
        return self.path.with_suffix(f".t{trial}.state")

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
                return _end_of_lines(file)
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
                _drop_torn_line(file)
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

    def _check_fence(self) -> None:
        if self.fence is not None:
            self.fence.check()

    def _unwritable(self, error: OSError, what: str = "") -> JournalError:
        kept = "kept" if self.path.parent.is_dir() else "gone"
        return JournalError(
            f"{what or f'journal {self.path}'} cannot be written ({reason(error)}); finished "
            f"trials are {kept}: {remedy(error)}, then run the same command again"
        )


def _drop_torn_line(file: BinaryIO) -> None:
    if (whole := _end_of_lines(file)) < file.seek(0, os.SEEK_END):
        file.truncate(whole)


def _end_of_lines(file: BinaryIO) -> int:
    end = file.seek(0, os.SEEK_END)
    # Its last byte tells: a journal that is read anew for each line would cost its square.
    file.seek(max(end - 1, 0))
    if file.read() in (b"", b"\n"):
        return end
    file.seek(0)
    return file.read().rfind(b"\n") + 1


def _drop(file: Path) -> None:
    # What cannot be removed takes room, and no more.
    with suppress(OSError):
        file.unlink(missing_ok=True)
