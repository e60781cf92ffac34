"""Baselines of another number of threads: refused plainly where threads matter."""

import json
from pathlib import Path
from typing import Any

import pytest

from greenbench.errors import NotComparableError
from greenbench.gate.baselines import Baseline, read_baseline, write_baseline
from greenbench.gate.budgets import read_budgets
from greenbench.gate.history import find_steps
from greenbench.gate.judgement import Judgements, Verdict
from greenbench.gate.judging import judge
from tests.builders import make_row

STEADY = (1.0, 1.02, 0.99, 1.01, 0.98)
OURS = Path(__file__).parents[2] / "benchmarks" / "baselines" / "ci.json"
INCREASE = '{ max_increase = "10%" }'
BUDGET = (
    f'[[budget]]\ncase = "*"\nenergy_wh = {INCREASE}\ncpu_s = {INCREASE}\nparameters = {INCREASE}\n'
)

Rows = list[dict[str, Any]]


def rows(threads: str | None) -> Rows:
    changed = {"energy_provenance": "counter", "threads": threads}
    return [
        make_row(changed={**changed, "energy_wh": value, "cpu_s": value, "repeat": repeat})
        for repeat, value in enumerate(STEADY)
    ]


def judged(now: str | None, before: str | None, folder: Path) -> Judgements:
    budget = folder / "budgets.toml"
    budget.write_text(BUDGET)
    known = tuple(rows(before))
    return judge(rows(now), read_budgets(budget), Baseline("before", known, is_interleaved=True))


@pytest.mark.parametrize(("now", "before"), [("1", "2"), ("2", "1"), ("2", None)])
def test_cost_with_other_threads_is_not_judged_and_deterministic_costs_are(
    now: str, before: str | None, tmp_path: Path
) -> None:
    energy, time, parameters = judged(now, before, tmp_path).all
    for found in (energy, time):
        assert found.verdict is Verdict.INCONCLUSIVE
        assert found.reason == (
            f"skipped: another number of threads ({before or 1} in the baseline, {now} here), so "
            "figures are not comparable"
        )
    assert parameters.verdict is Verdict.PASS


@pytest.mark.parametrize(("now", "before"), [("2", "2"), ("1", None), (None, None)])
def test_cost_with_equal_threads_is_judged(
    now: str | None, before: str | None, tmp_path: Path
) -> None:
    assert [found.verdict for found in judged(now, before, tmp_path).all] == [Verdict.PASS] * 3


def test_baseline_keeps_the_threads(tmp_path: Path) -> None:
    file = tmp_path / "ci.json"
    write_baseline(file, rows("3"))
    assert {row["threads"] for row in read_baseline(file).rows} == {"3"}


def test_samples_of_several_numbers_of_threads_are_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(NotComparableError, match=r"differ in threads \(1, 2\)"):
        write_baseline(tmp_path / "ci.json", [*rows("1")[:2], *rows("2")[2:]])


def test_baseline_of_an_older_version_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "ci.json"
    write_baseline(file, rows("1"))
    found = json.loads(file.read_text())
    for case in found["cases"].values():
        del case["threads"]
    file.write_text(json.dumps(found))
    assert {row["threads"] for row in read_baseline(file).rows} == {None}
    assert read_baseline(OURS).rows


def test_another_number_of_threads_is_no_step_in_a_history() -> None:
    sessions = [(None, 1.0), ("1", 1.0)] * 3 + [("2", 2.0)] * 6
    found = find_steps(
        [
            make_row(
                energy_wh=joules, changed={"threads": n, "session": f"s{i}", "run_id": f"r{i}"}
            )
            for i, (n, joules) in enumerate(sessions)
        ],
        metrics=["energy_wh"],
    )
    assert [len(series.points) for series in found] == [6, 6]
    assert [series.steps for series in found] == [(), ()]
