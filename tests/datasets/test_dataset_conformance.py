"""Every data set of ours does what all data sets must."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from greenbench.datasets import Dataset, LoadContext, make_arrays
from greenbench.datasets.digits import load_digits
from greenbench.datasets.scikit_tables import (
    load_breast_cancer,
    load_diabetes,
    load_friedman,
    load_wine,
)
from greenbench.datasets.shapes import load_shapes
from greenbench.datasets.synthetic import load_synthetic
from greenbench.datasets.tabular import load_tabular
from greenbench.datasets.text import load_text
from greenbench.testing import DatasetConformance


class TestDigits(DatasetConformance):
    loader = staticmethod(load_digits)


class TestSynthetic(DatasetConformance):
    loader = staticmethod(load_synthetic)
    options: ClassVar[Mapping[str, Any]] = {"samples": 100, "flip": True}


class TestBreastCancer(DatasetConformance):
    loader = staticmethod(load_breast_cancer)


class TestWine(DatasetConformance):
    loader = staticmethod(load_wine)


class TestDiabetes(DatasetConformance):
    loader = staticmethod(load_diabetes)


class TestFriedman(DatasetConformance):
    loader = staticmethod(load_friedman)
    options: ClassVar[Mapping[str, Any]] = {"samples": 200}


class TestShapes(DatasetConformance):
    loader = staticmethod(load_shapes)
    options: ClassVar[Mapping[str, Any]] = {"samples": 30}


class TestText(DatasetConformance):
    loader = staticmethod(load_text)
    options: ClassVar[Mapping[str, Any]] = {"limit": 20_000}
    is_drawn = False


class TestTabular(DatasetConformance):
    loader = staticmethod(load_tabular)

    @pytest.fixture(autouse=True)
    def table(self, tmp_path: Path) -> None:
        rows = [f"{number},{number % 7},{'ab'[number % 2]}" for number in range(40)]
        (tmp_path / "table.csv").write_text("\n".join(["x,y,z", *rows]))
        self.folder = tmp_path

    def load(self, seed: int = 5) -> Dataset:
        return load_tabular(LoadContext(seed, self.folder), "table.csv", "z")


def load_map(context: LoadContext) -> Dataset:
    path = context.data_dir / "map.bin"
    values = np.memmap(path, np.uint8, "w+", shape=(50, 3))
    values[:] = np.arange(150).reshape(50, 3)
    values.flush()
    labels = np.arange(50) % 2
    held = np.memmap(path, np.uint8, "r", shape=(50, 3))
    return make_arrays("map", "made", held, labels, task="classification", seed=context.seed)


class TestMemoryMap(DatasetConformance):
    loader = staticmethod(load_map)

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path

    def load(self, seed: int = 5) -> Dataset:
        return load_map(LoadContext(seed, self.path))
