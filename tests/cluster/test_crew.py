"""The workers of a cluster as a driver sees them, with a Dask that is made up."""

import asyncio
import queue
import threading
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from greenbench.cluster import crew as made
from greenbench.cluster import judging
from greenbench.cluster.crew import Crew
from greenbench.cluster.judging import Hand
from greenbench.cluster.remote import Introduction, host_here
from greenbench.cluster.started import Started
from greenbench.errors import ClusterError

HAND = Hand("tcp://1", "first")
WORKER = {"name": "first", "resources": {"METER": 1}, "status": "running"}


@dataclass
class Future:
    """What became of a repeat, as Dask tells it."""

    status: str = "pending"
    error: BaseException | None = None

    def exception(self) -> BaseException | None:
        return self.error

    def done(self) -> bool:
        return self.status != "pending"

    def cancel(self, *, force: bool) -> None: ...

    def release(self) -> None: ...


@dataclass
class Client:
    """A connection to a scheduler, which may be gone."""

    workers: dict[str, Any] = field(default_factory=dict)
    joins: dict[str, Any] = field(default_factory=dict)
    objection: str | None = None
    future: Future = field(default_factory=Future)
    status: str = "running"
    is_gone: bool = False
    host: str = "elsewhere"
    asked: list[str] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    broken: list[BaseException] = field(default_factory=list)
    loop: Any = None

    def scheduler_info(self) -> dict[str, Any]:
        return {"workers": self.workers}

    def wait_for_workers(self, count: int, timeout: float) -> None:
        if not self.joins:
            raise TimeoutError
        self.workers = self.joins

    def submit(self, *_: Any, **__: Any) -> Future:
        return self.future

    def sync(self, *_: Any, **__: Any) -> None:
        """Let workers rest."""

    async def _run(self, *_: Any, workers: list[str], **__: Any) -> dict[str, Any]:
        (address,) = workers
        self.asked.append(address)
        while address in self.silent:
            await asyncio.sleep(0.01)
        broken = self.broken.pop(0) if self.broken else None
        if isinstance(broken, CancelledError):
            raise broken
        if isinstance(broken, KeyError):
            return {}
        return {address: broken or Introduction(self.objection, self.host)}

    def close(self) -> None:
        self.status = "closed"

    scheduler = None


class Queue:
    """One that nobody puts anything into."""

    of: ClassVar[Client]

    def __init__(self, name: str, **_: Any) -> None:
        self.name = name
        self._values: queue.Queue[Any] = queue.Queue()

    def get(self) -> Any:
        return self._values.get()

    def put(self, value: Any) -> None:
        if self.of.is_gone:
            # As Dask's own does, whose connection is None then.
            raise AttributeError("'NoneType' object has no attribute 'queue_put'")

    def close(self) -> None:
        if self.of.is_gone:
            raise OSError("the comm is closed")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    client = Client({HAND.address: WORKER})
    loop = asyncio.new_event_loop()
    client.loop = SimpleNamespace(asyncio_loop=loop)
    threading.Thread(target=loop.run_forever, daemon=True).start()
    monkeypatch.setattr(made, "Client", lambda *_, **__: client)
    monkeypatch.setattr(Queue, "of", client, raising=False)
    monkeypatch.setattr(made, "Queue", Queue)
    monkeypatch.setattr(made, "LOOK_EVERY_S", 0.0)
    yield client
    client.close()
    loop.call_soon_threadsafe(loop.stop)


def crew(notice: Callable[[str], None] = print) -> Crew:
    return Crew(Started("tcp://0", None, None), "{}", "session", notice)


@pytest.mark.parametrize(
    ("future", "told"),
    [
        (Future("pending"), None),
        (Future("error", AssertionError()), "AssertionError"),
        (Future("error", OSError("no\n  room")), "OSError: no room"),
        (Future("error", ValueError("of https://me:secret@host/")), "***@host/"),
        (Future("finished"), "it ended without saying what came of it"),
    ],
)
def test_repeat_that_dask_gives_up_is_told_in_a_line(
    client: Client, future: Future, told: str | None
) -> None:
    client.future = future
    with crew() as found:
        found.send("token", "{}", HAND)
        said = found.broken("token")
    assert (said is None) == (told is None)
    assert told is None or (told in str(said) and "secret" not in str(said))


