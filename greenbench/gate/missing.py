"""Why a limit cannot be judged, where it cannot: what is missing, and whether more may bring it."""

from collections.abc import Mapping, Sequence
from typing import Any

from greenbench.compare.comparable import is_untested
from greenbench.gate.evidence import Evidence, told
from greenbench.gate.metrics import Kind, Rule
from greenbench.gate.rules import Finding
from greenbench.tasks.score_format import words

Row = Mapping[str, Any]


def missing(evidence: Evidence, rows: Sequence[Row], known: Sequence[Row]) -> Finding | None:
    """Return why the limit cannot be judged, or that a case without score violates it."""
    kind, needed, name = evidence.metric.kind, evidence.needed, words(evidence.score)
    if evidence.metric.is_accuracy and evidence.score.name != "accuracy":
        other = f"its score is {name}, not accuracy: limit `score` instead"
        return Finding(None, None, None, None, other)
    if kind is Kind.SCORE and (
        lost := len(evidence.rows) - len(evidence.known_values(evidence.rows))
    ):
        is_untold = all(is_untested(row) for row in evidence.rows)
        why = "call run.final(score) in the training" if is_untold else "no trial completed"
        failed = f"{lost} of {len(evidence.rows)} repeats have no {name}: {why}"
        return Finding(True, None, None, None, failed)
    is_relative = evidence.limit.rule.is_relative
    reason = _incomparable(evidence, known) if is_relative else None
    if reason is None and len(rows) < needed:
        reason = _too_few(evidence, rows)
    if reason is None and is_relative and len(known) < needed:
        reason = f"the baseline has {_count(known)} that count, and {needed} are needed"
    is_paired = evidence.limit.rule is Rule.MAX_DROP or (
        evidence.is_in_turn and evidence.limit.is_sequential
    )
    if reason is None and is_paired:
        pairs = len(evidence.in_both(rows, known))
        if pairs < needed:
            reason = f"{pairs} repeats are in both, and {needed} are needed"
    return Finding(None, None, None, None, reason, _may_tell(evidence)) if reason else None


def _may_tell(evidence: Evidence) -> bool:
    """Whether more samples may be judged where those that there are cannot."""
    if not evidence.known_values(evidence.rows):
        return len(evidence.rows) < evidence.needed
    if not evidence.limit.rule.is_relative:
        return True
    known = evidence.comparable(evidence.known)
    if evidence.is_in_turn:
        return bool(known)
    # What is stored does not grow.
    known = evidence.counted(known)
    if len(known) < evidence.needed:
        return False
    if evidence.limit.rule is not Rule.MAX_DROP:
        return True
    last = max(row["repeat"] for row in evidence.rows)
    here = evidence.in_both(evidence.counted(evidence.rows), known)
    later = sum(row["repeat"] > last for row in known)
    return bool(len(here) + later >= evidence.needed)


def _incomparable(evidence: Evidence, known: Sequence[Row]) -> str | None:
    if evidence.baseline is None:
        return "there is no baseline yet: `greenbench gate --update` writes one"
    if not evidence.known:
        how = f": {evidence.baseline.update} adds it" if evidence.baseline.update else ""
        return f"{evidence.baseline.label} does not have this case{how}"
    if known:
        return None
    if not evidence.known_values(evidence.rows):
        return f"{evidence.metric.name} is unknown in all results"
    last, here = evidence.known[-1], evidence.here
    for column, what in evidence.needed_alike.items():
        before, now = evidence.before(last, column), told(here, column)
        if before != now:
            return (
                f"skipped: another {what} ({before or 'unknown'} in the baseline, "
                f"{now or 'unknown'} here), so figures are not comparable"
            )
    return "no sample of the baseline counts: they are disturbed or unknown"


def _too_few(evidence: Evidence, rows: Sequence[Row]) -> str:
    unknown = [row for row in evidence.rows if row.get(evidence.metric.column) is None]
    if evidence.metric.name == "train_flops" and len(unknown) == len(evidence.rows):
        # More of them would be unknown, too.
        what = unknown[-1].get("uncounted") or "something that runs"
        return f"train_flops are unknown ({what} cannot be counted): limit parameters or energy"
    disturbed = len(evidence.rows) - len(rows) - len(unknown)
    parts = {"disturbed": disturbed, "unknown": len(unknown)}
    why = ", ".join(f"{number} {what}" for what, number in parts.items() if number)
    return (
        f"{_count(rows)} count{'s' if len(rows) == 1 else ''}, and {evidence.needed} "
        f"{'is' if evidence.needed == 1 else 'are'} needed{why and f' ({why})'}: run more "
        "repeats"
    )


def _count(rows: Sequence[Row]) -> str:
    return f"{len(rows)} sample{'' if len(rows) == 1 else 's'}"
