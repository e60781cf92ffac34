"""Made-up images: as asked for, learnable, and the same every time."""

from typing import Any

import numpy as np
import pytest

from greenbench import registry
from greenbench.datasets import Dataset, LoadContext
from greenbench.errors import DatasetError


def load(context: LoadContext, **options: Any) -> Dataset:
    dataset: Dataset = registry.datasets.get("synthetic")(context, **options)
    return dataset


def everything(dataset: Dataset) -> np.ndarray[Any, np.dtype[np.float32]]:
    parts = [part.images for part in (dataset.train, dataset.validation, dataset.test)]
    flat = np.concatenate(parts).reshape(sum(map(len, parts)), -1)
    return flat[np.lexsort(flat.T)]


def test_options_are_honoured(context: LoadContext) -> None:
    dataset = load(context, samples=203, side=12, channels=3, classes=7)
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 203
    assert (dataset.input_shape, dataset.classes) == ((3, 12, 12), 7)


def test_defaults_look_like_the_digits(context: LoadContext) -> None:
    dataset = load(context)
    assert (dataset.input_shape, dataset.classes) == ((1, 16, 16), 10)
    assert np.bincount(dataset.test.labels).tolist() == [20] * 10


@pytest.mark.parametrize("options", [{}, {"side": 32, "channels": 3}, {"side": 4, "classes": 2}])
def test_classes_can_be_learnt(context: LoadContext, options: dict[str, int]) -> None:
    dataset = load(context, **options)
    train, test = dataset.train, dataset.test
    means = np.stack([train.images[train.labels == c].mean(0) for c in range(dataset.classes)])
    distances = ((test.images[:, None] - means) ** 2).sum(axis=(2, 3, 4))
    assert (distances.argmin(1) == test.labels).mean() > 0.9


def test_images_of_a_class_differ(context: LoadContext) -> None:
    train = load(context).train
    same = train.images[train.labels == train.labels[0]]
    assert np.abs(same[1:] - same[0]).mean(axis=(1, 2, 3)).min() > 0.1


def test_pixels_lie_between_black_and_white(context: LoadContext) -> None:
    pixels = everything(load(context))
    assert pixels.min() == 0
    assert pixels.max() == 1
    assert 0.1 < pixels.std() < 0.5


def test_seed_changes_the_split_but_not_the_images(context: LoadContext) -> None:
    first, again = load(context, samples=100), load(context, samples=100)
    other = load(LoadContext(seed=9, data_dir=context.data_dir), samples=100)
    assert first.digest == again.digest
    assert first.digest != other.digest
    assert np.array_equal(everything(first), everything(other))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 39}, "samples is 39; expected a whole number of at least 40"),
        ({"samples": 1e3}, "samples is 1000.0; expected a whole number"),
        ({"samples": "many"}, "samples is 'many'"),
        ({"side": 3}, "side is 3; expected a whole number of at least 4"),
        ({"channels": 0}, "channels is 0"),
        ({"channels": True}, "channels is True"),
        ({"classes": 1}, "classes is 1; expected a whole number of at least 2"),
    ],
)
def test_bad_option_is_named(
    context: LoadContext, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        load(context, **options)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_smallest_number_of_samples_works(context: LoadContext, classes: int) -> None:
    dataset = load(context, samples=4 * classes, classes=classes)
    for split in (dataset.train, dataset.validation, dataset.test):
        assert set(split.labels.tolist()) == set(range(classes))
