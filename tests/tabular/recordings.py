"""Made-up recordings: curves that depend smoothly on the hyperparameters, and some noise."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from greenbench.cases import Case
from greenbench.results import CaseResult, Epoch, Trial, TrialStatus
from greenbench.results.account import Account
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.strategies.spaces import ADAM
from greenbench.strategies.survey import SurveyStrategy
from greenbench.tabular import Recording, from_result
from tests.builders import make_result

TRIALS = 48
EPOCHS = 4
TRAIN_J, EVALUATE_J = 2.0, 0.5
LOGIT_NOISE = 0.15
SURVEY = Case(
    "survey", "dense", size="xs", trials=TRIALS, epochs=EPOCHS, validate_every=1, repeats=1
)
PARAMETERS = 300
"""Of that network, on images of the shape that `make_result` says."""


def make_survey(case: Case = SURVEY, *, diverging_above: float = 1.0, **changed: Any) -> CaseResult:
    """Return a finished survey; it diverges where the learning rate is above a limit."""
    strategy = SurveyStrategy(ADAM, trials=case.trials, seed=0)
    generator = np.random.default_rng(0)
    trials = []
    for index in range(case.trials):
        hyperparameters = strategy.ask()
        is_diverging = hyperparameters["learning_rate"] > diverging_above
        trials.append(_trial(index, hyperparameters, generator, is_diverging=is_diverging))
    result = make_result(case, trials=trials, test_score=0.9, **changed)
    return replace(result, costs=replace(result.costs, parameters=PARAMETERS))


def make_recording(**changed: Any) -> Recording:
    """Return the recording of `make_survey`."""
    return replace(from_result(make_survey(), "digits"), **changed)


def _trial(
    index: int,
    hyperparameters: dict[str, float | int],
    generator: np.random.Generator,
    *,
    is_diverging: bool,
) -> Trial:
    distance = abs(math.log10(hyperparameters["learning_rate"] / 1e-3))
    noise = generator.normal(0, LOGIT_NOISE)
    epochs = []
    for epoch in range(1 if is_diverging else EPOCHS):
        mean = 0.95 - 0.2 * distance - 0.3 / (epoch + 1)
        hits = round(200 / (1 + math.exp(-math.log(mean / (1 - mean)) - noise)))
        loss = 1.0 + distance - 0.1 * epoch
        epochs.append(Epoch(epoch, None, None) if is_diverging else Epoch(epoch, loss, hits / 200))
    return Trial(
        index,
        hyperparameters,
        TrialStatus.DIVERGED if is_diverging else TrialStatus.COMPLETED,
        None if is_diverging else epochs[-1].val_score,
        tuple(epochs),
        Account(
            {
                "train": _reading(TRAIN_J * EPOCHS, 1.0 * EPOCHS),
                "evaluate": _reading(EVALUATE_J * EPOCHS, 0.1 * EPOCHS),
            }
        ),
        samples_seen=960 * EPOCHS,
    )


def _reading(energy_j: float, duration_s: float) -> Reading:
    part = Component(energy_j, Provenance.COUNTER, "made up")
    return Reading(duration_s, {"cpu": part}, cpu_s=duration_s)
