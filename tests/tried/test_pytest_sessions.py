"""Sessions of pytest that asked twice for a case, or left budgets unjudged without a word."""

import json
import re
from typing import Any

import pytest

from greenbench.compare.files import read_files
from greenbench.gate.baselines import write_baseline
from tests.builders import make_row
from tests.conftest import LEAN, Greenbench

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("made_store")]

CASE = "default-own_net.s-torch-digits+epochs1"
OTHER = CASE.replace(".s", ".m")
OWN = """
import pytest
from greenbench import register_architecture, register_suite
from greenbench.architectures import Flatten, Linear, Spec, family
from greenbench.cases import matrix

@register_architecture("own_net")
@family(s={"width": 4}, m={"width": 16})
def own_net(image_shape, classes, width=4):
    return Spec("own_net", image_shape, [Flatten(), Linear(width), Linear(classes)])

@register_suite("own")
def own():
    return matrix(("default",), ["own_net.s"], epochs=1, repeats=2)

@register_suite("both")
def both():
    return matrix(("default",), ["own_net.s", "own_net.m"], epochs=1, repeats=2)
"""
ONCE = """
def test_cost(greenbench_case, greenbench_run):
    greenbench_run(greenbench_case)
"""
FIVE_TIMES = f'\n@pytest.mark.parametrize("attempt", range(5)){ONCE}'.replace(
    "test_cost(", "test_cost(attempt, "
)
LOOSE = '[[budget]]\ncase = "*"\nparameters = { max = 5000 }\n'
TIGHT = LOOSE.replace("5000", "10")


def run(
    project: pytest.Pytester, tests: str, budget: str, *arguments: str, suite: str = "own"
) -> pytest.RunResult:
    project.makepyfile(test_own=OWN + tests)
    (project.path / "budgets.toml").write_text(budget)
    options = (*LEAN, "--greenbench-suite", suite, "--greenbench-budget", "budgets.toml")
    return project.runpytest_subprocess(*options, *arguments, timeout=400)


def benchmarks(project: pytest.Pytester) -> list[dict[str, Any]]:
    found = json.loads((project.path / "out.json").read_text())["benchmarks"]
    return [each for each in found if each["extra_info"]]


def test_a_case_that_five_tests_ask_for_is_measured_timed_and_counted_once(
    pytester: pytest.Pytester, greenbench: Greenbench
) -> None:
    limits = f"{LOOSE}energy_wh = {{ max = 1e-9, rounds = 5, on_estimated = 'error' }}\n"
    options = ("--greenbench-include-disturbed", "--benchmark-json", "out.json")
    result = run(pytester, FIVE_TIMES, limits, *options)

    assert result.ret == 0
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines([f"*{CASE} * 2 *", f"{CASE}: asked for 4 more times, and *once*"])
    (benchmark,) = benchmarks(pytester)
    assert benchmark["stats"]["rounds"] == 2
    assert [row["repeat"] for row in read_files([pytester.path / "out.json"], {}).rows] == [0, 1]
    assert len(benchmark["extra_info"]["trials"]) == 2
    assert len(greenbench.journals) == 2

    # As it was written when each test counted for itself.
    copies = {"benchmarks": [benchmark] * 5}
    (pytester.path / "copies.json").write_text(json.dumps(copies))
    budget = str(pytester.path / "budgets.toml")
    files = (str(pytester.path / "copies.json"), "--include-disturbed")
    judged = greenbench.here("gate", *files, "--budget", budget, "--json")
    assert judged.returncode == 0, judged.stdout
    assert {len(each["samples"]) for each in json.loads(judged.stdout)["judgements"]} == {2}


