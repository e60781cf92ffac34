"""Classification: one class a sample."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.base import Dataset
from greenbench.tasks.base import Loss
from greenbench.tasks.score import ACCURACY, Score


class Classification:
    """One class a sample, by cross-entropy; its score is accuracy."""

    name = "classification"
    score = ACCURACY
    metrics: tuple[Score, ...] = ()
    loss: Loss = "cross_entropy"

    def check(self, dataset: Dataset) -> None:
        """Check that each target is a class."""
        dataset.check()

    def outputs(self, dataset: Dataset) -> tuple[int, ...]:
        """Return one value a class."""
        return (dataset.classes,)

    def measure(
        self, reads: str, values: NDArray[Any] | float, targets: NDArray[np.generic]
    ) -> dict[str, float]:
        """Return the share of samples whose class is right."""
        if reads != self.score.reads:
            return {}
        return {self.score.name: float(np.mean(values == targets))}


CLASSIFICATION = Classification()
