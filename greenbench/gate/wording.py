"""How a judgement is put into words: one line for each, and the cells of tables."""

import math
import statistics

from greenbench.compare.units import energy_unit, mass_unit
from greenbench.gate.judgement import Judgement, Verdict
from greenbench.gate.metrics import METRICS, Kind, Rule
from greenbench.gate.rules import BEYOND, REAL
from greenbench.tasks.score_format import is_share, scale, words
from greenbench.text import clean

DIGITS = 3
EXACT = 15
MOST_SAMPLES = 8
UNKNOWN = "–"


def sentence(found: Judgement) -> str:
    """Return what is to be known of one limit and one case, in one line.

    Parameters
    ----------
    found : Judgement
        With any verdict. A violation says how to accept it; doubt says what is not known and why.

    Returns
    -------
    str
        Without a newline or another control character, whatever names hold.
    """
    is_violated = found.verdict in (Verdict.FAIL, Verdict.WARN)
    if found.verdict is Verdict.INCONCLUSIVE:
        said = [f"unknown whether {_claim(found)}: {found.reason}"]
        it = "it" if _be(found) == "is" else "they"
        said += [f"{it} {_seen(found)}" if found.value is not None else ""]
    else:
        excess = _excess(found) if is_violated else ""
        said = [f"{_name(found)} {_seen(found)}", f"{_limit(found)}{excess and f', so {excess}'}"]
        # A plain verdict has been said.
        plain, _, more = found.reason.partition("; ")
        said += [plain if found.compared is None else "", more]
    said += [_basis(found), (is_violated and found.cause) or ""]
    said += [_samples(found) if found.verdict is not Verdict.PASS else ""]
    said += [f"limit at {found.budget}"]
    said += [f"to accept it: {found.accept}" if is_violated and found.accept else ""]
    return clean(f"{found.case_id}: {'; '.join(filter(None, said))}")


def value_text(found: Judgement) -> str:
    """Return what the metric came to, with its unit, for a cell."""
    value = _value(found)
    return UNKNOWN if value is None else _absolute(found, value)


def compared_text(found: Judgement) -> str:
    """Return the interval of what is compared with the limit, for a cell; exact changes as such."""
    low, high = _finite(found.low), _finite(found.high)
    if low is None or high is None or _is_exact(found):
        compared = _finite(found.compared) if found.rule.is_relative else None
        return UNKNOWN if compared is None else _signed(found, compared)
    return f"{_signed(found, low).partition(' ')[0]} to {_signed(found, high)}"


def limit_text(found: Judgement) -> str:
    """Return the limit with its direction, for a cell."""
    is_least = found.rule is Rule.MIN or (
        found.rule is Rule.MAX_DROP and found.score.higher_is_better
    )
    return f"{'≥' if is_least else '≤'} {_signed(found, found.limit)}"


def counts_text(found: Judgement) -> str:
    """Return how many samples count, and how many the baseline has, for a cell."""
    mine, others = len(found.samples), len(found.baseline)
    return f"{mine}, {others}" if found.rule.is_relative else str(mine)


def number(value: float, digits: int = DIGITS, sign: str = "") -> str:
    """Return a number with separators.

    Parameters
    ----------
    value : float
        Any.
    digits : int
        How many count; those before the point are shown in any case.
    sign : str
        ``"+"`` shows that of a gain, too.
    """
    # What would be rounded up to an exponent has no room for decimals.
    style = ",.0f" if abs(value) >= 10**digits - 0.5 else f",.{digits}g"
    return f"{value:{sign}{style}}"


def _seen(found: Judgement) -> str:
    """Return what became of the metric, with the interval of what is compared."""
    value, compared = _value(found), _finite(found.compared)
    if value is None:
        return f"{_be(found)} unknown"
    shown = _absolute(found, value)
    before = ""
    if _is_exact(found) and found.baseline:
        before = f" from {_absolute(found, statistics.median(found.baseline))}"
    if not found.rule.is_relative:
        return f"{_be(found)} {shown}{_interval(found)}"
    if compared is None:
        return f"went{before} to {shown}" if before else f"{_be(found)} {shown}"
    change = compared - _unchanged(found)
    if not change and not _interval(found):
        return f"{_be(found)} unchanged at {shown}"
    by = f"{_change(found, abs(change))}{_interval(found)}"
    return f"{'fell' if change < 0 else 'rose'} by {by}{before} to {shown}"


def _limit(found: Judgement) -> str:
    if found.rule is Rule.MAX:
        return f"the budget is {_absolute(found, found.limit)}"
    if found.rule is Rule.MIN:
        return f"at least {_absolute(found, found.limit)} is needed"
    return f"allowed is {_allowed(found)}"


def _claim(found: Judgement) -> str:
    """Return what is not known of a limit that is inconclusive."""
    if found.rule is Rule.MAX:
        return f"{_name(found)} {_be(found)} within {_absolute(found, found.limit)}"
    if found.rule is Rule.MIN:
        return f"{_name(found)} {_be(found)} at least {_absolute(found, found.limit)}"
    is_rise = found.rule is Rule.MAX_INCREASE or not found.score.higher_is_better
    return f"{_name(found)} {'rose' if is_rise else 'fell'} by more than {_allowed(found)}"


def _allowed(found: Judgement) -> str:
    return _change(found, abs(found.limit - _unchanged(found)))


