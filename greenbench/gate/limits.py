"""Limits: what a budget says of one metric of some cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

from greenbench.gate.metrics import METRICS, Kind, Rule

ROUNDS = {Kind.COUNT: 1, Kind.SCORE: 3, Kind.ENERGY: 5, Kind.TIME: 5}
"""How many samples a limit needs, if its budget does not say."""

FEWEST = {Rule.MAX: 2, Rule.MIN: 2, Rule.MAX_DROP: 2, Rule.MAX_INCREASE: 4}
"""Samples of a noisy metric without which nothing can be proven, whatever they are."""

FEWEST_PAIRS, MOST_PAIRS = 3, 20
"""Pairs of the first look at two revisions that are measured in turn, and of the last."""

SESSION_NOISE = 0.10
"""Standard deviation of energies between sessions on a shared machine, if nobody says."""


class Level(StrEnum):
    """What becomes of a violation."""

    OFF = "off"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True)
class Limit:
    """One limit on one metric.

    Attributes
    ----------
    pattern : str
        Glob on case ids.
    metric : str
        Name in `greenbench.gate.metrics.METRICS`.
    rule : Rule
        What is limited.
    allowed : float
        In the unit of the metric for ``max`` and ``min``; a share for ``max_increase``, where
        0.1 is 10%; a difference for ``max_drop``, where 0.01 is 1 point of accuracy.
    level : Level
        What becomes of a violation.
    rounds : int
        Samples that are needed on each side; fewer are inconclusive.
    on_estimated : Level
        What becomes of a violation by energy that is estimated.
    session_noise : float
        Standard deviation between sessions that are not interleaved, as a share.
    line : int
        Of the file, counted from 1.
    pairs : int
        Of two revisions that are measured in turn: how many the first look needs.
    is_noise_known : bool
        Whether the budget says the noise between sessions; else it is assumed.
    """

    pattern: str
    metric: str
    rule: Rule
    allowed: float
    level: Level
    rounds: int
    on_estimated: Level
    session_noise: float
    line: int
    pairs: int = FEWEST_PAIRS
    is_noise_known: bool = False

    @property
    def is_sequential(self) -> bool:
        """Whether it is judged after each pair, if two revisions are measured in turn."""
        is_noisy = METRICS[self.metric].kind in (Kind.ENERGY, Kind.TIME)
        return is_noisy and self.rule is Rule.MAX_INCREASE


@dataclass(frozen=True)
class Budgets:
    """The limits of one file.

    Attributes
    ----------
    path : Path
        The file.
    limits : tuple of Limit
        In the order of the file. A limit that is off is there, because it hides earlier ones.
    patterns : tuple of (str, int)
        The glob of each budget, and the line that has it.
    """

    path: Path
    limits: tuple[Limit, ...]
    patterns: tuple[tuple[str, int], ...]

    def of(self, case_id: str) -> list[Limit]:
        """Return the limits of a case: of each metric, those of the last budget that names it.

        Parameters
        ----------
        case_id : str
            See `greenbench.cases.Case.id`.
        """
        found: dict[str, list[Limit]] = {}
        for limit in self.limits:
            if fnmatchcase(case_id, limit.pattern):
                known = found.get(limit.metric, [])
                # Two rules of one entry stand on one line.
                is_same = bool(known) and known[0].line == limit.line
                found[limit.metric] = [*known, limit] if is_same else [limit]
        chosen = [limit for limits in found.values() for limit in limits]
        return [limit for limit in chosen if limit.level is not Level.OFF]

    def unmatched(self, case_ids: Sequence[str]) -> list[tuple[str, int]]:
        """Return the globs that match none of some cases, each with its line."""
        return [
            (pattern, line)
            for pattern, line in self.patterns
            if not any(fnmatchcase(case_id, pattern) for case_id in case_ids)
        ]
