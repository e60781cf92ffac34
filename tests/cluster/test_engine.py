"""A session on a cluster that is made up: what is sent to whom, and what comes of it."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.cluster.engine import TELL_EVERY_S, ClusterSession
from greenbench.cluster.judging import Hand
from greenbench.errors import (
    ConfigurationError,
    DatasetError,
    GreenbenchError,
    JournalError,
    WorkerError,
)
from greenbench.results import CaseResult
from greenbench.results.journal import Journal
from greenbench.running.run_folder import Request, RunFolder
from greenbench.settings import Settings
from greenbench.terminal.progress import Progress
from tests.builders import make_result, make_trial

CASES = [Case(seed=seed, repeats=2, trials=1) for seed in range(3)]
HERE = {"host": "0123"}
Message = dict[str, Any]


class Crew:
    """Workers that do at once what they are told, unless they die of it."""

    def __init__(self, *names: str, dies: Sequence[str] = (), says: str | None = None) -> None:
        self.names, self.dies, self.says = list(names), list(dies), says
        self.orders: list[tuple[str, str, int]] = []
        self.busy: dict[str, str] = {}
        self.waiting: deque[Message] = deque()
        self.answers: list[Mapping[str, Any]] = []
        self.looked: Callable[[], None] = lambda: None
        self.why: str | None = None
        self.is_noisy = self.is_near = False
        self.lacks: set[str] = set()
        self.idle_w: dict[str, float] = {}

    def is_here(self) -> bool:
        return self.is_near

    def hands(self) -> list[Hand]:
        self.looked()
        return [Hand(name, name) for name in self.names]

    def is_there(self, address: str) -> bool:
        return address in self.names

    def has_left(self, address: str) -> bool:
        return False

    def broken(self, token: str) -> str | None:
        return self.why

    def send(self, token: str, order: str, hand: Hand) -> None:
        assert hand.address not in self.busy.values()
        self.busy[token] = hand.address
        told = json.loads(order)
        case = Case.from_dict(told["case"])
        self.orders.append((hand.name, case.id, told["repeat"]))
        self._say(token, "hello", conditions=HERE, scope=["cpu"])
        if self.says or hand.name in self.lacks:
            kind, message = ("configuration", self.says) if self.says else ("data", "no data")
            self._say(token, "ended", kind=kind, message=message, is_discarded=False, gone=[])
            return
        self._line(token, told["journal"], 0, "start", {"schema": 2, "at": 1.0})
        if hand.name in self.dies:
            self.names.remove(hand.name)
            return
        made = make_result(case, repeat=told["repeat"], trials=[make_trial()])
        result = replace(made, idle_w=self.idle_w)
        self._line(token, told["journal"], 1, "result", result.to_dict())
        self._say(token, "ended", kind=None, message="", is_discarded=False, gone=[])

    def messages(self, wait_s: float) -> Iterator[Message]:
        while self.waiting:
            yield self.waiting.popleft()
        for _ in range(10**5 if self.is_noisy else 0):
            yield {"token": "of another", "op": "notice", "number": 0, "values": {}}
        assert not self.is_noisy, "whoever is idle is never looked after"

    def reply(self, token: str, number: int, answer: Mapping[str, Any]) -> None:
        self.answers.append(answer)

    def release(self, token: str) -> None:
        del self.busy[token]

    def _line(self, token: str, name: str, after: int, event: str, values: Any) -> None:
        data = json.dumps({"event": event, "values": values}).encode() + b"\n"
        self._say(token, "lines", name=name, data=data)

    def _say(self, token: str, op: str, **values: Any) -> None:
        self.waiting.append({"token": token, "op": op, "number": 1, "values": values})


class Delivery:
    """One that is put off, or not."""

    is_put_off = has_failed = False
    noted: float | None = None

    def deliver_noted_drift(self, folder: Path) -> float | None:
        return self.noted

    def close(self, limit_s: float) -> None:
        """Have nothing left."""

    def put_off(self) -> None:
        self.is_put_off = True


class Session(ClusterSession):
    """One whose folder and crew are given, and that delivers nothing."""

    def deliver(self, result: CaseResult) -> None:
        self.delivered = [*getattr(self, "delivered", []), (result.case.id, result.repeat)]

    def begin(self, folder: Path, crew: Crew) -> None:
        self.folder = folder
        self._run_folder = RunFolder(folder, Request("ci", self.cases, {}))
        self._crew = crew  # type: ignore[assignment]
        self._queue()
        self._delivery = Delivery()  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def _offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let made-up workers send lines without knowing how far the journal is."""
    from greenbench.cluster.attempt import Attempt  # noqa: PLC0415

    whole = Attempt.answer

    def answer(self: Attempt, op: str, values: Mapping[str, Any]) -> dict[str, Any]:
        if op != "lines":
            return whole(self, op, values)
        offset = self.repeat.journal.size()
        piece = {"name": values["name"], "offset": offset, "data": values["data"]}
        return whole(self, "piece", {"piece": {**piece, "size": 0, "digest": ""}})

    monkeypatch.setattr(Attempt, "answer", answer)


