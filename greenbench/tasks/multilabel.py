"""Multilabel: any number of labels a sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.base import Dataset
from greenbench.errors import TaskError
from greenbench.tasks.base import Loss
from greenbench.tasks.score import Score
from greenbench.tasks.targets import check_numbers, known_targets, unfit

SKLEARN = "sklearn.metrics"
LABEL_AXES = 2
EXPECTED = "float32 of shape (n, labels), 1 where a sample has the label and else 0"

F1_MICRO = Score("f1_micro", low=0.0, high=1.0, source=f"{SKLEARN}.f1_score")
"""The harmonic mean of precision and recall over all labels, taken where logits are above 0."""

AVERAGE_PRECISION = Score(
    "average_precision", low=0.0, high=1.0, source=f"{SKLEARN}.average_precision_score"
)
"""The mean over labels of the mean precision over recalls."""

AUROC_MACRO = Score("auroc_macro", low=0.0, high=1.0, chance=0.5, source=f"{SKLEARN}.roc_auc_score")
"""The mean over labels of how well samples with it are told from others."""


@dataclass(frozen=True)
class Multilabel:
    """Any number of labels a sample, by binary cross-entropy with logits."""

    name: str = "multilabel"
    score: Score = F1_MICRO
    metrics: Sequence[Score] = (AVERAGE_PRECISION, AUROC_MACRO)
    loss: Loss = "binary_cross_entropy"

    def check(self, dataset: Dataset) -> None:
        """Check that each target is 0 or 1."""
        check_numbers(self.name, dataset, expected=EXPECTED)
        for split, targets in known_targets(dataset):
            if targets.ndim != LABEL_AXES:
                advice = "choose another task, or give each sample a row of labels"
                raise unfit(self.name, dataset, split, targets, expected=EXPECTED, advice=advice)
            if not np.isin(targets, (0, 1)).all():
                raise TaskError(
                    f"task {self.name!r} does not fit dataset {dataset.name!r}: {split} has "
                    f"targets besides 0 and 1; expected {EXPECTED}"
                )

    def outputs(self, dataset: Dataset) -> tuple[int, ...]:
        """Return one logit a label."""
        return (dataset.train.targets.shape[1],)

    def measure(
        self, reads: str, values: NDArray[Any] | float, targets: NDArray[np.generic]
    ) -> dict[str, float]:
        """Return what is computed from logits of shape (n, labels)."""
        from greenbench.tasks.metrics import measured  # noqa: PLC0415

        return measured((self.score, *self.metrics), reads, values, targets)


MULTILABEL = Multilabel()
