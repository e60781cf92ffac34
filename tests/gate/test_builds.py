"""Limits of a build that share an error: which they are, and what Holm leaves to the others."""

from pathlib import Path

import pytest

from greenbench.gate.budgets import read_budgets
from greenbench.gate.builds import family_of, holm
from greenbench.gate.judgement import Judgement, Verdict
from greenbench.gate.metrics import Rule
from tests.judgements import make_judgement

BUDGETS = """
[[budget]]
case = "*"
train_flops = { max_increase = "0%" }
accuracy = { max_drop = 0.01 }
energy_wh = { max = 1, max_increase = "10%" }
cpu_s = { max_increase = "10%" }
duration_s = { max_increase = "10%", level = "warn" }
[[budget]]
case = "b"
cpu_s = { max_increase = "10%", level = "off" }
"""


def test_noisy_costs_that_may_not_grow_share_the_error_of_a_build(tmp_path: Path) -> None:
    path = tmp_path / "budgets.toml"
    path.write_text(BUDGETS)
    assert family_of(read_budgets(path), ["a", "b", "c"]) == 5
    assert family_of(read_budgets(path), []) == 1


def answers(chances: list[float], family: int) -> list[Judgement]:
    """Return violations where a chance is below its share of 2%."""
    return [
        make_judgement(verdict=Verdict.FAIL if chance < 0.02 / family else Verdict.PASS)
        for chance in chances
    ]


@pytest.mark.parametrize(
    ("chances", "violated"),
    [
        ([0.001, 0.006, 0.015, 0.5], 2),
        ([0.001, 0.006, 0.008, 0.015], 4),
        ([0.006, 0.006, 0.006, 0.006], 0),
        ([0.001], 1),
    ],
)
def test_what_is_violated_leaves_its_share_to_the_others(
    chances: list[float], violated: int
) -> None:
    found = holm(lambda left: answers(chances, left), len(chances))
    assert sum(each.verdict is Verdict.FAIL for each in found) == violated


def test_other_violations_leave_no_share() -> None:
    others = [make_judgement("train_flops"), make_judgement(rule=Rule.MAX)]
    found = holm(lambda left: [*answers([0.006, 0.006, 0.006], left), *others], 3)
    assert sum(each.verdict is Verdict.FAIL for each in found) == 5 - 0
    found = holm(lambda left: [*answers([0.008, 0.012], left), *others], 3)
    assert sum(each.verdict is Verdict.FAIL for each in found) == 2
