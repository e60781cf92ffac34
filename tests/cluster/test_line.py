"""The line from a worker to the driver, of which messages and answers are lost."""

import queue
from typing import Any

import pytest

from greenbench.cluster.line import AbandonedError, Line


class Lossy:
    """A channel that has no room, or nothing in it, as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        self.kept: queue.Queue[Any] = queue.Queue()
        self.failures = failures

    def put(self, value: Any, timeout: float | None = None) -> None:
        self._fail()
        self.kept.put(value)

    def get(self, timeout: float | None = None) -> Any:
        self._fail()
        return self.kept.get_nowait()

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise TimeoutError


def test_question_is_asked_until_its_own_answer_comes() -> None:
    up, down = Lossy(failures=2), Lossy(failures=1)
    line = Line(up, down, "token", lambda: True)
    down.kept.put({"number": 0, "size": 1})
    down.kept.put({"number": 1, "size": 7})
    assert line.ask("piece", piece={})["size"] == 7
    asked = [up.kept.get_nowait() for _ in range(up.kept.qsize())]
    assert len(asked) == 2
    assert asked[0] == asked[1]
    assert asked[0]["token"] == "token"


def test_late_answer_to_an_earlier_question_is_not_taken_for_that_of_the_next() -> None:
    up, down = Lossy(), Lossy()
    line = Line(up, down, "token", lambda: True)
    for number in (1, 1, 2):
        down.kept.put({"number": number})
    assert [line.ask("drop", names=[])["number"] for _ in range(2)] == [1, 2]


def test_nobody_who_is_not_waited_for_waits_for_an_answer() -> None:
    line = Line(Lossy(), Lossy(), "token", lambda: False)
    with pytest.raises(AbandonedError):
        line.ask("piece", piece={})
    with pytest.raises(AbandonedError):
        line.tell("event")


def test_news_for_which_there_is_no_room_is_dropped() -> None:
    Line(Lossy(failures=1), Lossy(), "token", lambda: True).tell("event", kind="epoch")
