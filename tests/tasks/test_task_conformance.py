"""The tasks that are built in do what every task must do, and so does one of a user's."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from greenbench import registry
from greenbench.datasets import Dataset
from greenbench.datasets.base import Split
from greenbench.errors import TaskError
from greenbench.tasks import Score, check_loss, find_task
from greenbench.testing import TaskConformance

N = 12
PINBALL = Score("pinball", higher_is_better=False, low=0.0, source="a test")


def dataset_of(
    targets: NDArray[Any], classes: int, inputs: NDArray[Any] | None = None, **known: Any
) -> Dataset:
    given = np.zeros((len(targets), 4), np.float32) if inputs is None else inputs
    split = Split(given, targets)
    return Dataset("made_up", split, split, split, classes, "a test", "d", **known)


def classes(count: int = 3) -> Dataset:
    return dataset_of(np.arange(N) % count, count)


def numbers() -> Dataset:
    return dataset_of(np.linspace(-1, 1, N, dtype=np.float32)[:, None], 1)


def labels() -> Dataset:
    return dataset_of((np.arange(2 * N).reshape(N, 2) % 3 == 0).astype(np.float32), 2)


def tokens() -> Dataset:
    ids = np.arange(5 * N).reshape(N, 5) % 7
    return dataset_of((ids + 1) % 7, 7, ids, vocabulary=7)


def pixels() -> Dataset:
    return dataset_of(np.arange(16 * N).reshape(N, 4, 4) % 3, 3)


def one_hot(dataset: Dataset) -> NDArray[Any]:
    return np.eye(dataset.classes, dtype=np.float32)[dataset.test.targets]


@registry.register_task("quantile")
@dataclass(frozen=True)
class Quantile:
    """A user's task: one number, by the pinball loss."""

    name: str = "quantile"
    score: Score = PINBALL
    metrics: tuple[Score, ...] = ()

    @property
    def loss(self) -> dict[str, Any]:
        return {"torch": lambda outputs, targets: (outputs - targets).abs().mean()}

    def check(self, dataset: Dataset) -> None:
        if dataset.train.targets.dtype != np.float32:
            raise TaskError(f"task 'quantile' does not fit dataset {dataset.name!r}: no numbers")

    def outputs(self, dataset: Dataset) -> tuple[int, ...]:
        return (1,)

    def measure(self, reads: str, values: Any, targets: Any) -> dict[str, float]:
        return {"pinball": float(np.abs(values - targets).mean())} if reads == "outputs" else {}


class TestClassification(TaskConformance):
    task = "classification"

    def make_dataset(self) -> Dataset:
        return classes()

    def make_misfit(self) -> Dataset:
        return numbers()

    def right(self, dataset: Dataset) -> NDArray[Any]:
        return dataset.test.targets


class TestBinary(TestClassification):
    task = "binary"

    def make_dataset(self) -> Dataset:
        return classes(2)

    def make_misfit(self) -> Dataset:
        return classes(3)

    def right(self, dataset: Dataset) -> NDArray[Any]:
        return one_hot(dataset)


class TestMultilabel(TaskConformance):
    task = "multilabel"

    def make_dataset(self) -> Dataset:
        return labels()

    def make_misfit(self) -> Dataset:
        return numbers()

    def right(self, dataset: Dataset) -> NDArray[Any]:
        return dataset.test.targets - 0.5


class TestRegression(TaskConformance):
    task = "regression"

    def make_dataset(self) -> Dataset:
        return numbers()

    def make_misfit(self) -> Dataset:
        return classes()

    def right(self, dataset: Dataset) -> NDArray[Any]:
        return dataset.test.targets


class TestLanguageModelling(TaskConformance):
    task = "language_modelling"

    def make_dataset(self) -> Dataset:
        return tokens()

    def make_misfit(self) -> Dataset:
        return classes()

    def right(self, dataset: Dataset) -> float:
        return 0.0


class TestSegmentation(TestClassification):
    task = "segmentation"

    def make_dataset(self) -> Dataset:
        return pixels()


class TestQuantile(TestRegression):
    task = "quantile"
    backends = ("torch",)


def changed(dataset: Dataset, split: str, targets: NDArray[Any]) -> Dataset:
    return replace(dataset, **{split: Split(dataset.train.inputs, targets)})


@pytest.mark.parametrize(
    ("task", "dataset", "said"),
    [
        ("classification", changed(classes(), "test", np.arange(N) % 4), "0 to 3; expected 0 to 2"),
        ("classification", numbers(), "float32 of shape (12, 1); expected a class (int64)"),
        ("binary", classes(3), "has 3 classes; expected 2"),
        ("binary", changed(classes(2), "validation", np.zeros(N, int)), "one class only"),
        ("multilabel", changed(labels(), "train", np.full((N, 2), 0.5, "f")), "besides 0 and 1"),
        ("multilabel", dataset_of(np.ones(N, np.float32), 1), "of shape (12,); expected float32"),
        ("regression", classes(), "targets of train are int64 of shape (12,); expected float32"),
        ("regression", changed(numbers(), "test", np.full((N, 1), np.nan, "f")), "12 targets of"),
        ("language_modelling", classes(), "has no tokens; choose a data set of texts"),
        ("language_modelling", replace(tokens(), vocabulary=6), "the token id 6; expected 0 to 5"),
        ("segmentation", classes(), "of shape (12,); expected a class (int64) for each pixel"),
    ],
)
def test_task_that_does_not_fit_the_data_says_so_in_one_line(
    task: str, dataset: Dataset, said: str
) -> None:
    with pytest.raises(TaskError) as raised:
        find_task(task).check(dataset)
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"task {task!r} does not fit dataset 'made_up'")
    assert "\n" not in str(raised.value)


def test_loss_for_another_backend_is_named() -> None:
    with pytest.raises(TaskError, match=r"a loss for torch and none for the backend 'keras_jax'"):
        check_loss(find_task("quantile"), "keras_jax")
    check_loss(find_task("regression"), "keras_jax")


@pytest.mark.parametrize("loss", ["hinge", {"torch": 3}, None])
def test_loss_that_is_none_is_named(loss: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Quantile, "loss", loss)
    with pytest.raises(TaskError, match=r"'quantile' .*has the loss .*; expected cross_entropy"):
        find_task("quantile")


def test_what_is_no_task_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.tasks._loaded, "nothing", object())
    with pytest.raises(TaskError, match=r"'nothing' is no task; expected name, score"):
        find_task("nothing")
