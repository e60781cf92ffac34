"""Trainings by Lightning, Hugging Face, Keras and XGBoost, whose loops call back."""

# ruff: noqa: PLC0415, F811  Each may be missing; a fixture is named as it is imported.

import importlib.util
import os
import runpy
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greenbench.backends.process_state import state_kept
from greenbench.errors import ProtocolError
from greenbench.trainings import Training
from greenbench.trainings.driver import Driver
from tests.integrations.conftest import Booked, booked  # noqa: F401

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[2] / "docs" / "howto" / "your_framework"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def needs(extra: str) -> pytest.MarkDecorator:
    is_missing = importlib.util.find_spec(extra) is None
    return pytest.mark.skipif(
        is_missing, reason=f"{extra} is not installed: the extra of that name"
    )


def lightning_steps(made: Booked, monitor: str | None, **options: Any) -> Any:
    import lightning
    import torch
    from torch.nn import functional

    from greenbench.integrations.lightning import fit

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 2)

        def loss(self, batch: Any, name: str) -> Any:
            made.spend()
            loss = functional.cross_entropy(self.layer(batch[0]), batch[1])
            accuracy = (self.layer(batch[0]).argmax(1) == batch[1]).float().mean()
            self.log_dict({f"{name}_loss": loss, f"{name}_accuracy": accuracy}, on_epoch=True)
            return loss

        def training_step(self, batch: Any) -> Any:
            return self.loss(batch, "train")

        def validation_step(self, batch: Any) -> None:
            self.loss(batch, "val")

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

        def on_save_checkpoint(self, checkpoint: Any) -> None:
            made.spend()

    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    batches = torch.utils.data.DataLoader(data, 48)
    trainer = lightning.Trainer(
        max_epochs=9, accelerator="cpu", logger=False, enable_progress_bar=False, **options
    )
    return fit(made.run, trainer, Module(), batches, batches, monitor=monitor or "val_accuracy")


def transformers_steps(made: Booked, monitor: str | None, **options: Any) -> Any:
    import torch
    import transformers

    from greenbench.integrations.transformers import train

    class Spending(transformers.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *args: Any, **others: Any) -> None:
            made.spend()

    def metrics(prediction: Any) -> dict[str, float]:
        made.spend()
        found = prediction.predictions.argmax(1) == prediction.label_ids
        return {"accuracy": float(found.mean())}

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    config = transformers.BertConfig(vocab_size=8, num_attention_heads=1, **sizes)
    tokens = torch.tensor((X > 0).astype(np.int64))
    data = [
        {"input_ids": each, "labels": int(label)} for each, label in zip(tokens, Y, strict=True)
    ]
    arguments = transformers.TrainingArguments(
        num_train_epochs=9,
        per_device_train_batch_size=48,
        per_device_eval_batch_size=96,
        eval_strategy="epoch",
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        **options,
    )
    trainer = transformers.Trainer(
        transformers.BertForSequenceClassification(config),
        arguments,
        train_dataset=data,
        eval_dataset=data,
        compute_metrics=metrics,
        callbacks=[Spending()],
    )
    return train(made.run, trainer, monitor=monitor or "eval_accuracy")


