"""How image files become pixels: formats, bits, turns, transparency, and what is refused."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps, features

from greenbench.datasets import Dataset, LoadContext
from tests.pictures import brightness, failure, fill, images_in, load, save

WRITTEN = {
    "png": ("PNG", {}),
    "PNG": ("PNG", {}),
    "bmp": ("BMP", {}),
    "jpg": ("JPEG", {}),
    "JPEG": ("JPEG", {}),
    "jfif": ("JPEG", {}),
    "webp": ("WEBP", {}),
    "tif": ("TIFF", {}),
    "tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "gif": ("GIF", {}),
    "ppm": ("PPM", {}),
    "pgm": ("PPM", {}),
    "avif": ("AVIF", {}),
    "jp2": ("JPEG2000", {}),
    "ico": ("ICO", {"sizes": [(6, 5)]}),
    "tga": ("TGA", {}),
}
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
SUFFIXES = [
    pytest.param(suffix, marks=needs_avif if suffix == "avif" else ()) for suffix in WRITTEN
]
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an image is to be stored, so that each orientation shows it as it was."""


def classes_of(folder: Path, picture: Callable[[int], Image.Image], **written: Any) -> Path:
    """Write five pictures for each of two classes, PNG unless `written` says else."""
    suffix = written.pop("suffix", "png")
    for label, name in enumerate(("one", "two")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(5):
            picture(label).save(folder / name / f"{i}.{suffix}", **written)
    return folder


def pixels(dataset: Dataset) -> NDArray[np.float32]:
    """Return the pixels of one image of each class, channels last."""
    labels = dataset.test.labels.tolist()
    found = [dataset.test.images[labels.index(label)] for label in range(dataset.classes)]
    return np.stack(found).transpose(0, 2, 3, 1)


class TestFormats:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_is_read(self, context: LoadContext, tmp_path: Path, suffix: str) -> None:
        kind, options = WRITTEN[suffix]
        root = tmp_path / "mine"
        for label, name in enumerate(("cat", "dog", "owl")):
            (root / name).mkdir(parents=True)
            for i in range(6):
                image = Image.new("L", (6, 5), 50 * label + i)
                image.save(root / name / f"{i}.{suffix}", format=kind, **options)
        dataset = load(context, root)
        assert (images_in(dataset), dataset.input_shape[1:], dataset.notes) == (18, (5, 6), ())
        values = np.array(brightness(dataset.test.images))
        # Lossy formats keep a plain image but for rounding.
        assert np.abs(values // 25 * 25 - dataset.test.labels * 50).max() <= 25

    def test_content_decides_and_not_the_suffix(self, context: LoadContext, tmp_path: Path) -> None:
        fill(tmp_path / "plain")
        root = fill(tmp_path / "mine")
        for path in root.rglob("*.png"):
            path.rename(path.with_suffix(".jpg" if path.stem < "3" else ""))
        assert load(context, root).digest == load(context, tmp_path / "plain").digest

    def test_postscript_called_png_starts_no_program(
        self, context: LoadContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = tmp_path / "bin" / "gs"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
        root = fill(tmp_path / "mine")
        Image.new("RGB", (6, 5)).save(root / "cat" / "0.png", format="EPS")
        message = failure(context, root)
        assert f"image {root / 'cat' / '0.png'} cannot be read (it is none of JPEG, " in message
        assert not (tmp_path / "started").exists()

    def test_first_of_several_images_in_a_file(self, context: LoadContext, tmp_path: Path) -> None:
        root = tmp_path / "mine"
        for suffix in ("gif", "tif", "png"):
            for name, shade in (("dark", 30), ("light", 200)):
                (root / name).mkdir(parents=True, exist_ok=True)
                frames = [Image.new("L", (6, 5), shade), Image.new("L", (6, 5), 255 - shade)]
                for i in range(3):
                    path = root / name / f"{i}.{suffix}"
                    frames[0].save(path, save_all=True, append_images=frames[1:])
        dataset = load(context, root)
        assert set(brightness(dataset.train.images)) == {30, 200}
        assert dataset.notes[1:] == ("18 images taken as the first of several in a file",)

    @pytest.mark.parametrize("suffix", ["png", "tif", "gif", "webp", "bmp", "ppm"])
    @pytest.mark.parametrize("keep", [0.0, 0.1, 0.7])
    def test_truncated_image_is_named(
        self, context: LoadContext, tmp_path: Path, suffix: str, keep: float
    ) -> None:
        root = fill(tmp_path / "mine")
        noise = np.random.default_rng(0).integers(0, 256, (5, 6), np.uint8)
        damaged = root / "dog" / f"3.{suffix}"
        whole = io.BytesIO()
        Image.fromarray(noise).save(whole, WRITTEN[suffix][0])
        damaged.write_bytes(whole.getvalue()[: int(len(whole.getvalue()) * keep)])
        message = failure(context, root)
        assert f"image {damaged} cannot be read (" in message
        assert "replace or remove it" in message

    def test_more_pixels_than_any_image_has_are_refused(
        self, context: LoadContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
        root = fill(tmp_path / "mine")
        bomb = save(root / "cat" / "bomb.png", size=(60, 50))
        assert f"image {bomb} cannot be read (Image size (3000 pixels)" in failure(context, root)


class TestTurns:
    @pytest.mark.parametrize("orientation", [1, *TURNED])
    @pytest.mark.parametrize("mode", ["RGB", "L", "I;16"])
    @pytest.mark.parametrize("suffix", ["png", "tif", "tiff"])
    def test_image_is_turned_as_exif_says(
        self, context: LoadContext, tmp_path: Path, suffix: str, mode: str, orientation: int
    ) -> None:
        values = np.random.default_rng(0).integers(0, 256, (5, 9, 3))
        one = values if mode == "RGB" else values[..., 0]
        upright = Image.fromarray(one.astype(np.uint16 if mode == "I;16" else np.uint8))
        stored = upright.transpose(TURNED[orientation]) if orientation in TURNED else upright
        exif = Image.Exif()
        exif[0x0112] = orientation
        kind, options = WRITTEN[suffix]
        plain = classes_of(tmp_path / "plain", lambda _: upright)
        root = classes_of(
            tmp_path / "mine", lambda _: stored, suffix=suffix, format=kind, exif=exif, **options
        )
        assert load(context, root).digest == load(context, plain).digest

    @pytest.mark.parametrize("suffix", ["jpg", "webp"])
    def test_photograph_is_shown_as_by_a_viewer(
        self, context: LoadContext, tmp_path: Path, suffix: str
    ) -> None:
        values = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
        exif = Image.Exif()
        exif[0x0112] = 6
        root = classes_of(
            tmp_path / "mine", lambda _: Image.fromarray(values), suffix=suffix, exif=exif
        )
        with Image.open(root / "one" / f"0.{suffix}") as image:
            shown = np.asarray(ImageOps.exif_transpose(image))
        assert np.array_equal(np.rint(pixels(load(context, root))[0] * 255), shown)

    def test_sizes_are_compared_as_shown(self, context: LoadContext, tmp_path: Path) -> None:
        root = fill(tmp_path / "mine")
        exif = Image.Exif()
        exif[0x0112] = 6
        sideways = root / "dog" / "0.png"
        Image.new("L", (6, 5)).save(sideways, exif=exif)
        message = failure(context, root)
        assert f"{root / 'cat' / '0.png'} is 6×5, {sideways} is 5×6" in message
        Image.new("L", (5, 6)).save(sideways, exif=exif)
        assert load(context, root).image_shape == (1, 5, 6)


class TestTransparency:
    @staticmethod
    def drawing(label: int, ink: int = 0, mode: str = "RGBA") -> Image.Image:
        """A stroke, drawn in the alpha channel alone."""
        values = np.zeros((4, 4, 4), np.uint8)
        values[..., :3] = ink
        values[label] = (ink, ink, ink, 255)
        values[3, 3] = (ink, ink, ink, 128)
        return Image.fromarray(values).convert(mode)

    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    def test_black_drawing_is_seen_on_white(
        self, context: LoadContext, tmp_path: Path, mode: str
    ) -> None:
        root = classes_of(tmp_path / "mine", lambda label: self.drawing(label, mode=mode))
        dataset = load(context, root)
        assert dataset.input_shape[0] == (3 if mode == "RGBA" else 1)
        for label, image in enumerate(np.rint(pixels(dataset)[..., 0] * 255)):
            expected = np.full((4, 4), 255)
            expected[label], expected[3, 3] = 0, 127
            assert np.array_equal(image, expected)
        assert dataset.notes == ("10 images read", "10 images with transparency put on white")

    def test_white_drawing_is_seen_on_black(self, context: LoadContext, tmp_path: Path) -> None:
        root = classes_of(tmp_path / "mine", lambda label: self.drawing(label, ink=255))
        unseen = load(context, root)
        assert pixels(unseen).min() == 1
        assert unseen.notes[1] == (
            "10 images with transparency put on white, where 10 show nothing (try ground=black)"
        )
        seen = load(context, root, ground="black")
        assert np.unique(np.rint(pixels(seen) * 255)).tolist() == [0, 128, 255]
        assert seen.notes[1] == "10 images with transparency put on black"

    @pytest.mark.parametrize("suffix", ["png", "gif"])
    def test_transparent_colour_of_a_palette(
        self, context: LoadContext, tmp_path: Path, suffix: str
    ) -> None:
        def picture(label: int) -> Image.Image:
            image = Image.new("P", (4, 4), 0)
            image.putpalette([10, 20, 30, 200, 100, 50])
            image.paste(1, (0, 0, 4, 1 + label))
            return image

        root = classes_of(tmp_path / "mine", picture, suffix=suffix, transparency=0)
        found = np.rint(pixels(load(context, root)) * 255)
        assert found[0, 3, 3].tolist() == [255, 255, 255]
        assert found[0, 0, 0].tolist() == [200, 100, 50]

    def test_opaque_alpha_changes_nothing_and_is_not_worth_a_word(
        self, context: LoadContext, tmp_path: Path
    ) -> None:
        values = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
        opaque = np.dstack([values, np.full((5, 6), 255, np.uint8)])
        plain = classes_of(tmp_path / "plain", lambda _: Image.fromarray(values))
        root = classes_of(tmp_path / "mine", lambda _: Image.fromarray(opaque))
        dataset = load(context, root)
        assert (dataset.digest, dataset.notes) == (load(context, plain).digest, ())

    @pytest.mark.parametrize("ground", ["red", 1, None])
    def test_other_ground_is_refused(
        self, context: LoadContext, tmp_path: Path, ground: object
    ) -> None:
        message = failure(context, fill(tmp_path / "mine"), ground=ground)
        assert f"ground is {ground!r}; expected white or black" in message


class TestBits:
    @pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
    def test_sixteen_bits_are_scaled_and_not_cut_off(
        self, context: LoadContext, tmp_path: Path, suffix: str
    ) -> None:
        shades = np.array([[0, 255, 256], [40_000, 65_534, 65_535]], np.uint16)
        root = classes_of(tmp_path / "mine", lambda _: Image.fromarray(shades), suffix=suffix)
        dataset = load(context, root)
        assert dataset.input_shape == (1, 2, 3)
        assert np.allclose(pixels(dataset)[0, ..., 0], shades / 65_535, atol=1e-7)

    def test_deep_grey_among_colour(self, context: LoadContext, tmp_path: Path) -> None:
        root = fill(tmp_path / "mine", mode="RGB")
        before = np.sort(load(context, root).test.images.ravel())
        for name in ("cat", "dog", "owl"):
            deep = Image.fromarray(np.full((5, 6), 65_535, np.uint16))
            deep.save(root / name / "a.png")
        dataset = load(context, root)
        assert dataset.input_shape == (3, 5, 6)
        assert dataset.train.images.max() == 1
        rest = np.concatenate([s.images for s in (dataset.train, dataset.validation, dataset.test)])
        assert np.isin(before, rest).all()

    def test_negative_tiff_is_turned_positive(self, context: LoadContext, tmp_path: Path) -> None:
        shades = Image.fromarray(np.full((5, 6), 60_000, np.uint16))
        tags = {262: 0}
        root = classes_of(tmp_path / "mine", lambda _: shades, suffix="tif", tiffinfo=tags)
        with Image.open(root / "one" / "0.tif") as image:
            assert image.tag_v2[262] == 0
        assert np.allclose(pixels(load(context, root)), 1 - 60_000 / 65_535)

    def test_numbers_from_0_to_1_are_read(self, context: LoadContext, tmp_path: Path) -> None:
        shades = np.linspace(0, 1, 30, dtype=np.float32).reshape(5, 6)
        root = classes_of(tmp_path / "mine", lambda _: Image.fromarray(shades), suffix="tif")
        assert np.array_equal(pixels(load(context, root))[0, ..., 0], shades)

    @pytest.mark.parametrize("most", [255.0, 1.01, np.nan, -0.5])
    def test_other_numbers_are_refused(
        self, context: LoadContext, tmp_path: Path, most: float
    ) -> None:
        root = fill(tmp_path / "mine")
        shades = np.full((5, 6), 0.5, np.float32)
        shades[0, 0] = most
        Image.fromarray(shades).save(root / "cat" / "x.tif")
        message = failure(context, root)
        assert f"image {root / 'cat' / 'x.tif'} has numbers from" in message
        assert "save it with black as 0 and white as 1, or with 8 or 16 bits" in message

    @pytest.mark.parametrize("mode", ["I", "LAB"])
    def test_pixels_of_unknown_white_are_refused(
        self, context: LoadContext, tmp_path: Path, mode: str
    ) -> None:
        root = fill(tmp_path / "mine")
        Image.new(mode, (6, 5)).save(root / "cat" / "x.tif")
        assert (
            f"x.tif has pixels of the kind {mode!r}; save it with 8 or 16 bits a channel"
            in failure(context, root)
        )

    def test_cmyk_is_converted(self, context: LoadContext, tmp_path: Path) -> None:
        ink = Image.new("CMYK", (6, 5), (0, 255, 255, 0))
        root = classes_of(tmp_path / "mine", lambda _: ink, suffix="tif")
        assert pixels(load(context, root))[0, 0, 0].tolist() == [1, 0, 0]


class TestSide:
    def test_pixels_are_means_of_those_that_they_cover(
        self, context: LoadContext, tmp_path: Path
    ) -> None:
        image = Image.new("L", (4, 4), 40)
        image.paste(80, (0, 0, 2, 1))
        root = classes_of(tmp_path / "mine", lambda _: image)
        dataset = load(context, root, side=2)
        assert dataset.input_shape == (1, 2, 2)
        assert np.rint(dataset.test.images[0, 0] * 255).tolist() == [[60, 40], [40, 40]]

    def test_images_of_different_sizes_are_resized(
        self, context: LoadContext, tmp_path: Path
    ) -> None:
        root = fill(tmp_path / "mine")
        save(root / "owl" / "large.png", size=(60, 80), value=100)
        save(root / "cat" / "small.png", size=(3, 9))
        dataset = load(context, root, side=5)
        assert (dataset.input_shape, images_in(dataset)) == ((1, 5, 5), 20)
        assert dataset.notes == ("20 images read", "1 image enlarged to 5×5")

    def test_deep_images_are_resized(self, context: LoadContext, tmp_path: Path) -> None:
        shades = np.array([[0, 65_535], [65_535, 65_535]], np.uint16).repeat(2, 0).repeat(2, 1)
        root = classes_of(tmp_path / "mine", lambda _: Image.fromarray(shades))
        found = pixels(load(context, root, side=1))
        assert np.allclose(found, 0.75)

    @pytest.mark.parametrize("side", [0, 7, 2.5, True, "5"])
    def test_side_that_cannot_be_is_refused(
        self, context: LoadContext, tmp_path: Path, side: object
    ) -> None:
        message = failure(context, fill(tmp_path / "mine"), side=side)
        assert f"side is {side!r}; expected a whole number from 1 to 5" in message
        assert "since the images are 6×5" in message

    def test_side_above_all_images_is_refused(self, context: LoadContext, tmp_path: Path) -> None:
        root = fill(tmp_path / "mine")
        save(root / "owl" / "large.png", size=(60, 80))
        message = failure(context, root, side=61)
        assert "from 1 to 60, since the largest image is 60×80" in message
