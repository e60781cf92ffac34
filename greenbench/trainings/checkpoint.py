"""Checkpoints: where a training is, with all that a kill must not take from it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from greenbench.backends.process_state import RandomStates
from greenbench.cases import Scalar
from greenbench.errors import JournalError
from greenbench.machine.places import described
from greenbench.results import Epoch
from greenbench.results.account import Account
from greenbench.results.journal import Journal
from greenbench.trainings.report import Saved
from greenbench.trainings.run import Run
from greenbench.trainings.states import pack, unpack

SCHEMA = 2
"""Of what is kept: it has none before 2, and is a pickle, which is not read."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a trial is after an epoch, or at its end.

    Attributes
    ----------
    hyperparameters : mapping
        What it is trained with: another trial of the same number must not go on from here.
    epochs : tuple of Epoch
        Its curve so far.
    samples : int
        Training samples so far.
    account : Account
        What was booked since its last segment in the journal ended.
    segments : int
        How many of those there were.
    costs : dict
        What it told of its costs.
    tested : list or None
        Its test score, and what was told with it; if it has ended by itself.
    is_over : bool
        Whether it has.
    """

    hyperparameters: Mapping[str, Scalar]
    epochs: tuple[Epoch, ...]
    samples: int
    account: Account
    segments: int
    costs: Mapping[str, Any]
    tested: list[Any] | None = None
    is_over: bool = False

    def write(self, journal: Journal, trial: int, run: Run, random: RandomStates) -> None:
        """Bring it to the disk, with what `run` has saved."""
        journal.save_state(
            trial,
            {
                "schema": SCHEMA,
                **dataclasses.asdict(self),
                "hyperparameters": dict(self.hyperparameters),
            },
            pack((run.pending, random)),
        )


def is_older(journal: Journal, trial: int) -> bool:
    """Return whether a trial has a checkpoint as older versions of greenbench wrote it."""
    found = journal.load_state(trial)
    return found is not None and found[0].get("schema", 1) < SCHEMA


def costs_told(run: Run) -> dict[str, Any]:
    """Return what a run told of its costs."""
    return {
        "parameters": run.parameters,
        "train_flops_per_sample": run.train_flops_per_sample,
        "uncounted": list(run.uncounted),
    }


def read(
    journal: Journal, trial: int, hyperparameters: Mapping[str, Scalar]
) -> tuple[Checkpoint, Saved] | None:
    """Return where a trial was when it was cut off; None if it saved nothing that is read.

    Raises
    ------
    JournalError
        If it cannot be read.
    """
    found = journal.load_state(trial)
    if found is None:
        return None
    about, kept = found
    try:
        schema = about.pop("schema", 1)
        if schema != SCHEMA or dict(about["hyperparameters"]) != dict(hyperparameters):
            return None
        state, random = unpack(kept)
        checkpoint = Checkpoint(
            **{
                **about,
                "epochs": tuple(Epoch(**each) for each in about["epochs"]),
                "account": Account.from_dict(about["account"]),
            }
        )
    except Exception as error:
        raise JournalError(
            f"checkpoint of trial {trial} beside {journal.path} cannot be read "
            f"({described(error)}); start over with `greenbench run --fresh`"
        ) from error
    return checkpoint, Saved(len(checkpoint.epochs), state, random)
