"""Regression: one or several numbers a sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.base import Dataset
from greenbench.tasks.base import Loss
from greenbench.tasks.score import Score
from greenbench.tasks.targets import check_numbers

SKLEARN = "sklearn.metrics"

R2 = Score("r2", high=1.0, chance=0.0, source=f"{SKLEARN}.r2_score")
"""The share of the variance that is explained; below 0, worse than the mean of the targets."""

MAE = Score("mae", higher_is_better=False, low=0.0, source=f"{SKLEARN}.mean_absolute_error")
"""The mean absolute error, in the targets' unit."""

RMSE = Score(
    "rmse",
    higher_is_better=False,
    low=0.0,
    source=f"{SKLEARN}.root_mean_squared_error",
)
"""The root of the mean squared error, in the targets' unit."""


@dataclass(frozen=True)
class Regression:
    """Numbers, by the mean squared error."""

    name: str = "regression"
    score: Score = R2
    metrics: Sequence[Score] = (MAE, RMSE)
    loss: Loss = "mse"

    def check(self, dataset: Dataset) -> None:
        """Check that targets are finite numbers."""
        check_numbers(self.name, dataset, expected="float32, one or several numbers a sample")

    def outputs(self, dataset: Dataset) -> tuple[int, ...]:
        """Return as many numbers as a target has."""
        shape: tuple[int, ...] = dataset.train.targets.shape[1:]
        return shape or (1,)

    def measure(
        self, reads: str, values: NDArray[Any] | float, targets: NDArray[np.generic]
    ) -> dict[str, float]:
        """Return what is computed from as many numbers as there are targets."""
        from greenbench.tasks.metrics import measured  # noqa: PLC0415

        return measured((self.score, *self.metrics), reads, values, targets)


REGRESSION = Regression()
