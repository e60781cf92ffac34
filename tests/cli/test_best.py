"""`greenbench best`: which case is meant, what is printed, and stores of older versions."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from greenbench.cases import Case
from greenbench.cli import cli
from greenbench.results import CaseResult, Trial
from greenbench.tracking import Store
from tests.builders import make_result, make_trial

SEARCH = Case("bayesian", size="xs", trials=2)
SETTINGS = {"learning_rate": 0.0123456789, "width": 64, "relu": True, "act": "3"}


def searched(val: float, settings: dict[str, object], **changed: object) -> CaseResult:
    winner: Trial = replace(make_trial(1, accuracy=val), hyperparameters=settings)
    return make_result(SEARCH, trials=[make_trial(0, accuracy=0.2), winner], **changed)


@pytest.fixture(scope="module", autouse=True)
def _filled(store: Store) -> None:
    earlier = searched(0.99, {"learning_rate": 0.5}, suite="mine", started_at=1.0e9)
    store.log_result(earlier, "earlier/a")
    store.log_result(searched(0.8, SETTINGS, suite="mine"), "later/a")
    store.log_result(searched(0.7, SETTINGS, suite="mine", repeat=1), "later/b")
    store.log_result(make_result(Case("random"), suite="mine"), "later/c")


@pytest.fixture
def best(monkeypatch: pytest.MonkeyPatch, runs_dir: Path) -> "Best":
    monkeypatch.setenv("GREENBENCH_RUNS_DIR", str(runs_dir))
    return Best()


class Best:
    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["best", *arguments])


def test_part_of_an_id_finds_the_best_repeat_of_the_latest_session(best: Best) -> None:
    found = json.loads(best("bayesian", "--json").stdout)
    assert (found["hyperparameters"], found["trial"], found["repeat"]) == (SETTINGS, 1, 0)
    assert [each["session"] for each in found["repeats"]] == ["later", "later"]


def test_python_prints_what_python_runs(best: Best) -> None:
    scope: dict[str, object] = {}
    exec(best(SEARCH.id, "--python").stdout, scope)
    assert scope["hyperparameters"] == SETTINGS


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("baysian", f"unknown case 'baysian'; did you mean {SEARCH.id}?"),
        ("simple_cnn", "'simple_cnn' is a part of 2 cases: "),
        ("zzz", "unknown case 'zzz'; known: "),
    ],
)
def test_name_of_no_case_or_several_is_one_line(best: Best, name: str, said: str) -> None:
    result = best(name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {said}")
    assert result.stderr.count("\n") == 1


def test_runs_of_older_versions_tell_by_their_trials(store: Store) -> None:
    rows = [row for row in store.read_rows("mine") if row["case_id"] == SEARCH.id]
    older = [{**row, "hyperparameters": None, "incumbent_trial": None} for row in rows[:1]]
    (found,) = store.with_winners(older)
    assert found["incumbent_trial"] == "1"
    assert json.loads(found["hyperparameters"]) == {"learning_rate": 0.5}
