"""What a trial relies on, for each backend."""

import numpy as np
import pytest

from greenbench.architectures import Flatten, Layer, Linear, Native, Spec, build_architecture
from greenbench.architectures.spec import Weights
from greenbench.backends.base import (
    AdamOptions,
    Backend,
    BuildRequest,
    OutOfMemoryError,
    TrainableModel,
    sample_order,
)
from greenbench.datasets.base import Dataset
from greenbench.errors import ArchitectureError

BATCH = 64


@pytest.fixture
def cnn(digits: Dataset) -> Spec:
    spec = build_architecture("simple_cnn", digits.image_shape, digits.classes)
    assert isinstance(spec, Spec)
    return spec


@pytest.fixture
def linear(digits: Dataset) -> Spec:
    return Spec("linear", digits.image_shape, [Flatten(), Linear(digits.classes)])


def epochs(model: TrainableModel, dataset: Dataset, count: int, first: int = 0) -> list[float]:
    size = len(dataset.train)
    return [
        model.train_epoch(sample_order(size, BATCH, 0, epoch))
        for epoch in range(first, first + count)
    ]


def are_identical(one: Weights, other: Weights) -> bool:
    return all(np.array_equal(left, right) for left, right in zip(one, other, strict=True))


def test_digits_are_learned(backend: Backend, cnn: Spec, digits: Dataset) -> None:
    model = backend.build(BuildRequest(cnn, batch_size=BATCH, seed=0))
    losses = epochs(model, digits, 6)
    assert losses[-1] < losses[0] / 4
    assert model.evaluate("validation") >= 0.95
    assert model.evaluate("test") >= 0.95


def test_same_seed_trains_to_identical_weights(
    backend: Backend, cnn: Spec, digits: Dataset
) -> None:
    models = [backend.build(BuildRequest(cnn, batch_size=BATCH, seed=s)) for s in (5, 5, 6)]
    for model in models:
        epochs(model, digits, 2)
    first, again, another = (model.get_weights() for model in models)
    assert are_identical(first, again)
    assert not are_identical(first, another)


def test_epoch_loss_is_the_mean_over_samples_of_batches_of_any_size(
    backend: Backend, linear: Spec, digits: Dataset
) -> None:
    resting = AdamOptions(learning_rate=0.0)
    model = backend.build(BuildRequest(linear, resting, BATCH))
    order = np.arange(100)
    outputs = model.predict(digits.train.images[order]).astype(np.float64)
    scores = outputs[order, digits.train.labels[order]]
    expected = np.mean(np.log(np.exp(outputs).sum(axis=1)) - scores)
    for _ in range(2):
        assert model.train_epoch(order) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("learning_rate", [1e30, float("inf")])
def test_divergence_is_a_loss_that_is_not_finite(
    backend: Backend, cnn: Spec, digits: Dataset, learning_rate: float
) -> None:
    model = backend.build(BuildRequest(cnn, AdamOptions(learning_rate=learning_rate), BATCH))
    losses = epochs(model, digits, 2)
    assert not np.isfinite(losses[-1])
    assert 0 <= model.evaluate("validation") <= 1


def test_evaluation_changes_no_weight_and_no_running_statistic(
    backend: Backend, cnn: Spec, digits: Dataset
) -> None:
    model = backend.build(BuildRequest(cnn, batch_size=BATCH))
    epochs(model, digits, 1)
    before = model.get_weights()
    model.evaluate("validation")
    model.predict(digits.test.images)
    assert are_identical(before, model.get_weights())


def test_outputs_do_not_depend_on_the_rest_of_the_batch(
    backend: Backend, cnn: Spec, digits: Dataset
) -> None:
    model = backend.build(BuildRequest(cnn, batch_size=BATCH))
    epochs(model, digits, 1)
    images = digits.test.images[:8]
    alone = np.concatenate([model.predict(images[i : i + 1]) for i in range(8)])
    np.testing.assert_allclose(model.predict(images), alone, atol=1e-5)


def test_more_images_than_an_evaluation_batch_are_predicted_in_order(
    backend: Backend, linear: Spec, digits: Dataset
) -> None:
    model = backend.build(BuildRequest(linear, batch_size=BATCH))
    images = np.concatenate([digits.train.images, digits.test.images])
    parts = [model.predict(part) for part in np.array_split(images, 7)]
    np.testing.assert_allclose(model.predict(images), np.concatenate(parts), atol=1e-5)


def test_accuracy_is_the_share_of_largest_outputs(
    backend: Backend, linear: Spec, digits: Dataset
) -> None:
    model = backend.build(BuildRequest(linear, batch_size=BATCH))
    epochs(model, digits, 1)
    hits = model.predict(digits.test.images).argmax(axis=1) == digits.test.labels
    assert model.evaluate("test") == hits.mean()


@pytest.mark.parametrize("trained", [0, 1])
def test_counting_flops_leaves_no_trace_in_training(
    backend: Backend, cnn: Spec, digits: Dataset, trained: int
) -> None:
    counted, plain = (backend.build(BuildRequest(cnn, batch_size=BATCH)) for _ in range(2))
    for model in (counted, plain):
        epochs(model, digits, trained)
    counted.count_train_flops()
    assert are_identical(counted.get_weights(), plain.get_weights())
    for model in (counted, plain):
        epochs(model, digits, 2, first=trained)
    assert are_identical(counted.get_weights(), plain.get_weights())


def test_flops_are_counted_the_same_before_and_after_training(
    backend: Backend, cnn: Spec, digits: Dataset
) -> None:
    model = backend.build(BuildRequest(cnn, batch_size=BATCH))
    before = model.count_train_flops()
    epochs(model, digits, 1)
    assert model.count_train_flops() == before == cnn.train_flops


def test_weights_are_copies(backend: Backend, cnn: Spec, digits: Dataset) -> None:
    model = backend.build(BuildRequest(cnn, batch_size=BATCH))
    kept = model.get_weights()
    copies = [values.copy() for values in kept]
    epochs(model, digits, 1)
    assert are_identical(kept, copies)


def test_checkpoint_restores_the_outputs(backend: Backend, cnn: Spec, digits: Dataset) -> None:
    model = backend.build(BuildRequest(cnn, batch_size=BATCH))
    epochs(model, digits, 1)
    saved, outputs = model.get_weights(), model.predict(digits.test.images)
    epochs(model, digits, 1, first=1)
    model.set_weights(saved)
    np.testing.assert_array_equal(model.predict(digits.test.images), outputs)


def test_native_architecture_of_another_backend_is_refused_by_name(backend: Backend) -> None:
    native = Native("my_net", "other", lambda: None)
    with pytest.raises(ArchitectureError, match=rf"'my_net'.*'other'.*'{backend.name}'"):
        backend.build(BuildRequest(native))


def test_model_larger_than_memory_is_out_of_memory(backend: Backend, digits: Dataset) -> None:
    # More than a process can address, so that no machine hands it out in the hope of the best.
    layers: list[Layer] = [Flatten(), Linear(10**12), Linear(digits.classes)]
    with pytest.raises(OutOfMemoryError):
        backend.build(BuildRequest(Spec("huge", digits.image_shape, layers)))


def test_description_names_device_and_version(backend: Backend) -> None:
    description = backend.describe()
    assert {"device", "torch"} <= set(description)
    assert all(isinstance(value, str) and value for value in description.values())
