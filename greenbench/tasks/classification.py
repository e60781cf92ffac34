"""Classification: one class a sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.base import Dataset
from greenbench.errors import TaskError
from greenbench.tasks.base import Loss
from greenbench.tasks.score import ACCURACY, Score
from greenbench.tasks.targets import check_classes, known_targets

SKLEARN = "sklearn.metrics"
TWO_CLASSES = 2

TOP_5 = Score("top_5", "share", low=0.0, high=1.0, source=f"{SKLEARN}.top_k_accuracy_score")
"""The share of samples whose class is among the five likeliest; of more than five classes."""

F1_MACRO = Score("f1_macro", low=0.0, high=1.0, source=f"{SKLEARN}.f1_score")
"""The mean over classes of the harmonic mean of precision and recall."""

AUROC = Score("auroc", low=0.0, high=1.0, chance=0.5, source=f"{SKLEARN}.roc_auc_score")
"""How probably the second class looks likelier where it is right; of two classes."""

LOG_LOSS = Score("log_loss", "nats", higher_is_better=False, low=0.0, source=f"{SKLEARN}.log_loss")
"""The mean negative logarithm of the probability that the right class was given."""


@dataclass(frozen=True)
class Classification:
    """One class a sample, by cross-entropy.

    Attributes
    ----------
    name : str
        Name in the registry.
    score : Score
        What selects trials.
    metrics : sequence of Score
        What else the test tells.
    classes : int or None
        How many there must be; None takes any number.
    """

    name: str = "classification"
    score: Score = ACCURACY
    metrics: Sequence[Score] = (TOP_5, F1_MACRO, AUROC, LOG_LOSS)
    classes: int | None = None
    loss: Loss = "cross_entropy"

    def check(self, dataset: Dataset) -> None:
        """Check that each target is a class."""
        check_classes(self.name, dataset, axes=1, what="sample")
        if self.classes is None:
            return
        if dataset.classes != self.classes:
            raise TaskError(
                f"task {self.name!r} does not fit dataset {dataset.name!r}, which has "
                f"{dataset.classes} classes; expected {self.classes}: choose `--task "
                "classification`"
            )
        for split, targets in known_targets(dataset):
            if len(np.unique(targets)) < self.classes:
                raise TaskError(
                    f"task {self.name!r} does not fit dataset {dataset.name!r}: {split} has one "
                    f"class only, and no {self.score.name}; give it samples of both"
                )

    def outputs(self, dataset: Dataset) -> tuple[int, ...]:
        """Return one value a class."""
        return (dataset.classes,)

    def measure(
        self, reads: str, values: NDArray[Any] | float, targets: NDArray[np.generic]
    ) -> dict[str, float]:
        """Return what is computed from classes of shape (n,), or outputs of (n, classes)."""
        from greenbench.tasks.metrics import measured  # noqa: PLC0415

        return measured((self.score, *self.metrics), reads, values, targets)


CLASSIFICATION = Classification()

BINARY = Classification("binary", AUROC, (ACCURACY, F1_MACRO, LOG_LOSS), classes=TWO_CLASSES)
"""Two classes, judged by how well they are told apart whatever the threshold."""