def test_scheduler_that_is_gone_is_one_line_whatever_is_asked_of_it(client: Client) -> None:
    with crew() as found:
        found.send("token", "{}", HAND)
        client.is_gone = True
        with pytest.raises(ClusterError, match="the Dask scheduler is gone"):
            found.reply("token", 1, {})


def test_workers_that_are_started_beside_us_are_waited_for(client: Client) -> None:
    client.joins, client.workers = client.workers, {}
    told: list[str] = []
    with crew(told.append) as found:
        found.check(may_come_later=False)
        assert found.hands() == [HAND]
    assert [line.partition(":")[0] for line in told] == ["no worker is there yet"]


def test_worker_that_was_mended_and_started_again_is_used(
    client: Client, eventually: Callable[..., None]
) -> None:
    client.objection, there = "it has greenbench 0", client.workers
    told: list[str] = []
    with crew(told.append) as found:
        eventually(lambda: found.hands() or told)
        client.objection, client.workers = None, {}
        assert found.hands() == []
        client.workers = there
        eventually(lambda: found.hands() == [HAND])
    assert told == ["worker first is not used: it has greenbench 0"]


def test_scheduler_that_nobody_joins_is_one_line(client: Client) -> None:
    client.workers = {}
    with crew() as found, pytest.raises(ClusterError, match="no worker that offers a METER"):
        found.check(may_come_later=False)


def test_worker_that_is_silent_is_said_and_left_out_until_it_answers(
    client: Client, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> None:
    monkeypatch.setattr(judging, "OTHERS_S", 0.05)
    second = Hand("tcp://2", "second")
    client.workers = {**client.workers, second.address: {**WORKER, "name": "second"}}
    client.silent = {second.address}
    told: list[str] = []
    with crew(told.append) as found:
        found.check(may_come_later=False)
        # The first one has answered by now, however busy the machine.
        monkeypatch.setattr(judging, "SILENT_S", 0.05)
        eventually(lambda: found.hands() == [HAND] and told)
        assert found.hands() == [HAND]
        client.silent = set()
        eventually(lambda: found.hands() == [HAND, second])
    assert told == ["worker second does not answer: left out until it does"]
    assert sorted(client.asked) == [HAND.address, second.address]


def test_workers_that_are_all_silent_are_one_line(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANSWER_S", "OTHERS_S"):
        monkeypatch.setattr(judging, name, 0.05)
    client.silent = {HAND.address}
    with crew() as found, pytest.raises(ClusterError, match="none of 1 workers at"):
        found.check(may_come_later=False)


@pytest.mark.parametrize("error", [TimeoutError("connecting"), CancelledError(), KeyError()])
def test_worker_that_could_not_be_reached_is_asked_again(
    client: Client, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(judging, "SILENT_S", 0.05)
    client.broken = [error]
    with crew() as found:
        found.check(may_come_later=False)
        assert found.hands() == [HAND]
    assert len(client.asked) == 2


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ImportError("No module named greenbench"), "it has another greenbench, or none (No mod"),
        (ValueError("odd"), "it does not answer as it should (ValueError: odd)"),
    ],
)
def test_worker_that_cannot_say_what_it_has_is_refused(
    client: Client, error: Exception, told: str
) -> None:
    client.broken = [error]
    with crew() as found, pytest.raises(ClusterError) as refused:
        found.check(may_come_later=False)
    assert f"worker first cannot be used: {told}" in str(refused.value)


def test_workers_on_this_machine_are_known_by_its_start_and_not_by_an_address(
    client: Client, eventually: Callable[..., None]
) -> None:
    with crew() as found:
        found.check(may_come_later=False)
        assert not found.is_here()
        client.host, there, client.workers = host_here(), client.workers, {}
        assert found.hands() == []
        client.workers = there
        eventually(lambda: found.hands() == [HAND])
        assert found.is_here()
