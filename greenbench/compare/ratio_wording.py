"""How a ratio to a baseline is put into words."""

from typing import TYPE_CHECKING

from greenbench.compare.doubts import AS_FAR, are_apart
from greenbench.compare.stats import Estimate
from greenbench.tasks.score_format import difference, plain, words

if TYPE_CHECKING:
    from greenbench.compare.ratios import Ratio


def sentence(ratio: "Ratio", where: str, samples: str) -> str:
    """Return what a ratio says.

    Parameters
    ----------
    ratio : Ratio
        Of one variant to the baseline.
    where : str
        In which group, or nothing.
    samples : str
        What there are several of: pairs, or groups.
    """
    where = where and f" {where}"
    energy = ratio.energy
    if energy is None:
        return f"{ratio.variant}: no ratio of energies to {ratio.baseline}{where} ({ratio.reason})."
    return (
        f"{ratio.variant} takes {_times(energy)} the energy of {ratio.baseline}"
        f"{where}{_gives(ratio)}{_verdict(ratio, energy, samples)}."
    )


def _verdict(ratio: "Ratio", energy: Estimate, samples: str) -> str:
    """Return what is to be doubted of a ratio of energies."""
    said = ""
    if energy.low is None or energy.high is None:
        said = f"; no interval from {energy.n} {samples[: None if energy.n > 1 else -1]}"
    elif energy.low <= 1 <= energy.high:
        return "; the interval holds 1, so no difference is shown"
    if not are_apart(energy.median, 1.0, (ratio.energy_uncertainty or 0.0) * energy.median):
        said += f"; it is the same energy, {AS_FAR}"
    return said


def _gives(ratio: "Ratio") -> str:
    score, apart = ratio.judged_by, ratio.score_difference
    if score is None or (ratio.score is None and apart is None):
        return ""
    which = "" if score.higher_is_better else ", of which lower is better"
    if ratio.score is not None:
        return f", at {_times(ratio.score)} the {words(score)}{which}"
    if apart is None or score.low >= 0:
        return ""
    if not apart.median:
        return f", at the same {words(score)}"
    interval = (
        "" if apart.low is None else f" [{plain(apart.low, '+')}, {plain(apart.high or 0.0, '+')}]"
    )
    shown = difference(score, apart.median, sign="+")
    return f", at {shown}{interval} of {words(score)}{which}"


def _times(found: Estimate) -> str:
    interval = "" if found.low is None else f" [{found.low:.3g}, {found.high:.3g}]"
    return f"{found.median:.3g}{interval} times"
