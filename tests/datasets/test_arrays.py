"""Arrays of any shape: how they are split, scaled, digested and checked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greenbench.datasets import Augmentation, Dataset, Split, make_arrays
from greenbench.datasets.digests import digest_splits
from greenbench.errors import DatasetError

TABLE = np.arange(120.0).reshape(60, 2)


def made(inputs: Any = TABLE, targets: Any = None, **options: Any) -> Dataset:
    targets = TABLE.sum(axis=1) if targets is None else targets
    return make_arrays("x", "made", inputs, targets, **{"task": "regression", "seed": 1, **options})


def lengths(dataset: Dataset) -> list[int]:
    return [len(split) for split in dataset.splits.values()]


def test_samples_are_shared_out_as_images_are() -> None:
    dataset = made()
    assert lengths(dataset) == [43, 5, 12]
    together = np.concatenate([split.inputs for split in dataset.splits.values()])
    assert np.array_equal(np.sort(together[:, 0]), TABLE[:, 0])
    for split in dataset.splits.values():
        assert np.array_equal(split.targets[:, 0], split.inputs.sum(axis=1))


def test_classes_are_drawn_in_proportion() -> None:
    dataset = made(targets=np.arange(60) % 3, task="classification")
    assert dataset.classes == 3
    assert np.bincount(dataset.test.targets).tolist() == [4, 4, 4]


def test_published_test_split_stays_whole() -> None:
    dataset = made(test=(TABLE[:7] + 0.5, np.zeros(7)))
    assert lengths(dataset) == [54, 6, 7]
    assert np.array_equal(dataset.test.inputs, TABLE[:7] + 0.5)


def test_standardised_by_the_training_split_alone() -> None:
    dataset = made(standardise=True, standardise_targets=True)
    assert np.allclose(dataset.train.inputs.mean(axis=0), 0, atol=1e-6)
    assert np.allclose(dataset.train.inputs.std(axis=0), 1, atol=1e-6)
    assert abs(dataset.test.inputs.mean()) > 1e-3
    inputs_note, targets_note = dataset.notes
    assert "training split" in inputs_note
    raw = made().train.targets
    assert f"mean {raw.mean():.6g}; standard deviation {raw.std():.6g}" in targets_note


def test_constant_column_stays_finite() -> None:
    made(np.column_stack([TABLE, np.ones(60)]), standardise=True).check()


def test_named_inputs_keep_their_names_and_shapes() -> None:
    dataset = made({"left": TABLE, "ids": np.arange(60)[:, None]}, vocabulary=60)
    dataset.check()
    assert dataset.input_shape == {"left": (2,), "ids": (1,)}
    assert dataset.train.input_dtype == {"left": np.float32, "ids": np.int64}
    inputs, _ = dataset.train.batch(np.array([2, 0]))
    assert np.array_equal(inputs["left"], dataset.train.inputs["left"][[2, 0]])


def test_digests_see_each_named_input() -> None:
    one = made({"a": TABLE, "b": TABLE})
    other = made({"a": TABLE, "b": TABLE + 1})
    assert one.digest != other.digest
    assert one.content != other.content
    swapped = made({"b": TABLE, "a": TABLE})
    assert digest_splits(swapped.splits) == digest_splits(one.splits)


def test_digest_does_not_depend_on_how_a_backend_holds_numbers() -> None:
    split = made(targets=np.arange(60) % 3, task="classification").train
    held = Split(np.asfortranarray(split.inputs.astype(np.float64)), split.targets.astype(np.int32))
    assert digest_splits({"train": held}) == digest_splits({"train": split})


def test_memory_map_is_read_batch_by_batch(tmp_path: Path) -> None:
    values = np.memmap(tmp_path / "values", np.float64, "w+", shape=TABLE.shape)
    values[:] = TABLE
    mapped, held = made(values), made()
    mapped.check()
    rows = np.array([4, 1])
    for one, other in zip(mapped.train.batch(rows), held.train.batch(rows), strict=True):
        assert np.array_equal(one, other)
    with pytest.raises(DatasetError, match="not in memory"):
        np.asarray(mapped.train.inputs)
    assert mapped.notes == ("streamed; digests are of 60 of 60 samples",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"targets": np.zeros(59)}, "has 60 inputs and 59 targets; expected as many"),
        ({"inputs": TABLE[:9], "targets": np.zeros(9)}, r"has 9 sample\(s\); expected at least 10"),
        ({"task": "classification"}, "expected whole numbers of shape"),
        (
            {"task": "classification", "targets": np.zeros(60, int)},
            r"has 1 class\(es\); expected at least 2",
        ),
        (
            {"task": "classification", "targets": np.arange(60) // 57},
            r"class '1' has 3 sample\(s\); expected at least 4",
        ),
        (
            {"task": "classification", "targets": np.arange(60) % 3 - 1},
            "has the class -1; expected classes from 0",
        ),
        ({"targets": np.array(["a"] * 60)}, "has the type <U1; expected numbers"),
    ],
)
def test_arrays_that_cannot_be_split_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        made(**options)


def changed(**fields: Any) -> Dataset:
    dataset = made()
    return replace(dataset, test=replace(dataset.test, **fields))


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (
            made(np.where(TABLE == 8, np.nan, TABLE)),
            "inputs that are no numbers: nan in sample",
        ),
        (made(targets=np.full(60, np.inf)), "train has targets that are no numbers: inf"),
        (
            made(np.arange(60)[:, None] % 51, task="language_modelling", vocabulary=50),
            "has the token id 50 among its inputs; expected 0 to 49, since the vocabulary has 50",
        ),
        (changed(inputs=TABLE), "test has inputs of shape .* float64; expected float32"),
        (changed(inputs=TABLE.astype(np.float32)), "test has 60 inputs and 12 targets"),
        (changed(inputs=np.zeros((12, 3), np.float32)), r"samples of shape \(3,\), and train has"),
        (changed(targets=np.zeros(12)), "test has targets of shape .* float64; expected int64"),
        (changed(inputs=[1.0] * 12), "has inputs of type list; expected a NumPy array"),
        (replace(made(), augmentation=Augmentation(flip=True)), "vary images only"),
    ],
)
def test_what_nobody_could_train_on_is_said_in_one_line(dataset: Dataset, said: str) -> None:
    with pytest.raises(DatasetError, match=f"^dataset 'x'.*{said}") as caught:
        dataset.check()
    assert "\n" not in str(caught.value)


def test_images_with_a_class_a_pixel_are_not_varied() -> None:
    images, classes = np.zeros((60, 1, 4, 4)), np.ones((60, 4, 4), int)
    dataset = made(images, classes, task="segmentation")
    dataset.check()
    with pytest.raises(DatasetError, match="would not vary alike"):
        replace(dataset, augmentation=Augmentation(crop=1)).check()
