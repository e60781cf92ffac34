"""Cases as benchmarks in somebody's own project."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from greenbench.compare.files import read_files
from greenbench.tracking import Store
from tests.conftest import LEAN

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("made_store")]

EXAMPLE = Path(__file__).parents[2] / "docs" / "howto" / "test_my_net.py"
OWN = """
from greenbench import register_architecture, register_suite
from greenbench.architectures import Flatten, Linear, Spec, family
from greenbench.cases import matrix

@register_architecture("own_net")
@family(s={"width": 4}, m={"width": 16})
def own_net(image_shape, classes, width=4):
    return Spec("own_net", image_shape, [Flatten(), Linear(width), Linear(classes)])

@register_suite("own")
def own():
    return matrix(("default", "random"), ["own_net.s", "own_net.m"], trials=2, epochs=1, repeats=2)

def test_cost(greenbench_case, greenbench_run):
    greenbench_run(greenbench_case)
"""


@pytest.fixture
def own_project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_own=OWN)
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    options = (*LEAN, "--greenbench-suite", "own", *arguments)
    return project.runpytest_subprocess(*options, timeout=900)


def test_the_documented_file_of_twenty_lines_runs_as_it_stands(pytester: pytest.Pytester) -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 20
    pytester.makepyfile(test_my_net=source)

    # Other tests run beside this one.
    result = pytester.runpytest_subprocess(
        "--greenbench-suite", "mine", "--greenbench-include-disturbed", timeout=900
    )

    assert result.ret == 0
    result.stdout.fnmatch_lines(["*greenbench*", "*my_net*estimated*", "*reaches*"])


def test_energy_and_costs_are_in_the_summary_the_json_and_the_store(
    own_project: pytest.Pytester, tmp_path: Path
) -> None:
    result = run(own_project, "--benchmark-json", "out.json", "-k", "random and s-torch")

    result.assert_outcomes(passed=1, deselected=3)
    result.stdout.fnmatch_lines(
        ["*random-own_net.s-torch-digits*2*", "Every case: energy is estimated*"]
    )
    (benchmark,) = json.loads((own_project.path / "out.json").read_text())["benchmarks"]
    info = benchmark["extra_info"]
    assert benchmark["stats"]["rounds"] == 2
    assert info["energy_provenance"] in ("model", "counter", "constant")
    assert info["energy_wh"] > 0
    assert 0 < info["test_score"] <= 1
    # Flatten, 256 × 4, 4 × 10: twice a multiply-add, thrice but for the first product.
    assert info["train_flops_per_sample"] == 3 * 2 * (256 * 4 + 4 * 10) - 2 * 256 * 4
    assert info["parameters"] == 256 * 4 + 4 + 4 * 10 + 10
    assert [row["repeat"] for row in info["repeats"]] == [0, 1]
    stored = Store(f"sqlite:///{tmp_path}/mlruns/mlflow.db").read_rows()
    assert sorted(row["repeat"] for row in stored) == [0, 1]
    tables = read_files([own_project.path / "out.json"], {})
    assert [row["trials"] for row in tables.rows] == [2, 2]
    assert [(row["repeat"], row["trial"]) for row in tables.trials] == [
        (0, 0), (0, 1), (1, 0), (1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--benchmark-disable",), "pytest-benchmark is disabled"),
        (("-n", "2"), "xdist is on"),
        (("-p", "no:benchmark"), "pytest-benchmark is off"),
    ],
)
def test_without_pytest_benchmark_cases_still_run_and_it_says_so(
    own_project: pytest.Pytester, arguments: tuple[str, ...], words: str
) -> None:
    result = run(own_project, *arguments, "-k", "default and s-torch")

    assert result.ret == 0
    result.stdout.fnmatch_lines([f"*{words}*", "*default-own_net.s-torch-digits*"])


def test_marks_select_cases_without_warnings(own_project: pytest.Pytester) -> None:
    result = run(own_project, "--collect-only", "-q", "--strict-markers", "-m", "random")

    result.stdout.fnmatch_lines(["*[[]random-own_net.s-torch-digits*", "*2/4 tests collected*"])
    assert "Warning" not in result.stdout.str()


def test_options_select_and_set_the_budget(own_project: pytest.Pytester) -> None:
    options = ("--greenbench-strategy", "random", "--greenbench-trials", "5")
    result = run(own_project, "--collect-only", "-q", *options)

    result.stdout.fnmatch_lines(["*random-own_net.m-torch-digits+trials5+epochs1*"])
    assert "default-" not in result.stdout.str()


def test_an_unknown_suite_is_one_line_and_no_traceback(own_project: pytest.Pytester) -> None:
    result = own_project.runpytest_subprocess("--greenbench-suite", "onw", timeout=900)

    assert result.ret == 2
    result.stdout.fnmatch_lines(["*unknown suite 'onw'; did you mean own*"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_case_in_which_no_trial_completes_fails_with_the_reason(
    own_project: pytest.Pytester,
) -> None:
    own_project.makepyfile(
        test_own=OWN.replace('("default", "random")', '("default",)')
        .replace("[Flatten(), Linear(width)", "[Flatten(), Linear(0)")
        .replace("repeats=2", "repeats=1")
    )
    result = run(own_project, "-k", "s-torch", "--junitxml", "junit.xml")

    result.assert_outcomes(failed=1, deselected=1)
    root = ElementTree.parse(own_project.path / "junit.xml").getroot()
    assert root.find(".//failure") is not None


def test_what_a_budget_forbids_fails_the_case_in_one_line_and_what_it_minds_warns(
    own_project: pytest.Pytester,
) -> None:
    budgets = '[[budget]]\ncase = "default-own_net.s-*"\nparameters = { max = 10 }\n'
    budgets += 'train_flops = { max = 1, level = "warn" }\n'
    (own_project.path / "budgets.toml").write_text(budgets)

    options = ("--greenbench-budget", "budgets.toml", "--junitxml", "junit.xml")
    result = run(own_project, *options, "-k", "default")

    result.assert_outcomes(failed=1, passed=1, deselected=2, warnings=1)
    line = "default-own_net.s-torch-digits+epochs1: parameters are 1,078; the budget is 10"
    result.stdout.fnmatch_lines([f"{line}*budgets.toml:3*", "*BudgetWarning: *train_flops are *"])
    root = ElementTree.parse(own_project.path / "junit.xml").getroot()
    (failure,) = root.findall(".//failure")
    assert line in failure.attrib["message"]


def test_a_mistake_in_a_budget_is_found_before_anything_runs(own_project: pytest.Pytester) -> None:
    (own_project.path / "budgets.toml").write_text('[[budget]]\ncase = "ran-*"\ntrials = 3\n')
    result = run(own_project, "--greenbench-budget", "budgets.toml")

    assert result.ret == 2
    result.stdout.fnmatch_lines(
        ["*budgets.toml:3: trials: expected a table: trials = { max = 3 }*"]
    )
    (own_project.path / "budgets.toml").write_text(
        '[[budget]]\ncase = "ran-*"\ntrials = { max = 3 }\n'
    )
    result = run(own_project, "--greenbench-budget", "budgets.toml")

    assert result.ret == 2
    result.stdout.fnmatch_lines(["*budgets.toml:2: case 'ran-*' matches no case*"])
    result.stdout.no_fnmatch_line("*starting workers*")
