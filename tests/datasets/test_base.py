"""The split that all loaders share: disjoint, stratified, and the same for the same seed."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from greenbench.datasets import Dataset, Split, make_dataset
from greenbench.datasets.base import RawImages, draw_stratified
from greenbench.errors import DatasetError

class_sizes = st.lists(st.integers(4, 80), min_size=2, max_size=8)
seeds = st.integers(0, 2**63)
unhurried = settings(deadline=None)  # other tests may be busy on the same cores


def numbered(sizes: Sequence[int]) -> RawImages:
    """Images whose only pixel is their number, so that each can be followed into its split."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return RawImages(np.arange(len(labels)).reshape(-1, 1, 1, 1), labels, white=1.0)


def numbers(split: Split) -> list[int]:
    return sorted(split.images.ravel().astype(int).tolist())


def per_class(split: Split, classes: int) -> NDArray[np.intp]:
    return np.bincount(split.labels, minlength=classes)


def splits_of(dataset: Dataset) -> tuple[Split, Split, Split]:
    return dataset.train, dataset.validation, dataset.test


@unhurried
@given(class_sizes, seeds)
def test_every_image_is_in_exactly_one_split(sizes: list[int], seed: int) -> None:
    dataset = make_dataset("x", "made", numbered(sizes), seed=seed)
    together = [number for split in splits_of(dataset) for number in numbers(split)]
    assert sorted(together) == list(range(sum(sizes)))


@unhurried
@given(class_sizes, seeds)
def test_every_image_keeps_its_label(sizes: list[int], seed: int) -> None:
    raw = numbered(sizes)
    for split in splits_of(make_dataset("x", "made", raw, seed=seed)):
        assert np.array_equal(split.labels, raw.labels[split.images.ravel().astype(int)])


@unhurried
@given(class_sizes, seeds)
def test_every_split_holds_every_class_however_rare(sizes: list[int], seed: int) -> None:
    dataset = make_dataset("x", "made", numbered([*sizes, 4, 1000]), seed=seed)
    for split in splits_of(dataset):
        assert per_class(split, len(sizes) + 2).min() > 0


@unhurried
@given(st.integers(2, 8), st.integers(4, 80), seeds)
def test_classes_of_one_size_are_split_evenly(classes: int, size: int, seed: int) -> None:
    dataset = make_dataset("x", "made", numbered([size] * classes), seed=seed)
    assert np.ptp(per_class(dataset.test, classes)) <= 1
    assert np.ptp(per_class(dataset.validation, classes)) <= 2
    assert np.ptp(per_class(dataset.train, classes)) <= 2


@unhurried
@given(st.lists(st.integers(20, 400), min_size=2, max_size=8), seeds)
def test_splits_have_the_documented_shares_of_each_class(sizes: list[int], seed: int) -> None:
    dataset = make_dataset("x", "made", numbered(sizes), seed=seed)
    total = sum(sizes)
    assert len(dataset.test) == round(0.2 * total)
    assert len(dataset.validation) == round(0.1 * (total - len(dataset.test)))
    slack = 1 + len(sizes) / 2
    assert np.abs(per_class(dataset.test, len(sizes)) - 0.2 * np.array(sizes)).max() <= slack


@unhurried
@given(class_sizes, seeds)
def test_same_seed_gives_the_same_split(sizes: list[int], seed: int) -> None:
    first, second = (make_dataset("x", "made", numbered(sizes), seed=seed) for _ in range(2))
    assert first.digest == second.digest
    for one, other in zip(splits_of(first), splits_of(second), strict=True):
        assert np.array_equal(one.images, other.images)


@unhurried
@given(seeds, seeds)
def test_other_seed_gives_another_split(seed: int, other: int) -> None:
    assume(seed != other)
    one, two = (make_dataset("x", "made", numbered([50, 50]), seed=s) for s in (seed, other))
    assert numbers(one.test) != numbers(two.test)
    assert numbers(one.validation) != numbers(two.validation)
    assert one.digest != two.digest


@unhurried
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.data(), seeds)
def test_any_number_of_images_can_be_drawn(
    sizes: list[int], data: st.DataObject, seed: int
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    count = data.draw(st.integers(len(sizes), len(labels)))
    rest, drawn = draw_stratified(labels, count, seed)
    assert len(drawn) == count
    assert sorted([*rest.tolist(), *drawn.tolist()]) == list(range(len(labels)))
    assert set(labels[drawn].tolist()) == set(range(len(sizes)))


def test_published_test_split_is_left_alone() -> None:
    published = RawImages(np.arange(900, 903).reshape(-1, 1, 1, 1), np.array([1, 0, 1]), white=1.0)
    dataset = make_dataset("x", "made", numbered([20, 20]), seed=0, test=published)
    assert dataset.test.images.ravel().tolist() == [900, 901, 902]
    assert dataset.test.labels.tolist() == [1, 0, 1]
    assert sorted(numbers(dataset.train) + numbers(dataset.validation)) == list(range(40))


def test_images_are_contiguous_floats_between_black_and_white() -> None:
    generator = np.random.default_rng(0)
    # A transposed view, as loaders of images with channels last hand it over.
    pixels = generator.integers(0, 256, (40, 5, 6, 3), np.uint8).transpose(0, 3, 1, 2)
    pixels[0], pixels[1] = 0, 255
    dataset = make_dataset("x", "made", RawImages(pixels, np.arange(40) % 2), seed=0)
    assert dataset.input_shape == (3, 5, 6)
    together = np.concatenate([split.images for split in splits_of(dataset)])
    assert (together.min(), together.max()) == (0, 1)
    for split in splits_of(dataset):
        assert split.images.dtype == np.float32
        assert split.images.flags.c_contiguous
        assert split.labels.dtype == np.int64


def test_digest_depends_on_pixels_and_on_labels() -> None:
    raw = numbered([10, 10])
    swapped = RawImages(raw.pixels, 1 - raw.labels, white=1.0)
    digests = {
        make_dataset("x", "made", each, seed=0).digest
        for each in (raw, RawImages(raw.pixels, raw.labels, white=2.0), swapped)
    }
    assert len(digests) == 3
    assert all(len(digest) == 16 for digest in digests)


@pytest.mark.parametrize("sizes", [[], [30]])
def test_fewer_than_two_classes_are_refused(sizes: list[int]) -> None:
    with pytest.raises(DatasetError, match=rf"'x' has {len(sizes)} class\(es\).* at least 2"):
        make_dataset("x", "made", numbered(sizes), seed=0)


def test_class_with_too_few_images_is_named() -> None:
    with pytest.raises(DatasetError, match=r"class 'owl' has 3 image\(s\); expected at least 4"):
        make_dataset("x", "made", numbered([9, 3]), seed=0, class_names=["cat", "owl"])


def test_class_without_images_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"class '1' has 0 image\(s\)"):
        make_dataset("x", "made", numbered([9, 0, 9]), seed=0)
