"""Folders of images as people have them: turned by a camera, in many formats, drawn in alpha."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from greenbench.cli import cli
from greenbench.datasets import LoadContext
from tests.pictures import images_in, load


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Squares with a bright edge, left or above; in ``exif`` every second is stored turned."""
    generator = np.random.default_rng(0)
    for name in ("left", "top"):
        for kind in ("plain", "exif"):
            (tmp_path / kind / name).mkdir(parents=True)
        for i in range(40):
            pixels = generator.integers(0, 60, (16, 16, 3), np.uint8)
            pixels[(slice(None), slice(4)) if name == "left" else slice(4)] = 220
            image = Image.fromarray(pixels)
            image.save(tmp_path / "plain" / name / f"{i:03}.png")
            if i % 2:
                exif = Image.Exif()
                exif[0x0112] = 6
                turned = image.transpose(Image.Transpose.ROTATE_90)
                turned.save(tmp_path / "exif" / name / f"{i:03}.png", exif=exif)
            else:
                image.save(tmp_path / "exif" / name / f"{i:03}.png")
    return tmp_path


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Two classes in six formats and two depths, 730 images, and what else lies there."""
    generator = np.random.default_rng(0)

    def save(path: Path, brightness: int, **written: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = generator.integers(brightness - 50, brightness + 50, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(noise).save(path, **written)

    for name, brightness in (("a", 80), ("b", 160)):
        for i in range(100):
            save(tmp_path / name / f"{i:03}.png", brightness)
    for i in range(400):
        save(tmp_path / "b" / f"t{i:03}.tif", 160)
    for i in range(40):
        save(tmp_path / "b" / f"g{i:03}.gif", 160)
        save(tmp_path / "b" / f"j{i:03}.jfif", 160, format="JPEG")
        (tmp_path / "a" / f"{i}.txt").write_text("a caption")
    for i in range(50):
        save(tmp_path / "b" / "more" / f"{i:03}.png", 160)
    for i in range(2):
        (tmp_path / "a" / f"{i}.svg").write_text("<svg/>")
    return tmp_path


@pytest.fixture
def drawings(tmp_path: Path) -> Path:
    """Black discs and crosses on a transparent ground."""
    generator = np.random.default_rng(0)
    for name in ("disc", "cross"):
        (tmp_path / "data" / "alpha" / name).mkdir(parents=True)
        for i in range(60):
            y, x = np.mgrid[:16, :16] - 7.5 - generator.normal(0, 1, (2, 1, 1))
            mask = x**2 + y**2 < 25 if name == "disc" else (abs(x) < 2) | (abs(y) < 2)
            pixels = np.zeros((16, 16, 4), np.uint8)
            pixels[..., 3] = mask * 255
            Image.fromarray(pixels).save(tmp_path / "data" / "alpha" / name / f"{i:02}.png")
    return tmp_path


def test_turned_photographs_are_the_data_that_a_viewer_shows(photographs: Path) -> None:
    context = LoadContext(seed=0, data_dir=photographs)
    assert load(context, "exif").digest == load(context, "plain").digest


def test_all_images_are_loaded_and_the_rest_is_counted(parts: Path) -> None:
    dataset = load(LoadContext(seed=0, data_dir=parts.parent), parts)
    assert images_in(dataset) == 730
    assert dataset.notes == (
        "730 images read",
        "42 files skipped (40 .txt, 2 .svg)",
        "50 images found deeper, in b/more",
    )


def test_a_link_back_to_the_folder_is_no_class(photographs: Path) -> None:
    context = LoadContext(seed=0, data_dir=photographs)
    without = load(context, "plain")
    (photographs / "plain" / "loop").symlink_to(photographs / "plain")
    (photographs / "plain" / "up").symlink_to(photographs)
    found = load(context, "plain")
    assert (found.digest, found.classes) == (without.digest, 2)
    assert found.notes == ("80 images read", "folders skipped: loop, up")


def test_drawings_can_be_told_from_each_other(drawings: Path) -> None:
    dataset = load(LoadContext(seed=0, data_dir=drawings / "data"), "alpha")
    assert (dataset.train.images.min(), dataset.train.images.max()) == (0, 1)


@pytest.fixture
def environment(drawings: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, value in {
        "GREENBENCH_DATA_DIR": "data",
        "GREENBENCH_RUNS_DIR": "runs",
        "GREENBENCH_HOST_LOCK": str(drawings / "lock"),
        "GREENBENCH_IDLE_S": "0",
        "GREENBENCH_THREADS": "1",
        "GREENBENCH_COUNTRY": "NLD",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(drawings)
    return drawings


@pytest.mark.integration
def test_spellings_of_a_folder_are_one_case_and_its_notes_are_in_the_summary(
    environment: Path,
) -> None:
    said, runs = [], []
    for path in ("alpha/", str(environment / "data" / "alpha")):
        arguments = ["-d", "image_folder", "--data", f"path={path}", "--fresh"]
        budget = ["-a", "dense.xs", "--epochs", "1", "--repeats", "1"]
        result = CliRunner().invoke(cli, ["run", *budget, *arguments])
        assert result.exit_code == 0, result.output
        said.append(
            "Data: image folder alpha: 120 images read; "
            "120 images with transparency put on white." in result.output
        )
        runs += sorted(path.name for path in (environment / "runs" / "journal").rglob("*.jsonl"))
    assert said == [True, True]
    assert len({*runs}) == 1
