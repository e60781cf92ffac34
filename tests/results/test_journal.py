import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenbench.cases import Case
from greenbench.errors import JournalError, TakenOverError
from greenbench.machine.claims import Fence
from greenbench.results import TrialStatus
from greenbench.results.journal import SCHEMA, Journal, JournalState
from tests.builders import STARTED_AT, make_result, make_trial

TRIALS = (
    make_trial(0),
    make_trial(1, accuracy=None, status=TrialStatus.DIVERGED, error='not finite: "nan"\n'),
    make_trial(2, accuracy=0.95),
)
RESULT = make_result(Case(strategy="grid"), trials=TRIALS)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.of(tmp_path, Case(), 0)


def write_all(journal: Journal) -> None:
    journal.start(STARTED_AT)
    for trial in TRIALS:
        journal.add_trial(trial)
    journal.finish(RESULT)
    journal.mark_delivered()


def damage_line(journal: Journal, number: int, line: str) -> None:
    lines = journal.path.read_text().splitlines(keepends=True)
    lines[number - 1] = line + "\n"
    journal.path.write_text("".join(lines))


@contextmanager
def full_disk(file: Path, room: int) -> Iterator[None]:
    """Let no file grow by more than `room` bytes over `file`, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_journal_gives_back_what_was_written(journal: Journal) -> None:
    write_all(journal)
    assert journal.read() == JournalState(
        history=TRIALS, starts=1, started_at=STARTED_AT, result=RESULT, is_delivered=True
    )


def test_absent_journal_says_nothing(journal: Journal) -> None:
    assert journal.read() == JournalState()


def test_journals_of_other_cases_and_repeats_are_other_files(tmp_path: Path) -> None:
    pairs = [(Case(), 0), (Case(), 1), (Case(epochs=3), 0), (Case(size="m"), 0)]
    assert len({Journal.of(tmp_path, case, repeat).path for case, repeat in pairs}) == 4


def test_start_after_an_interruption_is_counted_and_keeps_the_first_time(journal: Journal) -> None:
    journal.start(STARTED_AT)
    journal.add_trial(TRIALS[0])
    journal.start(STARTED_AT + 60)
    state = journal.read()
    assert (state.starts, state.started_at, state.trials) == (2, STARTED_AT, TRIALS[:1])


@pytest.mark.parametrize("torn", ['{"event": "tri', "{", '{"event": "delivered", "values": {}}'])
def test_torn_last_line_is_dropped_when_read(journal: Journal, torn: str) -> None:
    journal.start(STARTED_AT)
    journal.add_trial(TRIALS[0])
    with journal.path.open("a") as file:
        file.write(torn)
    state = journal.read()
    assert (state.trials, state.is_delivered) == (TRIALS[:1], False)


def test_torn_last_line_is_cut_off_by_the_next_append(journal: Journal) -> None:
    journal.start(STARTED_AT)
    whole = journal.path.read_text()
    journal.path.write_text(whole + '{"event": "tri')
    journal.add_trial(TRIALS[0])
    assert journal.path.read_text().startswith(whole + '{"event": "trial"')
    assert journal.read().trials == TRIALS[:1]


def test_journal_torn_in_its_first_line_can_be_started_anew(journal: Journal) -> None:
    journal.path.write_text('{"event": "sta')
    journal.start(STARTED_AT)
    assert journal.read() == JournalState(starts=1, started_at=STARTED_AT)


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_cut_at_any_byte_loses_at_most_the_last_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    journal = Journal.of(tmp_path_factory.mktemp("cut", numbered=True), Case(), 0)
    write_all(journal)
    content = journal.path.read_bytes()
    kept = content[: data.draw(st.integers(0, len(content)))]
    journal.path.write_bytes(kept)
    lines = kept.count(b"\n")
    assert journal.read() == JournalState(
        history=TRIALS[: max(lines - 1, 0)],
        starts=min(lines, 1),
        started_at=STARTED_AT if lines else 0.0,
        result=RESULT if lines > len(TRIALS) + 1 else None,
        is_delivered=lines > len(TRIALS) + 2,
    )
    journal.add_trial(TRIALS[0])
    assert journal.path.read_bytes().count(b"\n") == lines + 1
    assert journal.read().history[-1] == TRIALS[0]


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "tri',
        "\0" * 40,
        "[]",
        '{"event": "trial"}',
        '{"event": "trial", "values": {}}',
        '{"event": "trial", "values": 3}',
        '{"event": "trial", "values": {"status": "vanished", "epochs": []}}',
        '{"event": "result", "values": {"case": {"epoch_count": 3}}}',
    ],
)
def test_damaged_middle_line_is_refused_by_its_number(journal: Journal, line: str) -> None:
    write_all(journal)
    damage_line(journal, 3, line)
    with pytest.raises(JournalError, match=r"line 3 is damaged.*move the file away"):
        journal.read()


@pytest.mark.parametrize("line", ['{"event": "start", "values": []}', '{"event": "start"}'])
def test_damaged_first_line_is_refused_by_its_number(journal: Journal, line: str) -> None:
    write_all(journal)
    damage_line(journal, 1, line)
    with pytest.raises(JournalError, match="line 1 is damaged"):
        journal.read()


def test_journal_of_a_newer_greenbench_is_refused(journal: Journal) -> None:
    values = {"schema": SCHEMA + 1, "at": STARTED_AT}
    lines = [{"event": "start", "values": values}, {"event": "trial", "values": {"new": "shape"}}]
    journal.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(JournalError, match=r"newer greenbench.*pip install --upgrade"):
        journal.read()


def test_checkpoint_gives_back_the_weights(journal: Journal) -> None:
    weights = [
        np.ones((2, 3), np.float32),
        np.full(1, 0.5, np.float32),
        np.zeros((0, 4), np.float32),
    ]
    journal.save_checkpoint(3, weights)
    for saved, restored in zip(weights, journal.load_checkpoint(3), strict=True):
        np.testing.assert_array_equal(restored, saved)
        assert restored.dtype == saved.dtype


def test_many_weights_come_back_in_order(journal: Journal) -> None:
    journal.save_checkpoint(3, [np.full(1, i, np.float32) for i in range(12)])
    assert [float(values[0]) for values in journal.load_checkpoint(3)] == list(range(12))


def test_checkpoint_is_removed_when_the_repeat_is_finished(
    journal: Journal, tmp_path: Path
) -> None:
    journal.start(STARTED_AT)
    journal.save_checkpoint(3, [np.ones(3, np.float32)])
    journal.finish(RESULT)
    assert [path.name for path in tmp_path.iterdir()] == [journal.path.name]


class Exploding:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


def test_checkpoint_with_pickled_objects_is_refused_and_never_unpickled(
    journal: Journal, tmp_path: Path
) -> None:
    trace = tmp_path / "unpickled"
    journal.save_checkpoint(3, [np.array([Exploding(trace)], dtype=object)])
    with pytest.raises(JournalError, match=r"cannot be read.*--fresh"):
        journal.load_checkpoint(3)
    assert not trace.exists()


def test_checkpoint_is_that_of_its_trial_alone(journal: Journal) -> None:
    journal.save_checkpoint(3, [np.ones(3, np.float32)])
    journal.save_checkpoint(4, [np.zeros(3, np.float32)])
    np.testing.assert_array_equal(journal.load_checkpoint(3)[0], np.ones(3, np.float32))
    journal.drop_checkpoint(3)
    with pytest.raises(JournalError, match=r"t3\.npz cannot be read"):
        journal.load_checkpoint(3)
    np.testing.assert_array_equal(journal.load_checkpoint(4)[0], np.zeros(3, np.float32))


def test_repeat_that_finishes_leaves_the_checkpoints_of_others(tmp_path: Path) -> None:
    first, tenth = Journal.of(tmp_path, Case(), 1), Journal.of(tmp_path, Case(), 10)
    tenth.save_checkpoint(0, [np.ones(3, np.float32)])
    first.finish(RESULT)
    assert tenth.load_checkpoint(0)


def test_start_reads_its_siblings_once_however_many_there_are(tmp_path: Path) -> None:
    class Counting(Journal):
        def siblings(self) -> list[Journal]:
            asked.append(self.repeat)
            return super().siblings()

    asked: list[int] = []
    Journal.of(tmp_path, Case(), 0).path.write_bytes(
        b'{"event": "start", "values": {"schema": 2, "at": 9.0, "turn": 7}}\n'
    )
    for repeat in (1, 2, 1, 0):
        Counting.of(tmp_path, Case(), repeat).start(STARTED_AT)
    turns = [Journal.of(tmp_path, Case(), repeat).last_turn() for repeat in range(3)]
    assert (turns, asked) == ([11, 10, 9], [1])


def test_checkpoint_that_was_long_in_writing_is_nobodys_who_lost_the_run(tmp_path: Path) -> None:
    note = tmp_path / ".lock.owner"
    note.write_text("ours")
    journal = Journal.of(tmp_path, Case(), 0, Fence(note, "ours"))

    class Weights:
        def __array__(self, *_: object, **__: object) -> np.ndarray:
            note.write_text("theirs")
            return np.ones(3, np.float32)

    with pytest.raises(TakenOverError):
        journal.save_checkpoint(0, [Weights()])  # type: ignore[list-item]
    assert [path.name for path in tmp_path.iterdir()] == [note.name]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_torn_checkpoint_is_refused_with_what_to_do(journal: Journal, share: float) -> None:
    journal.save_checkpoint(3, [np.ones(1000, np.float32)])
    checkpoint = journal.path.with_suffix(".t3.npz")
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(share * len(content))])
    with pytest.raises(JournalError, match=r"cannot be read.*--fresh"):
        journal.load_checkpoint(3)


def test_absent_checkpoint_is_refused_with_what_to_do(journal: Journal) -> None:
    with pytest.raises(JournalError, match=r"cannot be read.*--fresh"):
        journal.load_checkpoint(3)


def test_folder_in_place_of_the_journal_is_reported(journal: Journal) -> None:
    journal.path.mkdir()
    with pytest.raises(JournalError, match="cannot be written"):
        journal.start(STARTED_AT)
    with pytest.raises(JournalError, match="cannot be read"):
        journal.read()


def test_absent_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be written"):
        Journal.of(tmp_path / "absent", Case(), 0).start(STARTED_AT)


def test_full_disk_is_reported_and_finished_trials_are_kept(journal: Journal) -> None:
    journal.start(STARTED_AT)
    journal.add_trial(TRIALS[0])
    is_kept = "finished trials are kept: allow larger files"
    with full_disk(journal.path, room=100), pytest.raises(JournalError, match=is_kept):
        journal.add_trial(TRIALS[1])
    assert journal.read().trials == TRIALS[:1]
    journal.add_trial(TRIALS[2])
    assert journal.read().trials == (TRIALS[0], TRIALS[2])


# NumPy below 2 leaves an archive open whose writing failed.
@pytest.mark.filterwarnings("ignore:.*ZipFile.__del__:pytest.PytestUnraisableExceptionWarning")
def test_full_disk_leaves_the_last_checkpoint_whole(journal: Journal) -> None:
    journal.save_checkpoint(3, [np.ones(1000, np.float32)])
    checkpoint = journal.path.with_suffix(".t3.npz")
    with (
        full_disk(checkpoint, room=100),
        pytest.raises(
            JournalError, match=r"checkpoint .*t3.npz cannot be written .*: allow larger files"
        ),
    ):
        journal.save_checkpoint(3, [np.zeros(100_000, np.float32)])
    np.testing.assert_array_equal(journal.load_checkpoint(3)[0], np.ones(1000, np.float32))
