"""Segmentation: one class a pixel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.base import Dataset
from greenbench.tasks.base import Loss
from greenbench.tasks.score import Score
from greenbench.tasks.targets import check_classes

PIXEL_AXES = 3

MIOU = Score(
    "miou", "share", low=0.0, high=1.0, reads="classes", source="sklearn.metrics.jaccard_score"
)
"""The mean over classes of the share of pixels of either image of it that are of both."""

PIXEL_ACCURACY = Score(
    "pixel_accuracy", "share", low=0.0, high=1.0, reads="classes", source="share of equal pixels"
)
"""The share of pixels whose likeliest class is right."""


@dataclass(frozen=True)
class Segmentation:
    """One class a pixel, by cross-entropy."""

    name: str = "segmentation"
    score: Score = MIOU
    metrics: Sequence[Score] = (PIXEL_ACCURACY,)
    loss: Loss = "cross_entropy"

    def check(self, dataset: Dataset) -> None:
        """Check that each pixel has a class."""
        check_classes(self.name, dataset, axes=PIXEL_AXES, what="pixel")

    def outputs(self, dataset: Dataset) -> tuple[int, ...]:
        """Return a value a class for each pixel of a target."""
        return (dataset.classes, *dataset.train.targets.shape[1:])

    def measure(
        self, reads: str, values: NDArray[Any] | float, targets: NDArray[np.generic]
    ) -> dict[str, float]:
        """Return what is computed from classes of shape (n, height, width)."""
        from greenbench.tasks.metrics import measured  # noqa: PLC0415

        return measured((self.score, *self.metrics), reads, values, targets)


SEGMENTATION = Segmentation()
