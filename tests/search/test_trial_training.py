"""One trial's training, and what filling its windows with further passes must not change."""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from greenbench.architectures import Flatten, Linear, Native, ReLU, Spec
from greenbench.backends import Backend
from greenbench.backends.base import AdamOptions, BuildRequest, TrainableModel, sample_order
from greenbench.backends.keras import KerasBackend
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Case
from greenbench.datasets import Dataset, LoadContext
from greenbench.datasets.synthetic import load_synthetic
from greenbench.energy.ledger import Ledger
from greenbench.errors import ArchitectureError, ScoreError
from greenbench.results import Trial, TrialStatus
from greenbench.results.account import Account
from greenbench.search.training import Conditions, Training, attempt
from greenbench.search.warming import ModelCosts, warm_up
from greenbench.testing import FakeMeter
from tests.builders import TICK_S, tick

CASE = Case(trials=1, epochs=4, batch_size=8)
SIDE, CLASSES = 4, 2
FILLED_S = 0.1
ORDER_SEED = 5

NEUTRAL = Spec("small", (1, SIDE, SIDE), [Flatten(), Linear(8), ReLU(), Linear(CLASSES)])


def torch_dropout() -> nn.Module:
    layers = [nn.Flatten(), nn.Linear(SIDE**2, 8), nn.Dropout(), nn.Linear(8, CLASSES)]
    return nn.Sequential(*layers)


def keras_dropout() -> Any:
    from keras import Sequential, layers  # noqa: PLC0415

    return Sequential([layers.Flatten(), layers.Dropout(0.5), layers.Dense(CLASSES)])


# Dropout draws on generators that all models of a process share.
NATIVES = {
    "torch": Native("dropout", "torch", torch_dropout),
    "keras": Native("dropout", "keras", keras_dropout),
}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_synthetic(LoadContext(0, Path("unused")), samples=80, side=SIDE, classes=CLASSES)


@pytest.fixture(scope="module")
def backend(dataset: Dataset) -> TorchBackend:
    backend = TorchBackend("torch", threads=1)
    backend.load(dataset)
    return backend


@pytest.fixture(scope="module")
def keras_backend(dataset: Dataset) -> KerasBackend:
    backend = KerasBackend("keras", threads=1)
    backend.load(dataset)
    return backend


@dataclass(frozen=True)
class Trained:
    """A trial, its model, all models that were built for it, and what was measured."""

    trial: Trial
    model: TrainableModel
    models: Sequence[TrainableModel]
    account: Account
    measured_s: float
    """Of all windows, but for that of the spare."""
    epochs_told: Sequence[int]

    @property
    def train_s(self) -> float:
        return self.account.phases["train"].duration_s

    @property
    def rest_s(self) -> float:
        """Seconds of all phases but training."""
        return self.account.total.duration_s - self.train_s


Train = Callable[..., Trained]


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    return tick(monkeypatch)


@pytest.fixture
def train(backend: TorchBackend, dataset: Dataset, ticking: Callable[[], float]) -> Train:
    def train(
        min_window_s: float,
        *,
        case: Case = CASE,
        on: Backend = backend,
        architecture: Spec | Native = NEUTRAL,
        learning_rate: float = 1e-2,
        targets: Sequence[int] = (),
    ) -> Trained:
        ledger = Ledger(FakeMeter(ticking))
        told: list[int] = []
        conditions = Conditions(on, case, len(dataset.train), ledger, min_window_s, told.append)
        optimizer = AdamOptions(learning_rate=learning_rate)
        request = BuildRequest(architecture, optimizer, case.batch_size, seed=3)
        models: list[TrainableModel] = []

        def build() -> TrainableModel:
            models.append(on.build(request))
            return models[-1]

        ledger.open()
        new = Trial(0, {"learning_rate": learning_rate}, TrialStatus.STOPPED)
        training = Training(conditions, new, ORDER_SEED, build)
        for target in targets or (case.epochs,):
            trial = training.advance(target)
        ledger.close()
        account = ledger.take()
        assert training.model is not None
        # A spare is built aside, which takes a tick, as all windows do in which nobody looks.
        measured_s = ledger.measured.duration_s - TICK_S * (len(models) - 1)
        return Trained(trial, training.model, models, account, measured_s, told)

    return train


def request_of(architecture: Spec | Native) -> BuildRequest:
    return BuildRequest(architecture, batch_size=CASE.batch_size)


def are_equal(one: TrainableModel, other: TrainableModel) -> bool:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(left, right) for left, right in pairs)


