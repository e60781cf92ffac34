"""Training on streamed data: read block by block, each reading booked to its phase."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from greenbench.cases import Case
from greenbench.datasets import Streamed
from greenbench.datasets import streaming as streams
from greenbench.datasets.sources import ArraySource
from greenbench.datasets.streaming import Indices
from greenbench.energy.ledger import Ledger
from greenbench.results import Trial, TrialStatus
from greenbench.results.account import Account
from greenbench.search.training import Conditions, Training
from greenbench.testing import FakeClock, FakeMeter

SAMPLES = 100
CASE = Case(epochs=2, batch_size=10)
POWER_W = 10.0


class Slow(ArraySource):
    """A sample takes a second to read."""

    def __init__(self, clock: FakeClock) -> None:
        images = np.arange(SAMPLES, dtype=np.float32)[:, None]
        super().__init__(images, np.arange(SAMPLES) % 2, "classification")
        self.clock = clock

    def read(self, indices: Indices) -> Any:
        self.clock.advance(len(indices))
        return super().read(indices)


class Model:
    """Trains for a quarter of a second a sample; its loss is the mean of what it sees."""

    parameters = 1

    def __init__(self, stream: Streamed, clock: FakeClock, losses: Sequence[float]) -> None:
        self.stream, self.clock, self.losses = stream, clock, list(losses)
        self.seen: list[Indices] = []

    def train_epoch(self, order: Indices) -> float:
        self.seen.append(order)
        inputs, _ = self.stream.batch(order)
        self.clock.advance(len(order) / 4)
        return self.losses.pop(0) if self.losses else float(inputs.mean())

    def evaluate(self, split: str) -> float:
        self.clock.advance(1)
        return 0.5


class Waiting:
    """A backend of which nothing is asked but to wait."""

    def synchronize(self) -> None:
        pass


def trained(
    monkeypatch: pytest.MonkeyPatch, losses: Sequence[float] = ()
) -> tuple[Model, Trial, Account, list[Indices]]:
    # 30 samples of a float32 and an int64.
    monkeypatch.setattr(streams, "BLOCK_BYTES", 30 * 12)
    clock = FakeClock()
    stream = Streamed(Slow(clock))
    model = Model(stream, clock, losses)
    ledger = Ledger(FakeMeter(clock, power_w=POWER_W))
    backend: Any = Waiting()
    conditions = Conditions(backend, CASE, SAMPLES, ledger, 5.0, lambda epoch: None, stream=stream)
    ledger.open()
    new = Trial(0, {}, TrialStatus.STOPPED)
    training = Training(conditions, new, 1, lambda: model)  # type: ignore[arg-type,return-value]
    trial = training.advance(CASE.epochs)
    orders = [training.order(epoch) for epoch in range(CASE.epochs)]
    return model, trial, ledger.take(), orders


def test_reading_is_booked_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    _, trial, account, _ = trained(monkeypatch)
    assert account.energy_j("load") == 2 * SAMPLES * POWER_W
    assert account.energy_j("train") == 2 * SAMPLES / 4 * POWER_W
    assert account.energy_j("evaluate") == POWER_W
    assert trial.status is TrialStatus.COMPLETED


def test_an_epoch_is_trained_in_its_order_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    model, trial, _, orders = trained(monkeypatch)
    assert [len(block) for block in model.seen] == [30, 30, 30, 10] * 2
    assert np.array_equal(np.concatenate(model.seen), np.concatenate(orders))
    assert [epoch.train_loss for epoch in trial.epochs] == pytest.approx([49.5, 49.5])
    assert trial.samples_seen == 2 * SAMPLES


def test_loss_that_is_not_finite_ends_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    model, trial, account, _ = trained(monkeypatch, [1.0, math.nan])
    assert trial.status is TrialStatus.DIVERGED
    assert len(model.seen) == 2
    assert account.energy_j("load") == 60 * POWER_W
