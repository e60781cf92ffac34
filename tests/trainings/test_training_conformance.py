"""Trainings that pass the conformance suite, and what it finds in those that must not."""

import random
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
import torch

import greenbench
from greenbench.testing import TrainingConformance
from greenbench.trainings import Report, Run, check_seeds

STATE: dict[str, float] = {"count": 0.0}


@greenbench.register_training("walk", sizes={"s": {"step": 1.0}})
def walk(run: Run, step: float = 1.0) -> Iterator[Report]:
    """Walk at random, in torch's and Python's numbers, with a precision of its own."""
    torch.set_default_dtype(torch.float64)
    place = torch.zeros(()) + torch.randn(())
    if (kept := run.restore()) is not None:
        place = kept
    for _ in run.epochs():
        assert torch.get_default_dtype() is torch.float64
        place = place + step * torch.randn(()) * random.random()
        run.save(place)
        yield run.report(score=float(torch.sigmoid(place)), samples=1)


@greenbench.register_training("forgetful")
def forgetful(run: Run) -> Iterator[Report]:
    """Save, and not restore."""
    place = 0.5
    for _ in run.epochs():
        place *= random.random()
        run.save(place)
        yield run.report(score=place)


@greenbench.register_training("unseeded")
def unseeded(run: Run) -> Iterator[Report]:
    """Draw from what no seed reaches."""
    for _ in run.epochs():
        STATE["count"] += 1
        yield run.report(score=1 / STATE["count"])


@greenbench.register_training("timed")
def timed(run: Run) -> Iterator[Report]:
    """Report what is another each time, beside a score that is not."""
    for _ in run.epochs():
        STATE["count"] += 1
        run.save([])
        yield run.report(score=0.5, seconds=STATE["count"])


class TestTimed(TrainingConformance):
    training = "timed"
    hyperparameters: ClassVar[dict[str, Any]] = {}


class TestWalk(TrainingConformance):
    training = "walk.s"
    hyperparameters: ClassVar = {"learning_rate": 1e-3}


class Forgetful(TrainingConformance):
    training = "forgetful"
    hyperparameters: ClassVar[dict[str, Any]] = {}


class Unseeded(TrainingConformance):
    training = "unseeded"
    hyperparameters: ClassVar[dict[str, Any]] = {}


@pytest.mark.parametrize(
    "test",
    [
        Forgetful().test_checkpoint_undoes_a_kill,
        Unseeded().test_equal_seeds_give_equal_scores,
        Unseeded().test_pause_changes_nothing,
    ],
)
def test_what_breaks_the_rules_is_found(test: Callable[[], None]) -> None:
    with pytest.raises(AssertionError):
        test()


def test_settings_of_a_training_stay_its_own() -> None:
    before = torch.get_default_dtype()
    check_seeds("walk", {})
    assert torch.get_default_dtype() is before


def test_other_scores_with_one_seed_are_told_with_what_to_do() -> None:
    STATE["count"] = 0.0
    found = check_seeds("unseeded", {}, epochs=2)
    assert found.sentence.startswith("training 'unseeded' (")
    assert "does not come to the same with the same seed: in epoch 0, score 1.0 and then 0.33" in (
        found.sentence
    )
    assert "run.seed" in found.sentence
