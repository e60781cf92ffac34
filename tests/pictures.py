"""Folders of small images on the disk, and how a test loads them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from greenbench import registry
from greenbench.datasets import Dataset, LoadContext
from greenbench.errors import DatasetError

CLASSES = ("cat", "dog", "owl")


def load(context: LoadContext, path: str | Path, **options: Any) -> Dataset:
    dataset: Dataset = registry.datasets.get("image_folder")(context, path=str(path), **options)
    return dataset


def failure(context: LoadContext, path: str | Path, **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        load(context, path, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def save(path: Path, *, mode: str = "L", size: tuple[int, int] = (6, 5), value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).convert(mode).save(path)
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


def images_in(dataset: Dataset) -> int:
    return sum(len(split) for split in (dataset.train, dataset.validation, dataset.test))