def run(
    folder: Path, crew: Crew, cases: Sequence[Case] = CASES, **more: Any
) -> tuple[Session, list[CaseResult | GreenbenchError], str]:
    shown = StringIO()
    progress = Progress(cases, shown)
    settings = Settings.from_environment({"GREENBENCH_RUNS_DIR": str(folder)})
    session = Session(settings, "ci", cases, progress, **more)
    session.begin(folder, crew)
    outcomes = list(session.outcomes(progress))
    return session, outcomes, shown.getvalue()


def test_all_repeats_run_in_turn_and_each_once(tmp_path: Path) -> None:
    crew = Crew("a", "b")
    session, outcomes, _ = run(tmp_path, crew)
    wanted = [(case.id, repeat) for case, repeat in session.repeats()]
    assert [(case, repeat) for _, case, repeat in crew.orders] == wanted
    assert sorted(session.delivered) == sorted(wanted)
    assert len(outcomes) == len(wanted)
    assert {name for name, _, _ in crew.orders} == {"a", "b"}


def test_repeat_of_a_worker_that_dies_comes_first_elsewhere(tmp_path: Path) -> None:
    crew = Crew("a", "b", dies=["a"])
    session, outcomes, shown = run(tmp_path, crew)
    assert all(isinstance(each, CaseResult) for each in outcomes)
    assert len(outcomes) == len(crew.orders) - 1 == 6
    assert sorted(session.delivered) == sorted({*session.delivered})
    assert "worker a is gone" in shown


def test_what_a_run_had_finished_is_told_and_not_sent(tmp_path: Path) -> None:
    done = Journal.of(tmp_path, CASES[0], 1)
    done.start(1.0)
    done.finish(make_result(CASES[0], repeat=1))
    crew = Crew("a")
    session, outcomes, _ = run(tmp_path, crew)
    assert len(outcomes) == 6
    assert ("a", CASES[0].id, 1) not in crew.orders
    assert (CASES[0].id, 1) in session.delivered


def test_worker_that_dies_after_its_result_has_it_told_and_nobody_repeats_it(
    tmp_path: Path,
) -> None:
    crew = Crew("a", "b")
    whole = crew._say

    def say(token: str, op: str, **values: Any) -> None:
        if op == "ended" and crew.busy[token] == "a":
            crew.names.remove("a")
            return
        whole(token, op, **values)

    crew._say = say  # type: ignore[method-assign]
    session, outcomes, _ = run(tmp_path, crew)
    assert len(outcomes) == len(crew.orders) == len({*session.delivered}) == 6


def test_workers_are_sent_repeats_before_it_is_told_what_had_ended(tmp_path: Path) -> None:
    done = Journal.of(tmp_path, CASES[0], 0)
    done.start(1.0)
    done.finish(make_result(CASES[0]))
    crew = Crew("a", "b")
    progress = Progress(CASES, StringIO())
    settings = Settings.from_environment({"GREENBENCH_RUNS_DIR": str(tmp_path)})
    session = Session(settings, "ci", CASES, progress)
    session.begin(tmp_path, crew)
    session._assign()
    assert [name for name, _, _ in crew.orders] == ["a", "b"]
    assert len(list(session.outcomes(progress))) == 6
    assert len(crew.orders) == 5


def test_case_that_cannot_work_is_told_of_once_and_left_out(tmp_path: Path) -> None:
    crew = Crew("a", "b", says="no such thing")
    _, outcomes, shown = run(tmp_path, crew, CASES[:1])
    assert [type(each) for each in outcomes] == [ConfigurationError]
    assert shown.count("Error: no such thing") == 1


def test_losing_all_workers_is_told_at_once_and_then_every_minute(tmp_path: Path) -> None:
    crew, now = Crew(), [0.0]

    def look() -> None:
        now[0] += TELL_EVERY_S / 2
        if now[0] > 3 * TELL_EVERY_S:
            crew.names = ["late"]

    crew.looked = look
    _, outcomes, shown = run(tmp_path, crew, clock=lambda: now[0])
    assert len(outcomes) == 6
    assert shown.count("no worker is there: waiting for one") == 1
    assert shown.count("still no worker after") == 2


