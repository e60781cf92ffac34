"""Scores of somebody else's table: which column has them, what they are, which way is better."""

from collections.abc import Sequence
from typing import Any, Protocol

from greenbench.compare.exports import plain
from greenbench.compare.headers import (
    TEST_ACCURACY,
    TESTED,
    UNSAID,
    VALIDATED,
    called,
    find_if_any,
    missing,
    named,
)
from greenbench.errors import ConfigurationError
from greenbench.tasks import ACCURACY, Score
from greenbench.tasks.score_format import words

Row = dict[str, Any]

ON_TEST, ON_VALIDATION = ("test",), ("val", "validation", "valid", "eval")
LOSSES = (
    "loss", "log_loss", "nll", "cross_entropy", "perplexity", "ppl", "bits_per_token",
    "bits_per_character", "bits_per_byte", "bpc", "bpb", "mse", "rmse", "mae", "mape", "error",
    "error_rate", "wer", "cer",
)  # fmt: skip
"""Usual names of scores of which lower is better."""
GAINS = (
    "f1", "f1_macro", "f1_score", "macro_f1", "auroc", "auc", "roc_auc", "r2", "r2_score", "miou",
    "mean_iou", "iou", "dice", "bleu", "rouge", "map", "precision", "recall",
)  # fmt: skip
"""Usual names of scores of which higher is better."""


class Named(Protocol):
    """What options say of the score; see `greenbench.compare.columns.Names`."""

    @property
    def accuracy(self) -> str | None:
        """The column of accuracies."""

    @property
    def score(self) -> str | None:
        """The column of another score."""

    @property
    def lower_is_better(self) -> bool:
        """Which way it points."""


def find_scored(
    rows: Sequence[Row], names: Named, accuracies: Sequence[str], *, needs_score: bool
) -> tuple[str | None, Score]:
    """Return the column of the score, and what it is: an accuracy, unless names say otherwise.

    Parameters
    ----------
    rows : sequence of dict
        All have the same columns.
    names : Named
        What the user says of it.
    accuracies : sequence of str
        Usual names of accuracies, those of the split that is asked for first.
    needs_score : bool
        Whether a table without any is refused.

    Raises
    ------
    UnknownNameError
        If the named column is not there.
    ConfigurationError
        If none is there, several may be meant, or lower is said to be better of accuracies.
    """
    column = names.score and named(rows, names.score)
    if column is None:
        found = find_if_any(rows, names.accuracy, accuracies, "accuracy")
        if found and names.lower_is_better:
            raise ConfigurationError(
                f"--lower-is-better contradicts {found}: of accuracies, higher is better; name "
                "the column of the score with `--score-column`"
            )
        if found:
            return found, ACCURACY
        column = _usual(rows, ON_TEST if accuracies is TEST_ACCURACY else ON_VALIDATION)
    if column is None:
        if needs_score:
            raise missing(rows, accuracies, "accuracy")
        return None, ACCURACY
    name = _split_of(column)[1]
    if name in UNSAID and not names.lower_is_better:
        return column, ACCURACY
    is_lower = names.lower_is_better or name in LOSSES
    return column, Score(name or column, higher_is_better=not is_lower)


def score_in_words(column: str, score: Score) -> str:
    """Return what a column says that its scores are: ``"test R²"``."""
    return f"{_split_of(column)[0]} {words(score)}".strip()


def in_words(accuracy: str) -> str:
    """Return what a column says that its accuracies are."""
    name = plain(accuracy)
    if name in TESTED:
        return "test accuracy"
    if name in VALIDATED:
        return "validation accuracy"
    return "accuracy" if name in UNSAID else accuracy


def _usual(rows: Sequence[Row], splits: Sequence[str]) -> str | None:
    """Return the column of a usual score that is no accuracy, if there is one.

    Parameters
    ----------
    rows : sequence of dict
        All have the same columns.
    splits : sequence of str
        What stands before or behind the names of the split that is asked for, such as ``test``.

    Raises
    ------
    ConfigurationError
        If several may be meant.
    """
    scores = (*GAINS, *LOSSES)
    for usual in (
        [f"{split}_{name}" for split in splits for name in scores],
        [f"{name}_{split}" for split in splits for name in scores],
        scores,
    ):
        found = [column for name in usual for column in called(rows, name)]
        if len(found) > 1:
            raise ConfigurationError(
                f"several columns may be meant for the score: {', '.join(found)}; name one with "
                "`--score-column`"
            )
        if found:
            return found[0]
    return None


def _split_of(column: str) -> tuple[str, str]:
    """Return which split a column's name tells, if any, and what is left of the name."""
    name = plain(column)
    for split, marks in (("test", ON_TEST), ("validation", ON_VALIDATION)):
        for word in marks:
            bare = name.removeprefix(f"{word}_").removesuffix(f"_{word}")
            if bare != name:
                return split, bare
    return "", name
