"""What a framework's callback tells of epochs, phases and metrics."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from greenbench.errors import ProtocolError
from greenbench.integrations.bookkeeper import Bookkeeper
from greenbench.integrations.hand_over import handed_over
from greenbench.trainings import Report
from tests.integrations.conftest import Booked


class Trainer:
    """A framework in small: loads, trains, evaluates, saves; each takes a second."""

    def __init__(self, booked: Booked, epochs: int = 2) -> None:
        self.booked, self.epochs = booked, epochs

    def save(self) -> None:
        self.booked.spend()

    def evaluate(self) -> None:
        self.booked.spend()

    def fit(self, keeper: Bookkeeper, metrics: Mapping[str, Any], evaluates: bool = True) -> None:
        self.evaluate()
        with keeper.booked(self, evaluate="evaluate", save="save", nothing="test"):
            for epoch in range(self.epochs):
                if not keeper.begin_epoch():
                    return
                self.booked.spend()
                if evaluates:
                    self.evaluate()
                self.save()
                keeper.end_epoch(metrics, is_last=epoch + 1 == self.epochs)


def reports_of(
    booked: Booked, metrics: Mapping[str, Any], *, epochs: int = 2, evaluates: bool = True
) -> list[Report]:
    trainer = Trainer(booked, epochs)
    return booked.reports(
        handed_over(
            lambda tell: trainer.fit(Bookkeeper(booked.run, "f1", tell), metrics, evaluates)
        )
    )


def test_loading_training_evaluations_and_checkpoints_are_booked_apart(
    booked: Callable[..., Booked],
) -> None:
    made = booked(2)
    assert len(reports_of(made, {"f1": 0.5})) == 2
    assert made.seconds() == {"load": 1.0, "train": 2.0, "evaluate": 2.0, "save": 2.0}


def test_trainer_has_its_own_methods_afterwards(booked: Callable[..., Booked]) -> None:
    made = booked()
    trainer = Trainer(made)
    replaced = trainer.evaluate = lambda: None  # type: ignore[method-assign]
    keeper = Bookkeeper(made.run, "f1", lambda report: None)
    with keeper.booked(trainer, save="save", evaluate="evaluate"):
        assert trainer.evaluate is not replaced
    assert trainer.evaluate is replaced
    assert "save" not in vars(trainer)


def test_trains_no_further_than_the_case(booked: Callable[..., Booked]) -> None:
    assert len(reports_of(booked(2), {"f1": 0.5}, epochs=9)) == 2


def test_report_has_score_loss_and_every_other_number(booked: Callable[..., Booked]) -> None:
    logged = {"f1": np.float32(0.5), "loss": 2, "val_auc": 0.25, "name": "net", "score": 3.0}
    report, *_ = reports_of(booked(), logged)
    assert report == Report(2.0, 0.5, None, {"val_auc": 0.25})


def test_metric_that_was_never_logged_is_named_with_those_that_were(
    booked: Callable[..., Booked],
) -> None:
    with pytest.raises(ProtocolError) as raised:
        reports_of(booked(), {"val_f1": 0.5, "loss": 2.0})
    assert str(raised.value) == ("monitor='f1' was never logged; expected one of 'loss', 'val_f1'")


def test_metric_may_come_with_a_later_evaluation(booked: Callable[..., Booked]) -> None:
    made = booked()
    told: list[Report] = []
    keeper = Bookkeeper(made.run, "f1", told.append)
    with made.run.running():
        keeper.begin_epoch()
        keeper.end_epoch({"loss": 1.0})
    assert told == [Report(1.0, None)]


def test_no_evaluation_at_all_is_told_at_the_end(booked: Callable[..., Booked]) -> None:
    with pytest.raises(ProtocolError, match="none, since nothing was logged"):
        reports_of(booked(), {}, evaluates=False)
