"""Repeats that are added to a run, killed at any change to the disk, are added once."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from greenbench.results.journal import Journal
from greenbench.tracking import Store
from tests.faults.fragile import KILLED, Change, Fault, Place, command

pytestmark = pytest.mark.integration

TRIALS = 3
FIRST, MORE = 1, 2
ALL = bool(os.environ.get("GREENBENCH_TRY_ALL"))
ADDING = [*command(trials=TRIALS)[:-2], "--continue-repeats", str(MORE)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("added"))
    place.make()
    done = place.run(place.folder("first"), *command(trials=TRIALS, repeats=FIRST))
    assert done.code == 0, done.output
    return place


def copied(place: Place, name: str) -> Path:
    """Return a folder in which a run has ended."""
    return Path(shutil.copytree(place.shared / "first", place.shared / name))


def outcomes(folder: Path) -> dict[int, list[Any]]:
    """Return what each repeat came to, without what only the time of day decides."""
    found = {}
    for path in sorted(folder.glob("mlruns/journal/*/*.jsonl")):
        state = Journal(path).read()
        assert state.result is not None
        assert state.is_delivered
        trials = [(each.index, each.hyperparameters, each.val_score) for each in state.history]
        assert len(trials) == TRIALS
        found[Journal(path).repeat] = trials
    return found


def chosen(changes: tuple[Change, ...]) -> list[int]:
    """Return numbers of changes: those of the folder's own files, and some of the others."""
    (ended,) = (n for n, each in enumerate(changes) if each == changes_of(changes, "done"))
    if ALL:
        return list(range(ended + 1))
    own = [n for n, each in enumerate(changes) if "run.json" in each.path]
    journals = [n for n, each in enumerate(changes) if each.path.endswith(".jsonl")]
    return sorted({own[-1], journals[0], journals[len(journals) // 2], ended - 1, ended})


def changes_of(changes: tuple[Change, ...], name: str) -> Change:
    """Return the change that puts a file in its place."""
    return next(
        each
        for each in reversed(changes)
        if each.kind == "rename" and each.path.rpartition("/")[2].startswith(f"{name}.")
    )


def test_killed_addition_ends_as_a_whole_one(place: Place) -> None:
    whole = copied(place, "whole")
    done = place.run(whole, *ADDING)
    assert done.code == 0, done.output
    expected = outcomes(whole)
    assert len(expected) == FIRST + MORE
    assert len({str(trials) for trials in expected.values()}) == FIRST + MORE
    for number in chosen(done.changes):
        folder = copied(place, f"killed-{number}")
        first = next(folder.glob("mlruns/journal/*/*.r0.jsonl"))
        before = first.read_bytes()
        killed = place.run(folder, *ADDING, fault=Fault(number, signal=signal.SIGKILL))
        print(f"killed at change {number}, {done.changes[number]}")
        assert killed.code == KILLED

        again = place.run(folder, *ADDING)

        assert again.code == 0, again.output
        assert outcomes(folder) == expected
        assert first.read_bytes() == before
        rows = Store(f"sqlite:///{folder}/mlruns/mlflow.db").read_rows()
        assert sorted(row["repeat"] for row in rows) == list(range(FIRST + MORE))
        assert len({row["session"] for row in rows}) == 1
