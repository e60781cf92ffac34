"""Image files through Pillow: which are read, and how one becomes pixels as a viewer shows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from greenbench.datasets.wording import counted as counted  # noqa: PLC0414
from greenbench.datasets.wording import shown as shown  # noqa: PLC0414
from greenbench.errors import DatasetError

# Named one by one: Pillow also knows formats that start a program (EPS runs Ghostscript) or
# that hold no pixels of their own. The last one has no signature, so all others come first.
FORMATS = (
    "JPEG", "MPO", "PNG", "TIFF", "GIF", "WEBP", "BMP", "DIB", "PPM", "AVIF", "JPEG2000", "ICO",
    "QOI", "TGA",
)  # fmt: skip
SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".tif", ".tiff", ".gif", ".webp",
    ".bmp", ".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".avif", ".avifs", ".jp2", ".j2k",
    ".j2c", ".jpc", ".jpx", ".jpf", ".ico", ".qoi", ".tga",
}  # fmt: skip
"""What files with images are called; which format one has, its content says."""

GROUNDS = {"white": 255, "black": 0}
GREY_MODES = {"1", "L", "LA"}
DEEP_MODES = {"I;16", "I;16L", "I;16B", "I;16N", "I", "F"}
COLOUR_MODES = {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
WHITE_16 = 2**16 - 1
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # tags of TIFF

Size = tuple[int, int]


@dataclass(frozen=True)
class Header:
    """What a file says of its image before it is decoded.

    Attributes
    ----------
    size : tuple of int
        Width and height as stored; turning it upright may swap them.
    is_grey : bool
        Whether it has one channel.
    is_deep : bool
        Whether it has more than 8 bits a channel.
    is_sequence : bool
        Whether more images follow the first one.
    """

    size: Size
    is_grey: bool
    is_deep: bool
    is_sequence: bool


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes
    ----------
    pixels : ndarray, shape (channels, height, width)
        From 0 to 255 as uint8, or from 0 to 1 as float32 if it is deep.
    is_transparent : bool
        Whether something of the ground shows through.
    is_blank : bool
        Whether the ground is all that is seen.
    """

    pixels: NDArray[np.uint8 | np.float32]
    is_transparent: bool = False
    is_blank: bool = False

    @property
    def size(self) -> Size:
        """Width and height."""
        _, height, width = self.pixels.shape
        return width, height


def read_header(path: Path) -> Header | None:
    """Return what the file says of its image; None if it isn't called an image and is none.

    Raises
    ------
    DatasetError
        If the file is called an image but cannot be read, or has pixels of an unknown kind.
    """
    if not path.suffix and not _is_image(path):
        return None
    with _opened(path) as image:
        if image.mode not in GREY_MODES | DEEP_MODES | COLOUR_MODES:
            raise _unknown_kind(path, image.mode)
        return Header(
            size=image.size,
            is_grey=image.mode not in COLOUR_MODES,
            is_deep=image.mode in DEEP_MODES,
            # Phones put a preview behind their photographs, as MPO.
            is_sequence=image.format != "MPO" and bool(getattr(image, "is_animated", False)),
        )


def read_picture(path: Path, *, is_grey: bool, ground: str, size: Size | None = None) -> Picture:
    """Decode the first image of a file, turned upright and without transparency.

    Parameters
    ----------
    path : pathlib.Path
        A file of which `read_header` knows.
    is_grey : bool
        Whether one channel is wanted, else three.
    ground : str
        What transparent pixels show: one of `GROUNDS`.
    size : tuple of int, optional
        Width and height to resize it to.

    Raises
    ------
    DatasetError
        If the image is broken, or nobody can know what is white in it.
    """
    with _opened(path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode in DEEP_MODES:
            shades = _shades(path, image)
            return Picture(np.asarray(_resized(shades, size))[None])
        picture: Image.Image = image
        if has_alpha := image.has_transparency_data:
            picture, alpha = _on_ground(image, GROUNDS[ground])
        pixels = np.asarray(_resized(picture.convert("L" if is_grey else "RGB"), size))
        # Of one channel, Pillow's arrays have two dimensions.
        pixels = np.atleast_3d(pixels).transpose(2, 0, 1)
        if not has_alpha or alpha == (255, 255):
            return Picture(pixels)
        return Picture(pixels, is_transparent=True, is_blank=_is_uniform(picture))


def _is_image(path: Path) -> bool:
    try:
        with path.open("rb") as file, Image.open(file, formats=_formats()):
            return True
    except (UnidentifiedImageError, ValueError):
        return False
    except Exception:  # an image, but a broken one: who reads it says so
        return True


@cache
def _formats() -> tuple[str, ...]:
    """Return those that this Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        # Given a name, Pillow maps some files into memory, and garbles TIFFs on their side.
        with path.open("rb") as file, Image.open(file, formats=_formats()) as image:
            yield image
    except DatasetError:
        raise
    except Exception as error:  # Pillow raises nearly anything where a file is broken
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = " ".join(said.split())
        if isinstance(error, UnidentifiedImageError):
            reason = f"it is none of {', '.join(_formats())}"
        raise DatasetError(
            f"image {shown(path)} cannot be read ({reason}); replace or remove it"
        ) from error


def _on_ground(image: Image.Image, shade: int) -> tuple[Image.Image, object]:
    """Return the image on a plain ground, and the least and the greatest alpha."""
    layer = image.convert("RGBA")
    solid = Image.new("RGBA", layer.size, (shade, shade, shade, 255))
    solid.alpha_composite(layer)
    return solid.convert("RGB"), layer.getchannel("A").getextrema()


def _is_uniform(image: Image.Image) -> bool:
    return all(least == most for least, most in image.getextrema())  # type: ignore[misc]


def _resized(image: Image.Image, size: Size | None) -> Image.Image:
    if size is None or size == image.size:
        return image
    covers = image.width >= size[0] and image.height >= size[1]
    # Of a box that covers less than a pixel, the mean is a copy of the nearest one.
    return image.resize(size, Image.Resampling.BOX if covers else Image.Resampling.BILINEAR)


def _shades(path: Path, image: Image.Image) -> Image.Image:
    """Return a deep image from 0 to 1; Pillow's own conversion cuts it off at 255."""
    values = np.asarray(image).astype(np.float32)
    shades = values / np.float32(_white(path, image, values))
    is_negative = getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO
    return Image.fromarray(1 - shades if is_negative else shades)


def _white(path: Path, image: Image.Image, values: NDArray[np.float32]) -> float:
    if image.mode == "F":
        if not (values.min() >= 0 and values.max() <= 1):  # nor may it be no number
            raise DatasetError(
                f"image {shown(path)} has numbers from {values.min():g} to {values.max():g} for "
                "pixels; save it with black as 0 and white as 1, or with 8 or 16 bits a channel"
            )
        return 1
    if image.mode == "I" and image.format not in ("PNG", "PPM"):
        raise _unknown_kind(path, image.mode)
    bits = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))
    return float(2 ** int(bits[0]) - 1) if image.mode != "I" else WHITE_16


def _unknown_kind(path: Path, mode: str) -> DatasetError:
    return DatasetError(
        f"image {shown(path)} has pixels of the kind {mode!r}; save it with 8 or 16 bits a channel"
    )
