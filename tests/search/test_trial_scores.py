"""Searches by scores of any direction and range, with a backend that makes its scores up."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from greenbench import registry
from greenbench.backends import BuildRequest
from greenbench.cases import Case
from greenbench.datasets import Dataset
from greenbench.energy.carbon import CarbonIntensity
from greenbench.errors import GreenbenchError, ScoreError, TaskError
from greenbench.results import CaseResult, Trial, TrialStatus, find_incumbent
from greenbench.results.journal import Journal
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.strategies import SearchSpace
from greenbench.strategies.observations import Observations
from greenbench.strategies.random import RandomStrategy
from greenbench.strategies.spaces import ADAM, Hyperparameters
from greenbench.tasks import Score
from greenbench.testing import FakeClock, FakeMeter

ERROR = Score("error", "bits", higher_is_better=False, low=0.0, source="a test")
GAIN = Score("gain", high=1.0, source="a test")
FURTHER = Score("further", low=0.0, source="a test")
CASE = Case("told", "dense", size="xs", trials=8, epochs=4, batch_size=256, task="by_error")

Values = Callable[[float, str, int], float]


@dataclass(frozen=True)
class Made:
    """A task whose scores the backend makes up."""

    name: str
    score: Score
    metrics: tuple[Score, ...] = (FURTHER,)
    loss: str = "mse"

    def check(self, dataset: Dataset) -> None:
        """Take anything."""

    def outputs(self, dataset: Dataset) -> tuple[int, ...]:
        return (dataset.classes,)

    def measure(self, reads: str, values: Any, targets: Any) -> dict[str, float]:
        return {}


registry.register_task("by_error")(Made("by_error", ERROR))
registry.register_task("by_gain")(Made("by_gain", GAIN))


@registry.register_strategy("told")
class Told(RandomStrategy):
    """A random search that remembers what it is told."""

    scores: list[float | None]

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        super().__init__(space, trials=trials, seed=seed)
        type(self).scores = []

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        self.scores.append(score)


class Model:
    """Scores follow from the learning rate; the weights are the epochs so far."""

    parameters = 3

    def __init__(self, request: BuildRequest, score: Values) -> None:
        self._rate: float = request.optimizer.learning_rate  # type: ignore[attr-defined]
        self._score = score
        self._epochs = 0

    def train_epoch(self, order: NDArray[np.int64]) -> float:
        self._epochs += 1
        return 1.0

    def evaluate(self, split: str) -> float:
        return self._score(self._rate, split, self._epochs)

    def measure(self, split: str) -> dict[str, float]:
        return {"further": 7.0, "error": self.evaluate(split), "unasked": 1.0}

    def get_weights(self) -> list[NDArray[np.float32]]:
        return [np.array([self._epochs], np.float32)]

    def set_weights(self, weights: list[NDArray[np.float32]]) -> None:
        self._epochs = int(weights[0][0])

    def count_train_flops(self) -> int:
        return 5


def backend(score: Values, built: list[BuildRequest] | None = None) -> Any:
    def build(request: BuildRequest) -> Model:
        (built if built is not None else []).append(request)
        return Model(request, score)

    return SimpleNamespace(
        name="torch", load=lambda data: None, build=build, synchronize=lambda: None
    )


def distance(rate: float, split: str, epochs: int) -> float:
    """Return how far a rate is from the best one: lower is better, and never within [0, 1]."""
    return 1e3 * abs(math.log10(rate) + 3) + 10 - epochs + (0.5 if split == "test" else 0.0)


Run = Callable[..., CaseResult]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(
        case: Case = CASE,
        score: Values = distance,
        emit: Callable[[str, Mapping[str, Any]], None] = lambda event, values: None,
        built: list[BuildRequest] | None = None,
    ) -> CaseResult:
        clock = FakeClock()
        bench = Bench(
            backend(score, built),
            FakeMeter(clock),
            FakeMeter(clock),
            CarbonIntensity(100.0, "a test"),
            {"host": "here"},
            tmp_path,
            emit,
        )
        return run_repeat(bench, case, 0, "tests", Journal.of(tmp_path, case, 0))

    return run


def test_lowest_is_the_incumbent_where_lower_is_better(run: Run) -> None:
    result = run()
    best = min(trial.val_score or math.inf for trial in result.trials)
    assert result.incumbent is not None
    assert result.incumbent.val_score == best
    assert result.test_score == pytest.approx(best + 0.5)
    assert Told.scores == [-(trial.val_score or 0.0) for trial in result.trials]


def test_result_says_what_its_score_is_and_the_journal_keeps_it(run: Run, tmp_path: Path) -> None:
    result = run()
    assert (result.task, result.score, result.metrics) == ("by_error", ERROR, {"further": 7.0})
    assert Journal.of(tmp_path, CASE, 0).read().result == result


def test_scheduler_lets_the_lowest_go_on(run: Run) -> None:
    result = run(replace(CASE, strategy="told+asha"))
    ranked = sorted(result.trials, key=distance_of)
    whole = [trial for trial in ranked if trial.status is TrialStatus.COMPLETED]
    # Each was among the best quarter of those before it.
    assert whole
    assert result.incumbent is whole[0]
    assert distance_of(whole[0]) <= min(distance_of(trial) for trial in result.trials[:4])


def distance_of(trial: Trial) -> float:
    return distance(float(trial.hyperparameters["learning_rate"]), "validation", 0)


def test_configurations_with_the_lowest_scores_are_trained_again(run: Run) -> None:
    result = run(replace(CASE, reevaluate=2))
    searched, again = result.trials[:8], result.trials[8:]
    best = sorted(searched, key=distance_of)[:2]
    assert [trial.reevaluates for trial in again] == [each.index for each in best for _ in range(3)]
    assert result.incumbent is again[0]


def test_scores_far_below_0_are_as_good_as_others(run: Run) -> None:
    result = run(replace(CASE, task="by_gain"), lambda *at: -distance(*at))
    assert result.incumbent is not None
    assert result.incumbent.val_score == max(trial.val_score or 0.0 for trial in result.trials)
    assert result.test_score is not None
    assert result.test_score < -10


class StopError(GreenbenchError):
    """Ends a search as a killed process would."""


def test_search_that_was_cut_off_has_the_same_end(run: Run, tmp_path: Path) -> None:
    case = replace(CASE, repeats=5)
    whole = run(CASE)
    Journal.of(tmp_path, CASE, 0).discard()

    def stop(event: str, values: Mapping[str, Any]) -> None:
        if event == "trial_finished" and values["index"] == 4:
            raise StopError("stopped")

    with pytest.raises(StopError):
        run(case, emit=stop)
    resumed = run(case)
    assert [t.val_score for t in resumed.trials] == [t.val_score for t in whole.trials]
    assert resumed.test_score == whole.test_score
    assert resumed.interruptions == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_score_that_is_not_finite_is_a_divergence(run: Run, value: float) -> None:
    result = run(score=lambda rate, split, epochs: value)
    for trial in result.trials:
        assert (trial.status, trial.val_score) == (TrialStatus.DIVERGED, None)
        assert trial.error == "the error is not finite"
    assert (result.test_score, result.incumbent, dict(result.metrics)) == (None, None, {})
    assert Told.scores == [None] * 8


def test_test_score_that_is_not_finite_is_unknown(run: Run) -> None:
    result = run(score=lambda rate, split, epochs: math.nan if split == "test" else 2.0)
    assert (result.test_score, dict(result.metrics)) == (None, {})


def test_score_outside_its_range_is_named_with_it(run: Run) -> None:
    with pytest.raises(ScoreError, match=r"reports an error of -2; expected at least 0; look at"):
        run(score=lambda rate, split, epochs: -2.0)
    with pytest.raises(ScoreError, match=r"reports a gain of 2; expected at most 1; look at"):
        run(replace(CASE, task="by_gain"), score=lambda rate, split, epochs: 2.0)


def test_events_say_which_score_it_is(run: Run) -> None:
    told: list[Mapping[str, Any]] = []
    run(emit=lambda event, values: told.append(values) if event == "trial_finished" else None)
    assert len(told) == 8
    assert all(Score.from_dict(values["score"]) == ERROR for values in told)


def test_models_are_built_with_task_optimizer_and_schedule_of_the_case(run: Run) -> None:
    built: list[BuildRequest] = []
    schedule = {"schedule": "step", "schedule_options": {"every": 2}}
    run(replace(CASE, reevaluate=1, **schedule), built=built)
    steps = 1294 // 256
    assert len(built) >= 8 + 3 + 1
    for request in built:
        assert request.task.name == "by_error"
        assert request.schedule == registry.schedules.get("step")(every=2)
        assert (request.steps, request.steps_per_epoch) == (4 * steps, steps)


def test_task_that_does_not_fit_stops_before_anything_is_trained(run: Run) -> None:
    built: list[BuildRequest] = []
    with pytest.raises(TaskError, match=r"task 'binary' does not fit dataset 'digits'"):
        run(replace(CASE, task="binary"), built=built)
    assert built == []


@given(
    st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=12)
)
def test_strategies_see_all_scores_in_0_to_1_and_in_their_order(told: list[float | None]) -> None:
    observations = Observations(ADAM)
    for index, score in enumerate(told):
        point = {"learning_rate": 1e-5 + 1e-4 * index, "beta1": 0.5, "beta2": 0.9}
        observations.tell(point, score)
    seen = observations.scores
    assert all(0.0 <= each <= 1.0 for each in seen)
    known = [each for each in told if each is not None]
    raw = [min(known, default=0.0) if each is None else each for each in told]
    order = sorted(range(len(raw)), key=raw.__getitem__)
    assert [seen[index] for index in order] == sorted(seen)
    if all(0.0 <= each <= 1.0 for each in raw):
        assert seen == raw


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_best_trial_is_that_with_the_best_gain(values: list[float]) -> None:
    done = TrialStatus.COMPLETED
    trials = [Trial(index, {}, done, val_score=value) for index, value in enumerate(values)]
    for score, best in ((ERROR, min(values)), (GAIN, max(values))):
        found = find_incumbent(trials, score)
        assert found is trials[values.index(best)]
