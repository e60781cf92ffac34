"""A training that saves checkpoints goes on from them after a kill, as if there had been none."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from greenbench.cases import Case
from greenbench.results import CaseResult, TrialStatus
from greenbench.trainings import Report, Run
from tests.trainings.own_search import OwnSearch


class KilledError(BaseException):
    """Nobody catches what a killed process does not live to see."""


class Finetune:
    """A training that draws, and dies after so many epochs of all trials."""

    def __init__(self, search: OwnSearch, dies_after: int | None = None, saves: int = 1) -> None:
        self.search, self.left, self.saves = search, dies_after, saves
        self.trained: list[int] = []

    def __call__(self, run: Run) -> Iterator[Report]:
        rate = float(run["learning_rate"])
        weights = np.random.normal()
        if (state := run.restore()) is not None:
            weights = state["weights"]
        for epoch in run.epochs():
            if self.left == 0:
                raise KilledError
            self.left = None if self.left is None else self.left - 1
            self.trained.append(epoch)
            self.search.clock.advance(1.0)
            weights += rate * (np.random.normal() + random.random())
            with run.phase("evaluate"):
                score = 1 / (1 + weights**2)
            if epoch % self.saves == 0:
                run.save({"weights": weights})
            yield run.report(loss=weights**2, score=score, samples=10)
        with run.phase("test"):
            run.final(1 / (1 + (weights + np.random.normal()) ** 2))


def outcome(result: CaseResult) -> Any:
    trials = [
        (each.index, each.hyperparameters, each.status, each.epochs, each.samples_seen)
        for each in result.trials
    ]
    return trials, result.test_score, result.incumbent and result.incumbent.index


FIELDS = {"strategy": "sobol+asha", "trials": 5, "epochs": 9}


@pytest.fixture
def whole(search: OwnSearch, tmp_path_factory: pytest.TempPathFactory) -> CaseResult:
    return OwnSearch(tmp_path_factory.mktemp("whole"), search.clock)(Finetune(search), **FIELDS)


@pytest.mark.slow
@pytest.mark.parametrize("saves", [1, 2])
def test_killed_search_ends_as_a_whole_one(
    search: OwnSearch, whole: CaseResult, saves: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    epochs = sum(len(trial.epochs) for trial in whole.trials)
    # Each kill is a search of its own: a few of them, at any place in a trial.
    for dies_after in range(saves, epochs, 5):
        killed = OwnSearch(tmp_path_factory.mktemp("killed"), search.clock)
        with pytest.raises(KilledError):
            killed(Finetune(search, dies_after, saves), **FIELDS)
        again = Finetune(search, saves=saves)
        result = killed(again, **FIELDS)

        assert outcome(result) == outcome(whole), dies_after
        assert not list(killed.folder.glob("*.state"))
        if saves == 1:
            # Each was trained once, in one life or the other.
            assert dies_after + len(again.trained) == epochs
            assert result.account.total.energy_j == pytest.approx(whole.account.total.energy_j)
            assert result.account.energy_j("train") == pytest.approx(
                sum(trial.account.energy_j("train") or 0.0 for trial in result.trials)
            )


def test_search_without_checkpoints_starts_its_trial_over(search: OwnSearch) -> None:
    few = {"strategy": "sobol", "trials": 2, "epochs": 3}
    with pytest.raises(KilledError):
        search(Finetune(search, 5, saves=99), **few)
    again = Finetune(search, saves=99)
    search(again, **few)
    # Epoch 0 is saved, as any number divides it.
    assert again.trained == [1, 2]


def test_incumbent_without_a_checkpoint_is_trained_again_for_its_test(search: OwnSearch) -> None:
    class Unsaved(Finetune):
        def __call__(self, run: Run) -> Iterator[Report]:
            run.save = lambda state: None  # type: ignore[method-assign]
            yield from super().__call__(run)

    one = {"strategy": "sobol", "trials": 1, "epochs": 3}
    whole = search(Unsaved(search), **one)
    case: Case = search.case(**one)
    journal = search.journal(case)
    # As if it had been killed before its test.
    kept = [line for line in journal.path.read_text().splitlines(True) if '"result"' not in line]
    journal.path.write_text("".join(kept))
    result = search(again := Unsaved(search), **one)

    assert result.test_score == whole.test_score
    assert again.trained == [0, 1, 2]
    assert "trained again for its test" in " ".join(search.said)
    assert result.trials[0].status is TrialStatus.COMPLETED


def test_account_of_a_trial_is_the_sum_of_its_lives(search: OwnSearch) -> None:
    one = {"strategy": "sobol", "trials": 1, "epochs": 4}
    with pytest.raises(KilledError):
        search(Finetune(search, 3), **one)
    result = search(Finetune(search), **one)

    assert result.trials[0].account.energy_j("train") == pytest.approx(4 * 10.0)
    assert result.trials[0].samples_seen == 40
    assert result.wall_s >= 0
