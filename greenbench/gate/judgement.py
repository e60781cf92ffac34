"""What the gate says of one limit and one case, and of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from greenbench.gate.metrics import Rule
from greenbench.tasks import ACCURACY, Score


class Verdict(StrEnum):
    """Of one limit, or of all; a later one outweighs an earlier one."""

    PASS = "pass"
    INCONCLUSIVE = "inconclusive"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Judgement:
    """One limit applied to one case.

    Attributes
    ----------
    case_id, metric : str
        What is judged.
    rule : Rule
        What is limited.
    verdict : Verdict
        What came out.
    value : float or None
        Median of the samples, in `unit`; None if there are none.
    low, high : float or None
        Interval of what is compared with the limit, which is `compared`.
    compared : float or None
        `value` for ``max`` and ``min``; the ratio to the baseline for ``max_increase``; the
        difference from the baseline for ``max_drop``.
    limit : float
        In the scale of `compared`: a ratio of 1.1 for ``max_increase = "10%"``; for ``max_drop``
        above 0 where lower is better.
    unit : str
        Of `value`.
    samples, baseline : tuple of float
        Those that count, and those of the baseline.
    provenance : str or None
        How an energy came about: ``"estimated (model, codecarbon)"``; None for other metrics.
    reason : str
        Why it is no plain pass or fail, or what came out; a sentence without its full stop.
    cause : str or None
        What is likely behind a violation.
    accept : str
        How to accept it.
    budget : str
        File and line of the limit: ``benchmarks/budgets.toml:7``.
    score : Score
        What the score of the case is.
    is_open : bool
        Whether more samples may decide what is inconclusive.
    confidence : float or None
        Of the interval; None for that of its kind of limit.
    """

    case_id: str
    metric: str
    rule: Rule
    verdict: Verdict
    value: float | None
    low: float | None
    high: float | None
    compared: float | None
    limit: float
    unit: str
    samples: tuple[float, ...]
    baseline: tuple[float, ...]
    provenance: str | None
    reason: str
    cause: str | None
    accept: str
    budget: str
    score: Score = ACCURACY
    is_open: bool = False
    confidence: float | None = None


@dataclass(frozen=True)
class Judgements:
    """All that the gate says.

    Attributes
    ----------
    all : tuple of Judgement
        By case, then in the order of the budgets.
    baseline : str or None
        Where the baseline came from, in words.
    notes : tuple of str
        What else a reader must know, such as budgets of cases that did not run.
    """

    all: tuple[Judgement, ...]
    baseline: str | None
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of all verdicts; inconclusive if nothing was judged."""
        return worst([found.verdict for found in self.all])

    def of(self, verdict: Verdict) -> list[Judgement]:
        """Return those with a verdict."""
        return [found for found in self.all if found.verdict is verdict]

    def exit_code(self, *, is_strict: bool) -> int:
        """Return 0 for pass and warn, 1 for a violation, and 3 for doubt if that is not enough.

        Parameters
        ----------
        is_strict : bool
            Whether a limit of which nothing is known is an error.
        """
        if self.of(Verdict.FAIL):
            return 1
        in_doubt = not self.all or bool(self.of(Verdict.INCONCLUSIVE))
        return 3 if is_strict and in_doubt else 0


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict that outweighs all others; inconclusive for none."""
    order = list(Verdict)
    return max(verdicts, key=order.index, default=Verdict.INCONCLUSIVE)
