"""Tasks mean the same on torch and Keras: losses, scores and what a step does."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from greenbench.architectures import Native
from greenbench.backends.base import BuildRequest, TrainableModel
from greenbench.backends.keras import KerasBackend
from greenbench.backends.torch import TorchBackend
from greenbench.datasets.base import Dataset, Split
from greenbench.errors import ArchitectureError, ConfigurationError
from greenbench.optimizers import SGDOptions
from greenbench.tasks import Score
from greenbench.tasks.base import Loss

# Another engine runs these tests in a process of its own; see test_engines.py.
KERAS = os.environ.get("KERAS_TESTED", "keras")
COUNT, BATCH = 24, 8


LOSS = Score("loss", higher_is_better=False, reads="loss")
OUTPUTS, CLASSES = Score("outputs", reads="outputs"), Score("classes", reads="classes")


@dataclass(frozen=True)
class AnyTask:
    """A task whose figures tell what reached it."""

    loss: Loss
    shape: tuple[int, ...]
    name: str = "any"
    score: Score = LOSS

    @property
    def metrics(self) -> tuple[Score, ...]:
        """Classes, where a target is one."""
        return (OUTPUTS, CLASSES) if self.loss == "cross_entropy" else (OUTPUTS,)

    def check(self, dataset: Dataset) -> None:
        """Take anything."""

    def outputs(self, dataset: Dataset) -> tuple[int, ...]:
        """Return the shape."""
        return self.shape

    def measure(
        self, reads: str, values: NDArray[Any] | float, targets: NDArray[Any]
    ) -> dict[str, float]:
        """Return a figure that hangs on the place of every value."""
        found = np.asarray(values, np.float64)
        if reads == "classes":
            assert found.shape == targets.shape
        return {reads: float((found * np.sin(np.arange(found.size)).reshape(found.shape)).sum())}


@dataclass(frozen=True)
class Learned:
    """A task with data, and the same network for both backends."""

    task: AnyTask
    inputs: Any
    targets: NDArray[Any]
    torch: Callable[[], Any]
    keras: Callable[[], Any]


def normal(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).normal(size=(COUNT, *shape)).astype(np.float32)


def drawn(below: int, *shape: int) -> NDArray[np.int64]:
    return np.random.default_rng(1).integers(0, below, (COUNT, *shape))


def torch_linear(inputs: int, outputs: int) -> Any:
    from torch import nn  # noqa: PLC0415

    return nn.Linear(inputs, outputs)


def keras_dense(outputs: int, **options: Any) -> Any:
    import keras  # noqa: PLC0415

    return keras.Sequential([keras.layers.Dense(outputs, **options)])


def regression() -> Learned:
    return Learned(
        AnyTask("mse", (2,)),
        normal(5),
        normal(2),
        lambda: torch_linear(5, 2),
        lambda: keras_dense(2),
    )


def multilabel() -> Learned:
    return Learned(
        AnyTask("binary_cross_entropy", (3,)),
        normal(5),
        drawn(2, 3).astype(np.float32),
        lambda: torch_linear(5, 3),
        lambda: keras_dense(3),
    )


def multilabel_with_a_sigmoid() -> Learned:
    return replace(multilabel(), keras=lambda: keras_dense(3, activation="sigmoid"))


def tokens() -> Learned:
    def of_torch() -> Any:
        from torch import nn  # noqa: PLC0415

        return nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7))

    def of_keras() -> Any:
        from keras import Sequential, layers  # noqa: PLC0415

        return Sequential([layers.Embedding(7, 4), layers.Dense(7)])

    task = AnyTask("cross_entropy", (6, 7))
    return Learned(task, drawn(7, 6), drawn(7, 6)[::-1].copy(), of_torch, of_keras)


def segmentation() -> Learned:
    def of_torch() -> Any:
        from torch import nn  # noqa: PLC0415

        return nn.Conv2d(2, 3, 3, padding=1)

    def of_keras() -> Any:
        from keras import Sequential, layers  # noqa: PLC0415

        return Sequential([layers.Conv2D(3, 3, padding="same")])

    task = AnyTask("cross_entropy", (3, 5, 4))
    return Learned(task, normal(2, 5, 4), drawn(3, 5, 4), of_torch, of_keras)


def named_inputs() -> Learned:
    def of_torch() -> Any:
        from torch import nn  # noqa: PLC0415

        class Both(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.one, self.other = nn.Linear(4, 2), nn.Linear(3, 2)

            def forward(self, left: Any, right: Any) -> Any:
                return self.one(left) + self.other(right)

        return Both()

    def of_keras() -> Any:
        import keras  # noqa: PLC0415

        left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
        outputs = keras.layers.Dense(2)(left) + keras.layers.Dense(2)(right)
        return keras.Model({"left": left, "right": right}, outputs)

    inputs = {"left": normal(4), "right": normal(3)}
    return Learned(AnyTask("mse", (2,)), inputs, normal(2), of_torch, of_keras)


def keras_mean_of_distances(outputs: Any, targets: Any) -> Any:
    from keras import ops  # noqa: PLC0415

    return ops.mean(ops.abs(outputs - targets))


def own_loss() -> Learned:
    losses: Mapping[str, Callable[..., Any]] = {
        "torch": lambda outputs, targets: (outputs - targets).abs().mean(),
        "keras": keras_mean_of_distances,
    }
    return replace(regression(), task=AnyTask(losses, (2,)))


def dataset_of(learned: Learned) -> Dataset:
    split = Split(learned.inputs, learned.targets)
    return Dataset("any", split, split, split, learned.task.shape[0], "random", "")


def built(name: str, learned: Learned, **changed: Any) -> TrainableModel:
    backend = TorchBackend(name, threads=1) if name == "torch" else KerasBackend(name, threads=1)
    backend.load(dataset_of(learned))
    native = Native("mine", name, learned.torch if name == "torch" else learned.keras)
    optimizer = SGDOptions(learning_rate=0.1)
    request = BuildRequest(native, optimizer, batch_size=BATCH, seed=1, task=learned.task)
    model: TrainableModel = backend.build(replace(request, **changed))
    return model


ALL = [
    regression,
    multilabel,
    multilabel_with_a_sigmoid,
    tokens,
    segmentation,
    named_inputs,
    own_loss,
]


@pytest.mark.parametrize("make", ALL)
def test_task_is_learned_the_same(make: Callable[[], Learned]) -> None:
    learned = make()
    one, other = built("torch", learned), built(KERAS, learned)
    other.set_weights(one.get_weights())
    assert one.parameters == other.parameters
    order = np.arange(COUNT)[::-1].copy()
    for _ in range(2):
        assert other.train_epoch(order) == pytest.approx(one.train_epoch(order), abs=1e-5)
        measured, expected = other.measure("test"), one.measure("test")
        assert measured == pytest.approx(expected, abs=2e-4)
        assert set(measured) == {"loss", *(each.name for each in learned.task.metrics)}
        assert other.evaluate("test") == pytest.approx(measured["loss"])
    for left, right in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-5)
    if KERAS == "keras":
        # The other engines have no counter.
        assert other.count_train_flops() == one.count_train_flops()


@pytest.mark.parametrize("make", [tokens, segmentation, named_inputs])
def test_outputs_are_neutral(make: Callable[[], Learned]) -> None:
    learned = make()
    one, other = built("torch", learned), built(KERAS, learned)
    other.set_weights(one.get_weights())
    given, expected = other.predict(learned.inputs), one.predict(learned.inputs)
    assert given.shape == (COUNT, *learned.task.shape)
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-5)


def test_digest_is_that_of_what_was_given() -> None:
    backend = KerasBackend(KERAS, threads=1)
    learned = segmentation()
    backend.load(dataset_of(learned))
    before = backend.digest()
    backend.build(BuildRequest(Native("mine", KERAS, learned.keras), task=learned.task))
    assert backend.digest() == before


def test_outputs_of_another_shape_are_refused() -> None:
    learned = replace(regression(), keras=lambda: keras_dense(4))
    with pytest.raises(ArchitectureError, match=r"\(8, 4\) for 8 samples; expected \(8, 2\)"):
        built(KERAS, learned)


def test_inputs_of_another_shape_or_name_are_refused() -> None:
    def wide() -> Any:
        import keras  # noqa: PLC0415

        return keras.Sequential([keras.Input((9,)), keras.layers.Dense(2)])

    with pytest.raises(ArchitectureError, match=r"the input \(9,\); .* inputs of shape \(5,\)"):
        built(KERAS, replace(regression(), keras=wide))
    named = replace(regression(), inputs={"left": normal(5), "right": normal(3)})
    other = replace(named, keras=named_inputs().keras)
    with pytest.raises(ArchitectureError, match=r"inputs left \(4,\), right .* left \(5,\)"):
        built(KERAS, other)


def test_task_without_a_loss_for_keras_is_refused() -> None:
    task = AnyTask({"torch": lambda outputs, targets: outputs}, (2,))
    with pytest.raises(ConfigurationError, match="'any' has a loss for torch, and none for Keras"):
        built(KERAS, replace(regression(), task=task))
