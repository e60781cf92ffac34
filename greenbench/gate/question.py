"""One limit, one case: which samples count, what they say, and what becomes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from greenbench.compare.comparable import ENERGY, check_agree
from greenbench.compare.samples import once_each
from greenbench.errors import BudgetError
from greenbench.gate.bounds import SESSIONS
from greenbench.gate.causes import UNCHANGED, likely_cause
from greenbench.gate.evidence import OF_TIME, Evidence, latest
from greenbench.gate.judgement import Judgement, Verdict
from greenbench.gate.limits import Level, Limit
from greenbench.gate.metrics import Kind, Metric, Rule
from greenbench.gate.missing import missing
from greenbench.gate.rules import (
    Finding,
    judge_cost,
    judge_count,
    judge_drop,
    judge_growth,
    judge_increase,
    judge_least,
    judge_turns,
)
from greenbench.gate.sequential import is_new_first
from greenbench.results.readings import Provenance
from greenbench.tasks import Score
from greenbench.tasks.score_format import words

Row = Mapping[str, Any]


ASSUMED = (
    f"fewer than {SESSIONS} stored sessions don't show the noise between sessions, so they only "
    "warn: measure in turn (--baseline interleaved:auto), or say session_noise"
)


@dataclass(frozen=True)
class Question:
    """One limit, one case: what is known of it, and the answer.

    Attributes
    ----------
    case_id : str
        The case.
    path : Path
        Of the budgets.
    evidence : Evidence
        What it is judged by.
    family : int
        Limits of the build that may fail it by chance.
    """

    case_id: str
    path: Path
    evidence: Evidence
    family: int = 1

    @property
    def limit(self) -> Limit:
        """What is allowed."""
        return self.evidence.limit

    @property
    def metric(self) -> Metric:
        """What is judged."""
        return self.evidence.metric

    @property
    def score(self) -> Score:
        """What the case's score is; limits of other metrics don't ask."""
        return self.evidence.score

    @property
    def level(self) -> Level:
        """What becomes of a violation; what is estimated or assumed makes it milder."""
        levels = [self.limit.level]
        if self.metric.kind is Kind.ENERGY and not self.evidence.is_measured:
            levels.append(self.limit.on_estimated)
        if self.evidence.is_noise_assumed:
            levels.append(Level.WARN)
        return min(levels, key=list(Level).index)

    @property
    def scaled_limit(self) -> float:
        """The limit in the scale of what is compared with it."""
        allowed = self.limit.allowed
        drop = self.score.gain(-allowed)
        return {Rule.MAX_INCREASE: 1 + allowed, Rule.MAX_DROP: drop}.get(self.limit.rule, allowed)

    def judge(self) -> Judgement:
        """Return the answer.

        Raises
        ------
        BudgetError
            If a limit on the score looks at its good side.
        """
        self._check_direction()
        if self.evidence.is_noisy:
            is_energy = self.metric.kind is Kind.ENERGY
            columns = ENERGY if is_energy else {name: ENERGY[name] for name in OF_TIME}
            check_agree(self.case_id, self.evidence.known_values(self.evidence.rows), columns)
        of = self.evidence
        before = of.comparable(of.known) if self.limit.rule.is_relative else []
        rows, known = of.counted(of.rows), of.counted(before)
        if self.metric.kind is Kind.SCORE and len(rows) == len(of.rows):
            rows = once_each(rows, self.metric.column)
        finding = missing(of, rows, known) or self._finding(rows, known)
        verdict, reason = self._verdict(finding)
        values = self.evidence.values(rows)
        is_doubtful = verdict in (Verdict.PASS, Verdict.INCONCLUSIVE)
        return Judgement(
            case_id=self.case_id,
            metric=self.limit.metric,
            rule=self.limit.rule,
            verdict=verdict,
            value=median(values) if values else None,
            low=finding.low,
            high=finding.high,
            compared=finding.compared,
            limit=self.scaled_limit,
            unit=self.metric.unit,
            samples=values,
            baseline=self.evidence.values(known),
            provenance=self._provenance(),
            reason=reason,
            cause=None if is_doubtful else self._cause(),
            accept=self._accept(),
            budget=f"{self.path}:{self.limit.line}",
            score=self.score,
            is_open=finding.is_open,
            confidence=finding.confidence,
        )

    def _check_direction(self) -> None:
        rule, score = self.limit.rule, self.score
        right = Rule.MIN if score.higher_is_better else Rule.MAX
        if self.metric.kind is not Kind.SCORE or rule in (right, Rule.MAX_DROP):
            return
        if self.metric.is_accuracy:
            # Whoever limits the accuracy of many cases means those that have one.
            return
        better = "higher" if score.higher_is_better else "lower"
        raise BudgetError(
            str(self.path),
            [
                (
                    self.limit.line,
                    f"{rule} of {self.metric.name}: {self.case_id} is judged by {words(score)}, "
                    f"of which {better} is better; use {right} (or {right}_score) instead",
                )
            ],
        )

    def _finding(self, rows: Sequence[Row], known: Sequence[Row]) -> Finding:
        values, limit = self.evidence.values(rows), self.scaled_limit
        match self.metric.kind, self.limit.rule:
            case Kind.COUNT, Rule.MAX:
                return judge_count(values, limit)
            case Kind.COUNT, _:
                return judge_growth(*self.evidence.pairs(rows, known), limit)
            case Kind.SCORE, Rule.MAX_DROP:
                now, before = self.evidence.pairs(rows, known)
                # 0.94 - 0.95 is less than -0.01.
                changes = [round(new - old, 12) for new, old in zip(now, before, strict=True)]
                found = judge_drop(self._gains(changes), -self.score.gain(limit))
                return self._turned(found)
            case Kind.SCORE, _:
                return self._turned(judge_least(self._gains(values), self.score.gain(limit)))
            case _, Rule.MAX:
                noise, freedom = self.evidence.noise
                left, has_looks = self.evidence.uncertainty(rows), self.evidence.has_looks
                return judge_cost(values, limit, noise, left, freedom, is_repeated=has_looks)
            case _ if self.evidence.is_in_turn:
                pairs = list(zip(*self.evidence.pairs(rows, known), strict=True))
                first = [is_new_first(row["repeat"]) for row in self.evidence.in_both(rows, known)]
                few = self.limit.pairs
                return judge_turns(pairs, first, limit, family=self.family, fewest=few)
            case _:
                noise, freedom = self.evidence.noise
                sessions = self.evidence.sessions(known)
                return judge_increase(
                    values, sessions, limit, noise, family=self.family, freedom=freedom,
                    is_repeated=self.evidence.is_repeated,
                )  # fmt: skip

    def _gains(self, values: Sequence[float]) -> list[float]:
        return [self.score.gain(value) for value in values]

    def _turned(self, found: Finding) -> Finding:
        """Return what was found of gains in the score's own direction."""
        if self.score.higher_is_better:
            return found
        low, compared, high = (
            None if each is None else -each for each in (found.high, found.compared, found.low)
        )
        return replace(found, low=low, compared=compared, high=high)

    def _verdict(self, finding: Finding) -> tuple[Verdict, str]:
        if finding.is_violated is None:
            return Verdict.INCONCLUSIVE, finding.reason
        if not finding.is_violated:
            return Verdict.PASS, finding.reason
        if self.level is Level.ERROR:
            return Verdict.FAIL, finding.reason
        why = ""
        if self.limit.level is Level.ERROR and self.evidence.is_noise_assumed:
            why = f"; {ASSUMED}"
        elif self.limit.level is Level.ERROR:
            why = "; energy that is estimated only warns"
        return Verdict.WARN, finding.reason + why

    def _provenance(self) -> str | None:
        if self.metric.kind is not Kind.ENERGY:
            return None
        found = Provenance(self.evidence.here["energy_provenance"])
        meter = self.evidence.here.get("meter")
        return f"{found.label} by {meter} ({found})" if meter else f"{found.label} ({found})"

    def _cause(self) -> str | None:
        cause = likely_cause(self.evidence.rows, latest(self.evidence.known))
        is_score = self.metric.kind is Kind.SCORE
        # What runs a network hardly makes it worse.
        return None if is_score and cause == UNCHANGED else cause

    def _accept(self) -> str:
        raising = f"change `{self.limit.rule}` at {self.path}:{self.limit.line}"
        if not self.limit.rule.is_relative or self.evidence.baseline is None:
            return raising
        if self.evidence.baseline.update is None:
            return f"{raising}, or merge it knowingly: the next comparison starts from there"
        return f"{self.evidence.baseline.update}, or {raising}"
