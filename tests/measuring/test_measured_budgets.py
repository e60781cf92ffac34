"""Budgets of one measurement: at both sides of the limit, with doubt, and with others about."""

from dataclasses import replace
from typing import Any

import pytest

from greenbench.gate.judgement import Verdict
from greenbench.gate.wording import sentence
from greenbench.measuring import Measurement
from greenbench.measuring.budget import judge
from greenbench.results.readings import Component, Provenance, Reading


def measurement(energy_wh: float, doubt_wh: float | None = None, **changed: Any) -> Measurement:
    part = Component(
        energy_wh * 3600,
        Provenance.COUNTER,
        "a counter",
        uncertainty_j=None if doubt_wh is None else doubt_wh * 3600,
    )
    found = Measurement("fit", Reading(60.0, {"cpu": part}), (), 0.0, 100.0, "made up")
    return replace(found, environment={"meter": "zeus"}, **changed)


@pytest.mark.parametrize(
    ("energy_wh", "doubt_wh", "marks", "verdict"),
    [
        (0.4, None, (), Verdict.PASS),
        (0.5, None, (), Verdict.PASS),
        (0.6, None, (), Verdict.FAIL),
        (0.45, 0.04, (), Verdict.PASS),
        (0.48, 0.04, (), Verdict.INCONCLUSIVE),
        (0.53, 0.04, (), Verdict.INCONCLUSIVE),
        (0.55, 0.04, (), Verdict.FAIL),
        (0.4, None, ("disturbed",), Verdict.PASS),
        (0.6, None, ("disturbed",), Verdict.INCONCLUSIVE),
        (0.6, None, ("suspended",), Verdict.INCONCLUSIVE),
        (0.6, None, ("short",), Verdict.FAIL),
    ],
)
def test_verdict(
    energy_wh: float, doubt_wh: float | None, marks: tuple[str, ...], verdict: Verdict
) -> None:
    found = measurement(energy_wh, doubt_wh, marks=marks)
    assert judge(found, 0.5).verdict is verdict


def test_disturbed_energy_counts_if_asked() -> None:
    found = measurement(0.6, marks=("disturbed",))
    assert judge(found, 0.5, include_disturbed=True).verdict is Verdict.FAIL


def test_sentence_is_that_of_the_gate() -> None:
    assert sentence(judge(measurement(0.6), 0.5)) == (
        "fit: energy_wh is 0.6 Wh; the budget is 0.5 Wh, so 20% too much; n = 1, measured by zeus "
        "(counter); samples 0.6 Wh; limit at max_wh 0.5; to accept it: raise max_wh"
    )


def test_doubt_names_the_option_that_decides_it() -> None:
    found = judge(measurement(0.6, marks=("disturbed",)), 0.5, include="--include-disturbed")
    assert "count it with --include-disturbed; it is 0.6 Wh" in sentence(found)
