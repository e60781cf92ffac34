"""What torch learns besides classes of images: any inputs, targets, losses and scores."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from greenbench.architectures import Native
from greenbench.backends.base import AdamOptions, BuildRequest
from greenbench.backends.torch import TorchBackend
from greenbench.backends.torch_model import TorchModel
from greenbench.cases import Scalar
from greenbench.datasets.base import Dataset, Split
from greenbench.errors import ArchitectureError, ConfigurationError, ScoreError
from greenbench.tasks import Score

BATCH = 16
SIZE = 64
DRAWN = np.random.default_rng(0)


@dataclass(frozen=True)
class Exam:
    """A task whose figures are easily checked."""

    loss: Any
    wanted: tuple[int, ...]
    score: Score
    metrics: tuple[Score, ...] = ()
    name: str = "exam"
    seen: dict[str, Any] = field(default_factory=dict, compare=False)

    def check(self, dataset: Dataset) -> None:
        """Take all."""

    def outputs(self, dataset: Dataset) -> tuple[int, ...]:
        return self.wanted

    def measure(
        self, reads: str, values: NDArray[Any] | float, targets: NDArray[np.generic]
    ) -> dict[str, float]:
        self.seen[reads] = values
        asked = (self.score, *self.metrics)
        return {each.name: float(np.mean(values)) for each in asked if each.reads == reads}


MEAN = Score("mean", reads="outputs")
CLASSES = Score("class", reads="classes")
LOSS = Score("loss", "nats", higher_is_better=False, reads="loss")


def data_of(inputs: Any, targets: NDArray[Any], classes: int = 3) -> Dataset:
    split = Split(inputs, targets)
    return Dataset("made_up", split, split, split, classes, "random", "0")


def floats(*shape: int) -> NDArray[np.float32]:
    return DRAWN.standard_normal((SIZE, *shape)).astype(np.float32)


def numbers(*shape: int, below: int = 3) -> NDArray[np.int64]:
    return DRAWN.integers(0, below, (SIZE, *shape))


def reference(loss: Any) -> Callable[[Tensor, Tensor], Tensor]:
    return {
        "mse": functional.mse_loss,
        "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
        "cross_entropy": functional.cross_entropy,
    }[loss]


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5))

    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = self.layers(ids)
        return found


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.ids = nn.Linear(3, 2), nn.Embedding(5, 2)

    def forward(self, *, ids: Tensor, table: Tensor) -> Tensor:
        found: Tensor = self.table(table) + self.ids(ids)
        return found


@dataclass(frozen=True)
class Lesson:
    build: Callable[[], nn.Module]
    inputs: Any
    targets: NDArray[Any]
    task: Exam


LESSONS = {
    "regression": Lesson(lambda: nn.Linear(4, 2), floats(4), floats(2), Exam("mse", (2,), MEAN)),
    "one_number": Lesson(lambda: nn.Linear(4, 1), floats(4), floats(), Exam("mse", (1,), MEAN)),
    "multilabel": Lesson(
        lambda: nn.Linear(4, 3),
        floats(4),
        numbers(3, below=2).astype(np.float32),
        Exam("binary_cross_entropy", (3,), MEAN),
    ),
    "tokens": Lesson(
        Tokens, numbers(7, below=5), numbers(7, below=5), Exam("cross_entropy", (7, 5), CLASSES)
    ),
    "segmentation": Lesson(
        lambda: nn.Conv2d(1, 3, 3, padding=1),
        floats(1, 6, 6),
        numbers(6, 6),
        Exam("cross_entropy", (3, 6, 6), CLASSES),
    ),
    "several_inputs": Lesson(
        Both,
        {"table": floats(3), "ids": numbers(below=5)},
        floats(2),
        Exam("mse", (2,), MEAN),
    ),
}


def built(lesson: Lesson, task: Exam | None = None, **options: Scalar) -> TorchModel:
    backend = TorchBackend("torch", threads=1)
    backend.load(data_of(lesson.inputs, lesson.targets))
    network = Native("mine", "torch", lesson.build)
    return backend.build(
        BuildRequest(network, AdamOptions(1e-2), BATCH, 1, options, task or lesson.task)
    )


def expected_loss(lesson: Lesson, outputs: NDArray[np.float32]) -> float:
    given, right = torch.from_numpy(outputs), torch.from_numpy(lesson.targets)
    if lesson.task.wanted == (7, 5):
        given = given.movedim(-1, 1)
    if right.ndim == 1:
        right = right[:, None]
    return float(reference(lesson.task.loss)(given, right))


@pytest.mark.parametrize("name", LESSONS)
def test_each_kind_of_data_is_learned_by_torchs_own_loss(name: str) -> None:
    lesson = LESSONS[name]
    model = built(lesson)
    outputs = model.predict(lesson.inputs)
    assert outputs.shape == (SIZE, *lesson.task.wanted)
    assert outputs.dtype == np.float32
    resting = built(lesson)
    resting._optimizer.learning_rate = 0.0
    found = resting.train_epoch(np.arange(SIZE))
    assert found == pytest.approx(expected_loss(lesson, outputs), abs=1e-6)
    losses = [model.train_epoch(np.arange(SIZE)) for _ in range(30)]
    assert losses[-1] < losses[0]
    assert model.count_train_flops() > 0


@pytest.mark.parametrize("name", LESSONS)
def test_a_task_is_given_classes_outputs_and_loss_of_a_whole_split(name: str) -> None:
    lesson = LESSONS[name]
    task = Exam(lesson.task.loss, lesson.task.wanted, LOSS, (MEAN, CLASSES))
    model = built(lesson, task)
    outputs = model.predict(lesson.inputs)
    loss = expected_loss(lesson, outputs)
    assert model.evaluate("validation") == pytest.approx(loss, abs=1e-6)
    assert set(task.seen) == {"loss"}
    found = model.measure("test")
    assert found["loss"] == pytest.approx(loss, abs=1e-6)
    np.testing.assert_allclose(task.seen["outputs"], outputs, atol=1e-6)
    axis = 2 if lesson.task.wanted == (7, 5) else 1
    np.testing.assert_array_equal(task.seen["classes"], outputs.argmax(axis))


@pytest.mark.parametrize("options", [{"channels_last": True}, {"precision": "bfloat16"}], ids=str)
@pytest.mark.parametrize("name", ["segmentation", "several_inputs", "tokens"])
def test_options_of_computing_concern_what_they_can(name: str, options: dict[str, Scalar]) -> None:
    lesson = LESSONS[name]
    plain, other = (built(lesson, **given).train_epoch(np.arange(SIZE)) for given in ({}, options))
    assert other == pytest.approx(plain, rel=0.02)


def test_equal_seeds_learn_equally() -> None:
    first, again = (built(LESSONS["several_inputs"]) for _ in range(2))
    assert first.train_epoch(np.arange(SIZE)) == again.train_epoch(np.arange(SIZE))


def test_a_loss_of_the_users_own_is_learned_by() -> None:
    lesson = LESSONS["regression"]
    own = Exam({"torch": functional.l1_loss}, (2,), LOSS)
    model = built(lesson, own)
    expected = np.abs(model.predict(lesson.inputs) - lesson.targets).mean()
    assert model.evaluate("test") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"keras": abs}, r"'exam' has no loss for the backend 'torch' \(it has: keras\)"),
        ("hinge", r"'exam' has the loss 'hinge'; expected one of cross_entropy, "),
        (
            {"torch": lambda one, other: (one - other) ** 2},
            r"its loss returned a tensor of shape \(\d+, 2\); expected a tensor without axes",
        ),
    ],
)
def test_a_loss_that_torch_does_not_have_is_refused(loss: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        built(LESSONS["regression"], Exam(loss, (2,), LOSS))


def test_a_network_that_does_not_fit_its_task_is_refused_in_a_line() -> None:
    lesson = LESSONS["tokens"]
    task = Exam("cross_entropy", (7, 6), CLASSES)
    expected = r"outputs of shape \(16, 7, 5\) for 16 samples; expected \(16, 7, 6\), .*'exam'"
    with pytest.raises(ArchitectureError, match=expected):
        built(lesson, task)
    with pytest.raises(ArchitectureError, match="ends in a softmax"):
        built(
            Lesson(
                lambda: nn.Sequential(Tokens(), nn.Softmax(-1)),
                lesson.inputs,
                lesson.targets,
                lesson.task,
            )
        )


def test_a_task_that_does_not_measure_its_score_is_refused() -> None:
    class Silent(Exam):
        def measure(self, *arguments: Any) -> dict[str, float]:
            return {}

    with pytest.raises(ScoreError, match=r"'exam' does not give its score 'mean'"):
        built(LESSONS["regression"], Silent("mse", (2,), MEAN)).evaluate("test")


class Fetching:
    """A split that gives samples when it is asked for them."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self._split)

    def prefetch(self, indices: NDArray[np.int64]) -> None:
        """Do nothing: all is there."""

    def batch(self, indices: NDArray[np.int64]) -> tuple[Any, NDArray[Any]]:
        self.asked.append(len(indices))
        inputs = self._split.inputs
        if isinstance(inputs, dict):
            return {name: one[indices] for name, one in inputs.items()}, self._split.targets[
                indices
            ]
        return inputs[indices], self._split.targets[indices]


@pytest.mark.parametrize("name", ["segmentation", "several_inputs"])
def test_a_streamed_split_is_learned_like_one_in_memory(name: str) -> None:
    lesson = LESSONS[name]
    held = built(lesson)
    fetching: Any = Fetching(Split(lesson.inputs, lesson.targets))
    backend = TorchBackend("torch", threads=1)
    backend.load(Dataset("made_up", fetching, fetching, fetching, 3, "random", "0"))
    network = Native("mine", "torch", lesson.build)
    streamed = backend.build(BuildRequest(network, AdamOptions(1e-2), BATCH, 1, {}, lesson.task))
    fetching.asked.clear()
    order = DRAWN.permutation(SIZE)[:60]
    assert streamed.train_epoch(order) == held.train_epoch(order)
    assert fetching.asked == [16, 16, 16, 12]
    assert streamed.measure("test") == held.measure("test")
