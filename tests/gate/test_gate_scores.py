"""Limits on scores of any unit, of which higher or lower is better."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from greenbench.errors import BudgetError
from greenbench.gate.baselines import Baseline
from greenbench.gate.budgets import read_budgets
from greenbench.gate.history import find_steps
from greenbench.gate.judgement import Judgement, Verdict
from greenbench.gate.judging import judge
from greenbench.gate.outputs import to_json
from greenbench.gate.wording import compared_text, limit_text, sentence, value_text
from greenbench.results.scores import columns_of
from greenbench.tasks import Score
from tests.builders import make_row

R2 = Score("r2", high=1.0)
BITS = Score("bits_per_token", "bits", higher_is_better=False, low=0.0)

Rows = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows_of(score: Score, values: Sequence[float]) -> Rows:
    return [
        make_row(changed={**columns_of(score), "test_score": value, "repeat": repeat})
        for repeat, value in enumerate(values)
    ]


def one(budget: str, rows: Rows, baseline: Rows | None = None) -> Judgement:
    path = Path("budgets.toml")
    path.write_text(f'[[budget]]\ncase = "*"\n{budget}\n', encoding="utf-8")
    known = Baseline("main", tuple(baseline), is_interleaved=True) if baseline else None
    (found,) = judge(rows, read_budgets(path), known).all
    return found


@pytest.mark.parametrize(
    ("budget", "score", "values", "verdict"),
    [
        ("min_score = 0.4", R2, [0.45, 0.46, 0.44], Verdict.PASS),
        ("score = { min = 0.4 }", R2, [0.3, 0.31, 0.29], Verdict.FAIL),
        ("min_score = -1.5", R2, [-1.0, -1.01, -0.99], Verdict.PASS),
        ("max_score = 2.5", BITS, [2.1, 2.11, 2.09], Verdict.PASS),
        ("score = { max = 2.0 }", BITS, [2.1, 2.11, 2.09], Verdict.FAIL),
    ],
)  # fmt: skip
def test_absolute_limits(
    budget: str, score: Score, values: Sequence[float], verdict: Verdict
) -> None:
    assert one(budget, rows_of(score, values)).verdict is verdict


@pytest.mark.parametrize(
    ("score", "by", "verdict"),
    [
        (R2, 0.1, Verdict.PASS),
        (R2, -0.1, Verdict.FAIL),
        (BITS, -0.1, Verdict.PASS),
        (BITS, 0.1, Verdict.FAIL),
    ],
)
def test_a_drop_is_a_change_to_the_worse(score: Score, by: float, verdict: Verdict) -> None:
    before = [0.50, 0.52, 0.51]
    now = [value + by + noise for value, noise in zip(before, (0.0, 0.001, -0.001), strict=True)]
    found = one("max_drop = 0.05", rows_of(score, now), rows_of(score, before))
    assert found.verdict is verdict


def test_words_say_score_unit_and_direction() -> None:
    before, now = [2.10, 2.12, 2.11], [2.30, 2.33, 2.30]
    found = one("max_drop = 0.1", rows_of(BITS, now), rows_of(BITS, before))
    said = sentence(found)
    assert "score (bits per token) rose by 0.2 bits [+0.172 to +0.228] to 2.3 bits; " in said
    assert "allowed is 0.1 bits, so 0.1 bits too much" in said
    assert limit_text(found) == "≤ +0.1 bits"
    assert compared_text(found).startswith("+0.172")
    assert value_text(found) == "2.3 bits"
    assert '"lower": ' not in said
    least = sentence(one("min_score = 0.4", rows_of(R2, [0.3, 0.31, 0.29])))
    assert "score (R²) is 0.3" in least
    assert "at least 0.4 is needed, so 0.1 too little" in least


@pytest.mark.parametrize(
    ("budget", "score", "advice"),
    [
        ("min_score = 2.0", BITS, "lower is better; use max"),
        ("max_score = 0.9", R2, "higher is better; use min"),
    ],
)
def test_a_limit_on_the_good_side_is_refused(budget: str, score: Score, advice: str) -> None:
    with pytest.raises(BudgetError, match=advice):
        one(budget, rows_of(score, [0.5, 0.5]))


def test_accuracy_is_not_asked_of_another_score() -> None:
    found = one("accuracy = { min = 0.5 }", rows_of(R2, [0.9, 0.9, 0.9]))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason == "its score is R², not accuracy: limit `score` instead"


def test_another_score_in_the_baseline_is_not_comparable() -> None:
    found = one("max_drop = 0.1", rows_of(R2, [0.9, 0.9, 0.9]), rows_of(BITS, [2.0, 2.0, 2.0]))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "another score (bits_per_token in the baseline, r2 here)" in found.reason


def test_json_tells_what_the_score_is() -> None:
    found = one("max_score = 2.5", rows_of(BITS, [2.1, 2.11, 2.09]))
    assert found.score.name == "bits_per_token"
    path = Path("budgets.toml")
    said = to_json(judge(rows_of(BITS, [2.1, 2.11, 2.09]), read_budgets(path), None))
    assert '"higher_is_better": false' in said


@pytest.mark.parametrize("line", ['min_score = "40%"', "min_score = true", "max_drop = -0.1"])
def test_wrong_figures_are_refused(line: str) -> None:
    with pytest.raises(BudgetError, match=line.partition(" ")[0]):
        one(line, rows_of(R2, [0.5, 0.5]))


def test_both_spellings_at_once_are_refused() -> None:
    with pytest.raises(BudgetError, match="delete one of them"):
        one("min_score = 0.3\nscore = { min = 0.4 }", rows_of(R2, [0.5, 0.5]))


def test_history_has_one_series_of_a_score() -> None:
    values = [2.1, 2.11, 2.09, 2.1, 2.5, 2.51, 2.49, 2.5]
    rows = [
        {**row, "session": f"s{number}", "repeat": 0}
        for number, row in enumerate(rows_of(BITS, values))
    ]
    (found,) = [each for each in find_steps(rows) if each.metric in ("accuracy", "score")]
    assert found.metric == "score"
    assert "changed by +0.4 bits from 2.10 bits to 2.50 bits" in found.sentence
