"""A small builder of judgements; what a test does not name is plausible and fixed."""

from typing import Any

from greenbench.gate.judgement import Judgement, Judgements, Verdict
from greenbench.gate.metrics import METRICS, Kind, Rule

NOW = (0.0141, 0.0142, 0.0150, 0.0139, 0.0143)
BEFORE = (0.0115, 0.0116, 0.0114, 0.0117, 0.0115)


def make_judgement(
    metric: str = "energy_wh",
    rule: Rule = Rule.MAX_INCREASE,
    *,
    verdict: Verdict = Verdict.FAIL,
    **changed: Any,
) -> Judgement:
    """Return a violation by energy that rose by 23.4%, unless `changed` says else."""
    is_energy = METRICS[metric].kind is Kind.ENERGY
    fields: dict[str, Any] = {
        "case_id": "default-dense.s-torch-digits",
        "value": 0.0142,
        "low": 1.118,
        "high": 1.362,
        "compared": 1.234,
        "limit": 1.1,
        "unit": METRICS[metric].unit,
        "samples": NOW,
        "baseline": BEFORE,
        "provenance": "estimated by codecarbon (model)" if is_energy else None,
        "reason": "the limit is exceeded",
        "cause": None,
        "accept": "`greenbench gate --update`",
        "budget": "benchmarks/budgets.toml:7",
    }
    return Judgement(metric=metric, rule=rule, verdict=verdict, **{**fields, **changed})


def make_judgements(*verdicts: Verdict, notes: tuple[str, ...] = ()) -> Judgements:
    """Return a judgement with each verdict, of cases that are numbered in this order."""
    found = [
        make_judgement(verdict=verdict, case_id=f"case-{number}")
        for number, verdict in enumerate(verdicts)
    ]
    return Judgements(tuple(found), "benchmarks/baselines/ci.json", notes)
