"""The embedded default: real digits without files or network."""

import numpy as np
from sklearn.datasets import load_digits

from greenbench import registry
from greenbench.datasets import Dataset, LoadContext


def load(context: LoadContext) -> Dataset:
    dataset: Dataset = registry.datasets.get("digits")(context)
    return dataset


def test_all_digits_are_there_and_nothing_is_written(context: LoadContext) -> None:
    dataset = load(context)
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 1797
    assert (dataset.name, dataset.classes, dataset.input_shape) == ("digits", 10, (1, 16, 16))
    assert not context.data_dir.exists()


def test_images_are_scikit_learns_enlarged(context: LoadContext) -> None:
    """Linear interpolation keeps the corners, by which each image finds its original."""
    pixels, labels = load_digits(return_X_y=True)
    originals = {
        (*image[[0, 0, -1, -1], [0, -1, 0, -1]] / 16, int(label))
        for image, label in zip(pixels.reshape(-1, 8, 8), labels, strict=True)
    }
    test = load(context).test
    corners = test.images[:, 0][:, [0, 0, -1, -1], [0, -1, 0, -1]]
    found = {(*map(float, c), int(label)) for c, label in zip(corners, test.labels, strict=True)}
    assert found <= originals


def test_enlarging_keeps_brightness(context: LoadContext) -> None:
    dataset = load(context)
    images = np.concatenate([dataset.train.images, dataset.validation.images, dataset.test.images])
    pixels, _ = load_digits(return_X_y=True)
    assert images.min() == 0
    assert images.max() == 1
    # Edge pixels, which are dark, weigh less in the enlarged image.
    assert abs(images.mean() - pixels.mean() / 16) < 0.05


def test_seed_chooses_the_split(context: LoadContext) -> None:
    other = LoadContext(seed=context.seed + 1, data_dir=context.data_dir)
    assert load(context).digest == load(context).digest
    assert load(context).digest != load(other).digest
