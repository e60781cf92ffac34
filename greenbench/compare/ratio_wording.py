"""How a ratio to a baseline is put into words: what differs, and what is not shown to."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from greenbench.compare.doubts import AS_FAR, are_apart
from greenbench.compare.paired_means import PairedMean
from greenbench.compare.ratio_columns import difference_in_words
from greenbench.tasks.score_format import words

if TYPE_CHECKING:
    from greenbench.compare.ratio import Ratio

LEAST_P = 0.0001


def of_group(ratio: "Ratio") -> str:
    """Return what the ratio of one group says.

    Parameters
    ----------
    ratio : Ratio
        Of one variant to the baseline, its p corrected for all that the answer asks.
    """
    where = ratio.group and f" in {ratio.group}"
    return f"{_sentence(ratio, where, 'No difference in energy is shown: ', 'pair')}."


def over_all(ratio: "Ratio", groups: Sequence["Ratio"]) -> str:
    """Return what the ratio over all groups says, and in how many of them energies differ.

    Parameters
    ----------
    ratio : Ratio
        Of one variant to the baseline, its p corrected for all that the answer asks.
    groups : sequence of Ratio
        Of the same variant.
    """
    before = "No common difference in energy is shown: "
    shown = sum(
        each.energy is not None and each.energy.is_shown and _is_known(each, each.energy)
        for each in groups
    )
    by_themselves = f"; it differs in {shown} of {len(groups)} groups" if shown else ""
    return f"{_sentence(ratio, ' over all groups', before, 'group')}{by_themselves}."


def _sentence(ratio: "Ratio", where: str, not_shown: str, sample: str) -> str:
    energy = ratio.energy
    if energy is None:
        return f"{ratio.variant}: no ratio of energies to {ratio.baseline}{where} ({ratio.reason})"
    before = not_shown if energy.p is not None and not energy.is_shown else ""
    is_known = _is_known(ratio, energy)
    return (
        f"{before}{ratio.variant} takes {_times(energy)} the energy of {ratio.baseline}{where}"
        f"{_verdict(energy, 'it differs' if is_known else '')}{_gives(ratio)}"
        f"{_doubt(energy, sample, is_known=is_known)}"
    )


def _is_known(ratio: "Ratio", energy: PairedMean) -> bool:
    """Return whether the ticks of counters tell both energies apart."""
    return are_apart(energy.mean, 1.0, (ratio.energy_uncertainty or 0.0) * energy.mean)


def family_note(ratios: Sequence["Ratio"]) -> list[str]:
    """Return for how many comparisons the p of an answer are corrected, if for several.

    Parameters
    ----------
    ratios : sequence of Ratio
        What the sentence tells of.
    """
    tests = sum(ratio.energy is not None and ratio.energy.p is not None for ratio in ratios)
    return [f"p is corrected for {tests} comparisons (Holm)."] if tests > 1 else []


def _verdict(found: PairedMean, shown: str, not_shown: str = "") -> str:
    """Return what the test of a figure says, with its p; nothing where there is none."""
    if found.p is None:
        return ""
    p = f"p = {found.p:.2g}" if found.p >= LEAST_P else f"p < {LEAST_P}"
    verdict = shown if found.is_shown else not_shown
    return f" ({verdict}, {p})" if verdict else f" ({p})"


def _doubt(energy: PairedMean, sample: str, *, is_known: bool) -> str:
    """Return what is to be doubted of a ratio of energies."""
    said = f"; no interval from 1 {sample}" if energy.p is None else ""
    if not is_known and (energy.p is None or energy.is_shown):
        said += f"; it is the same energy, {AS_FAR}"
    return said


def _gives(ratio: "Ratio") -> str:
    score, found, apart = ratio.judged_by, ratio.of_score, ratio.score_difference
    if score is None or found is None or apart is None:
        return ""
    if apart.low in (0, None) and apart.high in (0, None) and not apart.mean:
        return f", at the same {words(score)}"
    which = "" if score.higher_is_better else ", of which lower is better"
    shown = (
        f"{difference_in_words(ratio)} of {words(score)}"
        if ratio.score is None
        else f"{_times(ratio.score)} the {words(score)}"
    )
    return f", at {shown}{which}{_verdict(found, 'it differs', 'no difference is shown')}"


def _times(found: PairedMean) -> str:
    interval = "" if found.low is None else f" [{found.low:.3g}, {found.high:.3g}]"
    return f"{found.mean:.3g}{interval} times"
