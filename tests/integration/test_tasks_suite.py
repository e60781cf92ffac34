"""What the suite `tasks` reaches: every kind of task, trained through the command line.

One repeat of each case, to keep the tests short, and more where that one falls short; the median
of the full five is in docs/results/tasks.json.
"""

from collections import defaultdict
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from numpy.typing import NDArray

from greenbench.datasets import Dataset, LoadContext
from greenbench.datasets.text import load_text
from greenbench.tracking import Store
from tests.conftest import Greenbench

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("made_store")]

STRENGTHS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
LEAST = {
    ("mlp", "breast_cancer"): ("auroc", 0.98),
    ("mlp", "diabetes"): ("r2", 0.40),
    ("resnet_small", "digits"): ("accuracy", 0.95),
    ("vit_small", "digits"): ("accuracy", 0.95),
    ("unet", "shapes"): ("miou", 0.80),
}


def counts(text: NDArray[np.int64], order: int, vocabulary: int) -> NDArray[np.float64]:
    """Return how often each token follows each `order` tokens."""
    found = np.zeros((vocabulary,) * (order + 1))
    np.add.at(found, tuple(text[i : len(text) - order + i] for i in range(order + 1)), 1)
    return found


def order_2_bits(dataset: Dataset) -> float:
    """Return the bits per token of an order-2 n-gram model on the test split.

    A token's probability follows from the two before it, interpolated with those that follow from
    one and from none (MacKay and Peto 1995, a hierarchical Dirichlet model): ``(count + strength *
    lower) / (total + strength)``. The strengths are those that are best on the validation split.
    """
    assert dataset.vocabulary is not None
    size = dataset.vocabulary
    train, validation, test = (
        np.append(split.inputs.ravel(), split.targets[-1, -1])
        for split in (dataset.train, dataset.validation, dataset.test)
    )
    grams = [counts(train, order, size) for order in range(3)]

    def bits(text: NDArray[np.int64], strengths: tuple[float, float]) -> float:
        shares: NDArray[np.float64] = np.full(size, 1 / size)
        for found, strength in zip(grams, (1.0, *strengths), strict=True):
            shares = (found + strength * shares) / (found.sum(axis=-1, keepdims=True) + strength)
        return float(-np.log2(shares[text[:-2], text[1:-1], text[2:]]).mean())

    best = min(
        ((one, two) for one in STRENGTHS for two in STRENGTHS),
        key=lambda strengths: bits(validation, strengths),
    )
    return bits(test, best)


def learned(greenbench: Greenbench, most_bits: float) -> dict[tuple[str, str], bool]:
    """Return of each case whether the median of its repeats is good enough."""
    scores = defaultdict(list)
    for row in Store(f"sqlite:///{greenbench.folder}/mlruns/mlflow.db").read_rows():
        key = row["family"], row["dataset"]
        assert row["score"] == (LEAST[key][0] if key in LEAST else "bits_per_token")
        scores[key].append(row["test_score"])
    return {
        key: median(found) >= LEAST[key][1] if key in LEAST else median(found) < most_bits
        for key, found in scores.items()
    }


def test_every_task_is_learned(greenbench: Greenbench, tmp_path: Path) -> None:
    most_bits = order_2_bits(load_text(LoadContext(seed=0, data_dir=tmp_path)))
    done = greenbench("run", "tasks", "--repeats", "1", timeout_s=1200)
    assert done.returncode == 0, done.stderr
    first = learned(greenbench, most_bits)
    assert first.keys() == {*LEAST, ("gpt_small", "text")}
    if not all(first.values()):
        # One seed in five does not learn the shapes; which one, rounding on a machine decides.
        done = greenbench("run", "tasks", "--continue-repeats", "2", timeout_s=2400)
        assert done.returncode == 0, done.stderr
    assert all(learned(greenbench, most_bits).values()), first
