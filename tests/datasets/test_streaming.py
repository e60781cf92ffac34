"""Streamed splits and the sources that they are read from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from greenbench.datasets import Streamed, make_streamed
from greenbench.datasets.columns import ParquetSource
from greenbench.datasets.sources import ArraySource, TorchSource, read_batches
from greenbench.datasets.streaming import BLOCK_BYTES, Indices
from greenbench.errors import DatasetError, UnknownNameError

INPUTS = np.arange(200.0, dtype=np.float32).reshape(100, 2)
LABELS = np.arange(100) % 2


class Counting(ArraySource):
    """Counts the samples that are read."""

    def __init__(self) -> None:
        super().__init__(INPUTS, LABELS, "classification")
        self.samples = 0

    def read(self, indices: Indices) -> Any:
        self.samples += len(indices)
        return super().read(indices)


def test_what_was_prefetched_is_not_read_again() -> None:
    source = Counting()
    split = Streamed(source, np.arange(99, -1, -1))
    block = np.array([7, 3, 11, 2])
    split.prefetch(block)
    read = source.samples
    inputs, targets = split.batch(block[1:3])
    assert source.samples == read
    assert np.array_equal(inputs, INPUTS[[96, 88]])
    assert np.array_equal(targets, LABELS[[96, 88]])
    split.batch(np.array([7, 4]))
    assert source.samples == read + 2


def test_blocks_hold_whole_batches_and_fit_into_memory() -> None:
    images = np.broadcast_to(np.zeros((), np.float32), (1000, 1, 256, 256))
    split = Streamed(ArraySource(images, np.zeros(1000, int), "classification"))
    order = np.random.default_rng(0).permutation(1000)[:960]
    blocks = list(split.blocks(order, 64))
    assert np.array_equal(np.concatenate(blocks), order)
    assert all(len(block) % 64 == 0 for block in blocks)
    assert [len(block) * 256 * 256 * 4 <= BLOCK_BYTES for block in blocks] == [True] * len(blocks)
    assert len(blocks) > 1


def test_batch_that_is_larger_than_a_block_is_one() -> None:
    split = Streamed(Counting())
    assert [len(block) for block in split.blocks(np.arange(100), 60)] == [100]


def test_evaluation_gets_all_samples_in_order() -> None:
    batches = list(Streamed(Counting()).batches(30))
    assert np.array_equal(np.concatenate([inputs for inputs, _ in batches]), INPUTS)
    assert [len(targets) for _, targets in batches] == [30, 30, 30, 10]


def torch_sources() -> Iterator[Any]:
    dataset = TensorDataset(torch.from_numpy(INPUTS), torch.from_numpy(LABELS))
    yield dataset
    yield DataLoader(dataset, batch_size=8, shuffle=True)
    yield DataLoader(dataset, batch_size=None)
    yield torch.utils.data.Subset(dataset, range(100))


@pytest.mark.parametrize(
    "given", list(torch_sources()), ids=["Dataset", "DataLoader", "no_batches", "Subset"]
)
def test_torch_data_is_read_by_position(given: Any) -> None:
    inputs, targets = TorchSource(given, "classification").read(np.array([5, 2]))
    assert np.array_equal(inputs, INPUTS[[5, 2]])
    assert (targets.dtype, targets.tolist()) == (np.int64, [1, 0])


class Endless(IterableDataset):  # type: ignore[type-arg]
    def __iter__(self) -> Iterator[Any]:
        yield from zip(INPUTS, LABELS, strict=True)


def test_what_cannot_be_read_by_position_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"Endless cannot be read by position; .*read_batches"):
        TorchSource(Endless(), "classification")


def test_whatever_yields_batches_is_read_into_memory() -> None:
    inputs, targets = read_batches(DataLoader(Endless(), batch_size=8))
    assert np.array_equal(inputs, INPUTS)
    assert np.array_equal(targets, LABELS)
    single, _ = read_batches(Endless(), are_samples=True)
    assert np.array_equal(single, INPUTS)


def test_named_inputs_are_read_by_name() -> None:
    inputs, _ = read_batches([({"a": INPUTS[:3]}, LABELS[:3]), ({"a": INPUTS[3:5]}, LABELS[3:5])])
    assert np.array_equal(inputs["a"], INPUTS[:5])


@pytest.mark.parametrize(
    ("given", "said"),
    [([], "list yields nothing"), ([INPUTS], "a batch is ndarray; expected a pair of inputs and")],
)
def test_batches_that_are_none_are_refused(given: Any, said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        read_batches(given)


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    columns = {"a": INPUTS[:, 0], "b": INPUTS[:, 1], "label": LABELS, "both": list(INPUTS)}
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "x.parquet", row_group_size=9)
    return tmp_path / "x.parquet"


@pytest.mark.parametrize("columns", [["a", "b"], ["both"]])
def test_parquet_is_read_by_row_groups(parquet: Path, columns: list[str]) -> None:
    source = ParquetSource(parquet, columns, "label")
    rows = np.array([99, 0, 50, 8, 9, 10])
    inputs, targets = source.read(rows)
    assert np.array_equal(inputs, INPUTS[rows])
    assert np.array_equal(targets, LABELS[rows])
    dataset = make_streamed("x", "made", source, task="classification", seed=0)
    dataset.check()
    assert (dataset.classes, len(dataset.train)) == (2, 72)


def test_parquet_targets_may_be_numbers(parquet: Path) -> None:
    source = ParquetSource(parquet, ["a"], "b", has_classes=False)
    dataset = make_streamed("x", "made", source, task="regression", seed=0)
    dataset.check()
    assert dataset.train.target_shape == (1,)


def test_parquet_column_that_is_missing_is_named(parquet: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown column 'lable'; did you mean label"):
        ParquetSource(parquet, ["a"], "lable")