def check_that_passes_change_nothing(
    train: Train, validate_every: int | None, **changed: Any
) -> None:
    case = Case(trials=1, epochs=2, batch_size=8, validate_every=validate_every)
    plain, filled = (train(seconds, case=case, **changed) for seconds in (0.0, FILLED_S))
    assert filled.trial.passes > plain.trial.passes
    assert filled.trial.epochs == plain.trial.epochs
    assert filled.trial.val_score == plain.trial.val_score
    assert filled.trial.samples_seen == plain.trial.samples_seen
    assert filled.model.evaluate("test") == plain.model.evaluate("test")
    assert are_equal(filled.model, plain.model)


@pytest.mark.parametrize("validate_every", [None, 1], ids=["once", "every epoch"])
def test_further_passes_change_nothing_but_the_energy(
    train: Train, validate_every: int | None
) -> None:
    check_that_passes_change_nothing(train, validate_every)


@pytest.mark.parametrize("name", ["torch", "keras"])
def test_further_passes_leave_the_random_numbers_of_dropout_alone(
    train: Train, request: pytest.FixtureRequest, name: str
) -> None:
    on = request.getfixturevalue({"torch": "backend", "keras": "keras_backend"}[name])
    check_that_passes_change_nothing(train, 1, on=on, architecture=NATIVES[name])


def test_further_passes_are_not_told_as_epochs(train: Train) -> None:
    assert train(FILLED_S).epochs_told == [0, 1, 2, 3]


def test_a_further_pass_is_the_same_training_again_by_a_spare_model(
    train: Train, dataset: Dataset
) -> None:
    filled = train(FILLED_S)
    _, spare = filled.models
    model = train(0.0).model
    for _ in range(filled.trial.passes - 2):
        for epoch in range(CASE.epochs):
            model.train_epoch(sample_order(len(dataset.train), CASE.batch_size, ORDER_SEED, epoch))
    assert are_equal(spare, model)


def test_one_pass_is_booked_and_all_are_measured(train: Train) -> None:
    filled = train(FILLED_S)
    window_s = filled.measured_s - filled.rest_s
    assert filled.trial.passes > 1
    assert window_s >= FILLED_S
    assert filled.train_s == pytest.approx(window_s / filled.trial.passes)


def test_energy_and_seconds_of_a_pass_belong_together(train: Train) -> None:
    # 10 W throughout.
    booked = train(FILLED_S).account.phases["train"]
    assert booked.energy_j == pytest.approx(10.0 * booked.duration_s)


def test_every_stretch_between_validations_has_a_window_that_is_filled(train: Train) -> None:
    case = Case(trials=1, epochs=3, batch_size=8, validate_every=2)
    filled = train(FILLED_S, case=case)
    window_s = filled.measured_s - filled.rest_s
    assert window_s >= 2 * FILLED_S
    assert filled.train_s < window_s
    assert [epoch.val_score is None for epoch in filled.trial.epochs] == [True, False, False]


@pytest.mark.parametrize("min_window_s", [0.0, 1e-9], ids=["off", "shorter than a pass"])
def test_window_that_is_long_enough_holds_one_pass(train: Train, min_window_s: float) -> None:
    trained = train(min_window_s)
    assert trained.trial.passes == 1
    assert trained.train_s == pytest.approx(trained.measured_s - trained.rest_s)


def test_no_spare_model_is_built_for_windows_that_are_not_filled(train: Train) -> None:
    assert len(train(0.0).models) == 1


def test_diverging_trial_is_not_repeated(train: Train) -> None:
    filled = train(FILLED_S, learning_rate=1e38)
    assert filled.trial.status is TrialStatus.DIVERGED
    assert (filled.trial.passes, filled.trial.val_score) == (1, None)
    _, spare = filled.models
    untrained = train(0.0, case=Case(trials=1, epochs=1, batch_size=8), learning_rate=0.0).model
    assert are_equal(spare, untrained)


def test_diverging_trial_is_booked_with_what_was_measured(train: Train) -> None:
    diverged = train(FILLED_S, learning_rate=1e38)
    assert diverged.account.total.duration_s == pytest.approx(diverged.measured_s)
    assert "evaluate" not in diverged.account.phases


