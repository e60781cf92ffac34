"""How scores are written: values, differences and the way that is better, for whoever shows one.

Shares are shown in per cent and their differences in percentage points, as accuracies are; what
else has a unit is shown with it. It imports nothing heavy.
"""

import math
from collections.abc import Mapping

from greenbench.tasks.score import Score

SHARE = "share"
PERCENT = 100.0
LARGE = 1000
TINY = 1e-3
UNKNOWN = "–"

WORDS: Mapping[str, str] = {
    "r2": "R²",
    "mae": "MAE",
    "rmse": "RMSE",
    "mse": "MSE",
    "miou": "mIoU",
    "mean_iou": "mIoU",
    "auroc": "AUROC",
    "f1": "F1",
    "f1_macro": "macro F1",
    "f1_micro": "micro F1",
}
"""What people call scores whose names are no words."""


def is_share(score: Score) -> bool:
    """Return whether a score is a share of 1."""
    return score.unit == SHARE


def words(score: Score) -> str:
    """Return what a reader calls a score: ``"accuracy"``, ``"R²"``, ``"bits per token"``."""
    return WORDS.get(score.name, score.name.replace("_", " "))


def capitalised(text: str) -> str:
    """Return a text whose first letter is a capital; names such as ``mIoU`` stay as they are."""
    first = text.partition(" ")[0]
    return text if any(map(str.isupper, first)) else text[:1].upper() + text[1:]


def value(score: Score, figure: float | None, spec: str = ".1f") -> str:
    """Return a figure with its unit: ``"95.0%"``, ``"0.412"``, ``"2.10 bits"``.

    Parameters
    ----------
    score : Score
        What it is.
    figure : float or None
        In the score's unit; a share in [0, 1]. None is unknown.
    spec : str
        How percentages are written; other figures have three digits.
    """
    if figure is None or not math.isfinite(figure):
        return UNKNOWN
    if is_share(score):
        return f"{PERCENT * figure:{spec}}%"
    return f"{plain(figure)} {score.unit}".strip()


def said(score: Score, figure: float | None) -> str:
    """Return a figure as sentences say it: ``95.0%``, ``R² 0.412``, ``2.10 bits per token``.

    Parameters
    ----------
    score : Score
        What it is; of an accuracy, the figure alone.
    figure : float or None
        In the score's unit.
    """
    shown, name = value(score, figure), words(score)
    if score.name == "accuracy":
        return shown
    if score.unit and name.startswith(score.unit):
        return f"{shown.removesuffix(score.unit)}{name}"
    return f"{name} {shown}"


def difference(score: Score, apart: float, spec: str = ".3g", sign: str = "") -> str:
    """Return a difference of two figures: ``"1.2 points"``, ``"0.0500"``, ``"0.120 bits"``.

    Parameters
    ----------
    score : Score
        What both are.
    apart : float
        In the score's unit; of a share, 0.01 is a percentage point.
    spec : str
        How points are written; other differences have three digits.
    sign : str
        ``"+"`` shows that of a gain, too.
    """
    if not is_share(score):
        return f"{plain(apart, sign)} {score.unit}".strip()
    points = f"{PERCENT * apart:{sign}{spec}}"
    return f"{points} point{'' if points.lstrip('+-') == '1' else 's'}"


def scale(score: Score) -> tuple[float, str]:
    """Return what figures are multiplied by in a column or on an axis, and the unit there."""
    return (PERCENT, "%") if is_share(score) else (1.0, score.unit)


def unit_apart(score: Score) -> str:
    """Return the unit of differences: ``"points"``, ``"bits"``, or nothing."""
    return "points" if is_share(score) else score.unit


def heading(score: Score, split: str = "", unit: str | None = None) -> str:
    """Return what stands over a column or at an axis: ``"test R²"``, ``"bits per token ↓"``.

    Parameters
    ----------
    score : Score
        What is shown; an arrow says of one that lower is better.
    split : str
        Such as ``"test"``.
    unit : str, optional
        What figures are in, behind a comma; left out where the name says it.
    """
    name = words(score)
    shown = f", {unit}" if unit and not name.startswith(unit) else ""
    return f"{split} {name}{shown}{'' if score.higher_is_better else ' ↓'}".strip()


def axis_label(score: Score, before: str = "", after: str = "") -> str:
    """Return what stands at an axis: ``"test accuracy, %"``, ``"test MAE (lower is better)"``.

    Parameters
    ----------
    score : Score
        What is drawn.
    before, after : str
        What stands around its name, such as ``"test"``.
    """
    name, unit = words(score), scale(score)[1]
    shown = f", {unit}" if unit and not name.startswith(unit) else ""
    way = "" if score.higher_is_better else " (lower is better)"
    return f"{f'{before} {name} {after}'.strip()}{shown}{way}"


def gain_heading(score: Score, unit: str) -> str:
    """Return what stands over gains by energy: ``"points/Wh"``, ``"gain, bits/Wh"``.

    Parameters
    ----------
    score : Score
        What gets better.
    unit : str
        Of energy.
    """
    if is_share(score):
        return f"points/{unit}"
    return f"gain, {score.unit or words(score)}/{unit}"


def by_score(score: Score, *, is_said: bool = False) -> str:
    """Return what a title says of a score: ``" by R²"``; of an accuracy only if `is_said`."""
    if score.name == "accuracy" and not is_said:
        return ""
    return f" by {words(score)}{'' if score.higher_is_better else ' (lower is better)'}"


def more_or_less(score: Score) -> str:
    """Return what a better figure is than a worse one, by its size."""
    return "more" if score.higher_is_better else "less"


def remark(score: Score) -> str:
    """Return what a sentence ends with where lower is better; nothing where higher is."""
    return "" if score.higher_is_better else f" Of {words(score)}, lower is better."


def plain(figure: float, sign: str = "") -> str:
    """Return a number with three digits, or all before its point."""
    if not math.isfinite(figure):
        return UNKNOWN
    # What is no more than rounding is no difference.
    if not figure:
        return "0"
    if abs(figure) >= LARGE or abs(figure) < TINY:
        return f"{figure:{sign}.3g}" if abs(figure) < TINY else f"{figure:{sign},.0f}"
    return f"{figure:{sign}#.3g}".rstrip(".")
