"""The user's own images: what is read, in which order, and what is refused and why."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from greenbench import registry
from greenbench.datasets import Dataset, LoadContext
from greenbench.errors import DatasetError

CLASSES = ("cat", "dog", "owl")


def load(context: LoadContext, path: str | Path) -> Dataset:
    dataset: Dataset = registry.datasets.get("image_folder")(context, path=str(path))
    return dataset


def failure(context: LoadContext, path: str | Path) -> str:
    with pytest.raises(DatasetError) as caught:
        load(context, path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def save(path: Path, *, mode: str = "L", size: tuple[int, int] = (6, 5), value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = Image.new("L", size, value).convert(mode)
    colour.save(path)
    return path


def fill(
    root: Path,
    *,
    classes: Sequence[str] = CLASSES,
    count: int = 6,
    mode: str = "L",
    suffix: str = "png",
) -> Path:
    """Write images whose brightness tells their class and number."""
    for label, name in enumerate(classes):
        for i in range(count):
            save(root / name / f"{i}.{suffix}", mode=mode, value=50 * label + i)
    return root


def brightness(images: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> list[int]:
    return [round(float(value) * 255) for value in images[:, 0, 0, 0]]


def test_one_folder_is_split_three_ways(context: LoadContext, tmp_path: Path) -> None:
    dataset = load(context, fill(tmp_path / "mine", count=20))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (43, 5, 12)
    assert (dataset.classes, dataset.image_shape) == (3, (1, 5, 6))
    for split in (dataset.train, dataset.validation, dataset.test):
        assert [value // 50 for value in brightness(split.images)] == split.labels.tolist()


def test_test_folder_becomes_the_test_split_in_sorted_order(
    context: LoadContext, tmp_path: Path
) -> None:
    fill(tmp_path / "mine" / "train")
    fill(tmp_path / "mine" / "test", count=2)
    dataset = load(context, tmp_path / "mine")
    assert brightness(dataset.test.images) == [0, 1, 50, 51, 100, 101]
    assert dataset.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert len(dataset.train) + len(dataset.validation) == 18


def test_relative_path_starts_from_the_data_folder(context: LoadContext) -> None:
    fill(context.data_dir / "pets")
    assert load(context, "pets").source == "image folder pets"


def test_order_of_creation_does_not_matter(context: LoadContext, tmp_path: Path) -> None:
    fill(tmp_path / "one", classes=CLASSES)
    for label, name in reversed([*enumerate(CLASSES)]):
        for i in reversed(range(6)):
            save(tmp_path / "two" / name / f"{i}.png", value=50 * label + i)
    assert load(context, tmp_path / "one").digest == load(context, tmp_path / "two").digest


@pytest.mark.parametrize("suffix", ["png", "bmp", "PNG", "jpg", "JPEG", "webp"])
def test_file_types(context: LoadContext, tmp_path: Path, suffix: str) -> None:
    dataset = load(context, fill(tmp_path / "mine", suffix=suffix))
    # Pillow's WebP has no grey.
    assert dataset.image_shape == ((3 if suffix == "webp" else 1), 5, 6)
    values = np.array(brightness(dataset.test.images))
    # Lossy formats keep a plain image but for rounding.
    assert np.abs(values // 25 * 25 - dataset.test.labels * 50).max() <= 25


def test_colour_keeps_its_channels(context: LoadContext, tmp_path: Path) -> None:
    for name, colour in (("blue", (10, 20, 230)), ("red", (240, 30, 40))):
        for i in range(5):
            path = tmp_path / "mine" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 3), colour).save(path)
    dataset = load(context, tmp_path / "mine")
    assert dataset.image_shape == (3, 3, 4)
    order = np.argsort(dataset.test.labels)
    pixels = np.rint(dataset.test.images[order][:, :, 1, 2] * 255)
    assert pixels.tolist() == [[10, 20, 230], [240, 30, 40]]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_grey_among_colour_becomes_colour(context: LoadContext, tmp_path: Path, mode: str) -> None:
    fill(tmp_path / "mine")
    save(tmp_path / "mine" / "cat" / "0.png", mode=mode)
    dataset = load(context, tmp_path / "mine")
    assert dataset.image_shape == (3, 5, 6)
    assert np.array_equal(dataset.test.images[:, 0], dataset.test.images[:, 2])


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_grey_has_one_channel(context: LoadContext, tmp_path: Path, mode: str) -> None:
    dataset = load(context, fill(tmp_path / "mine", mode=mode))
    assert dataset.image_shape == (1, 5, 6)


def test_hidden_files_and_other_types_are_skipped(context: LoadContext, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine")
    before = load(context, root).digest
    (root / "labels.csv").write_text("cat")
    (root / "cat" / "notes.txt").write_text("Felix")
    (root / "cat" / "._0.png").write_text("left by another system")
    save(root / ".ipynb_checkpoints" / "0.png")
    assert load(context, root).digest == before


def test_missing_folder(context: LoadContext) -> None:
    message = failure(context, "pets")
    assert f"{context.data_dir / 'pets'} does not exist" in message


def test_file_in_place_of_the_folder(context: LoadContext, tmp_path: Path) -> None:
    assert "0.png is not a folder" in failure(context, save(tmp_path / "0.png"))


def test_path_that_is_no_text(context: LoadContext) -> None:
    with pytest.raises(DatasetError, match="path is 5; expected a folder's name"):
        registry.datasets.get("image_folder")(context, path=5)


def test_no_class_folders(context: LoadContext, tmp_path: Path) -> None:
    save(tmp_path / "mine" / "0.png")
    message = failure(context, tmp_path / "mine")
    assert "no class folders; put the images of each class into a folder of its own" in message


def test_one_class(context: LoadContext, tmp_path: Path) -> None:
    assert "has one class, 'cat'" in failure(context, fill(tmp_path / "mine", classes=["cat"]))


def test_empty_class_is_named(context: LoadContext, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine")
    (root / "bat").mkdir()
    message = failure(context, root)
    assert f"{root / 'bat'} has no images" in message
    assert "remove the folder" in message


def test_class_with_too_few_images_is_named(context: LoadContext, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine")
    fill(root, classes=["bat"], count=3)
    assert "class 'bat' has 3 image(s)" in failure(context, root)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.7])
def test_truncated_image_is_named(
    context: LoadContext, tmp_path: Path, suffix: str, keep: float
) -> None:
    root = fill(tmp_path / "mine", suffix=suffix)
    damaged = root / "dog" / f"3.{suffix}"
    damaged.write_bytes(damaged.read_bytes()[: int(damaged.stat().st_size * keep)])
    message = failure(context, root)
    assert f"image {damaged} cannot be read" in message
    assert "replace or remove it" in message


def test_text_named_as_image_is_named(context: LoadContext, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine")
    (root / "dog" / "x.jpg").write_text("404 not found")
    assert f"image {root / 'dog' / 'x.jpg'} cannot be read" in failure(context, root)


def test_folder_named_as_image_is_named(context: LoadContext, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine")
    (root / "dog" / "x.png").mkdir()
    assert f"image {root / 'dog' / 'x.png'} cannot be read" in failure(context, root)


def test_images_of_two_sizes_are_named_with_their_sizes(
    context: LoadContext, tmp_path: Path
) -> None:
    root = fill(tmp_path / "mine")
    odd = save(root / "owl" / "odd.png", size=(5, 6))
    message = failure(context, root)
    assert f"{root / 'cat' / '0.png'} is 6×5" in message
    assert f"{odd} is 5×6" in message
    assert "resize them to one size" in message


def test_test_images_of_another_size_are_refused(context: LoadContext, tmp_path: Path) -> None:
    fill(tmp_path / "mine" / "train")
    fill(tmp_path / "mine" / "test")
    save(tmp_path / "mine" / "test" / "owl" / "odd.png", size=(7, 7))
    assert "odd.png is 7×7" in failure(context, tmp_path / "mine")


def test_sixteen_bit_image_is_refused(context: LoadContext, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine")
    Image.fromarray(np.full((5, 6), 40_000, np.uint16)).save(root / "cat" / "deep.png")
    message = failure(context, root)
    assert "deep.png has pixels of the kind 'I;16'; save it with 8 bits a channel" in message


@pytest.mark.parametrize(("lacking", "having"), [("test", "train"), ("train", "test")])
def test_class_in_one_of_two_folders_is_named(
    context: LoadContext, tmp_path: Path, lacking: str, having: str
) -> None:
    fill(tmp_path / "mine" / having)
    fill(tmp_path / "mine" / lacking, classes=CLASSES[:2])
    assert f"class 'owl' is in {having}/ but not in {lacking}/" in failure(
        context, tmp_path / "mine"
    )


def test_train_folder_alone_is_refused(context: LoadContext, tmp_path: Path) -> None:
    fill(tmp_path / "mine" / "train")
    assert "has train/, but no class folders in test/" in failure(context, tmp_path / "mine")


def test_third_folder_beside_train_and_test_is_refused(
    context: LoadContext, tmp_path: Path
) -> None:
    for split in ("train", "test", "val"):
        fill(tmp_path / "mine" / split)
    assert "has val/ beside train/ and test/" in failure(context, tmp_path / "mine")


def test_classes_may_be_called_train_and_test(context: LoadContext, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine", classes=["plane", "test", "train"])
    assert load(context, root).classes == 3


def test_shrunk_pixels_are_means_of_those_that_they_cover(
    context: LoadContext, tmp_path: Path
) -> None:
    for name in ("blue", "red"):
        for i in range(5):
            path = tmp_path / "mine" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.new("L", (4, 4), 40)
            image.paste(80, (0, 0, 2, 1))
            image.save(path)
    dataset = registry.datasets.get("image_folder")(context, path=str(tmp_path / "mine"), side=2)
    assert dataset.image_shape == (1, 2, 2)
    assert np.rint(dataset.test.images[0, 0] * 255).tolist() == [[60, 40], [40, 40]]


@pytest.mark.parametrize("side", [0, 7, 2.5, True])
def test_side_that_cannot_be_is_refused(context: LoadContext, tmp_path: Path, side: object) -> None:
    root = fill(tmp_path / "mine")
    with pytest.raises(DatasetError, match=r"side is .*; expected a whole number from 1 to 5"):
        registry.datasets.get("image_folder")(context, path=str(root), side=side)


def test_real_photographs(data_dir: Path) -> None:
    context = LoadContext(seed=0, data_dir=data_dir)
    dataset = load(context, "cifar10-jpeg")
    assert (dataset.image_shape, dataset.classes) == ((3, 32, 32), 10)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (4500, 500, 1000)
    truck = np.asarray(Image.open(data_dir / "cifar10-jpeg" / "test" / "truck" / "0099.jpg"))
    assert np.allclose(dataset.test.images[-1], truck.transpose(2, 0, 1) / 255, atol=1e-6)
    assert dataset.test.labels[-1] == 9
