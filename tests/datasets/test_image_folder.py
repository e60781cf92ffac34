"""The user's own images: what is read, in which order, and what is refused and why."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from greenbench import registry
from greenbench.datasets import LoadContext
from greenbench.errors import DatasetError
from tests.pictures import CLASSES, brightness, failure, fill, images_in, load, save


def test_one_folder_is_split_three_ways(context: LoadContext, tmp_path: Path) -> None:
    dataset = load(context, fill(tmp_path / "mine", count=20))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (43, 5, 12)
    assert (dataset.classes, dataset.input_shape) == (3, (1, 5, 6))
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


def test_colour_keeps_its_channels(context: LoadContext, tmp_path: Path) -> None:
    for name, colour in (("blue", (10, 20, 230)), ("red", (240, 30, 40))):
        for i in range(5):
            path = tmp_path / "mine" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 3), colour).save(path)
    dataset = load(context, tmp_path / "mine")
    assert dataset.input_shape == (3, 3, 4)
    order = np.argsort(dataset.test.labels)
    pixels = np.rint(dataset.test.images[order][:, :, 1, 2] * 255)
    assert pixels.tolist() == [[10, 20, 230], [240, 30, 40]]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_grey_among_colour_becomes_colour(context: LoadContext, tmp_path: Path, mode: str) -> None:
    fill(tmp_path / "mine")
    save(tmp_path / "mine" / "cat" / "0.png", mode=mode)
    dataset = load(context, tmp_path / "mine")
    assert dataset.input_shape == (3, 5, 6)
    assert np.array_equal(dataset.test.images[:, 0], dataset.test.images[:, 2])


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_grey_has_one_channel(context: LoadContext, tmp_path: Path, mode: str) -> None:
    dataset = load(context, fill(tmp_path / "mine", mode=mode))
    assert dataset.input_shape == (1, 5, 6)


def test_what_is_skipped_is_said_with_counts(context: LoadContext, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine")
    before = load(context, root)
    assert before.notes == ()
    (root / "labels.csv").write_text("cat")
    (root / "dog" / "._0.png").write_text("left by another system")
    for name in ("a.txt", "b.TXT", "Thumbs.db", "README"):
        (root / "cat" / name).write_text("Felix")
    save(root / ".ipynb_checkpoints" / "0.png")
    save(root / "owl" / "@eaDir" / "preview.jpg")
    after = load(context, root)
    assert after.digest == before.digest
    assert after.notes == (
        "18 images read",
        "6 files skipped (2 .txt, 1 .db, 1 hidden, 1 outside of classes, 1 without suffix)",
        "folders skipped: .ipynb_checkpoints, @eaDir",
    )


def test_kinds_of_skipped_files_beyond_five_are_summed_up(
    context: LoadContext, tmp_path: Path
) -> None:
    root = fill(tmp_path / "mine")
    for i in range(7):
        (root / "cat" / f"notes.{i}").write_text("Felix")
    assert (
        load(context, root).notes[1] == "7 files skipped (1 .0, 1 .1, 1 .2, 1 .3, 1 .4, 2 others)"
    )


def test_images_outside_of_classes_are_said(context: LoadContext, tmp_path: Path) -> None:
    fill(tmp_path / "mine" / "train")
    fill(tmp_path / "mine" / "test")
    save(tmp_path / "mine" / "cover.png")
    save(tmp_path / "mine" / "train" / "cover.png")
    assert "2 files skipped (2 outside of classes)" in load(context, tmp_path / "mine").notes


def test_images_in_folders_of_a_class_belong_to_it(context: LoadContext, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine", classes=["cat", "dog"])
    for name in ("more/2019", "x.png"):
        fill(root / "dog", classes=[name], count=5)
    fill(root / "owl" / "deep", classes=["below"], count=4)
    dataset = load(context, root)
    assert (dataset.classes, images_in(dataset)) == (3, 26)
    assert np.bincount(
        np.concatenate([s.labels for s in (dataset.train, dataset.validation, dataset.test)])
    ).tolist() == [6, 16, 4]
    assert dataset.notes == (
        "26 images read",
        "14 images found deeper, in dog/more/2019, dog/x.png, owl/deep/below",
    )


@pytest.mark.parametrize("target", [".", "..", "../cat"])
def test_links_that_lead_back_end(context: LoadContext, tmp_path: Path, target: str) -> None:
    root = fill(tmp_path / "mine")
    (root / "cat" / "more").symlink_to(target)
    (root / "dog" / "more").symlink_to(target)
    assert images_in(load(context, root)) >= 18


def test_linked_folders_and_images_are_followed(context: LoadContext, tmp_path: Path) -> None:
    elsewhere = fill(tmp_path / "elsewhere")
    root = fill(tmp_path / "mine", classes=["cat"])
    (root / "dog").symlink_to(elsewhere / "dog")
    (root / "owl").mkdir()
    for i in range(6):
        (root / "owl" / f"{i}.png").symlink_to(elsewhere / "owl" / f"{i}.png")
    assert load(context, root).digest == load(context, fill(tmp_path / "plain")).digest


def test_link_to_nowhere_is_named(context: LoadContext, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine")
    (root / "cat" / "x.png").symlink_to(tmp_path / "gone.png")
    assert f"image {root / 'cat' / 'x.png'} cannot be read (No such file" in failure(context, root)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_pipe_is_skipped_and_never_waited_for(context: LoadContext, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine")
    os.mkfifo(root / "cat" / "x.png")
    assert load(context, root).notes == ("18 images read", "1 file skipped (1 special)")


def test_names_that_are_no_text_are_read_and_shown(context: LoadContext, tmp_path: Path) -> None:
    root = fill(tmp_path / "mine")
    folder = os.fsencode(root / "cat")
    (root / "cat" / "0.png").rename(os.fsdecode(folder + b"/caf\xe9.png"))
    Path(os.fsdecode(folder + b"/notes.\xe9\n\x1b[31m")).write_text("Felix")
    assert load(context, root).notes == ("18 images read", "1 file skipped (1 .???[31m)")
    Path(os.fsdecode(folder + b"/caf\xe9.png")).write_bytes(b"")
    assert f"image {root / 'cat'}/caf?.png cannot be read" in failure(context, root)


def test_classes_that_differ_in_case_alone_are_said(context: LoadContext, tmp_path: Path) -> None:
    dataset = load(context, fill(tmp_path / "mine", classes=["Cat", "cat", "dog"]))
    assert dataset.classes == 3
    assert "classes that differ in case alone: Cat, cat" in dataset.notes


def test_missing_folder(context: LoadContext) -> None:
    message = failure(context, "pets")
    assert f"{context.data_dir / 'pets'} does not exist" in message


def test_file_in_place_of_the_folder(context: LoadContext, tmp_path: Path) -> None:
    assert "0.png is not a folder" in failure(context, save(tmp_path / "0.png"))


def test_path_that_is_no_text(context: LoadContext) -> None:
    with pytest.raises(DatasetError, match=r"path is 5; expected a folder's name, such as \./5"):
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
    (root / "bat" / "a.svg").write_text("<svg/>")
    message = failure(context, root)
    assert f"{root / 'bat'} has no images, 1 file skipped (1 .svg); add some" in message
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


def test_images_of_two_sizes_are_named_with_their_sizes(
    context: LoadContext, tmp_path: Path
) -> None:
    root = fill(tmp_path / "mine")
    odd = save(root / "owl" / "odd.png", size=(5, 6))
    message = failure(context, root)
    assert f"{root / 'cat' / '0.png'} is 6×5" in message
    assert f"{odd} is 5×6" in message
    assert "resize them to one size, or let side=N do it" in message


def test_test_images_of_another_size_are_refused(context: LoadContext, tmp_path: Path) -> None:
    fill(tmp_path / "mine" / "train")
    fill(tmp_path / "mine" / "test")
    save(tmp_path / "mine" / "test" / "owl" / "odd.png", size=(7, 7))
    assert "odd.png is 7×7" in failure(context, tmp_path / "mine")


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
    fill(root / "train", classes=["more"])
    assert load(context, root).classes == 3


def test_train_and_test_may_be_capitalised(context: LoadContext, tmp_path: Path) -> None:
    fill(tmp_path / "mine" / "Train")
    fill(tmp_path / "mine" / "TEST", count=2)
    assert len(load(context, tmp_path / "mine").test) == 6


@pytest.mark.parametrize(
    "names",
    [("Training", "Testing"), ("training_set", "test_set"), ("seg_train", "seg_pred"), ("val",)],
)
def test_splits_of_other_names_are_no_classes(
    context: LoadContext, tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        fill(tmp_path / "mine" / name)
    message = failure(context, tmp_path / "mine")
    assert "like a split of the data; call the two splits train and test" in message


def test_split_with_stray_images_is_none_of_the_classes(
    context: LoadContext, tmp_path: Path
) -> None:
    for split in ("train", "test"):
        save(fill(tmp_path / "mine" / split) / "sample.png")
    assert load(context, tmp_path / "mine").classes == 3


@pytest.mark.parametrize("name", ["contest", "protest", "valley", "devil", "trainer"])
def test_class_may_contain_the_word_of_a_split(
    context: LoadContext, tmp_path: Path, name: str
) -> None:
    fill(tmp_path / "mine" / name, classes=["more"])
    fill(tmp_path / "mine", classes=["cat"])
    assert load(context, tmp_path / "mine").classes == 2


def test_real_photographs(data_dir: Path) -> None:
    context = LoadContext(seed=0, data_dir=data_dir)
    dataset = load(context, "cifar10-jpeg")
    assert (dataset.input_shape, dataset.classes) == ((3, 32, 32), 10)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (4500, 500, 1000)
    truck = np.asarray(Image.open(data_dir / "cifar10-jpeg" / "test" / "truck" / "0099.jpg"))
    assert np.allclose(dataset.test.images[-1], truck.transpose(2, 0, 1) / 255, atol=1e-6)
    assert dataset.test.labels[-1] == 9