@pytest.mark.parametrize("accuracy", [7.956, 102.15, -0.1, float("nan")])
def test_score_outside_its_range_is_an_error(
    backend: TorchBackend, dataset: Dataset, accuracy: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(FakeMeter(itertools.count(0.0, 0.01).__next__))
    ledger.open()
    model = backend.build(BuildRequest(NEUTRAL, batch_size=CASE.batch_size))
    monkeypatch.setattr(model, "evaluate", lambda split: accuracy)
    conditions = Conditions(backend, CASE, len(dataset.train), ledger, 0.0, lambda epoch: None)
    training = Training(conditions, Trial(0, {}, TrialStatus.STOPPED), ORDER_SEED, lambda: model)
    expected = f"backend 'torch' reports an accuracy of {accuracy:.6g}; expected 0 to 1"
    with pytest.raises(ScoreError, match=re.escape(expected)):
        attempt(lambda: training.advance(CASE.epochs), training.fail)


@pytest.mark.parametrize("way", ["cached", "new"])
def test_warm_up_finds_a_builder_that_returns_the_same_network(
    backend: TorchBackend, dataset: Dataset, way: str
) -> None:
    cached = torch_dropout()
    native = Native("mine", "torch", {"cached": lambda: cached, "new": torch_dropout}[way])
    if way == "new":
        assert warm_up(backend, request_of(native), CASE, dataset).parameters > 0
        return
    with pytest.raises(ArchitectureError, match=r"'mine' \(\S+:\d+\) returned the same network"):
        warm_up(backend, request_of(native), CASE, dataset)


def test_warm_up_names_the_architecture_that_raises(
    backend: TorchBackend, dataset: Dataset
) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(SIDE, CLASSES))

    line = rf"test_trial_training\.py:{build.__code__.co_firstlineno}\)$"
    with pytest.raises(ArchitectureError, match=rf"'mine' failed: RuntimeError: .*shapes.*{line}"):
        warm_up(backend, request_of(Native("mine", "torch", build)), CASE, dataset)


def test_trial_that_breaks_off_keeps_what_is_known_of_it(
    backend: TorchBackend, dataset: Dataset
) -> None:
    ledger = Ledger(FakeMeter(itertools.count(0.0, 0.01).__next__))
    ledger.open()
    model = backend.build(BuildRequest(NEUTRAL, batch_size=CASE.batch_size))

    def stop_at_second_epoch(epoch: int) -> None:
        if epoch == 1:
            raise RuntimeError("the machine\n burns")

    conditions = Conditions(backend, CASE, len(dataset.train), ledger, 0.0, stop_at_second_epoch)
    training = Training(conditions, Trial(0, {}, TrialStatus.STOPPED), ORDER_SEED, lambda: model)
    with pytest.raises(RuntimeError) as error:
        training.advance(CASE.epochs)
    trial = training.fail(TrialStatus.FAILED, error.value)
    assert trial.status is TrialStatus.FAILED
    assert (trial.error or "").startswith("RuntimeError: the machine burns (")
    assert [epoch.epoch for epoch in trial.epochs] == [0, 1]
    assert trial.samples_seen == 2 * (len(dataset.train) // 8 * 8)
    assert ledger.take().energy_j("train") > 0
    ledger.close()


@pytest.mark.parametrize("kind", ["torch", "keras"])
def test_pauses_change_nothing(
    train: Train, backend: TorchBackend, keras_backend: KerasBackend, kind: str
) -> None:
    on = {"torch": backend, "keras": keras_backend}[kind]
    # Dropout would show a generator that another model advanced, and Adam a state that was lost.
    given = {"on": on, "architecture": NATIVES[kind]}
    whole, paused = train(0.0, **given), train(0.0, **given, targets=(1, 3, 4))
    assert are_equal(whole.model, paused.model)
    losses = [[epoch.train_loss for epoch in each.trial.epochs] for each in (whole, paused)]
    assert losses[0] == losses[1]
    assert paused.trial.status is TrialStatus.COMPLETED
    assert len(paused.models) == 1
    assert paused.epochs_told == [0, 1, 2, 3]


def test_paused_trial_is_validated_where_it_pauses(train: Train) -> None:
    paused = train(0.0, targets=(1, 3)).trial
    accuracies = [epoch.val_score for epoch in paused.epochs]
    assert [accuracy is None for accuracy in accuracies] == [False, True, False]
    assert paused.status is TrialStatus.STOPPED
    assert paused.val_score == accuracies[-1]


def test_warm_up_counts_what_training_costs(backend: TorchBackend, dataset: Dataset) -> None:
    costs = warm_up(backend, request_of(NEUTRAL), CASE, dataset)
    assert costs == ModelCosts(NEUTRAL.parameters, NEUTRAL.train_flops)