def test_a_violation_is_judged_by_the_same_samples_when_its_test_is_run_again(
    pytester: pytest.Pytester, greenbench: Greenbench
) -> None:
    result = run(pytester, ONCE, TIGHT, "--reruns", "2", "--benchmark-json", "out.json")

    assert result.ret == 1
    result.stdout.fnmatch_lines([f"{CASE}: parameters are 1,078;*n = 2;*", "*1 failed, 2 rerun*"])
    (benchmark,) = benchmarks(pytester)
    assert benchmark["stats"]["rounds"] == 2
    assert len(benchmark["extra_info"]["repeats"]) == 2
    assert len(greenbench.journals) == 2


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--benchmark-skip",), "Skipped: *--benchmark-skip*"),
        (("-k", "nothing"), "deselected"),
        (("--deselect", "test_own.py::test_cost"), "deselected"),
        (("--greenbench-case", "*.m-*", "--benchmark-skip"), "not selected"),
        (("test_own.py::test_plain",), "not selected"),
    ],
)
def test_what_keeps_a_case_from_running_is_said_and_fails_and_starts_nothing(
    pytester: pytest.Pytester, options: tuple[str, ...], why: str
) -> None:
    result = run(pytester, f"{ONCE}\ndef test_plain(): pass\n", LOOSE, *options, suite="both")

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            f"not judged: {CASE}: parameters max: {why}",
            "budgets.toml: *fails; --greenbench-allow-unjudged allows it",
        ]
    )
    assert "starting workers" not in result.stdout.str() + result.stderr.str()


def test_budgets_without_any_test_of_ours_are_said_and_fail(pytester: pytest.Pytester) -> None:
    result = run(pytester, "\ndef test_plain(): pass\n", LOOSE)

    assert result.ret == 1
    result.stdout.fnmatch_lines(["not judged: budgets.toml:2: no case of '[*]' was selected"])


def test_budgets_may_stay_unjudged_if_asked_for_and_it_is_said_all_the_same(
    pytester: pytest.Pytester,
) -> None:
    result = run(pytester, ONCE, LOOSE, "--benchmark-skip", "--greenbench-allow-unjudged")

    assert result.ret == 0
    result.stdout.fnmatch_lines([f"not judged: {CASE}: parameters max: Skipped*", "*was allowed"])


def test_collecting_judges_nothing_and_owes_nothing(pytester: pytest.Pytester) -> None:
    result = run(pytester, ONCE, LOOSE, "--collect-only")

    assert result.ret == 0
    result.stdout.no_fnmatch_line("*not judged*")


def test_unjudged_budgets_are_said_where_nothing_else_is(pytester: pytest.Pytester) -> None:
    result = run(pytester, ONCE, LOOSE, "-k", "nothing", "-p", "no:terminal")

    assert result.ret == 1
    result.stderr.fnmatch_lines([f"not judged: {CASE}: parameters max: deselected"])


def test_only_benchmarks_are_our_tests_too(pytester: pytest.Pytester) -> None:
    result = run(pytester, f"{ONCE}\ndef test_plain(): pass\n", LOOSE, "--benchmark-only")

    assert result.ret == 0
    result.assert_outcomes(passed=1, skipped=1)


def test_processes_of_xdist_say_what_one_repeat_left_open_and_what_was_deselected(
    pytester: pytest.Pytester,
) -> None:
    limits = f"{LOOSE}accuracy = {{ min = 0.01, rounds = 2 }}\n"
    result = run(pytester, ONCE, limits, "-n", "2", "-k", "net.s", suite="both")

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            f"not judged: {OTHER}: parameters max, accuracy min: deselected",
            f"not judged: {CASE}: accuracy min: 1 of 2 repeats ran",
        ],
        consecutive=False,
    )


def test_counts_are_judged_by_processes_of_xdist_and_the_same_seed_counts_once(
    pytester: pytest.Pytester,
) -> None:
    options = ("-n", "2", "-k", "epochs1-1 or epochs1-2", "--greenbench-include-disturbed")
    result = run(pytester, FIVE_TIMES, LOOSE, *options)

    assert result.ret == 0
    result.stdout.fnmatch_lines([f"*{CASE} * 1 *"])


