"""Language modelling: the next token at each place of a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.datasets.base import Dataset
from greenbench.errors import TaskError
from greenbench.tasks.base import Loss
from greenbench.tasks.score import Score
from greenbench.tasks.targets import unfit

TOKEN_AXES = 2
EXPECTED = "int64 of shape (n, T), token ids"

BITS_PER_TOKEN = Score(
    "bits_per_token",
    "bits",
    higher_is_better=False,
    low=0.0,
    reads="loss",
    source="mean loss / ln 2",
)
"""Bits that a token takes on average if it is coded by what was predicted; chance: log2 of V."""

PERPLEXITY = Score(
    "perplexity", higher_is_better=False, low=1.0, reads="loss", source="exp of the mean loss"
)
"""Among how many equally likely tokens it would be as hard to choose."""


@dataclass(frozen=True)
class LanguageModelling:
    """The next token, by cross-entropy at each place."""

    name: str = "language_modelling"
    score: Score = BITS_PER_TOKEN
    metrics: Sequence[Score] = (PERPLEXITY,)
    loss: Loss = "cross_entropy"

    def check(self, dataset: Dataset) -> None:
        """Check that inputs and targets are token ids of the vocabulary."""
        if dataset.vocabulary is None:
            raise TaskError(
                f"task {self.name!r} does not fit dataset {dataset.name!r}, which has no tokens; "
                "choose a data set of texts, such as `--dataset text`"
            )
        for split, held in dataset.splits.items():
            for what, ids in (("inputs", held.inputs), ("targets", held.targets)):
                if isinstance(ids, np.ndarray):
                    self._check(dataset, f"{what} of {split}", ids, dataset.vocabulary)

    def outputs(self, dataset: Dataset) -> tuple[int, ...]:
        """Return a value for each token of the vocabulary, at each place."""
        return (*dataset.train.targets.shape[1:], dataset.classes)

    def measure(
        self, reads: str, values: NDArray[Any] | float, targets: NDArray[np.generic]
    ) -> dict[str, float]:
        """Return what is computed from the mean loss in nats."""
        from greenbench.tasks.metrics import measured  # noqa: PLC0415

        return measured((self.score, *self.metrics), reads, values, targets)

    def _check(
        self, dataset: Dataset, what: str, ids: NDArray[np.generic], vocabulary: int
    ) -> None:
        if not np.issubdtype(ids.dtype, np.integer) or ids.ndim != TOKEN_AXES:
            advice = "convert them to ids"
            raise unfit(self.name, dataset, what, ids, expected=EXPECTED, advice=advice)
        low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, 0)
        if low < 0 or high >= vocabulary:
            wrong = high if high >= vocabulary else low
            raise TaskError(
                f"task {self.name!r} does not fit dataset {dataset.name!r}: {what} have the token "
                f"id {wrong}; expected 0 to {vocabulary - 1}, since its vocabulary has "
                f"{vocabulary} tokens"
            )


LANGUAGE_MODELLING = LanguageModelling()
