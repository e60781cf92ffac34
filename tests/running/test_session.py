"""The session without its workers; what needs them is in ``integration/``."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar, TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench.cases import Case
from greenbench.energy.cards import card_lock
from greenbench.energy.idle import IdlePower
from greenbench.errors import (
    CaseFailedError,
    ConfigurationError,
    GreenbenchError,
    UnknownNameError,
    WorkerError,
)
from greenbench.machine.locks import Lock
from greenbench.running.case_checks import check_completed
from greenbench.running.session import Session
from greenbench.settings import Settings
from greenbench.terminal.progress import Progress
from tests.builders import make_result, make_trial
from tests.made_up_nvml import Card, install

CASES = [Case(seed=seed, repeats=3) for seed in range(8)]

repeats_of_each = st.lists(st.integers(1, 4), min_size=1, max_size=6)
names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)


def make_session(
    cases: Sequence[Case] = CASES, shown: TextIO | None = None, **settings: Any
) -> Session:
    used = Settings.from_environment(os.environ, **settings)
    return Session(used, "ci", cases, Progress(cases, shown or StringIO()))


def order(folder: str, cases: Sequence[Case] = CASES) -> list[tuple[Case, int]]:
    session = make_session(cases)
    # Set on entering, which would start workers.
    session.folder = Path(folder)
    return list(session.repeats())


@given(repeats_of_each, names)
def test_every_repeat_of_every_case_comes_exactly_once(repeats: list[int], folder: str) -> None:
    cases = [Case(seed=seed, repeats=number) for seed, number in enumerate(repeats)]
    wanted = [(case, repeat) for case in cases for repeat in range(case.repeats)]
    assert Counter(order(folder, cases)) == Counter(wanted)


@given(repeats_of_each, names)
def test_a_round_ends_before_the_next_begins(repeats: list[int], folder: str) -> None:
    cases = [Case(seed=seed, repeats=number) for seed, number in enumerate(repeats)]
    rounds = [repeat for _, repeat in order(folder, cases)]
    assert rounds == sorted(rounds)


def test_each_round_has_an_order_of_its_own() -> None:
    found = order("ci-20250101-120000-1")
    rounds = [[case for case, repeat in found if repeat == number] for number in range(3)]
    assert CASES not in rounds
    assert rounds[0] != rounds[1] != rounds[2] != rounds[0]


def test_each_session_has_an_order_of_its_own() -> None:
    assert order("ci-20250101-120000-1") != order("ci-20250101-120000-2")


def test_no_case_is_always_first() -> None:
    first = Counter(order(f"ci-{number}")[0][0] for number in range(200))
    assert set(first) == set(CASES)


def test_resumed_session_keeps_its_order_wherever_its_folder_lies(tmp_path: Path) -> None:
    assert order("here/ci-1") == order(f"{tmp_path}/ci-1")


def test_order_is_the_same_in_another_process() -> None:
    code = (
        "from pathlib import Path\n"
        "from greenbench.cases import Case\n"
        "from greenbench.running.session import Session\n"
        "session = Session(None, 'ci', [Case(seed=seed) for seed in range(8)], None)\n"
        "session.folder = Path('ci-1')\n"
        "print([(case.seed, repeat) for case, repeat in session.repeats()])\n"
    )
    # Python's own hashes of texts differ from process to process.
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == str([(case.seed, repeat) for case, repeat in order("ci-1")])


@pytest.mark.parametrize(
    ("cases", "settings", "error", "words"),
    [
        (CASES, {"meter": "codecarbn"}, UnknownNameError, "did you mean codecarbon?"),
        (CASES, {"meter": "codecarbon,codecarbon"}, ConfigurationError, "listed twice"),
        (CASES, {"meter": "codecarbon:x"}, ConfigurationError, "takes no argument"),
        (CASES, {"meter": "replay"}, ConfigurationError, "needs an argument"),
        (CASES, {"country": "XYZ"}, UnknownNameError, "country 'XYZ'"),
        (CASES, {"tracking_uri": "file:///runs"}, ConfigurationError, "no longer writes to plain"),
        ([], {}, ConfigurationError, "no case selected"),
        ([*CASES, CASES[0]], {}, ConfigurationError, "listed twice"),
        ([Case(backend="jax")], {}, UnknownNameError, "did you mean keras_jax?"),
        ([Case(devices=1024, batch_size=1024)], {}, ConfigurationError, "choose fewer --devices"),
    ],
    ids=[
        "unknown meter", "meter twice", "needless argument", "no argument", "country",
        "plain folder", "no case", "case twice", "unknown backend",
        "devices",
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_starts(
    cases: list[Case],
    settings: dict[str, str],
    error: type[GreenbenchError],
    words: str,
    tmp_path: Path,
) -> None:
    shown = StringIO()
    with pytest.raises(error) as refused, make_session(cases, shown, **settings):
        pytest.fail("it started")
    assert words in str(refused.value)
    assert shown.getvalue() == ""
    assert list(tmp_path.iterdir()) == []


def test_repeat_in_which_nothing_completed_is_told_with_its_reasons_once() -> None:
    trials = [make_trial(n, accuracy=None, error=f"reason {n % 2}") for n in range(4)]
    result = make_result(trials=trials, repeat=2)
    with pytest.raises(CaseFailedError, match="no trial of repeat 2 completed") as failed:
        check_completed(result)
    assert str(failed.value).endswith(": reason 0; reason 1")


def test_one_completed_trial_is_enough() -> None:
    check_completed(make_result(trials=[make_trial(0, accuracy=None), make_trial(1)]))


class IdlePool:
    """Workers that train nothing; what they are asked is noted."""

    asked: ClassVar[list[str]] = []
    measures = True
    gpus = None

    def __init__(self, *_: object) -> None:
        pass

    def launch(self, cases: Sequence[Case]) -> None:
        self.asked.clear()

    def wait_until_ready(self) -> None:
        self.asked.append("ready")

    def warm_up(self, repeats: Iterable[tuple[Case, int]]) -> None:
        self.asked.append(f"warm up {len(list(repeats))}")

    def measure_idle(self, seconds: float) -> IdlePower:
        self.asked.append(f"measure {seconds:g} s")
        return IdlePower({"gpu": 123.4, "cpu": 20.0}, ["cpu"])

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("measures", "idle_s", "asked"),
    [
        (True, None, ["ready", "warm up 24", "measure 3 s", "measure 3 s"]),
        (True, 0.0, ["ready"]),
        (False, None, ["ready"]),
    ],
    ids=["measures", "no_idle", "no_counters"],
)
def test_workers_are_warm_before_idle_power_is_measured_and_as_they_are_after_it(
    monkeypatch: pytest.MonkeyPatch, measures: bool, idle_s: float | None, asked: list[str]
) -> None:
    monkeypatch.setattr("greenbench.running.session.WorkerPool", IdlePool)
    monkeypatch.setattr(IdlePool, "measures", measures)
    monkeypatch.delenv("GREENBENCH_IDLE_S", raising=False)
    shown = StringIO()
    with make_session(CASES, shown, idle_s=idle_s):
        pass
    assert IdlePool.asked == asked
    lines = [
        "measuring idle power for 3 s (--idle 0 leaves it out)",
        "idle power before the suite: cpu 20 W, gpu 123.4 W (cpu not steady yet)",
    ]
    assert [line in shown.getvalue() for line in lines] == [len(asked) > 1] * 2


def test_what_only_a_worker_can_refuse_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("greenbench.running.session.WorkerPool", IdlePool)
    monkeypatch.setenv("GREENBENCH_RUNS_DIR", str(tmp_path / "new" / "mlruns"))

    def refuse(*_: object) -> None:
        raise ConfigurationError("no such device")

    monkeypatch.setattr(IdlePool, "wait_until_ready", refuse)
    with pytest.raises(ConfigurationError), make_session(CASES, idle_s=0.0):
        pass
    assert not list(tmp_path.rglob("journal"))


@pytest.mark.parametrize(
    ("error", "has_time"),
    [(WorkerError("it crashed"), True), (OSError("no room"), True), (KeyboardInterrupt(), False)],
    ids=["worker", "bug", "ctrl_c"],
)
def test_results_are_delivered_whatever_happens_to_idle_power_at_the_end(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, has_time: bool
) -> None:
    monkeypatch.setattr("greenbench.running.session.WorkerPool", IdlePool)
    monkeypatch.delenv("GREENBENCH_IDLE_S", raising=False)
    closed: list[float] = []
    monkeypatch.setattr(
        "greenbench.running.session.Delivery.close", lambda _, limit_s: closed.append(limit_s)
    )

    def fail(*_: object) -> IdlePower:
        raise error

    shown = StringIO()
    with suppress(OSError, KeyboardInterrupt), make_session(CASES, shown) as session:
        monkeypatch.setattr(IdlePool, "measure_idle", fail)
    assert [bool(limit_s) for limit_s in closed] == [has_time]
    assert session.idle_drift is None
    is_said = "not known, nor whether it drifted (it crashed)" in shown.getvalue()
    assert is_said == isinstance(error, WorkerError)


@pytest.mark.parametrize(("headline", "is_shared"), [("gpu", True), ("measured", False)])
def test_sessions_of_other_cards_may_run_beside_where_the_headline_is_a_cards_counter(
    monkeypatch: pytest.MonkeyPatch, headline: str, is_shared: bool
) -> None:
    install(monkeypatch, Card("GPU-a"), Card("GPU-b"))
    monkeypatch.setattr("greenbench.running.session.WorkerPool", IdlePool)
    with make_session(CASES, headline=headline, idle_s=0.0) as session:
        path = session.settings.host_lock
        assert is_free(path, is_shared=True) == is_shared
        assert is_free(card_lock(path, "GPU-b"))
        assert is_free(card_lock(path, "GPU-a")) != is_shared


def is_free(path: Path, **how: bool) -> bool:
    lock = Lock(path)
    try:
        return lock.acquire(**how)
    finally:
        lock.release()
