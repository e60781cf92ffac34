"""Whatever a training of one's own does, it is one line that names it and its own line."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from greenbench.errors import GreenbenchError
from greenbench.results import CaseResult, TrialStatus
from greenbench.trainings import Report, Run, leaks
from tests.trainings.own_search import OwnSearch

Train = Callable[[Run], Any]


def epochs(run: Run, score: Any = 0.5, **told: Any) -> Iterator[Report]:
    for _ in run.epochs():
        run["learning_rate"]
        yield run.report(loss=1.0, score=score, **told)


def never_yields(run: Run) -> Iterator[Report]:
    run.report(score=0.5)
    if run.seed < 0:
        yield run.report()


def yields_a_number(run: Run) -> Iterator[Any]:
    yield 0.5


def reports_twice(run: Run) -> Iterator[Report]:
    run.report(score=0.4)
    yield run.report(score=0.5)


def reports_a_word(run: Run) -> Iterator[Report]:
    yield from epochs(run, score="high")


def reports_percent(run: Run) -> Iterator[Report]:
    yield from epochs(run, score=93.0)


def forgets_the_score(run: Run) -> Iterator[Report]:
    yield from epochs(run, score=None)


def asks_for_another(run: Run) -> Iterator[Report]:
    yield run.report(score=float(run["momentum"]))


def names_a_phase(run: Run) -> Iterator[Report]:
    with run.phase("training"):
        yield run.report(score=0.5)


def nests_phases(run: Run) -> Iterator[Report]:
    with run.phase("evaluate"), run.phase("test"):
        yield run.report(score=0.5)


def goes_on(run: Run) -> Iterator[Report]:
    while True:
        yield run.report(score=0.5)


def saves_a_function(run: Run) -> Iterator[Report]:
    for _ in run.epochs():
        run.save(lambda: None)
        yield run.report(score=0.5)


def fails_in_its_test(run: Run) -> Iterator[Report]:
    yield from epochs(run)
    raise ValueError("no test data")


def returns_a_word(run: Run) -> Any:
    return "good"


def returns_nothing(run: Run) -> Any:
    return None


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (never_yields, "ended without a report; yield run.report"),
        (yields_a_number, "yields 0.5 (test_hostile_trainings.py:"),
        (reports_twice, "calls run.report 2 times for one yield (test_hostile_trainings.py:"),
        (reports_a_word, "reports score='high' ("),
        (reports_percent, "reports a score (accuracy) of 93; expected a share from 0 to 1"),
        (forgets_the_score, "reports no score at the end of epoch 2"),
        (asks_for_another, "asks for the hyperparameter 'momentum' ("),
        (names_a_phase, "names the phase 'training' ("),
        (nests_phases, "opens the phase 'test' inside 'evaluate' ("),
        (goes_on, "goes on after its 3 epochs (test_hostile_trainings.py:"),
        (saves_a_function, "saves a function ("),
        (fails_in_its_test, "fails in its test: ValueError: no test data ("),
        (returns_a_word, "returns 'good'; expected its score"),
        (returns_nothing, "ended without a report; return a score"),
    ],
)
def test_what_no_training_may_do_ends_the_case(search: OwnSearch, train: Train, said: str) -> None:
    with pytest.raises(GreenbenchError) as raised:
        search(train)
    message = str(raised.value)
    assert said in message
    assert message.startswith("training 'of_a_test' (")
    assert "\n" not in message


def test_training_that_ends_early_is_completed(search: OwnSearch) -> None:
    def train(run: Run) -> Iterator[Report]:
        for epoch in run.epochs():
            yield run.report(score=0.5)
            if epoch == 1:
                break
        run.final(0.4)

    result = search(train)
    assert [len(trial.epochs) for trial in result.trials] == [2, 2]
    assert {trial.status for trial in result.trials} == {TrialStatus.COMPLETED}
    assert result.test_score == 0.4


@pytest.mark.parametrize(("loss", "score"), [(float("nan"), 0.5), (1.0, float("nan"))])
def test_what_is_not_finite_diverges(search: OwnSearch, loss: float, score: float) -> None:
    def train(run: Run) -> Iterator[Report]:
        for _ in run.epochs():
            yield run.report(loss=loss, score=score)

    result = search(train)
    assert {trial.status for trial in result.trials} == {TrialStatus.DIVERGED}
    assert "is not finite" in str(result.trials[0].error)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda: sys.exit(3), "calls sys.exit(3) ("),
        (lambda: (_ for _ in ()).throw(KeyboardInterrupt), "raises KeyboardInterrupt ("),
        (lambda: (_ for _ in ()).throw(GeneratorExit), "raises GeneratorExit ("),
    ],
)
def test_trial_that_would_end_the_worker_fails_alone(
    search: OwnSearch, end: Callable[[], Any], said: str
) -> None:
    def train(run: Run) -> Iterator[Report]:
        if not failed:
            failed.append(run.seed)
            end()
        yield from epochs(run)
        run.final(0.5)

    failed: list[int] = []
    result = search(train)
    first, second = result.trials
    assert first.status is TrialStatus.FAILED
    assert said in str(first.error)
    assert str(first.error).startswith("training 'of_a_test' (")
    assert second.status is TrialStatus.COMPLETED


def test_hyperparameter_that_no_trial_asks_for_is_told_once(search: OwnSearch) -> None:
    def train(run: Run) -> Iterator[Report]:
        for _ in run.epochs():
            yield run.report(score=0.5)

    search(train)
    told = [message for message in search.said if "never asks for" in message]
    assert len(told) == 1
    assert "never asks for learning_rate, which the search space 'rate' searches" in told[0]


def test_result_without_a_test_score_says_what_to_do(search: OwnSearch) -> None:
    result = search(epochs)
    assert result.test_score is None
    assert result.incumbent is not None
    assert any("tells no test score: call run.final(score)" in each for each in search.said)


def test_threads_that_are_left_are_told(search: OwnSearch) -> None:
    done = threading.Event()

    def train(run: Run) -> Iterator[Report]:
        threading.Thread(target=done.wait, name="feeder", daemon=True).start()
        yield from epochs(run)

    try:
        search(train, trials=1)
    finally:
        done.set()
    assert any("leaves behind 1 thread (feeder): join" in each for each in search.said)


def test_memory_of_a_gpu_that_is_left_is_told(
    search: OwnSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    cuda = SimpleNamespace(is_initialized=lambda: True, memory_allocated=lambda: sum(held))
    modules = {"torch": SimpleNamespace(cuda=cuda)}
    monkeypatch.setattr(leaks, "sys", SimpleNamespace(modules=modules))

    def train(run: Run) -> Iterator[Report]:
        held.append(3 << 20)
        yield from epochs(run)

    search(train, trials=1)
    assert any("leaves behind 3 MiB of GPU memory: keep no tensor" in each for each in search.said)


def test_processes_that_are_left_are_ended(search: OwnSearch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def train(run: Run) -> Iterator[Report]:
        started.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
        yield from epochs(run)

    search(train, trials=1)
    assert started[0].wait() == -9
    assert any("leaves behind 1 process, now ended" in each for each in search.said)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_copy_of_the_process_writes_no_journal(search: OwnSearch) -> None:
    children: list[int] = []

    def train(run: Run) -> Iterator[Report]:
        for _ in run.epochs():
            if not children and (child := os.fork()):
                children.append(child)
            run.save({"epoch": 1})
            yield run.report(score=0.5)

    result = search(train, trials=1)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 1
    assert len(result.trials[0].epochs) == 3
    assert len(search.journal(result.case).read().history) == 1


def test_function_is_one_trial(search: OwnSearch) -> None:
    def train(run: Run) -> float:
        return 0.25 + float(run["learning_rate"])

    result = search(train)
    assert [len(trial.epochs) for trial in result.trials] == [1, 1]
    assert result.incumbent is not None
    assert result.incumbent.val_score == pytest.approx(
        0.25 + float(result.incumbent.hyperparameters["learning_rate"])
    )


def test_function_may_loop_and_report(search: OwnSearch) -> None:
    def train(run: Run) -> float:
        for epoch in run.epochs():
            run.report(loss=1.0, score=0.1 * epoch, samples=5)
        run.final(0.7)
        return 0.9

    result = search(train, trials=1)
    assert [each.val_score for each in result.trials[0].epochs] == [0.0, 0.1, 0.9]
    assert result.costs.samples_seen == 15
    assert result.test_score == 0.7


def test_unknown_costs_are_no_zeros(search: OwnSearch) -> None:
    result: CaseResult = search(epochs)
    costs = result.costs
    assert (costs.parameters, costs.train_flops, costs.samples_seen) == (None, None, None)

    def told(run: Run) -> Iterator[Report]:
        run.costs(parameters=12, train_flops_per_sample=100)
        yield from epochs(run, samples=10)

    costs = search(told, trials=3).costs
    assert (costs.parameters, costs.samples_seen, costs.train_flops) == (12, 90, 9000)


def test_whatever_else_is_reported_is_kept_and_what_is_unknown_is_no_zero(
    search: OwnSearch,
) -> None:
    def train(run: Run) -> Iterator[Report]:
        for epoch in run.epochs():
            others = {"auc": epoch / 4, "self": 1, "unknown": None, "lost": float("nan")}
            yield run.report(score=0.5, **others)
        run.final(0.5, **{"auc": 0.75, "unknown": None})  # type: ignore[arg-type]

    result = search(train, trials=1)
    kept = [{"auc": epoch / 4, "self": 1.0} for epoch in range(3)]
    assert [each.metrics for each in result.trials[0].epochs] == kept
    assert result.metrics == {"auc": 0.75}
    (trial,) = search.journal(result.case).read().history
    assert [each.metrics for each in trial.epochs] == kept
