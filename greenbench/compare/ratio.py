"""One ratio to a baseline, and several of them as one family, or as the samples of a summary."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from greenbench.compare.answers import JUDGED_BY
from greenbench.compare.doubts import middle
from greenbench.compare.paired_means import PairedMean, corrected, mean_difference, mean_ratio
from greenbench.compare.stats import bounds_of
from greenbench.tasks import ACCURACY, Score

FIGURES = ("energy", "duration", "score", "score_difference")
ALL = "all"
NO_GROUP = "no group has a ratio"


@dataclass(frozen=True)
class Ratio:
    """One variant against the baseline, in one group.

    Attributes
    ----------
    group : str
        What both have in common; ``"all"`` for all groups together, whose means are the samples.
    variant, baseline : str
        What is compared.
    pairs : int
        Repeats that both have, or groups.
    energy, duration, score : PairedMean or None
        Geometric mean of variant over baseline, pair by pair, with Student's interval on
        logarithms; None where no pair has both figures above 0. p is Holm's over all groups
        and variants, of each figure by itself. Of a repeat that ran in several sessions all
        energies count, and its score once. Of a score that may be negative, such as R², or
        that is 0 in a pair, no ratio says anything: it is None.
    reason : str or None
        Why there is no energy, or no interval.
    score_difference : PairedMean or None
        Mean of the variant's score less the baseline's, in the score's unit.
    judged_by : Score or None
        What the scores are; None if groups have several.
    energy_uncertainty : float or None
        Half-width of the interval that the ticks of counters leave of one pair's ratio of
        energies, as a share of it, median; None where it is not known.
    has_own_spaces : bool
        Whether both were searched, each in a space of its own.
    """

    group: str
    variant: str
    baseline: str
    pairs: int
    energy: PairedMean | None
    duration: PairedMean | None
    score: PairedMean | None
    reason: str | None = None
    score_difference: PairedMean | None = None
    judged_by: Score | None = ACCURACY
    energy_uncertainty: float | None = None
    has_own_spaces: bool = False

    @property
    def of_score(self) -> PairedMean | None:
        """What is shown of scores: their ratio, or else their difference."""
        return self.score or self.score_difference

    def record(self) -> dict[str, Any]:
        """Return a row of a flat table."""
        record: dict[str, Any] = {
            name: getattr(self, name) for name in ("group", "variant", "baseline", "pairs")
        }
        for name in FIGURES:
            found = getattr(self, name)
            mean_of = name if name == "score_difference" else f"{name}_ratio"
            record |= {mean_of: found and found.mean, **bounds_of(found, name)}
            record[f"{name}_p"] = found and found.p
        record["energy_uncertainty"] = self.energy_uncertainty
        return {**record, "reason": self.reason, JUDGED_BY: self.judged_by}


def as_one_family(ratios: Sequence[Ratio]) -> tuple[Ratio, ...]:
    """Return ratios whose p are corrected for their number, each figure's by themselves.

    Parameters
    ----------
    ratios : sequence of Ratio
        All that one answer has.
    """
    found = list(ratios)
    for name in FIGURES:
        known = [index for index, ratio in enumerate(found) if getattr(ratio, name) is not None]
        figures = corrected([getattr(found[index], name) for index in known])
        for index, figure in zip(known, figures, strict=True):
            changed: dict[str, Any] = {name: figure}
            found[index] = replace(found[index], **changed)
    return tuple(found)


def over_groups(groups: Sequence[Ratio]) -> Ratio:
    """Return what the groups of one variant say together: their means are the samples.

    Parameters
    ----------
    groups : sequence of Ratio
        Of one variant to one baseline, at least one.
    """
    scores = {ratio.judged_by for ratio in groups}
    score = scores.pop() if len(scores) == 1 else None
    figures: dict[str, Any] = dict.fromkeys(FIGURES)
    for name in FIGURES if score else FIGURES[:2]:
        figures[name] = _over(groups, name)
    why = {ratio.reason for ratio in groups}
    reason = None if figures["energy"] else why.pop() if len(why) == 1 else NO_GROUP
    return Ratio(
        group=ALL,
        variant=groups[0].variant,
        baseline=groups[0].baseline,
        pairs=len(groups),
        reason=reason,
        judged_by=score,
        energy_uncertainty=middle(each.energy_uncertainty for each in groups),
        **figures,
    )


def _over(groups: Sequence[Ratio], name: str) -> PairedMean | None:
    """Return what groups say of a figure: each counts once, however many pairs it has."""
    known = [figure for ratio in groups if (figure := getattr(ratio, name)) is not None]
    # Groups that have differences and no ratio of scores, because one is 0, would be left out.
    if not known or (name == "score" and any(r.score_difference and not r.score for r in groups)):
        return None
    means = [figure.mean for figure in known]
    if name == "score_difference":
        return mean_difference(means)
    return mean_ratio(means, is_counted=name == "score")
