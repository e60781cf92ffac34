"""Augmentation: options of image data sets that leave images and splits alone."""

from pathlib import Path
from typing import Any

import pytest

from greenbench.cases.case import VARYING
from greenbench.datasets import Augmentation, LoadContext
from greenbench.datasets.augmentation import OPTIONS
from greenbench.datasets.digits import load_digits
from greenbench.datasets.synthetic import load_synthetic
from greenbench.errors import DatasetError

CONTEXT = LoadContext(seed=3, data_dir=Path("nowhere"))


def test_augmentation_changes_no_image_and_no_split() -> None:
    plain = load_digits(CONTEXT)
    varied = load_digits(CONTEXT, crop=2, flip=True, randaugment=9)
    assert varied.augmentation == Augmentation(crop=2, flip=True, randaugment=9)
    assert (varied.digest, varied.content) == (plain.digest, plain.content)
    assert plain.augmentation is None


def test_seeds_leave_out_what_varies_images() -> None:
    assert VARYING == OPTIONS


def test_options_that_vary_nothing_are_no_augmentation() -> None:
    assert load_digits(CONTEXT, crop=0, flip=False).augmentation is None


def test_loader_keeps_its_own_options() -> None:
    dataset = load_synthetic(CONTEXT, samples=100, side=8, crop=1)
    assert (len(dataset.train), dataset.input_shape) == (70, (1, 8, 8))
    assert dataset.augmentation == Augmentation(crop=1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"crop": 17}, "crop is 17; expected a whole number from 0 to 16"),
        ({"crop": 1.5}, "crop is 1.5; expected a whole number from 0 to 16"),
        ({"crop": 0.0}, "crop is 0.0; expected"),
        ({"flip": 1}, "flip is 1; expected true or false"),
        ({"randaugment": 31}, "randaugment is 31; expected a whole number from 0 to 30"),
    ],
)
def test_option_out_of_range_is_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(DatasetError, match=f"dataset 'digits': {said}"):
        load_digits(CONTEXT, **options)


def test_randaugment_takes_one_channel_or_three() -> None:
    with pytest.raises(DatasetError, match="has images of 2 channels; randaugment takes 1 or 3"):
        load_synthetic(CONTEXT, channels=2, randaugment=3)


@pytest.mark.parametrize("shape", [(5,), {"left": (1, 2, 2)}])
def test_only_images_are_varied(shape: Any) -> None:
    with pytest.raises(DatasetError, match="vary images only"):
        Augmentation(flip=True).check("dataset 'x'", shape)
