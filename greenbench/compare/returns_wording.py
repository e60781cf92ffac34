"""How the answer on a family's sizes is put into words: what is not proven says so first."""

from typing import TYPE_CHECKING

from greenbench.compare.agreement import LEAST_AGREEMENT
from greenbench.compare.decision import PAIRED
from greenbench.compare.doubts import AS_FAR
from greenbench.compare.sizes import Size, cost_the_same
from greenbench.compare.units import with_unit
from greenbench.tasks.score_format import difference, is_share, more_or_less, remark, said

if TYPE_CHECKING:
    from greenbench.compare.returns import Returns

UNPROVEN = "Not proven: by the medians alone, "


def sentence(found: "Returns") -> str:
    """Return the answer in one sentence.

    Parameters
    ----------
    found : Returns
        Of one family.
    """
    unproven = "" if found.decision.is_proven else UNPROVEN
    return f"{unproven}{_answer(found)}{remark(found.judged_by)}"


def _answer(found: "Returns") -> str:
    choice, best, score = found.choice, found.best, found.judged_by
    if best is choice:
        # One that is left out may be better still.
        rivals = "the sizes compared" if found.left_out else "its family"
        answer = f"{_reaches(found, choice)}, the best of {rivals}"
        if found.decision.descriptive == choice.network:
            answer += f"; no smaller size comes within {found.within}"
        return f"{answer}."
    gained = score.gain(best.score.median) - score.gain(choice.score.median)
    spent, least = best.energy_wh.median, choice.energy_wh.median
    # A counter may read 0 over a window that is short enough.
    price = f"{spent / least:.1f} times the energy" if least else with_unit(spent)
    if cost_the_same(choice, best):
        price = f"an energy that is the same, {AS_FAR}"
    points = difference(score, gained, ".1f")
    buys = points if is_share(score) else f"{points} {more_or_less(score)}"
    return f"{_reaches(found, choice)}; {best.network} buys {buys} for {price}."


def proof(found: "Returns") -> str:
    """Return what the repeats prove of the choice, and what it saves.

    Parameters
    ----------
    found : Returns
        Of one family.
    """
    decision = found.decision
    if not decision.is_proven:
        nearest = min(found.sizes, key=lambda size: 1.0 if size.p is None else size.p)
        told = f"Not proven to be within {found.within} of the best: {decision.reason}"
        if nearest.p is not None and nearest.network != decision.descriptive:
            told += f"; nearest to a proof is {nearest.network} (p = {nearest.p:.2g})"
        return f"{told}."
    proven = f"Within {found.within} of the best at {decision.confidence:.0%} confidence"
    proven += over_looks(decision.look)
    proven += f" ({PAIRED}){_saves(found)}." if decision.is_paired else f"{_saves(found)}."
    if decision.reason is None:
        return proven
    smaller = _reaches(found, found.named(decision.descriptive))
    return f"{proven} {smaller}, and may do as well: {decision.reason}."


def over_looks(look: int) -> str:
    """Return over how many looks at their repeats an answer's confidence is kept, in words."""
    return f" over {look} looks" if look > 1 else ""


def _saves(found: "Returns") -> str:
    saved, low, high = found.saved, found.saved_low, found.saved_high
    if not saved or found.best is found.choice:
        return ""
    if low is None or high is None:
        told = f"; by the medians {saved:.0%} less energy"
        return f"{told}, without an interval: too few pairs of a round"
    interval = f"{saved:.0%} [{100 * low:.0f}, {100 * high:.0f}]"
    if low <= 0:
        return f"; that it needs less energy is not shown: {interval} less"
    return f"; it saves {interval} of the energy"


def knee_in_words(found: "Returns") -> str:
    """Return where the knee is, and how sure that is.

    Parameters
    ----------
    found : Returns
        Of one family.
    """
    share = found.knee_agreement
    if found.knee and share is not None:
        return f"Knee at {found.knee} (in {share:.0%} of resamples)."
    if share is None:
        return "No knee."
    return (
        f"No knee: only {share:.0%} of resamples have the same, {LEAST_AGREEMENT:.0%} are needed."
    )


def _reaches(found: "Returns", size: Size) -> str:
    energy = with_unit(size.energy_wh.median)
    return f"{size.network} reaches {said(found.judged_by, size.score.median)} for {energy}"
