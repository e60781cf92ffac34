"""A U-Net, torch's own: what segmentation of small images begins with."""

from typing import TYPE_CHECKING

from greenbench.architectures.base import family, native, per
from greenbench.errors import ArchitectureError
from greenbench.tasks.known import PIXEL

if TYPE_CHECKING:
    from torch import nn


@native("torch")
@per(PIXEL)
@family(
    xs={"width": 4, "depth": 2},
    s={"width": 8, "depth": 2},
    m={"width": 16, "depth": 2},
    l={"width": 16, "depth": 3},
    xl={"width": 32, "depth": 3},
)
def unet(
    image_shape: tuple[int, int, int], classes: int, width: int = 8, depth: int = 2
) -> "nn.Module":
    """Return a U-Net (Ronneberger et al. 2015) with padding and batch normalisation.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width; a side is a multiple of 2**depth.
    classes : int
        Of a pixel; outputs are of shape (n, classes, height, width).
    width : int
        Channels of the first level; each level below has twice as many.
    depth : int
        How often the image is halved.
    """
    channels, *sides = image_shape
    # No larger power of 2 is computed than a side can be.
    if depth > max(sides) or any(side % 2**depth for side in sides):
        raise ArchitectureError(
            f"unet halves images {depth} times, and {sides[0]} × {sides[1]} pixels cannot be; "
            f"expected multiples of 2 to the power of {depth}: choose fewer with `--set depth=…`"
        )
    return _level(channels, classes, width, depth)


def _level(channels: int, classes: int, width: int, depth: int) -> "nn.Module":
    # Torch is imported when a network is built, and these classes with it.
    import torch  # noqa: PLC0415
    from torch import nn  # noqa: PLC0415

    def block(before: int, after: int) -> nn.Module:
        layers: list[nn.Module] = []
        for given in (before, after):
            layers += [
                nn.Conv2d(given, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        return nn.Sequential(*layers)

    class Level(nn.Module):
        """One level: down, what lies below, up, and what was there before beside it."""

        def __init__(self, before: int, width: int, depth: int) -> None:
            super().__init__()
            self.down = block(before, width)
            self.below: nn.Module | None = None
            if depth:
                self.below = nn.Sequential(
                    nn.MaxPool2d(2),
                    Level(width, 2 * width, depth - 1),
                    nn.ConvTranspose2d(2 * width, width, 2, stride=2),
                )
                self.join = block(2 * width, width)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            here: torch.Tensor = self.down(images)
            if self.below is None:
                return here
            joined: torch.Tensor = self.join(torch.cat([here, self.below(here)], dim=1))
            return joined

    return nn.Sequential(Level(channels, width, depth), nn.Conv2d(width, classes, 1))