def test_a_budget_of_no_case_is_one_line_under_xdist_too(pytester: pytest.Pytester) -> None:
    result = run(pytester, ONCE, LOOSE.replace("*", "defalt-*"), "-n", "2")

    assert result.ret == 2
    result.stdout.fnmatch_lines(["greenbench: budgets.toml:2: case 'defalt-[*]' matches no case*"])
    assert "starting workers" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    ("tests", "why"),
    [
        ("@pytest.mark.xfail(run=False)", "*"),
        ("@pytest.mark.skip(reason='too slow')", "Skipped: too slow"),
    ],
)
def test_marks_that_keep_a_test_from_running_leave_its_budget_unjudged(
    pytester: pytest.Pytester, tests: str, why: str
) -> None:
    result = run(pytester, f"\n{tests}{ONCE}", LOOSE)

    assert result.ret == 1
    result.stdout.fnmatch_lines([f"not judged: {CASE}: parameters max: {why}"])


def test_a_test_that_runs_a_case_of_its_own_is_said_by_its_name(pytester: pytest.Pytester) -> None:
    own = "\n@pytest.mark.skip(reason='not today')\ndef test_mine(greenbench_run):\n    pass\n"
    result = run(pytester, own, LOOSE)

    assert result.ret == 1
    result.stdout.fnmatch_lines(["not judged: test_own.py::test_mine: *Skipped: not today"])


def test_a_test_may_make_its_case_itself_where_nothing_else_runs(pytester: pytest.Pytester) -> None:
    own = (
        "\nfrom greenbench.cases import Case\n"
        "def test_mine(greenbench_run):\n"
        "    case = Case(architecture='own_net', size='s', dataset='digits', epochs=1, repeats=1)\n"
        "    assert len(greenbench_run(case)) == 1\n"
    )
    pytester.makepyfile(test_own=OWN + own)
    result = pytester.runpytest_subprocess(*LEAN, timeout=400)

    result.assert_outcomes(passed=1)


def test_a_session_that_cannot_start_is_one_line_and_no_traceback(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENBENCH_COUNTRY", "Atlantis")
    result = run(pytester, ONCE, LOOSE)

    assert result.ret == 1
    result.stdout.fnmatch_lines([f"not judged: {CASE}: parameters max: its test failed before"])
    assert "Traceback" not in result.stdout.str()
    assert "in __enter__" not in result.stdout.str()


def test_a_case_that_the_suite_has_lost_is_named_and_one_that_was_left_out_is_not(
    pytester: pytest.Pytester, greenbench: Greenbench
) -> None:
    lost = CASE.replace("own_net.s", "own_net.l")
    known = [make_row(changed={"case_id": name}) for name in (CASE, OTHER, lost)]
    write_baseline(pytester.path / "base.json", known)
    options = ("--greenbench-baseline", "base.json", "--greenbench-allow-unjudged", "-k", "net.s")
    result = run(pytester, ONCE, LOOSE, *options, suite="both")

    assert result.ret == 0
    (line,) = [line for line in result.outlines if "of the baseline" in line]
    assert line.startswith(f"Note: {lost} of the baseline is neither among these results nor in ")
    assert "`greenbench gate --update --prune` drops it" in line


def test_cases_take_turns_and_each_test_has_the_times_of_its_own_repeats(
    pytester: pytest.Pytester,
) -> None:
    options = ("--benchmark-json", "out.json", "--greenbench-include-disturbed")
    result = run(pytester, ONCE, LOOSE, *options, suite="both")

    result.assert_outcomes(passed=2)
    shown = result.stdout.str() + result.stderr.str()
    assert "2 cases take turns" in shown
    assert re.findall(r"repeat (\d)/2: ", shown) == ["1", "1", "2", "2"]
    for each in benchmarks(pytester):
        assert each["stats"]["rounds"] == 2
        assert each["options"]["timer"] == "perf_counter"
        trained_s = [row["duration_s"] for row in each["extra_info"]["repeats"]]
        pairs = zip(each["stats"]["data"], trained_s, strict=True)
        assert all(took_s > known_s > 0 for took_s, known_s in pairs)
