"""One limit, one case: which samples count, what they say, and what becomes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

from greenbench.compare.comparable import ENERGY, check_agree, is_untested, value_of
from greenbench.compare.samples import is_left_out, once_each
from greenbench.errors import BudgetError
from greenbench.gate.baselines import Baseline
from greenbench.gate.bounds import SESSIONS, session_noise
from greenbench.gate.causes import UNCHANGED, likely_cause
from greenbench.gate.judgement import Judgement, Verdict
from greenbench.gate.limits import Level, Limit
from greenbench.gate.metrics import METRICS, Kind, Metric, Rule
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
from greenbench.results.scope import total_of
from greenbench.results.scores import score_of
from greenbench.tasks import Score
from greenbench.tasks.score_format import words

Row = Mapping[str, Any]

EARLIER = 10
"""Sessions of a baseline that count: a machine of last year is another one."""

NEEDED_ALIKE = {
    Kind.COUNT: {},
    Kind.SCORE: {"case_hash": "definition", "score": "score"},
    Kind.ENERGY: {
        "case_hash": "definition",
        "cpu": "CPU",
        "device": "device",
        "host": "host",
        "threads": "number of threads",
        "meter": "energy source",
        "cpu_tdp_w": "TDP of the CPU",
        "energy_provenance": "energy source",
        "energy_scope": "energy scope",
    },
    Kind.TIME: {
        "case_hash": "definition",
        "cpu": "CPU",
        "device": "device",
        "host": "host",
        "threads": "number of threads",
    },
}
"""Columns in which a baseline must agree, by kind of metric, and what they are called."""
ASSUMED = (
    f"fewer than {SESSIONS} stored sessions don't show the noise between sessions, so they only "
    "warn: measure in turn (--baseline interleaved:auto), or say session_noise"
)
OF_TIME = ("host", "threads")
"""Those of energies that times of one comparison must agree in, too."""


@dataclass(frozen=True)
class Question:
    """One limit, one case: what is known of it, and the answer."""

    limit: Limit
    case_id: str
    rows: Sequence[Row]
    known: Sequence[Row]
    baseline: Baseline | None
    path: Path
    include_disturbed: bool
    family: int = 1
    history: Sequence[Row] = ()

    @property
    def metric(self) -> Metric:
        """What is judged."""
        return METRICS[self.limit.metric]

    @property
    def level(self) -> Level:
        """What becomes of a violation; what is estimated or assumed makes it milder."""
        levels = [self.limit.level]
        if self.metric.kind is Kind.ENERGY and not self.is_measured:
            levels.append(self.limit.on_estimated)
        if self._is_noise_assumed:
            levels.append(Level.WARN)
        return min(levels, key=list(Level).index)

    @property
    def is_measured(self) -> bool:
        """Whether the energies that are known are measured."""
        rows = self._known_values(self.rows)
        return all(Provenance(row["energy_provenance"]).is_measured for row in rows)

    @property
    def scaled_limit(self) -> float:
        """The limit in the scale of what is compared with it."""
        allowed = self.limit.allowed
        drop = self.score.gain(-allowed)
        return {Rule.MAX_INCREASE: 1 + allowed, Rule.MAX_DROP: drop}.get(self.limit.rule, allowed)

    @property
    def score(self) -> Score:
        """What the case's score is; limits of other metrics don't ask."""
        return score_of(self.rows[0])

    def judge(self) -> Judgement:
        """Return the answer.

        Raises
        ------
        BudgetError
            If a limit on the score looks at its good side.
        """
        self._check_direction()
        if self._is_noisy:
            is_energy = self.metric.kind is Kind.ENERGY
            columns = ENERGY if is_energy else {name: ENERGY[name] for name in OF_TIME}
            check_agree(self.case_id, self._known_values(self.rows), columns)
        before = self._comparable(self.known) if self.limit.rule.is_relative else []
        rows, known = self._counted(self.rows), self._counted(before)
        if self.metric.kind is Kind.SCORE and len(rows) == len(self.rows):
            rows = once_each(rows, self.metric.column)
        finding = self._missing(rows, known) or self._finding(rows, known)
        verdict, reason = self._verdict(finding)
        values = self._values(rows)
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
            baseline=self._values(known),
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
        values, limit = self._values(rows), self.scaled_limit
        match self.metric.kind, self.limit.rule:
            case Kind.COUNT, Rule.MAX:
                return judge_count(values, limit)
            case Kind.COUNT, _:
                return judge_growth(*self._pairs(rows, known), limit)
            case Kind.SCORE, Rule.MAX_DROP:
                now, before = self._pairs(rows, known)
                # 0.94 - 0.95 is less than -0.01.
                changes = [round(new - old, 12) for new, old in zip(now, before, strict=True)]
                found = judge_drop(self._gains(changes), -self.score.gain(limit))
                return self._turned(found)
            case Kind.SCORE, _:
                return self._turned(judge_least(self._gains(values), self.score.gain(limit)))
            case _, Rule.MAX:
                noise, freedom = self._noise
                return judge_cost(values, limit, noise, self._uncertainty(rows), freedom)
            case _ if self._is_in_turn:
                pairs = list(zip(*self._pairs(rows, known), strict=True))
                first = [is_new_first(row["repeat"]) for row in self._in_both(rows, known)]
                few = self.limit.pairs
                return judge_turns(pairs, first, limit, family=self.family, fewest=few)
            case _:
                noise, freedom = self._noise
                sessions = self._sessions(known)
                return judge_increase(
                    values, sessions, limit, noise, family=self.family, freedom=freedom
                )

    def _sessions(self, rows: Sequence[Row]) -> dict[str, list[float]]:
        """Return the values of each session."""
        found: dict[str, list[float]] = {}
        for row in rows:
            found.setdefault(row["session"], []).append(row[self.metric.column])
        return found

    @property
    def _earlier(self) -> list[list[float]]:
        """The values of earlier sessions, of the baseline or the store, whichever knows more."""
        known = (self._counted(self._comparable(rows)) for rows in (self.known, self.history))
        values = [list(self._sessions(rows).values()) for rows in known]
        return max(([each for each in one if min(each) > 0] for one in values), key=len)

    @property
    def _noise(self) -> tuple[float, float]:
        """The noise between sessions, as a share, and the degrees of freedom of its estimate."""
        earlier = [] if self.limit.is_noise_known else self._earlier
        if len(earlier) < SESSIONS:
            return self.limit.session_noise, inf
        return session_noise(earlier), len(earlier) - 1

    @property
    def _is_noise_assumed(self) -> bool:
        """Whether a stored baseline is compared with, and nobody knows how sessions differ."""
        is_stored = self.limit.is_sequential and self.baseline is not None and not self._is_in_turn
        return is_stored and not self.limit.is_noise_known and len(self._earlier) < SESSIONS

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

    def _uncertainty(self, rows: Sequence[Row]) -> float:
        """Return the share of a sample's energy that ticks leave open; 0 where nobody knows."""
        if self.metric.kind is not Kind.ENERGY:
            return 0.0
        shares = [
            row["uncertainty_wh"] / row["energy_wh"]
            for row in rows
            if row.get("uncertainty_wh") is not None and row.get("energy_wh")
        ]
        return median(shares) if shares else 0.0

    @property
    def _is_in_turn(self) -> bool:
        return self.baseline is not None and self.baseline.is_interleaved

    @property
    def _is_noisy(self) -> bool:
        return self.metric.kind in (Kind.ENERGY, Kind.TIME)

    @property
    def _here(self) -> Row:
        """Return a result that says where this was measured: one without energy does not."""
        return next(iter(self._known_values(self.rows)), self.rows[0])

    def _known_values(self, rows: Sequence[Row]) -> list[Row]:
        return [row for row in rows if row.get(self.metric.column) is not None]

    def _counted(self, rows: Sequence[Row]) -> list[Row]:
        known = self._known_values(rows)
        if self.include_disturbed or not self._is_noisy:
            return known
        return [row for row in known if not is_left_out(row, self.metric.column)]

    def _values(self, rows: Sequence[Row]) -> tuple[float, ...]:
        return tuple(row[self.metric.column] for row in rows)

    @property
    def _needed_alike(self) -> Mapping[str, str]:
        alike = NEEDED_ALIKE[self.metric.kind]
        if self.metric.name != "emissions_g":
            return alike
        # Of another grid, they say nothing of the code.
        return {**alike, "intensity_g_per_kwh": "carbon intensity"}

    def _comparable(self, earlier: Sequence[Row]) -> list[Row]:
        """Return those of earlier results that this limit may be judged by."""
        alike = self._needed_alike
        here = self._here
        rows = [r for r in earlier if all(self._before(r, c) == _value_of(here, c) for c in alike)]
        if self.metric.kind in (Kind.COUNT, Kind.SCORE):
            return _latest(rows)
        # What cost another number of operations then is another thing than what costs it now.
        now = [row.get("train_flops") for row in _latest(rows)]
        rows = [row for row in rows if row.get("train_flops") in now]
        recent = list(dict.fromkeys(row["session"] for row in reversed(rows)))[:EARLIER]
        return [row for row in rows if row["session"] in recent]

    def _pairs(self, rows: Sequence[Row], known: Sequence[Row]) -> tuple[list[float], list[float]]:
        """Return values of the repeats that both have, which had the same seeds."""
        column = self.metric.column
        before = {row["repeat"]: row[column] for row in known}
        common = self._in_both(rows, known)
        has_same_seeds = rows[0].get("case_hash") == known[0].get("case_hash")
        if self.metric.kind is Kind.COUNT and not (common and has_same_seeds):
            return [max(self._values(rows))], [max(before.values())]
        return [row[column] for row in common], [before[row["repeat"]] for row in common]

    def _in_both(self, rows: Sequence[Row], known: Sequence[Row]) -> list[Row]:
        """Return the results of repeats that the baseline has, too."""
        repeats = {row["repeat"] for row in known}
        return [row for row in rows if row["repeat"] in repeats]

    @property
    def _needed(self) -> int:
        """How many samples are needed on each side."""
        is_sequential = self._is_in_turn and self.limit.is_sequential
        return self.limit.pairs if is_sequential else self.limit.rounds

    def _missing(self, rows: Sequence[Row], known: Sequence[Row]) -> Finding | None:
        """Return why the limit cannot be judged, or that a case without score violates it."""
        kind, needed, name = self.metric.kind, self._needed, words(self.score)
        if self.metric.is_accuracy and self.score.name != "accuracy":
            other = f"its score is {name}, not accuracy: limit `score` instead"
            return Finding(None, None, None, None, other)
        if kind is Kind.SCORE and (lost := len(self.rows) - len(self._known_values(self.rows))):
            is_untold = all(is_untested(row) for row in self.rows)
            why = "call run.final(score) in the training" if is_untold else "no trial completed"
            failed = f"{lost} of {len(self.rows)} repeats have no {name}: {why}"
            return Finding(True, None, None, None, failed)
        is_relative = self.limit.rule.is_relative
        reason = self._incomparable(known) if is_relative else None
        if reason is None and len(rows) < needed:
            reason = self._too_few(rows)
        if reason is None and is_relative and len(known) < needed:
            reason = f"the baseline has {_count(known)} that count, and {needed} are needed"
        is_paired = self.limit.rule is Rule.MAX_DROP or (
            self._is_in_turn and self.limit.is_sequential
        )
        if reason is None and is_paired:
            pairs = len(self._in_both(rows, known))
            if pairs < needed:
                reason = f"{pairs} repeats are in both, and {needed} are needed"
        return Finding(None, None, None, None, reason, self._may_tell) if reason else None

    @property
    def _may_tell(self) -> bool:
        """Whether more samples may be judged where those that there are cannot."""
        if not self._known_values(self.rows):
            return len(self.rows) < self._needed
        return not self.limit.rule.is_relative or bool(self._comparable(self.known))

    def _incomparable(self, known: Sequence[Row]) -> str | None:
        if self.baseline is None:
            return "there is no baseline yet: `greenbench gate --update` writes one"
        if not self.known:
            how = f": {self.baseline.update} adds it" if self.baseline.update else ""
            return f"{self.baseline.label} does not have this case{how}"
        if known:
            return None
        if not self._known_values(self.rows):
            return f"{self.metric.name} is unknown in all results"
        last, here = self.known[-1], self._here
        for column, what in self._needed_alike.items():
            before, now = self._before(last, column), _value_of(here, column)
            if before != now:
                return (
                    f"skipped: another {what} ({before or 'unknown'} in the baseline, "
                    f"{now or 'unknown'} here), so figures are not comparable"
                )
        return "no sample of the baseline counts: they are disturbed or unknown"

    def _before(self, row: Row, column: str) -> Any:
        """Return what a row of the baseline says in a column that must agree."""
        value = _value_of(row, column)
        if value is None and column == "energy_scope":
            # Before it was told, all counted that there is on this machine.
            return total_of(self._here)
        return value

    def _too_few(self, rows: Sequence[Row]) -> str:
        unknown = [row for row in self.rows if row.get(self.metric.column) is None]
        if self.metric.name == "train_flops" and len(unknown) == len(self.rows):
            # More of them would be unknown, too.
            what = unknown[-1].get("uncounted") or "something that runs"
            return f"train_flops are unknown ({what} cannot be counted): limit parameters or energy"
        disturbed = len(self.rows) - len(rows) - len(unknown)
        parts = {"disturbed": disturbed, "unknown": len(unknown)}
        why = ", ".join(f"{number} {what}" for what, number in parts.items() if number)
        return (
            f"{_count(rows)} count{'s' if len(rows) == 1 else ''}, and {self._needed} "
            f"{'is' if self._needed == 1 else 'are'} needed{why and f' ({why})'}: run more "
            "repeats"
        )

    def _verdict(self, finding: Finding) -> tuple[Verdict, str]:
        if finding.is_violated is None:
            return Verdict.INCONCLUSIVE, finding.reason
        if not finding.is_violated:
            return Verdict.PASS, finding.reason
        if self.level is Level.ERROR:
            return Verdict.FAIL, finding.reason
        why = ""
        if self.limit.level is Level.ERROR and self._is_noise_assumed:
            why = f"; {ASSUMED}"
        elif self.limit.level is Level.ERROR:
            why = "; energy that is estimated only warns"
        return Verdict.WARN, finding.reason + why

    def _provenance(self) -> str | None:
        if self.metric.kind is not Kind.ENERGY:
            return None
        found = Provenance(self._here["energy_provenance"])
        meter = self._here.get("meter")
        return f"{found.label} by {meter} ({found})" if meter else f"{found.label} ({found})"

    def _cause(self) -> str | None:
        cause = likely_cause(self.rows, _latest(self.known))
        is_score = self.metric.kind is Kind.SCORE
        # What runs a network hardly makes it worse.
        return None if is_score and cause == UNCHANGED else cause

    def _accept(self) -> str:
        raising = f"change `{self.limit.rule}` at {self.path}:{self.limit.line}"
        if not self.limit.rule.is_relative or self.baseline is None:
            return raising
        if self.baseline.update is None:
            return f"{raising}, or merge it knowingly: the next comparison starts from there"
        return f"{self.baseline.update}, or {raising}"


def _value_of(row: Row, column: str) -> Any:
    return score_of(row).name if column == "score" else value_of(row, column)


def _latest(rows: Sequence[Row]) -> list[Row]:
    """Return the results of the latest session."""
    return [row for row in rows if row["session"] == rows[-1]["session"]]


def _count(rows: Sequence[Row]) -> str:
    return f"{len(rows)} sample{'' if len(rows) == 1 else 's'}"
