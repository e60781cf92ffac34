"""Successive halving and Hyperband: who goes on, and when."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench.cases import Case
from greenbench.errors import ConfigurationError, UnknownNameError
from greenbench.schedulers import Scheduler, make_scheduler
from greenbench.schedulers.halving import AshaScheduler, HyperbandScheduler
from greenbench.testing.schedulers import SchedulerConformance, run_schedule

SCHEDULERS = (AshaScheduler, HyperbandScheduler)

scores = st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=40)


class TestAsha(SchedulerConformance):
    scheduler = AshaScheduler


class TestHyperband(SchedulerConformance):
    scheduler = HyperbandScheduler


@pytest.mark.parametrize(
    ("epochs", "rungs"), [(9, [2, 9]), (12, [3, 12]), (25, [1, 6, 25]), (4, [1, 4])]
)
def test_rungs_are_quarters_of_the_epochs(epochs: int, rungs: list[int]) -> None:
    steps = run_schedule(AshaScheduler(epochs=epochs), [0.5] * 20)
    assert sorted({target for _, target in steps}) == rungs


def test_best_quarter_goes_on_before_anything_new_starts() -> None:
    steps = run_schedule(AshaScheduler(epochs=16), [0.3, 0.9, 0.1, 0.2, 0.4])
    # No further one can be promoted; the end of the search takes the best to its end.
    assert steps == [(0, 1), (1, 1), (2, 1), (3, 1), (1, 4), (4, 1), (1, 16)]


def test_paused_trial_goes_on_when_others_turn_out_worse() -> None:
    steps = run_schedule(AshaScheduler(epochs=4), [0.9, 0.8, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    # The second is in no quarter of four, but in that of eight.
    assert steps.index((1, 4)) > steps.index((7, 1))


@given(st.integers(1, 60))
def test_a_quarter_of_each_rung_goes_on_where_the_best_come_first(trials: int) -> None:
    steps = run_schedule(AshaScheduler(epochs=16), [1 - index / 100 for index in range(trials)])
    reached = Counter(target for _, target in steps)
    assert reached[1] == trials
    assert reached[4] == max(trials // 4, 1)
    assert reached[16] == max(trials // 16, 1)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@given(scores=scores)
def test_every_trial_climbs_rung_by_rung(
    scheduler: Callable[..., Scheduler], scores: list[float | None]
) -> None:
    steps = run_schedule(scheduler(epochs=16), scores)
    for index in range(len(scores)):
        climbed = [target for each, target in steps if each == index]
        assert climbed == [1, 4, 16][[1, 4, 16].index(climbed[0]) :][: len(climbed)]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@given(scores=scores)
def test_failed_trials_never_go_on_and_one_that_works_gets_to_its_end(
    scheduler: Callable[..., Scheduler], scores: list[float | None]
) -> None:
    steps = run_schedule(scheduler(epochs=16), scores)
    climbs = Counter(index for index, _ in steps)
    assert all(climbs[index] == 1 for index, score in enumerate(scores) if score is None)
    works = any(score is not None for score in scores)
    assert any(target == 16 and scores[index] is not None for index, target in steps) == works


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@given(scores=scores, cut=st.integers(0, 60))
def test_replayed_reports_lead_to_the_same_decisions(
    scheduler: Callable[..., Scheduler], scores: list[float | None], cut: int
) -> None:
    whole = run_schedule(scheduler(epochs=16), scores)
    replayed = scheduler(epochs=16)
    for index, _ in whole[:cut]:
        replayed.report(index, scores[index])
    assert run_schedule(replayed, scores, whole[:cut]) == whole


def test_asha_saves_most_of_the_epochs() -> None:
    numbers = random.Random(1)
    steps = run_schedule(AshaScheduler(epochs=16), [numbers.random() for _ in range(64)])
    before = {1: 0, 4: 1, 16: 4}
    assert sum(target - before[target] for _, target in steps) < 0.3 * 64 * 16


def test_hyperband_shares_trials_among_brackets_evenly_over_the_search() -> None:
    steps = run_schedule(HyperbandScheduler(epochs=16), [0.5] * 50)
    first = dict(reversed(steps))
    # 16, 6 and 3 of 25 trials, as in the paper's table for three rungs.
    assert Counter(first.values()) == {1: 32, 4: 12, 16: 6}
    assert {first[index] for index in range(9)} == {1, 4, 16}


def test_first_arrivals_are_judged_as_by_optuna() -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    numbers = random.Random(2)
    values = [numbers.random() for _ in range(60)]
    pruner = optuna.pruners.SuccessiveHalvingPruner(
        min_resource=1, reduction_factor=4, min_early_stopping_rate=0, bootstrap_count=0
    )
    study = optuna.create_study(direction="maximize", pruner=pruner)
    scheduler, ours, theirs = AshaScheduler(epochs=4), [], []
    for index, value in enumerate(values):
        trial = study.ask()
        trial.report(value, step=1)
        theirs.append(not trial.should_prune())
        scheduler.report(index, value)
        promoted = []
        while (each := scheduler.promote(is_last=False)) is not None:
            promoted.append(each)
        ours.append(index in promoted)
    # Optuna lets the best through, however few have come; the paper waits for four.
    assert ours[4:] == theirs[4:]


@pytest.mark.parametrize("name", ["asha", "hyperband"])
@pytest.mark.parametrize("epochs", [1, 3])
def test_too_few_epochs_are_refused(name: str, epochs: int) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}'.*at least 4; epochs is {epochs}"):
        make_scheduler(Case(f"random+{name}", epochs=epochs))


def test_unknown_scheduler_is_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match=r"'ahsa'.*asha"):
        make_scheduler(Case("random+ahsa"))


@pytest.mark.parametrize("strategy", ["+asha", "random+", "default+asha"])
def test_half_a_name_and_a_scheduled_control_are_refused(strategy: str) -> None:
    with pytest.raises(ConfigurationError, match="strategy is"):
        Case(strategy)
