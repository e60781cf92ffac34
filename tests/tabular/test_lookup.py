"""What the lookup predicts, and how far it is from what was held out."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenbench.results import TrialStatus
from greenbench.strategies.spaces import ADAM, Hyperparameters
from greenbench.tabular import Cost, Lookup, Recording, from_result
from greenbench.tabular.faithfulness import faithfulness
from greenbench.tabular.lookup import COSTS_FROM, Replay
from tests.tabular.recordings import EPOCHS, LOGIT_NOISE, TRAIN_J, make_recording, make_survey

LOOKUP = Lookup(make_recording())
GOOD: Hyperparameters = {"learning_rate": 1e-3, "beta1": 0.5, "beta2": 0.9}
POOR: Hyperparameters = {**GOOD, "learning_rate": 2e-5}

positions = st.lists(st.floats(0, 1, exclude_max=True), min_size=3, max_size=3)
seeds = st.integers(0, 2**32 - 1)


def are_equal(one: Replay, other: Replay) -> bool:
    curves = ("validation_hits", "test_hits", "train_loss")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in curves) and (
        (one.train, one.evaluate) == (other.train, other.evaluate)
    )


@given(positions, seeds)
@settings(max_examples=50)
def test_any_hyperparameters_recognise_no_more_images_than_there_are(
    position: list[float], seed: int
) -> None:
    replay = LOOKUP.draw(ADAM.draw(position), seed)
    for hits in (replay.validation_hits, replay.test_hits):
        assert len(hits) == EPOCHS
        assert ((hits >= 0) & (hits <= 200)).all()
    assert (replay.train_loss > 0).all()
    mean = LOOKUP.mean_accuracy(ADAM.draw(position))
    assert ((mean >= 0) & (mean <= 1)).all()


@given(positions, seeds)
@settings(max_examples=20)
def test_same_seed_gives_the_same_training(position: list[float], seed: int) -> None:
    hyperparameters = ADAM.draw(position)
    assert are_equal(LOOKUP.draw(hyperparameters, seed), LOOKUP.draw(hyperparameters, seed))


def test_seeds_differ() -> None:
    curves = {tuple(LOOKUP.draw(GOOD, seed).validation_hits) for seed in range(20)}
    assert len(curves) > 5


def test_configurations_do_not_share_their_luck() -> None:
    near = {**GOOD, "beta1": 0.5000001}
    differ = [
        not np.array_equal(
            LOOKUP.draw(GOOD, seed).validation_hits, LOOKUP.draw(near, seed).validation_hits
        )
        for seed in range(20)
    ]
    assert sum(differ) > 5


def test_curves_are_the_recorded_ones() -> None:
    expected = [0.95 - 0.3 / (epoch + 1) for epoch in range(EPOCHS)]
    np.testing.assert_allclose(LOOKUP.mean_accuracy(GOOD), expected, atol=0.03)
    assert LOOKUP.mean_accuracy(POOR)[-1] < LOOKUP.mean_accuracy(GOOD)[-1] - 0.2
    losses = [LOOKUP.draw(GOOD, seed).train_loss for seed in range(50)]
    np.testing.assert_allclose(np.mean(losses, axis=0), [1.0, 0.9, 0.8, 0.7], atol=0.1)


def test_noise_is_that_of_repeated_trainings() -> None:
    finals = [LOOKUP.draw(GOOD, seed).validation_hits[-1] / 200 for seed in range(500)]
    mean = LOOKUP.mean_accuracy(GOOD)[-1]
    # The slope of a share over its logit.
    expected = LOGIT_NOISE * mean * (1 - mean)
    assert expected / 1.6 < np.std(finals) < expected * 1.6
    assert np.mean(finals) == pytest.approx(mean, abs=0.01)


def test_test_accuracy_shares_what_the_weights_do_and_not_luck() -> None:
    draws = [LOOKUP.draw(POOR, seed) for seed in range(500)]
    validation = np.array([draw.validation_hits[-1] for draw in draws])
    test = np.array([draw.test_hits[-1] for draw in draws])
    assert test.mean() == pytest.approx(validation.mean(), abs=4)
    assert len(set(test)) > len(set(validation))
    # Luck with 200 images, and at most what the seeds did to the validation split.
    luck = np.sqrt(200 * 0.4 * 0.6)
    assert 0.9 * luck < test.std() < 1.1 * np.hypot(luck, validation.std())


def test_cost_is_that_of_trainings_nearby() -> None:
    recording = make_recording()
    dear = tuple(
        replace(each, train=Cost(9.0, 9.0, 9.0))
        if each.hyperparameters["learning_rate"] > 1e-3
        else each
        for each in recording.trainings
    )
    lookup = Lookup(replace(recording, trainings=dear))
    joules = {
        rate: {lookup.draw({**GOOD, "learning_rate": rate}, s).train.energy_j for s in range(20)}
        for rate in (2e-5, 5e-2)
    }
    assert joules == {2e-5: {TRAIN_J}, 5e-2: {9.0}}


def test_cost_varies_as_recorded() -> None:
    recording = make_recording()
    varied = tuple(
        replace(each, train=Cost(float(place), 1.0, 1.0))
        for place, each in enumerate(recording.trainings)
    )
    lookup = Lookup(replace(recording, trainings=varied))
    assert len({lookup.draw(GOOD, seed).train.energy_j for seed in range(100)}) == COSTS_FROM


def test_held_out_trainings_have_no_influence() -> None:
    recording = make_recording()
    spoilt = tuple(
        replace(each, val_score=(0.0,) * EPOCHS) if each.part == "held_out" else each
        for each in recording.trainings
    )
    lookup = Lookup(replace(recording, trainings=spoilt))
    assert lookup.mean_accuracy(GOOD).tolist() == LOOKUP.mean_accuracy(GOOD).tolist()


def test_training_diverges_where_recorded_ones_did() -> None:
    lookup = Lookup(from_result(make_survey(diverging_above=0.01), "digits"))
    wild = {**GOOD, "learning_rate": 0.09}
    assert np.isnan(lookup.draw(wild, 0).train_loss).all()
    assert np.isfinite(lookup.draw(GOOD, 0).train_loss).all()


def test_training_diverges_as_late_as_recorded_ones() -> None:
    recording = from_result(make_survey(diverging_above=0.01), "digits")
    late = tuple(
        replace(each, train_loss=(2.0, 2.0, None, None))
        if each.status is TrialStatus.DIVERGED
        else each
        for each in recording.trainings
    )
    losses = Lookup(replace(recording, trainings=late)).draw({**GOOD, "learning_rate": 0.09}, 0)
    assert np.isnan(losses.train_loss).tolist() == [False, False, True, True]


def test_training_that_broke_down_otherwise_is_left_out() -> None:
    recording = make_recording()
    crashed = replace(
        recording.trainings[0], status=TrialStatus.CRASHED, train_loss=(None,) * EPOCHS
    )
    lookup = Lookup(replace(recording, trainings=(crashed, *recording.trainings[1:])))
    assert np.isfinite(lookup.draw(crashed.hyperparameters, 0).train_loss).all()


def test_accuracy_of_all_or_no_images_can_be_fitted() -> None:
    recording = make_recording()
    extreme = tuple(
        replace(each, val_score=(0.0, 0.5, 1.0, 1.0), train_loss=(1.0, 0.5, 0.1, 0.0))
        for each in recording.trainings
    )
    lookup = Lookup(replace(recording, trainings=extreme))
    assert lookup.mean_accuracy(GOOD).tolist() == [0.0, 0.5, 1.0, 1.0]


def test_faithfulness_is_the_error_on_what_was_held_out() -> None:
    found = faithfulness(LOOKUP)
    assert all(0 < error < 6 for error in found.error)
    assert all(0.5 < noise < 4 for noise in found.noise)
    assert all(rank > 0.8 for rank in found.rank_correlation)
    assert found.best_replayed == pytest.approx(found.best_real, abs=0.05)


def test_faithfulness_of_a_wrong_prediction_is_poor() -> None:
    def upside_down(recording: Recording) -> Recording:
        turned = tuple(
            replace(each, val_score=tuple(1 - (v or 0.0) for v in each.val_score))
            if each.part == "held_out"
            else each
            for each in recording.trainings
        )
        return replace(recording, trainings=turned)

    found = faithfulness(Lookup(upside_down(make_recording())))
    assert found.error[-1] > 20
    assert found.rank_correlation[-1] < -0.8


def test_rank_of_equal_accuracies_is_unknown() -> None:
    recording = make_recording()
    flat = tuple(
        replace(each, val_score=(0.5,) * EPOCHS) if each.part == "held_out" else each
        for each in recording.trainings
    )
    found = faithfulness(Lookup(replace(recording, trainings=flat)))
    assert all(math.isnan(rank) for rank in found.rank_correlation)
