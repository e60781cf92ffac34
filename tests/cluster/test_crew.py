"""The workers of a cluster as a driver sees them, with a Dask that is made up."""

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from greenbench.cluster import crew as made
from greenbench.cluster.crew import Crew, Hand
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

    def scheduler_info(self) -> dict[str, Any]:
        return {"workers": self.workers}

    def wait_for_workers(self, count: int, timeout: float) -> None:
        if not self.joins:
            raise TimeoutError
        self.workers = self.joins

    def submit(self, *_: Any, **__: Any) -> Future:
        return self.future

    def sync(self, *_: Any, workers: list[str], **__: Any) -> dict[str, str | None]:
        return dict.fromkeys(workers, self.objection)

    def close(self) -> None:
        self.status = "closed"

    scheduler = None
    _run = None


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
    monkeypatch.setattr(made, "Client", lambda *_, **__: client)
    monkeypatch.setattr(Queue, "of", client, raising=False)
    monkeypatch.setattr(made, "Queue", Queue)
    yield client
    client.close()


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
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made, "LOOK_EVERY_S", 0.0)
    client.objection, there = "it has greenbench 0", client.workers
    told: list[str] = []
    with crew(told.append) as found:
        assert found.hands() == found.hands() == []
        client.objection, client.workers = None, {}
        assert found.hands() == []
        client.workers = there
        assert found.hands() == [HAND]
    assert told == ["worker first is not used: it has greenbench 0"]


def test_scheduler_that_nobody_joins_is_one_line(client: Client) -> None:
    client.workers = {}
    with crew() as found, pytest.raises(ClusterError, match="no worker that offers a METER"):
        found.check(may_come_later=False)
