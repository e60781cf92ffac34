"""Data sets of keras and TensorFlow, read into memory."""

import os
from typing import Any

import numpy as np
import pytest

from greenbench.datasets.sources import read_batches

pytestmark = pytest.mark.integration

INPUTS = np.arange(200.0, dtype=np.float32).reshape(100, 2)
LABELS = np.arange(100)


def test_keras_data_set_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    from keras import utils  # noqa: PLC0415

    class Batches(utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return 4

        def __getitem__(self, number: int) -> Any:
            rows = slice(25 * number, 25 * number + 25)
            return INPUTS[rows], LABELS[rows]

    inputs, labels = read_batches(Batches())
    assert np.array_equal(inputs, INPUTS)
    assert np.array_equal(labels, LABELS)


@pytest.mark.parametrize("is_batched", [True, False])
def test_tensorflow_data_set_is_read(is_batched: bool) -> None:
    data = pytest.importorskip("tensorflow").data
    dataset = data.Dataset.from_tensor_slices(({"numbers": INPUTS}, LABELS))
    given = dataset.batch(30) if is_batched else dataset
    inputs, labels = read_batches(given, are_samples=not is_batched)
    assert np.array_equal(inputs["numbers"], INPUTS)
    assert np.array_equal(labels, LABELS)
