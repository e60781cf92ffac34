"""Images varied on the device, a batch at a time, each image in its own way."""

from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from greenbench.errors import ConfigurationError

_OPERATIONS = 2


class Augmenter:
    """Varies batches of images, as an `Augmentation` says.

    Crop and flip are a few operations a batch on the device. RandAugment is torchvision's, which
    varies all images of a batch alike: it is called image by image.

    Parameters
    ----------
    augmentation : greenbench.datasets.augmentation.Augmentation
        How.
    seed : int
        Of the random numbers, which are this augmenter's own.
    device : torch.device
        Where the images are.
    """

    def __init__(self, augmentation: Any, seed: int, device: torch.device) -> None:
        self._augmentation = augmentation
        self._generator = torch.Generator(device).manual_seed(seed)
        # Of torchvision's transforms, which draw from the process's generator.
        self._state = torch.Generator().manual_seed(seed).get_state()

    def __call__(self, images: Tensor) -> Tensor:
        """Return images of shape (n, C, H, W) varied; those that are given stay as they are."""
        if self._augmentation.crop:
            images = self._cropped(images, self._augmentation.crop)
        if self._augmentation.flip:
            mirrored = self._drawn(len(images), 2).bool()[:, None, None, None]
            images = torch.where(mirrored, images.flip(-1), images)
        if self._augmentation.randaugment:
            images = self._randaugmented(images)
        return images

    def _cropped(self, images: Tensor, by: int) -> Tensor:
        count, channels, height, width = images.shape
        along = partial(torch.arange, device=images.device)
        rows = self._drawn(count, 2 * by + 1)[:, None] + along(height)
        columns = self._drawn(count, 2 * by + 1)[:, None] + along(width)
        which = along(count)[:, None, None, None], along(channels)[None, :, None, None]
        return pad(images, [by] * 4)[(*which, rows[:, None, :, None], columns[:, None, None, :])]

    def _randaugmented(self, images: Tensor) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._state)
            varied = torch.stack([self._transform(each) for each in images])
            self._state = torch.get_rng_state()
        return varied

    @cached_property
    def _transform(self) -> Any:
        from torchvision.transforms import v2  # noqa: PLC0415

        return v2.RandAugment(_OPERATIONS, magnitude=self._augmentation.randaugment)

    def _drawn(self, count: int, below: int) -> Tensor:
        device = self._generator.device
        return torch.randint(below, (count,), generator=self._generator, device=device)


def check_augmentation(augmentation: Any, targets: tuple[int, ...]) -> None:
    """Refuse to vary images whose targets have places, which would not move along.

    Parameters
    ----------
    augmentation : greenbench.datasets.augmentation.Augmentation
        How images are varied.
    targets : tuple of int
        Shape of all targets.

    Raises
    ------
    ConfigurationError
        If the targets are an image each.
    """
    if augmentation and len(targets) > 2:  # noqa: PLR2004
        raise ConfigurationError(
            f"targets of shape {targets} have a place in the image, which crop, flip and "
            "randaugment would not move along; leave these options of the data set out"
        )
