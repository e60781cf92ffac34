"""Builds: limits that are judged together, so that few builds of unchanged code fail."""

from collections.abc import Callable, Iterable, Sequence

from greenbench.gate.judgement import Judgement, Verdict
from greenbench.gate.limits import Budgets, Level, Limit
from greenbench.gate.metrics import METRICS, Kind, Rule


def is_of_family(limit: Limit, level: Level) -> bool:
    """Return whether a limit may fail a build by chance: a noisy cost that may not grow.

    Deterministic costs never do. Limits on costs themselves and on scores have margins of their
    own, which unchanged code keeps.

    Parameters
    ----------
    limit : Limit
        Of one case.
    level : Level
        What becomes of a violation.
    """
    return limit.is_sequential and level is Level.ERROR


def family_of(budgets: Budgets, case_ids: Iterable[str]) -> int:
    """Return how many limits of some cases may fail a build by chance; 1 if none does.

    It is known before anything is measured.
    """
    limits = [limit for case_id in case_ids for limit in budgets.of(case_id)]
    return max(sum(is_of_family(limit, limit.level) for limit in limits), 1)


def holm(judge: Callable[[int], Sequence[Judgement]], family: int) -> Sequence[Judgement]:
    """Return judgements of all limits of a build, after Holm (1979).

    What is violated where all limits share the error, leaves its share to the others; so it goes
    on until no other is violated. With looks it holds as well (Bartroff and Song 2014).

    Parameters
    ----------
    judge : callable
        Judges all limits, of which as many as it is told share the error.
    family : int
        How many limits of the build do.
    """
    left = family
    while True:
        found = judge(left)
        fewer = max(family - sum(map(_is_violated, found)), 1)
        if fewer >= left:
            return found
        left = fewer


def _is_violated(found: Judgement) -> bool:
    is_noisy = METRICS[found.metric].kind in (Kind.ENERGY, Kind.TIME)
    return found.verdict is Verdict.FAIL and is_noisy and found.rule is Rule.MAX_INCREASE
