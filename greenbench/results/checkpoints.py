"""Checkpoints: the files beside a journal that let a repeat go on where it was cut off."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from greenbench.errors import JournalError
from greenbench.machine.claims import Fence
from greenbench.machine.files import reason, remedy, replacing


class Checkpoints:
    """The files beside a journal: weights, states of trainings, and the incumbent's model.

    Parameters
    ----------
    path : pathlib.Path
        The journal; its folder exists.
    fence : Fence, optional
        Lets nothing be written once the run was taken over by another process.
    """

    def __init__(self, path: Path, fence: Fence | None = None) -> None:
        self.path = path
        self.fence = fence

    @property
    def model(self) -> Path:
        """The folder of the incumbent's model, until MLflow has it."""
        return self.path.with_suffix(".model")

    def drop_model(self) -> None:
        """Drop the incumbent's model: MLflow has it, or it is of a repeat that is dropped."""
        shutil.rmtree(self.model, ignore_errors=True)

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
            with replacing(checkpoint) as file:
                np.savez(file, *weights)
                # Only now: to write it may have taken long.
                self._check_fence()
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
            with replacing(path) as file:
                file.write(json.dumps(dict(about)).encode() + b"\n")
                file.write(state)
                self._check_fence()
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
        beside = named(self.path.parent, f"{self.path.stem}.t", ".npz", ".state")
        return sorted([*beside, *(path for path in self.model.rglob("*") if path.is_file())])

    def drop_checkpoint(self, trial: int) -> None:
        """Drop the weights of a trial that is the incumbent no more, and where it was."""
        self._drop(self._checkpoint(trial))
        self.drop_state(trial)

    def drop_state(self, trial: int) -> None:
        """Drop where a training of somebody's own was: it is over."""
        self._drop(self._state(trial))

    def drop_checkpoints(self) -> None:
        """Drop all weights, and what is left of one that was cut off."""
        self._drop(*named(self.path.parent, f"{self.path.stem}.", ".npz", ".state", ".tmp"))

    def _drop(self, *files: Path) -> None:
        for file in files:
            # What cannot be removed takes room, and no more.
            with suppress(OSError):
                # Those of whoever has taken the run over have the same names.
                self._check_fence()
                file.unlink(missing_ok=True)

    def _checkpoint(self, trial: int) -> Path:
        return self.path.with_suffix(f".t{trial}.npz")

    def _state(self, trial: int) -> Path:
        return self.path.with_suffix(f".t{trial}.state")

    def _check_fence(self) -> None:
        if self.fence is not None:
            self.fence.check()

    def _unwritable(self, error: OSError, what: str = "") -> JournalError:
        kept = "kept" if self.path.parent.is_dir() else "gone"
        return JournalError(
            f"{what or f'journal {self.path}'} cannot be written ({reason(error)}); finished "
            f"trials are {kept}: {remedy(error)}, then run the same command again"
        )


def named(folder: Path, beginning: str, *endings: str) -> list[Path]:
    """Return the files of a folder whose names begin and end so, sorted.

    Each repeat asks, of a folder that holds those of all: so it is looked through once, and names
    are not matched with patterns.
    """
    names: list[str] = []
    with suppress(OSError):
        names = os.listdir(folder)  # noqa: PTH208 (paths of them all would take longer)
    return sorted(
        folder / name for name in names if name.startswith(beginning) and name.endswith(endings)
    )
