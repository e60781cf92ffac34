"""The column of scores beside paired ratios: ratios, or differences where those say nothing."""

from typing import TYPE_CHECKING

from greenbench.compare.brackets import brackets
from greenbench.tasks import Score
from greenbench.tasks.score_format import plain, scale, unit_apart, words

if TYPE_CHECKING:
    from greenbench.compare.ratio import Ratio
    from greenbench.compare.ratios import Ratios


def score_heading(found: "Ratios") -> str:
    """Return what stands over it: ``"accuracy"``, ``"bits per token ↓"``, ``"R², difference"``."""
    score = _only(found)
    if score is None:
        return "score"
    shown = words(score) if _has_ratio(score) else f"{words(score)}, difference"
    return shown if score.higher_is_better else f"{shown} ↓"


def means_heading(found: "Ratios") -> str:
    """Return what the figures are: ``"geometric mean [95% interval]"``."""
    ratios = (*found.ratios, *found.overall)
    shown = brackets(figure for each in ratios for figure in (each.energy, each.score_difference))
    apart = any(map(difference_in_words, ratios))
    return f"geometric mean{', of differences the mean' if apart else ''}{shown}"


def score_name(found: "Ratios", ratio: "Ratio") -> str:
    """Return what stands behind a figure: nothing, or in a column of several scores its name."""
    return "" if _only(found) or ratio.judged_by is None else f" {words(ratio.judged_by)}"


def difference_in_words(ratio: "Ratio") -> str | None:
    """Return a difference of scores with its interval; None where the ratio says more.

    Parameters
    ----------
    ratio : Ratio
        Of one variant to the baseline.
    """
    score, apart = ratio.judged_by, ratio.score_difference
    if score is None or apart is None or ratio.score is not None:
        return None
    times = scale(score)[0]
    interval = ""
    if apart.low is not None and apart.high is not None:
        interval = f" [{plain(times * apart.low, '+')}, {plain(times * apart.high, '+')}]"
    return f"{plain(times * apart.mean, '+')}{interval} {unit_apart(score)}".strip()


def _has_ratio(score: Score) -> bool:
    # What may be negative has none that says anything.
    return score.low >= 0


def _only(found: "Ratios") -> Score | None:
    """Return the score of all ratios, None if there are several."""
    scores = {each.judged_by for each in found.ratios}
    return scores.pop() if len(scores) == 1 else None
