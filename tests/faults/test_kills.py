"""A run that is killed at any change to the disk is gone on with, and ends as a whole one.

Some changes of each kind are tried; with ``GREENBENCH_TRY_ALL=1``, all of them, in half an hour.
"""

import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from greenbench.results.journal import Journal
from greenbench.running import delivery
from greenbench.tracking import Store
from tests.faults.fragile import KILLED, Change, Done, Fault, Place, command

pytestmark = pytest.mark.integration

TRIALS = 12
ALL = bool(os.environ.get("GREENBENCH_TRY_ALL"))
SIGNALS: dict[signal.Signals, int] = {
    signal.SIGTERM: -signal.SIGTERM,
    signal.SIGHUP: -signal.SIGHUP,
    signal.SIGINT: 130,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("kills"))
    place.make()
    return place


@pytest.fixture(scope="module")
def whole(place: Place) -> tuple[Path, Done]:
    """A run that nobody interrupts, and its folder: each other changes the disk as it does."""
    folder = place.folder("whole")
    done = place.run(folder, *command(trials=TRIALS))
    assert done.code == 0, done.output
    return folder, done


def journals(folder: Path) -> list[Journal]:
    return [Journal(path) for path in sorted(folder.glob("mlruns/journal/*/*.jsonl"))]


def outcome(journal: Journal) -> list[Any]:
    """Return what a search came to, without what only the time of day decides."""
    result = journal.read().result
    assert result is not None
    trials = [
        (each.index, each.hyperparameters, each.status.value, each.val_score)
        for each in result.trials
    ]
    return [*trials, result.test_score]


def rows(folder: Path) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
    store = Store(f"sqlite:///{folder}/mlruns/mlflow.db")
    cases = store.read_rows()
    return cases, store.read_trials(cases)


def group(change: Change) -> tuple[str, str]:
    """Return what changes of one kind have in common."""
    name = re.sub(r"\.[0-9a-f]{8}\.tmp$", ".tmp", change.path.rpartition("/")[2])
    # MLflow draws names of runs and of what it writes for them.
    name = re.sub(r"^[0-9a-f]{32}$|(?<=uploading\.)\w+$", "run", re.sub(r"\.t\d+", "", name))
    return change.kind, re.sub(r"^.*\.r0|^adhoc-.*", "", name)


