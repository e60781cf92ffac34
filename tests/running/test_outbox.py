"""What waits for the store is told to it while there is time, and takes no memory."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from greenbench.errors import TrackingError
from greenbench.machine.claims import LOOKS, Claim
from greenbench.machine.locks import Lock
from greenbench.machine.owners import Node, Owner
from greenbench.results import CaseResult
from greenbench.results.journal import Journal
from greenbench.running import deliverer
from greenbench.running import delivery as running_delivery
from greenbench.running.delivery import BETWEEN_S, Delivery, When
from greenbench.running.spool import SYNC_LOCK, syncing
from greenbench.tracking import session_key
from tests.builders import make_result, make_trial

CALL_S = 0.01


class Clock:
    """Goes on with each call to a store, and with nothing else."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Steps:
    """Three calls a trial."""

    def __init__(self, store: "FakeStore", result: CaseResult, key: str) -> None:
        self._store, self.run_id, self._left = store, key, 3 * len(result.trials)
        self._refused = result.case.seed

    def take(self) -> bool:
        self._store.call()
        if self._refused:
            raise TrackingError("too long a value")
        self._left -= 1
        if self._left == 0:
            self._store.has.append(self.run_id)
        return self._left > 0


class FakeStore:
    """A store that takes 10 ms for a call, and may be away for some of them."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.calls, self.call_s = clock, 0, CALL_S
        self.has: list[str] = []
        self.begun: list[tuple[str, bool]] = []
        self.away: Iterator[bool] = iter(())

    def prepare(self, *_: Any, **__: Any) -> "FakeStore":
        return self

    def steps(self, result: CaseResult, key: str, *, may_exist: bool, basis: Any) -> Steps:
        self.begun.append((key, may_exist))
        return Steps(self, result, key)

    def log_model(self, run_id: str, folder: Path) -> None:
        """Take none."""

    def call(self) -> None:
        self.calls += 1
        self.clock.now += self.call_s
        if next(self.away, False):
            raise TrackingError("connection refused")

    def answers(self) -> bool:
        return not next(self.away, False)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    store = FakeStore(clock)
    monkeypatch.setattr("greenbench.running.delivery._store_class", lambda: store)
    return store


@pytest.fixture
def hand(tmp_path: Path) -> Callable[..., Journal]:
    """Hand over a new result."""
    repeats = count()

    def hand(delivery: Delivery, trials: int, *, is_bad: bool = False) -> Journal:
        made = make_result(repeat=next(repeats), trials=[make_trial(i) for i in range(trials)])
        if is_bad:
            made = replace(made, case=replace(made.case, seed=1))
        journal = Journal.of(tmp_path, made.case, made.repeat)
        journal.finish(made)
        delivery.deliver(journal, made, may_exist=False)
        return journal

    return hand


class Notices:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def notice(self, message: str) -> None:
        self.lines.append(message)


def delivery_of(clock: Clock, when: When = When.BETWEEN) -> tuple[Delivery, Notices]:
    notices = Notices()
    return Delivery("sqlite:///unused.db", notices, when=when, clock=clock), notices  # type: ignore[arg-type]


def test_the_end_of_a_case_waits_for_few_calls_however_many_trials_there_are(
    fake: FakeStore, clock: Clock, hand: Callable[..., Journal]
) -> None:
    delivery, notices = delivery_of(clock)
    first = hand(delivery, 2)
    assert first.read().is_delivered
    many = hand(delivery, 1000)
    assert fake.calls - 6 == pytest.approx(BETWEEN_S / CALL_S, abs=1)
    assert not many.read().is_delivered
    later = hand(delivery, 1)
    delivery.close()
    # In their order, and what was begun is gone on with.
    assert fake.begun == [(session_key(each.path), False) for each in (first, many, later)]
    assert fake.has == [key for key, _ in fake.begun]
    assert fake.calls == 3 * 1003
    assert later.read().is_delivered
    assert not delivery.has_failed
    assert notices.lines == [
        "delivering what is left to MLflow (2 results); Ctrl+C leaves it in the journal"
    ]


def test_no_call_is_begun_that_would_end_too_late_if_it_took_as_long_as_another(
    fake: FakeStore, clock: Clock, hand: Callable[..., Journal]
) -> None:
    delivery, _ = delivery_of(clock)
    fake.call_s = 0.3 * BETWEEN_S
    hand(delivery, 1000)
    assert 0 < clock.now <= BETWEEN_S
    # Each gap does something, even if a call takes longer than that.
    fake.call_s = 2 * BETWEEN_S
    calls = fake.calls
    hand(delivery, 1)
    assert fake.calls == calls + 1


def test_a_close_has_a_limit_and_says_what_is_left(
    fake: FakeStore, clock: Clock, hand: Callable[..., Journal]
) -> None:
    delivery, notices = delivery_of(clock)
    hand(delivery, 1000)
    delivery.close(4.0)
    assert clock.now == pytest.approx(BETWEEN_S + 4.0, abs=3 * CALL_S)
    assert notices.lines[-1].endswith("did not take 1 result within 4 s")
    assert delivery.has_failed


def test_who_leaves_at_once_waits_for_nothing(
    fake: FakeStore, clock: Clock, hand: Callable[..., Journal]
) -> None:
    delivery, notices = delivery_of(clock)
    hand(delivery, 1000)
    calls = fake.calls
    delivery.close(0.0)
    assert (fake.calls, notices.lines, delivery.has_failed) == (calls, [], True)


def test_nothing_is_told_before_the_end_where_others_measure_here(
    fake: FakeStore, clock: Clock, hand: Callable[..., Journal]
) -> None:
    delivery, _ = delivery_of(clock, When.AT_END)
    hand(delivery, 1)
    assert fake.calls == 0
    delivery.close()
    assert len(fake.has) == 1


def test_one_bad_result_is_named_and_holds_up_no_other(
    fake: FakeStore, clock: Clock, hand: Callable[..., Journal]
) -> None:
    delivery, notices = delivery_of(clock)
    bad, good = hand(delivery, 1, is_bad=True), hand(delivery, 1)
    delivery.close()
    assert (bad.read().is_delivered, good.read().is_delivered) == (False, True)
    (line,) = notices.lines
    assert ", repeat 0: too long a value; results are kept in the journal" in line
    assert delivery.has_failed


def test_a_store_that_is_away_is_not_asked_again_while_somebody_waits(
    fake: FakeStore, clock: Clock, hand: Callable[..., Journal]
) -> None:
    delivery, notices = delivery_of(clock)
    fake.away = iter([True] * 2)
    hand(delivery, 1)
    hand(delivery, 1)
    delivery.close()
    assert fake.calls == 1
    assert notices.lines == [
        "connection refused; results are kept in the journal, and the run goes on"
    ]
    assert delivery.has_failed


def test_what_another_marks_meanwhile_is_looked_for_again(
    fake: FakeStore, clock: Clock, hand: Callable[..., Journal]
) -> None:
    delivery, _ = delivery_of(clock)
    first, second = hand(delivery, 1000), hand(delivery, 1)
    # A sync beside it that was killed, and one that was not.
    first.mark_attempted()
    second.mark_delivered()
    delivery.close()
    key = session_key(first.path)
    assert fake.begun == [(key, False), (key, True)]
    assert fake.has == [key]


def test_another_that_delivers_of_the_same_run_is_not_waited_for_between_repeats(
    fake: FakeStore, clock: Clock, hand: Callable[..., Journal], tmp_path: Path
) -> None:
    delivery, notices = delivery_of(clock)
    with Lock(tmp_path / ".delivery.lock").held(1.0):
        hand(delivery, 1)
    assert (fake.calls, notices.lines) == (0, [])
    delivery.close()
    assert len(fake.has) == 1


def test_another_machine_that_delivers_of_the_same_run_is_waited_for_at_the_end_alone(
    fake: FakeStore, clock: Clock, hand: Callable[..., Journal], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    delivery, notices = delivery_of(clock)
    node = replace(Node.here(), boot="another")
    owner = Owner(node, 7, "1", "token")
    (tmp_path / ".delivery.lock.owner").write_bytes(owner.to_json())
    looks: list[float] = []
    monkeypatch.setattr("greenbench.machine.claims.time.sleep", looks.append)
    hand(delivery, 1)
    hand(delivery, 1)
    waits = f"the delivery of {tmp_path.name} waits: process 7 on {node.name} is at it"
    assert (fake.calls, looks, notices.lines) == (0, [], [waits])
    delivery.close()
    assert len(fake.has) == 2
    assert len(looks) == LOOKS
    assert [line for line in notices.lines if "shows no sign of life" in line]


def test_a_thread_delivers_where_nothing_is_measured_and_waits_until_the_store_is_back(
    fake: FakeStore, clock: Clock, hand: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer, "PAUSES_S", (0.0,))
    fake.away = iter([False, True, True, True, True, False])
    delivery, notices = delivery_of(clock, When.ALWAYS)
    journals = [hand(delivery, 2) for _ in range(3)]
    delivery.close()
    assert fake.has == [session_key(journal.path) for journal in journals]
    assert all(journal.read().is_delivered for journal in journals)
    assert len([line for line in notices.lines if "connection refused" in line]) == 1
    assert not delivery.has_failed
    assert "greenbench deliverer" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("when", [When.AT_END, When.ALWAYS])
def test_who_is_busy_with_the_run_is_no_store_that_is_away(
    clock: Clock,
    hand: Callable[..., Journal],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    when: When,
) -> None:
    for module in (deliverer, running_delivery):
        monkeypatch.setattr(module, "LOCK_LIMIT_S", 1e-9)
    # It is yet to be made.
    monkeypatch.setattr(FakeStore, "prepare", lambda *_, **__: None)
    delivery, notices = delivery_of(clock, when)
    with Lock(tmp_path / ".delivery.lock").held(1.0):
        journal = hand(delivery, 1)
        delivery.close()
    (line,) = notices.lines
    assert "another process has been at it" in line
    assert delivery.has_failed
    assert not journal.read().is_delivered


def test_a_thread_gives_up_at_the_end_on_a_store_that_stays_away(
    fake: FakeStore, clock: Clock, hand: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer, "PAUSES_S", (0.0,))
    fake.away = iter(lambda: True, False)
    delivery, notices = delivery_of(clock, When.ALWAYS)
    journal = hand(delivery, 1)
    delivery.close()
    assert not journal.read().is_delivered
    assert len(notices.lines) == 1
    assert delivery.has_failed


def test_a_thread_that_is_put_off_leaves_the_rest_for_the_end(
    fake: FakeStore, clock: Clock, hand: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer, "PAUSES_S", (60.0,))
    fake.away = iter([True] * 2)
    delivery, _ = delivery_of(clock, When.ALWAYS)
    hand(delivery, 1)
    delivery.put_off()
    delivery.put_off()
    assert "greenbench deliverer" not in [thread.name for thread in threading.enumerate()]
    fake.away = iter(())
    calls = fake.calls
    later = hand(delivery, 1)
    assert fake.calls == calls
    delivery.close()
    assert len(fake.has) == 2
    assert later.read().is_delivered
    assert not delivery.has_failed


def test_a_thread_is_put_off_at_once_though_a_sync_is_at_the_run(
    fake: FakeStore,
    clock: Clock,
    hand: Callable[..., Journal],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, failed, whole = threading.Event(), list[object](), Claim.held

    def held(claim: Claim, limit_s: float) -> AbstractContextManager[None]:
        asked.set()
        return whole(claim, limit_s)

    monkeypatch.setattr(Claim, "held", held)
    monkeypatch.setattr("greenbench.machine.locks.time.sleep", lambda _: pytest.fail("it waits"))
    monkeypatch.setattr(threading, "excepthook", failed.append)
    delivery, _ = delivery_of(clock, When.ALWAYS)
    with Lock(tmp_path / ".delivery.lock").held(1.0):
        hand(delivery, 1)
        asked.wait()
        delivery.put_off()
    assert (fake.calls, failed) == (0, [])
    delivery.close()
    assert len(fake.has) == 1


def test_a_second_sync_says_that_another_is_at_it_and_waits(tmp_path: Path) -> None:
    other, said = Lock(tmp_path / SYNC_LOCK), []

    def wait() -> None:
        said.append("waiting")
        other.release()

    assert other.acquire()
    with syncing(tmp_path, wait, poll_s=0.0):
        assert not other.acquire()
    with syncing(tmp_path, wait):
        pass
    assert said == ["waiting"]
    # Where there are no runs, nothing is made.
    with syncing(tmp_path / "none", wait):
        assert not (tmp_path / "none").exists()
