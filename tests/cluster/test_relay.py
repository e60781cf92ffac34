"""A journal that is relayed: whatever comes twice, too early or in pieces, it is the same one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenbench.cases import Case
from greenbench.cluster import relay
from greenbench.cluster.relay import Piece, Receiver, Sender, fetch
from greenbench.errors import ClusterError, TakenOverError
from greenbench.machine.claims import Fence
from greenbench.results.journal import Journal
from tests.builders import make_result, make_trial

CASE = Case()


def journal_in(folder: Path) -> Journal:
    folder.mkdir(exist_ok=True, parents=True)
    return Journal.of(folder, CASE, 0)


def content(journal: Journal) -> dict[str, bytes]:
    paths = [*journal.belongings(), journal.path]
    return {
        path.relative_to(journal.path.parent).as_posix(): path.read_bytes()
        for path in paths
        if path.exists()
    }


def grow(journal: Journal, trials: int) -> None:
    journal.start(1.0)
    for index in range(trials):
        journal.save_checkpoint(index, [np.full(index + 1, index, np.float32)])
        journal.add_trial(make_trial(index))
        if index:
            journal.drop_checkpoint(index - 1)


def sent(source: Journal, trials: int) -> list[Piece]:
    """Return all that is sent of a journal while it grows, to one who keeps all of it."""
    found: list[Piece] = []

    def bring(piece: Piece) -> int:
        found.append(piece)
        return piece.offset + len(piece.data)

    sender = Sender(source, bring, lambda _: None)
    grow(source, trials)
    sender.send()
    return found


# Each example brings dozens of files to the disk.
few = settings(max_examples=10)


@few
@given(
    trials=st.integers(0, 6),
    size=st.integers(1, 400),
    order=st.lists(st.integers(0, 10**6), max_size=30),
)
def test_any_order_and_repetition_of_messages_gives_the_same_journal(
    tmp_path_factory: pytest.TempPathFactory, trials: int, size: int, order: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("relay")
    source, copy = journal_in(folder / "source"), journal_in(folder / "copy")
    receiver = Receiver(copy)
    again = Sender(source, receiver.take, receiver.drop)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relay, "PIECE_BYTES", size)
        pieces = sent(source, trials)
        for number in order:
            receiver.take(pieces[number % len(pieces)])
            # What is there is a beginning of the whole, at any time.
            there = copy.path.read_bytes() if copy.path.exists() else b""
            assert source.path.read_bytes().startswith(there)
            assert there[-1:] in (b"", b"\n")
        again.send()
    assert content(copy) == content(source)


@few
@given(
    steps=st.lists(st.integers(0, 2), max_size=12),
    losses=st.lists(st.booleans(), max_size=40),
)
def test_journal_that_grows_while_answers_are_lost_is_whole_after_each_send(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], losses: list[bool]
) -> None:
    folder = tmp_path_factory.mktemp("relay")
    source, copy = journal_in(folder / "source"), journal_in(folder / "copy")
    receiver, lost = Receiver(copy), iter(losses)

    def bring(piece: Piece) -> int:
        # Whose answer is lost is asked again.
        while next(lost, False):
            receiver.take(piece)
        return receiver.take(piece)

    sender = Sender(source, bring, receiver.drop)
    for index, step in enumerate(steps):
        if step == 0:
            source.save_state(index, {"epochs": []}, bytes(index))
        elif step == 1:
            source.add_trial(make_trial(index))
        else:
            source.drop_checkpoints()
        sender.send()
        assert content(copy) == content(source)
    source.finish(make_result(CASE))
    sender.send()
    assert content(copy) == content(source)


def test_one_who_goes_on_elsewhere_begins_with_a_copy_and_sends_only_what_is_new(
    tmp_path: Path,
) -> None:
    original, copy = journal_in(tmp_path / "driver"), journal_in(tmp_path / "worker")
    grow(original, 3)
    here = Receiver(original)
    fetch(Receiver(copy), here.sizes(), here.pieces)
    assert content(copy) == content(original)
    brought: list[Piece] = []

    def bring(piece: Piece) -> int:
        brought.append(piece)
        return here.take(piece)

    sender = Sender(copy, bring, here.drop)
    sender.send()
    assert brought == []
    copy.add_trial(make_trial(3))
    sender.send()
    assert [piece.data.count(b"\n") for piece in brought] == [1]
    assert original.read() == copy.read()


def test_line_that_was_cut_off_on_either_side_is_dropped(tmp_path: Path) -> None:
    source, copy = journal_in(tmp_path / "source"), journal_in(tmp_path / "copy")
    receiver = Receiver(copy)
    sender = Sender(source, receiver.take, receiver.drop)
    grow(source, 2)
    whole = source.path.read_bytes()
    source.path.write_bytes(whole + b'{"event": "tri')
    copy.path.write_bytes(whole[: len(whole) // 2])
    sender.send()
    assert copy.path.read_bytes() == whole


def test_model_of_the_incumbent_comes_along(tmp_path: Path) -> None:
    source, copy = journal_in(tmp_path / "source"), journal_in(tmp_path / "copy")
    sender = Sender(source, Receiver(copy).take, Receiver(copy).drop)
    (source.model / "data").mkdir(parents=True)
    (source.model / "data" / "weights.bin").write_bytes(bytes(range(256)))
    source.finish(make_result(CASE))
    sender.send()
    assert content(copy) == content(source)


@pytest.mark.parametrize(
    "name",
    ["../run.json", "run.json", "/etc/passwd", "other.t0.npz", "{stem}.t0.npz/../x", "{stem}.pkl"],
)
def test_what_does_not_belong_to_the_journal_is_refused(tmp_path: Path, name: str) -> None:
    copy = journal_in(tmp_path / "copy")
    piece = Piece(name.format(stem=copy.path.stem), 0, b"x", 1, "0" * 64)
    with pytest.raises(ClusterError, match="does not belong"):
        Receiver(copy).take(piece)
    assert list(copy.path.parent.iterdir()) == []


def test_files_of_a_run_that_was_taken_over_stay_as_they_are(tmp_path: Path) -> None:
    source = journal_in(tmp_path / "worker")
    pieces = [piece for piece in sent(source, 1) if piece.digest]
    note = tmp_path / "driver" / ".lock.owner"
    journal = journal_in(note.parent)
    journal.fence = Fence(note, "ours")
    note.write_text("of another one")
    kept = note.parent / pieces[0].name
    kept.write_text("what the other one has")
    receiver = Receiver(journal)
    for change in (lambda: receiver.take(pieces[0]), lambda: receiver.drop([kept.name])):
        with pytest.raises(TakenOverError):
            change()
    assert kept.read_text() == "what the other one has"


def test_message_that_is_no_piece_is_refused() -> None:
    with pytest.raises(ClusterError, match="no piece of a journal"):
        Piece.from_dict({"name": "x", "offset": "many"})