def chosen(changes: Sequence[Change]) -> list[int]:
    """Return numbers of changes: all, or of each kind one in the middle, and the last ones."""
    groups: dict[tuple[str, str], list[int]] = {}
    for number, change in enumerate(changes):
        groups.setdefault(group(change), []).append(number)
    # What comes after is a run that has ended: the same command begins another one.
    (closed,) = groups["rename", "done.tmp"]
    if ALL:
        return list(range(closed + 1))
    # A file that is opened or synchronised is written next, or was written before.
    shown = [numbers for (kind, _), numbers in groups.items() if kind not in ("open", "fsync")]
    middle = {numbers[len(numbers) // 2] for numbers in shown}
    return sorted(number for number in middle | {closed} if number <= closed)


def check_whole(
    folder: Path, again: Done, expected: Sequence[Any], before: Sequence[tuple[int, int]]
) -> None:
    """Check that a run that went on came to what an uninterrupted one came to, each trial once."""
    assert again.code == 0, again.output
    assert "Traceback" not in again.output
    (journal,) = journals(folder)
    lines = lines_of(journal)
    assert lines[: len(before)] == list(before)
    assert len(set(lines)) == len(lines)
    if expected:
        assert outcome(journal) == list(expected)
    assert journal.read().is_delivered
    cases, trials = rows(folder)
    assert len(cases) == 1
    assert sorted(trial["trial"] for trial in trials) == list(range(TRIALS))
    assert (journal.path.parent / "done").exists()
    assert not [path for path in journal.path.parent.iterdir() if path.suffix in (".tmp", ".npz")]


def lines_of(journal: Journal) -> list[tuple[int, int]]:
    """Return index and number of segments of each trial's lines: what was done, and when."""
    return [(trial.index, len(trial.segments)) for trial in journal.read().history]


def test_changes_are_the_same_on_a_machine_that_is_busy(
    place: Place, whole: tuple[Path, Done]
) -> None:
    _, done = whole
    # Longer than a case's end waits for the store, and than it is waited for in silence.
    fault = Fault(kind="statement", pause_s=delivery.SILENT_S + 0.1)
    paused = place.run(place.folder("paused"), *command(trials=TRIALS), fault=fault)
    assert paused.code == 0, paused.output
    assert [group(each) for each in paused.changes] == [group(each) for each in done.changes]


@pytest.mark.parametrize("strategy", ["random", "random+asha"])
def test_killed_run_goes_on_and_ends_as_a_whole_one(
    place: Place, whole: tuple[Path, Done], strategy: str
) -> None:
    asked = command(strategy, TRIALS)
    folder, done = whole
    # What has paused when the process goes is lost, and others are tried in its place.
    expected = outcome(*journals(folder)) if strategy == "random" else []
    # As where the store is slow.
    is_late = strategy != "random"
    if is_late:
        done = place.run(place.folder(f"{strategy}-whole"), *asked, is_late=True)
        assert done.code == 0, done.output
    numbers = chosen(done.changes)
    for number in numbers if strategy == "random" or ALL else numbers[:: len(numbers) // 5]:
        folder = place.folder(f"{strategy}-{number}")
        fault = Fault(number, signal=signal.SIGKILL)
        killed = place.run(folder, *asked, fault=fault, is_late=is_late)
        where = f"killed at change {number}, {done.changes[number]}"
        assert killed.code == KILLED, where
        before = [line for journal in journals(folder) for line in lines_of(journal)]
        begun = list(folder.glob("mlruns/journal/*/run.json"))

        again = place.run(folder, *asked)

        print(where)
        assert ("resuming" in again.output) == bool(begun), again.output
        check_whole(folder, again, expected, before)


def closing(changes: Sequence[Change]) -> list[int]:
    """Return the numbers of the changes after the last delivery's mark."""
    last = max(n for n, each in enumerate(changes) if group(each) == ("fsync", ".jsonl"))
    return list(range(last + 1, len(changes)))


def test_run_that_is_killed_after_the_last_delivery_trains_nothing_again(
    place: Place, whole: tuple[Path, Done]
) -> None:
    asked = command(trials=TRIALS)
    folder, done = whole
    expected = outcome(*journals(folder))
    at_end = closing(done.changes)
    is_marked = max(n for n in at_end if done.changes[n].kind == "rename")
    for number in at_end if ALL else at_end[::4]:
        folder = place.folder(f"end-{number}")
        assert place.run(folder, *asked, fault=Fault(number, signal=signal.SIGKILL)).code == KILLED
        (journal,) = journals(folder)
        assert (journal.path.parent / "done").exists() == (number > is_marked)
        if number > is_marked:
            continue
        before = journal.path.read_bytes()

        again = place.run(folder, *asked)

        assert "all 1 repeats are finished, so nothing is trained" in again.output, again.output
        assert "`--fresh` measures anew" in again.output
        assert "starting workers" not in again.output
        assert journal.path.read_bytes() == before
        check_whole(folder, again, expected, lines_of(journal))
        (row,), _ = rows(folder)
        # It was noted before the note was delivered; before that, nobody knows it.
        noted = [path for path in done.changes[:number] if group(path)[1] == "idle-drift.json.tmp"]
        if any(each.kind == "rename" for each in noted):
            assert row["idle_drift"] == pytest.approx(0.2)
            assert "drifted" in again.output

    # The run is closed: the command is asked for new measurements.
    assert "resuming" not in place.run(folder, *asked).output
    assert len(journals(folder)) == 2


@pytest.mark.parametrize("number", list(SIGNALS))
def test_run_that_a_signal_ends_goes_on(
    place: Place, whole: tuple[Path, Done], number: signal.Signals
) -> None:
    asked = command(trials=TRIALS)
    _, done = whole
    kinds = [("write", ".jsonl"), ("rename", "done.tmp")]
    kinds += [("commit", "mlflow.db")] if ALL or number is signal.SIGINT else []
    for kind in kinds:
        numbers = [n for n, change in enumerate(done.changes) if group(change) == kind]
        folder = place.folder(f"{number.name}-{kind[0]}")
        fault = Fault(numbers[len(numbers) // 2], signal=number)

        stopped = place.run(folder, *asked, fault=fault)
        assert stopped.code == SIGNALS[number], stopped.output
        assert "Traceback" not in stopped.output
        if number is signal.SIGINT:
            assert stopped.output.count("interrupted: finished trials are kept") == 1
        before = lines_of(*journals(folder))
        again = place.run(folder, *asked)

        assert "resuming" in again.output
        check_whole(folder, again, [], before)
