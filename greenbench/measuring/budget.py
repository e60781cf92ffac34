"""Whether a measurement kept its budget, judged as the gate judges a case, by one sample."""

from greenbench.gate.judgement import Judgement, Verdict
from greenbench.gate.metrics import Rule
from greenbench.measuring.measurement import Measurement
from greenbench.results.marks import LEFT_OUT, MEANINGS

METRIC = "energy_wh"


def judge(
    found: Measurement,
    max_wh: float,
    *,
    include_disturbed: bool = False,
    limit: str = "max_wh",
    include: str = "include_disturbed",
) -> Judgement:
    """Judge the energy of a measurement.

    It is a violation if the energy less its uncertainty is above the limit, and a pass if the
    energy with it is not. One that is estimated is judged, too: this very figure is what was
    limited. What something else used meanwhile can only have added: so a disturbed energy may
    pass, and one above the limit says nothing.

    Parameters
    ----------
    found : Measurement
        What was used.
    max_wh : float
        What is allowed, in Wh.
    include_disturbed : bool
        Whether an energy above the limit counts all the same.
    limit, include : str
        What the limit, and the option that counts disturbed energies, are called.
    """
    verdict, reason = _verdict(found, max_wh, include_disturbed, include)
    known = () if found.energy_wh is None else (found.energy_wh,)
    return Judgement(
        case_id=found.name,
        metric=METRIC,
        rule=Rule.MAX,
        verdict=verdict,
        value=found.energy_wh,
        low=None,
        high=None,
        compared=found.energy_wh,
        limit=max_wh,
        unit="Wh",
        samples=known,
        baseline=(),
        provenance=f"{found.provenance.label} by {found.meter} ({found.provenance})",
        reason=reason,
        cause=None,
        accept=f"raise {limit}",
        budget=f"{limit} {max_wh:g}",
    )


def _verdict(
    found: Measurement, max_wh: float, include_disturbed: bool, include: str
) -> tuple[Verdict, str]:
    energy_wh, doubt_wh = found.energy_wh, found.uncertainty_wh or 0.0
    if energy_wh is None:
        why = found.reason or "nothing was read"
        return Verdict.INCONCLUSIVE, f"its energy is unknown ({why})"
    if energy_wh + doubt_wh <= max_wh:
        return Verdict.PASS, "the limit is kept"
    marks = [mark for mark in found.marks if mark in LEFT_OUT]
    if marks and not include_disturbed:
        meaning = MEANINGS[marks[0]].partition(":")[0]
        return (
            Verdict.INCONCLUSIVE,
            f"{meaning} ({marks[0]}), which may have added to it: measure again on a quiet "
            f"machine, or count it with {include}",
        )
    if energy_wh - doubt_wh > max_wh:
        return Verdict.FAIL, "the limit is exceeded"
    share = doubt_wh / energy_wh
    return (
        Verdict.INCONCLUSIVE,
        f"the limit is within the {share:.1%} that it is uncertain by: measure for longer",
    )
