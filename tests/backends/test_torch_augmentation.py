"""Images that are varied in training."""

from dataclasses import dataclass

import pytest
import torch

from greenbench.backends.torch_augmentation import Augmenter, check_augmentation
from greenbench.errors import ConfigurationError


@dataclass(frozen=True)
class Augmentation:
    crop: int = 0
    flip: bool = False
    randaugment: int = 0


CPU = torch.device("cpu")
IMAGES = torch.arange(1.0, 2 * 3 * 5 * 6 + 1).reshape(2, 3, 5, 6).repeat(200, 1, 1, 1)


def test_a_crop_moves_each_image_by_up_to_its_padding() -> None:
    augment = Augmenter(Augmentation(crop=2), 0, CPU)
    before = IMAGES.clone()
    found = augment(IMAGES)
    assert torch.equal(IMAGES, before)
    padded = torch.nn.functional.pad(IMAGES, [2] * 4)
    moves = set()
    for image, around in zip(found, padded, strict=True):
        places = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if torch.equal(image, around[:, y : y + 5, x : x + 6])
        ]
        assert len(places) == 1
        moves.add(places[0])
    assert len(moves) == 25


def test_about_half_of_the_images_are_mirrored() -> None:
    found = Augmenter(Augmentation(flip=True), 0, CPU)(IMAGES)
    mirrored = sum(torch.equal(a, b.flip(-1)) for a, b in zip(found, IMAGES, strict=True))
    kept = sum(torch.equal(a, b) for a, b in zip(found, IMAGES, strict=True))
    assert mirrored + kept == 400
    assert 150 < mirrored < 250


def test_randaugment_varies_images_one_by_one() -> None:
    images = torch.rand(1, 3, 8, 8).repeat(30, 1, 1, 1)
    state = torch.get_rng_state()
    found = Augmenter(Augmentation(randaugment=9), 0, CPU)(images)
    assert torch.equal(torch.get_rng_state(), state)
    assert found.shape == images.shape
    assert found.min() >= 0
    assert found.max() <= 1
    assert len({tuple(each.flatten().tolist()) for each in found}) > 10


@pytest.mark.parametrize("options", [{"crop": 2}, {"flip": True}, {"randaugment": 5}], ids=str)
def test_equal_seeds_vary_equally_and_each_time_anew(options: dict[str, int]) -> None:
    images = torch.rand(20, 1, 6, 6)
    one, same, other = (Augmenter(Augmentation(**options), seed, CPU) for seed in (1, 1, 2))  # type: ignore[arg-type]
    first = one(images)
    assert torch.equal(first, same(images))
    assert not torch.equal(first, one(images))
    assert not torch.equal(first, other(images))


def test_targets_that_have_a_place_are_refused() -> None:
    check_augmentation(Augmentation(flip=True), (8,))
    check_augmentation(None, (8, 6, 6))
    with pytest.raises(ConfigurationError, match=r"shape \(8, 6, 6\) .*leave these options"):
        check_augmentation(Augmentation(flip=True), (8, 6, 6))