def _excess(found: Judgement) -> str:
    """Return by how much a limit is violated; nothing if that is not known."""
    if found.rule is Rule.MAX_INCREASE and _is_exact(found) and found.samples and found.baseline:
        over = max(found.samples) - max(found.baseline) * found.limit
        return f"{number(over, EXACT)} too many"
    compared = _finite(found.compared)
    if compared is None:
        return ""
    over = compared - found.limit
    if found.rule is Rule.MAX:
        if _is_exact(found):
            return f"{number(over, EXACT)} too many"
        if not _is_score(found):
            return f"{number(100 * over / found.limit)}% too much" if found.limit else "too much"
    much = "too little" if found.rule is Rule.MIN else "too much"
    return f"{_points(found, abs(over))} {much}"


def _basis(found: Judgement) -> str:
    """Return on what a judgement rests: how many samples, by what, and which interval."""
    both = f"{len(found.samples)} and {len(found.baseline)}"
    parts = [f"n = {both if found.rule.is_relative else len(found.samples)}"]
    parts += [found.provenance or ""]
    if _interval(found):
        # Each of two bounds may be missed.
        of_kind = 2 * (BEYOND if found.rule is Rule.MAX_INCREASE else REAL) - 1
        confidence = of_kind if found.confidence is None else found.confidence
        parts += [f"{confidence:.0%} interval"]
    return ", ".join(filter(None, parts))


def _samples(found: Judgement) -> str:
    """Return the samples; nothing for those of a count that are all the same."""
    if not found.samples or (_is_exact(found) and len(set(found.samples)) == 1):
        return ""
    mine, others = (_listed(found, values) for values in (found.samples, found.baseline))
    return f"samples {mine}{others and f' against {others}'}"


def _listed(found: Judgement, values: tuple[float, ...]) -> str:
    more = len(values) - MOST_SAMPLES
    shown = [_number(found, value) for value in values[:MOST_SAMPLES]]
    if not shown:
        return ""
    return f"{' '.join(shown)} {_scale(found)[1]}".strip() + (
        f" and {more} more" if more > 0 else ""
    )


def _interval(found: Judgement) -> str:
    """Return the interval as it stands behind a figure; of a change, with signs."""
    low, high = _finite(found.low), _finite(found.high)
    if low is None or high is None or _is_exact(found):
        return ""
    if not found.rule.is_relative:
        return f" [{_number(found, low)} to {_number(found, high)}]"
    if not _is_percent(found):
        first, last = (number(bound, sign="+") for bound in (low, high))
        return f" [{first} to {last}]"
    first, last = (_per_cent(bound - _unchanged(found), "+") for bound in (low, high))
    unit = "%" if found.rule is Rule.MAX_INCREASE else ""
    return f" [{first}{unit} to {last}{unit}]"


def _signed(found: Judgement, compared: float) -> str:
    """Return a figure in the scale of what is compared, changes with their sign."""
    if found.rule.is_relative:
        return _change(found, compared - _unchanged(found), "+")
    return _absolute(found, compared)


def _change(found: Judgement, share: float, sign: str = "") -> str:
    is_ratio = found.rule is Rule.MAX_INCREASE
    return f"{_per_cent(share, sign)}%" if is_ratio else _points(found, share, sign)


def _points(found: Judgement, share: float, sign: str = "") -> str:
    if not _is_percent(found):
        return f"{number(share, sign=sign if share else '')} {found.score.unit}".strip()
    shown = _per_cent(share, sign)
    return f"{shown} point{'' if shown.lstrip('+-') == '1' else 's'}"


def _per_cent(share: float, sign: str = "") -> str:
    # A ratio less 1 has lost digits, and -0 is no change.
    per_cent = round(share * 100, 9) + 0.0
    return number(per_cent, sign=sign if per_cent else "")


def _absolute(found: Judgement, value: float) -> str:
    unit = _scale(found)[1]
    return f"{_number(found, value)}{'' if unit == '%' else ' '}{unit}".strip()


def _number(found: Judgement, value: float) -> str:
    return number(value * _scale(found)[0], _digits(found))


def _scale(found: Judgement) -> tuple[float, str]:
    """Return how many of the unit of all figures make one of the metric's, and that unit."""
    kind, value = METRICS[found.metric].kind, _value(found)
    if kind is Kind.SCORE:
        return scale(found.score)
    if kind is not Kind.ENERGY:
        return 1.0, found.unit
    times = (energy_unit if found.unit == "Wh" else mass_unit)(
        [found.limit if value is None else value]
    )[1]
    return times, found.unit if times == 1 else f"m{found.unit}"


def _digits(found: Judgement) -> int:
    """Return how many digits tell the value from the limit."""
    value, times = _value(found), _scale(found)[0]
    if _is_exact(found):
        return EXACT
    if found.rule.is_relative or value is None or value == found.limit:
        return DIGITS
    one, other = value * times, found.limit * times
    apart = (n for n in range(DIGITS, EXACT) if number(one, n) != number(other, n))
    return next(apart, EXACT)


def _value(found: Judgement) -> float | None:
    """Return what is compared with an absolute limit, which need not be the median."""
    compared = None if found.rule.is_relative else _finite(found.compared)
    return _finite(found.value) if compared is None else compared


def _unchanged(found: Judgement) -> float:
    return 1.0 if found.rule is Rule.MAX_INCREASE else 0.0


def _is_exact(found: Judgement) -> bool:
    return METRICS[found.metric].kind is Kind.COUNT


def _is_score(found: Judgement) -> bool:
    return METRICS[found.metric].kind is Kind.SCORE


def _is_percent(found: Judgement) -> bool:
    """Return whether differences are of per cent: those of costs, and of scores in shares."""
    return not _is_score(found) or is_share(found.score)


def _name(found: Judgement) -> str:
    """Return what the metric is called; of a score, which one it is."""
    if not _is_score(found) or METRICS[found.metric].is_accuracy:
        return found.metric
    return f"{found.metric} ({words(found.score)})"


def _be(found: Judgement) -> str:
    return "are" if _is_exact(found) else "is"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