def test_repeat_that_ends_without_a_word_is_an_error_and_not_waited_for(tmp_path: Path) -> None:
    crew = Crew("a")
    crew.why = ""
    looks = iter(range(100))
    crew.looked = lambda: None if next(looks, None) is not None else pytest.fail("waits")
    # What workers say is lost.
    crew._say = lambda *_, **__: None  # type: ignore[method-assign]
    _, outcomes, _ = run(tmp_path, crew, CASES[:1])
    assert [type(each) for each in outcomes] == [WorkerError] * 2


def test_workers_that_talk_without_end_keep_nobody_from_work(tmp_path: Path) -> None:
    crew = Crew("a")
    crew.is_noisy = True
    _, outcomes, _ = run(tmp_path, crew)
    assert len(outcomes) == 6


def test_journal_that_is_damaged_holds_up_no_other(tmp_path: Path) -> None:
    damaged = Journal.of(tmp_path, CASES[0], 1)
    damaged.path.write_text("?\n")
    _, outcomes, shown = run(tmp_path, Crew("a"))
    assert [type(each) for each in outcomes] == [JournalError, *[CaseResult] * 5]
    assert shown.count("is damaged") == 1


def test_message_of_a_worker_that_was_taken_for_dead_changes_nothing(tmp_path: Path) -> None:
    crew = Crew("a")
    crew.waiting.append({"token": "old", "op": "ended", "number": 1, "values": {}})
    _, outcomes, _ = run(tmp_path, crew)
    assert len(outcomes) == 6


@pytest.mark.parametrize(
    ("is_near", "backend"), [(True, "torch"), (True, "tabular"), (False, "torch")]
)
def test_nothing_is_told_to_the_store_while_this_machine_is_measured(
    tmp_path: Path, is_near: bool, backend: str
) -> None:
    crew = Crew("a")
    crew.is_near = is_near
    session, _, _ = run(tmp_path, crew, [Case(backend=backend, repeats=1, trials=1)])
    assert session._delivery.is_put_off == (is_near and backend == "torch")  # type: ignore[attr-defined]


def test_data_that_one_worker_lacks_are_looked_for_on_another(tmp_path: Path) -> None:
    crew = Crew("a", "b")
    crew.lacks = {"a"}
    _, outcomes, shown = run(tmp_path, crew)
    assert [type(each) for each in outcomes] == [CaseResult] * 6
    assert shown.count("worker a is left out, and another one tried: no data") == len(CASES)
    assert len([name for name, _, _ in crew.orders if name == "a"]) == len(CASES)


def test_data_that_no_worker_has_drop_the_case_in_one_line(tmp_path: Path) -> None:
    crew = Crew("a", "b")
    crew.lacks = {"a", "b"}
    _, outcomes, shown = run(tmp_path, crew, CASES[:1])
    assert [type(each) for each in outcomes] == [DatasetError]
    assert shown.count("Error: no data") == 1


def test_data_that_a_worker_had_which_died_hold_up_nobody(tmp_path: Path) -> None:
    crew = Crew("a", "b", dies=["b"])
    crew.lacks = {"a"}
    _, outcomes, _ = run(tmp_path, crew, CASES[:1])
    assert [type(each) for each in outcomes] == [DatasetError]


def test_drift_that_a_run_had_noted_on_one_machine_is_delivered(tmp_path: Path) -> None:
    crew, said = Crew("a"), list[str]()
    crew.idle_w = {"gpu": 80.0}
    session, _, _ = run(tmp_path, crew)
    session.listener = SimpleNamespace(notice=said.append)  # type: ignore[assignment]
    session._delivery.noted = 0.1  # type: ignore[attr-defined]
    session._was_complete = True
    session.__exit__(None)
    assert (session.idle_drift, said) == (0.1, [])


@pytest.mark.parametrize("idle_w", [{}, {"gpu": 80.0}])
def test_drift_of_idle_power_is_said_to_be_unknown(
    tmp_path: Path, idle_w: dict[str, float]
) -> None:
    crew, said = Crew("a"), list[str]()
    crew.idle_w = idle_w
    session, _, _ = run(tmp_path, crew)
    session.listener = SimpleNamespace(notice=said.append)  # type: ignore[assignment]
    session.__exit__(None)
    assert ["whether it drifted meanwhile" in line for line in said] == [True] * len(idle_w)
    assert session.idle_drift is None