def keras_steps(made: Booked, monitor: str | None, **options: Any) -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    from greenbench.integrations.keras import fit

    class Spending(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            made.spend()

        on_test_batch_end = on_train_batch_end

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    options = {"batch_size": 48, "epochs": 9, "verbose": 0, "callbacks": [Spending()], **options}
    name = monitor or "val_accuracy"
    return fit(made.run, model, X, Y, validation_data=(X, Y), monitor=name, **options)


def xgboost_steps(made: Booked, monitor: str | None, **options: Any) -> Any:
    import xgboost

    from greenbench.integrations.xgboost import train

    def error(margins: Any, data: Any) -> tuple[str, float]:
        made.spend()
        return "own", float(np.mean((margins > 0) != data.get_label()))

    data = xgboost.DMatrix(X, Y)
    params = {"objective": "binary:logistic", "nthread": 1, "eval_metric": "auc"}
    options = {"evals": [(data, "validation")], "custom_metric": error, **options}
    name = monitor or "validation-auc"
    return train(made.run, params, data, monitor=name, rounds=2, **options)


STEPS = {
    "lightning": lightning_steps,
    "transformers": transformers_steps,
    "keras": keras_steps,
    "xgboost": xgboost_steps,
}
Steps = Callable[..., Any]


@pytest.fixture(
    params=[pytest.param(each, marks=needs(name), id=name) for name, each in STEPS.items()]
)
def steps(request: pytest.FixtureRequest, monkeypatch: Any, tmp_path: Any) -> Steps:
    monkeypatch.chdir(tmp_path)
    made: Steps = request.param
    return made


@pytest.fixture
def made(booked: Callable[..., Booked]) -> Booked:
    return booked(3)


def test_each_epoch_is_reported_with_its_score(steps: Steps, made: Booked) -> None:
    reports = made.reports(steps(made, None))
    assert len(reports) == 3
    assert [0.0 <= report.score <= 1.0 for report in reports] == [True] * 3
    assert {report.samples for report in reports} == {len(X)}


def test_training_is_booked_apart_from_evaluations(steps: Steps, made: Booked) -> None:
    made.reports(steps(made, None))
    seconds = made.seconds()
    assert seconds["evaluate"] >= 3
    assert seconds.get("train", 0.0) == (0.0 if steps is xgboost_steps else 6.0)


def test_metric_that_nobody_logged_is_told_in_one_line(steps: Steps, made: Booked) -> None:
    with pytest.raises(ProtocolError, match=r"monitor='f2' was never logged; expected one of '.*'"):
        made.reports(steps(made, "f2"))


def test_two_take_turns_and_end_in_their_middle(steps: Steps, made: Booked) -> None:
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    first, second = steps(made, None), steps(made, None)
    told = []
    for each in (first, second, first):
        with made.run.running(), state_kept("a training"):
            told.append(next(each))
    first.close()
    second.close()
    assert [report.score is not None for report in told] == [True] * 3
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers


@needs("lightning")
def test_checkpoints_of_lightning_are_booked_to_save(
    made: Booked, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    made.reports(lightning_steps(made, None, default_root_dir=tmp_path))
    assert made.seconds()["save"] == 3.0


@needs("lightning")
def test_interrupt_comes_through_lightning_as_one(
    made: Booked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(signal, "signal", lambda *args: None)
    steps = lightning_steps(made, None, enable_checkpointing=False)
    monkeypatch.setattr(made, "spend", interrupt)
    with pytest.raises(KeyboardInterrupt):
        made.reports(steps)


@needs("transformers")
def test_steps_that_end_a_trainer_are_refused(made: Booked, tmp_path: Any) -> None:
    with pytest.raises(ProtocolError, match="max_steps=5; expected -1"):
        transformers_steps(made, None, output_dir=tmp_path, max_steps=5)


@needs("keras")
def test_models_saved_by_keras_are_booked_to_save(
    made: Booked, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    monkeypatch.setattr(keras.Model, "save", lambda *args, **options: made.spend())
    saves = keras.callbacks.ModelCheckpoint(tmp_path / "model.keras")
    made.reports(keras_steps(made, None, callbacks=[saves]))
    assert made.seconds()["save"] == 3.0


@needs("xgboost")
def test_estimator_of_xgboost_has_rounds_for_epochs(made: Booked) -> None:
    import xgboost

    from greenbench.integrations.xgboost import fit

    estimator = xgboost.XGBClassifier(n_jobs=1, eval_metric="auc")
    steps = fit(made.run, estimator, X, Y, eval_set=[(X, Y)], monitor="validation_0-auc", verbose=0)
    assert len(made.reports(steps)) == 3
    assert estimator.get_booster().num_boosted_rounds() == 3
    assert estimator.get_params()["callbacks"] is None


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=needs(name))
        for name in ("lightning", "transformers", "keras", "sklearn", "xgboost")
    ],
)
def test_example_of_the_documentation_trains_and_tests(
    name: str,
    booked: Callable[..., Booked],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    found = runpy.run_path(str(EXAMPLES / f"{name}_training.py"))
    (training,) = (each.training for each in found.values() if is_training(each))
    made = booked(2, learning_rate=0.05)
    driver = Driver(training, made.run, {"width": 16} if name != "xgboost" else {"depth": 2})
    reports = [driver.step(), driver.step()]
    driver.finish()
    assert [report is not None and report.score is not None for report in reports] == [True] * 2
    assert driver.is_over
    assert made.run.tested is not None
    assert driver.close() == []


def is_training(thing: Any) -> bool:
    return isinstance(getattr(thing, "training", None), Training)
