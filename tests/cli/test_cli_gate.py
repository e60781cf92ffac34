"""`greenbench gate` as a user meets it: of files, of a store, and with every mistake."""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from resource import RLIMIT_FSIZE, getrlimit, setrlimit
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from greenbench import registry
from greenbench.cases import Case
from greenbench.cli import cli
from greenbench.cli.tables import Wanted, read_tables
from greenbench.gate.baselines import read_baseline
from greenbench.results import CaseResult
from greenbench.results.table import to_row
from greenbench.tracking import Store
from tests.builders import STARTED_AT, make_result
from tests.conftest import Greenbench

SMALL, MEDIUM = Case("default", "dense", size="s"), Case("default", "dense", size="m")
BASELINE = Path("benchmarks/baselines/ci.json")
BUDGETS = """[[budget]]
case = "*"
parameters = { max = 2_000 }
energy_wh = { max_increase = "10%", on_estimated = "error", session_noise = "1%" }
"""
STRICTEST = BUDGETS.replace("2_000", "1_000")


def gate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["gate", *map(str, arguments)])


def refused(*arguments: str | Path) -> str:
    """Return the one line that a refusal is."""
    done = gate(*arguments)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert isinstance(done.exception, SystemExit)
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("Error: ").rstrip("\n")


def strictly(text: str) -> Any:
    """Read JSON that has nothing which JSON does not have."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def results(wh: float = 1.0, cases: Iterable[Case] = (SMALL,), **changed: Any) -> list[CaseResult]:
    return [
        make_result(case, repeat=repeat, energy_j=3600.0 * wh * (1 + repeat / 1000), **changed)
        for case in cases
        for repeat in range(5)
    ]


def bench(name: str, found: Iterable[CaseResult], **changed: Any) -> Path:
    """Write a file of `pytest --benchmark-json`."""
    repeats = [{**to_row(result), "session": name, **changed} for result in found]
    entry = {"extra_info": {"repeats": repeats, "trials": []}}
    Path(name).write_text(json.dumps({"benchmarks": [entry]}))
    return Path(name)


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with budgets, which is the working folder."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("benchmarks").mkdir()
    Path("benchmarks/budgets.toml").write_text(BUDGETS)


@pytest.fixture
def now() -> Path:
    return bench("now.json", results())


@pytest.fixture
def baseline(now: Path) -> Path:
    """What the project cost before, which is what it costs now."""
    assert gate(now, "--update").exit_code == 0
    return BASELINE


# The revision before


def test_where_no_revision_is_before_stored_baselines_are_used_and_it_is_said(
    now: Path, baseline: Path
) -> None:
    done = gate(now, "--baseline", "interleaved:auto", "--max-minutes", "4")
    assert done.exit_code == 0, done.output
    assert f"gate: pass: 2 passed; baseline: {baseline}" in done.stdout
    line = f"interleaved:auto has none, so stored baselines are used: {Path.cwd()} is in no git"
    assert done.stderr.startswith(line)
    assert line in done.stdout.replace("\n", " ")


def test_cases_that_no_suite_has_are_compared_with_the_stored_baseline(now: Path) -> None:
    for step in ("init", "add .", "commit -qm one", "commit -qm two --allow-empty"):
        names = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *names, *step.split()], check=True, capture_output=True)
    done = gate(now, "--baseline", "interleaved:auto")
    assert done.exit_code == 0, done.output
    assert done.stderr.startswith(
        "interleaved:auto has none, so stored baselines are used: no case of now.json is one of its"
    )


# Exit codes


def test_a_kept_budget_passes(now: Path, baseline: Path) -> None:
    done = gate(now, "--strict")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    assert f"gate: pass: 2 passed; baseline: {baseline}" in done.stdout


def test_a_violated_budget_fails_with_a_line_that_says_all(baseline: Path) -> None:
    done = gate(bench("costly.json", results(2.0)))
    assert done.exit_code == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FAIL ")]
    for part in (SMALL.id, "energy_wh", "benchmarks/budgets.toml:4", "greenbench gate --update"):
        assert part in line


def test_doubt_is_an_error_only_if_it_is_asked_for(now: Path) -> None:
    done = gate(now)
    assert done.exit_code == 0
    assert "there is no baseline yet: `greenbench gate --update` writes one" in done.stdout
    assert gate(now, "--strict").exit_code == 3


def test_a_violation_outweighs_doubt(now: Path) -> None:
    Path("benchmarks/budgets.toml").write_text(STRICTEST)
    assert gate(now, "--strict").exit_code == 1


def test_estimated_energy_only_warns_if_nobody_says_else(baseline: Path) -> None:
    Path("benchmarks/budgets.toml").write_text(BUDGETS.replace(', on_estimated = "error"', ""))
    done = gate(bench("costly.json", results(2.0)), "--strict")
    assert done.exit_code == 0
    assert "energy that is estimated only warns" in done.stdout


def test_nothing_to_compare_with_is_an_error_only_if_strict(now: Path) -> None:
    Path("benchmarks/budgets.toml").write_text(BUDGETS.replace('"*"', f'"{MEDIUM.id}"'))
    found = bench("both.json", results(cases=[SMALL, MEDIUM]))
    assert gate(found, "--case", SMALL.id).exit_code == 0
    assert gate(found, "--case", SMALL.id, "--strict").exit_code == 3


def test_training_that_failed_does_not_pass_because_it_was_cheap(baseline: Path) -> None:
    done = gate(bench("failed.json", [*results(), make_result(SMALL, repeat=5, accuracy=None)]))
    assert done.exit_code == 1
    assert f"Note: {SMALL.id}: no trial of repeat 5 completed" in done.stdout


def test_disturbed_samples_count_if_they_are_asked_for(baseline: Path) -> None:
    found = bench("disturbed.json", results(2.0), marks="disturbed")
    assert gate(found).exit_code == 0
    assert gate(found, "--include-disturbed").exit_code == 1


# Outputs


def test_json_is_alone_on_standard_output(baseline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    done = gate(bench("costly.json", results(2.0)), "--json")
    found = strictly(done.stdout)
    assert found["verdict"] == "fail"
    assert {each["case_id"] for each in found["judgements"]} == {SMALL.id}
    assert done.stdout.endswith("}\n")
    assert not done.stdout.endswith("\n\n")


def test_github_gets_annotations_on_the_line_of_the_budget(
    baseline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = bench("costly.json", results(2.0))
    assert gate(found).stderr == ""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    done = gate(found)
    assert done.stderr.startswith("::error file=benchmarks/budgets.toml,line=4,title=")
    assert done.stderr.count("\n") == 1
    assert "::error" not in done.stdout


def test_nothing_to_annotate_is_nothing(
    now: Path, baseline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert gate(now).stderr == ""


def test_the_summary_of_the_step_is_appended(
    now: Path, baseline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    Path("summary.md").write_text("# Earlier\n")
    assert gate(now).exit_code == 0
    said = Path("summary.md").read_text()
    assert said.startswith("# Earlier\n## The gate passes\n")
    assert gate(now, "--markdown", "own.md").exit_code == 0
    assert Path("summary.md").read_text() == said
    assert Path("own.md").read_text() == said.removeprefix("# Earlier\n")


FORMATS = {
    "--junit": lambda text: ET.fromstring(text).attrib["failures"] == "1",
    "--markdown": lambda text: text.startswith("## The gate fails"),
    "--smaller-is-better": lambda text: strictly(text)[0]["unit"] == "Wh",
    "--bencher": lambda text: "energy_wh" in strictly(text)[SMALL.id],
}
each_format = pytest.mark.parametrize("option", FORMATS)


@each_format
def test_a_format_is_a_file_in_folders_that_are_made(baseline: Path, option: str) -> None:
    path = Path("out/folder/file")
    assert gate(bench("costly.json", results(2.0)), option, path).exit_code == 1
    text = path.read_text(encoding="utf-8")
    assert FORMATS[option](text)
    assert text.endswith("\n")
    assert not text.endswith("\n\n\n")


@each_format
def test_a_full_disk_leaves_no_half_of_a_file(now: Path, option: str) -> None:
    _, hard = limits = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (50, hard))
    try:
        done = gate(now, option, "file")
    finally:
        setrlimit(RLIMIT_FSIZE, limits)
    assert done.exit_code == 2
    assert done.stderr == "Error: file cannot be written: File too large; allow larger files\n"
    assert [path.name for path in Path().glob("*.tmp")] == []
    # A summary is appended to what others wrote.
    assert Path("file").exists() == (option == "--markdown")


@each_format
def test_a_file_that_cannot_be_written_is_one_line(now: Path, option: str) -> None:
    done = gate(now, option, now / "file")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: {now / 'file'} cannot be written: File exists; ")
    assert done.stderr.count("\n") == 1


# Baselines


def test_update_writes_a_file_for_each_suite(now: Path) -> None:
    other = bench("other.json", results(suite="scaling", cases=[SMALL, MEDIUM]))
    done = gate(now, other, "--update")
    assert done.exit_code == 0, done.output
    scaling = BASELINE.with_name("scaling.json")
    assert done.stdout == (
        f"wrote {BASELINE}: 1 case, 5 samples; commit it\n"
        f"wrote {scaling}: 2 cases, 10 samples; commit it\n"
    )
    assert len(read_baseline(scaling).rows) == 10
    assert gate(now, other, "--strict").exit_code == 0


@pytest.mark.parametrize("suite", ["../elsewhere", "{tmp_path}/elsewhere", "deeper/elsewhere"])
def test_update_writes_nowhere_that_only_the_results_name(
    now: Path, tmp_path: Path, suite: str
) -> None:
    suite = suite.format(tmp_path=tmp_path)
    other = bench("other.json", results(suite=suite, cases=[SMALL]))
    done = gate(now, other, "--update")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: suite {suite!r} of these results is no name for a file")
    assert not list(tmp_path.rglob("elsewhere*"))
    assert not BASELINE.exists()
    # What the user names is another matter.
    assert gate(other, "--update", "--baseline", "elsewhere.json").exit_code == 0


def test_update_keeps_other_cases_and_never_touches_budgets(baseline: Path) -> None:
    found = bench("both.json", results(2.0, cases=[SMALL, MEDIUM]))
    assert gate(found, "--update", "--case", MEDIUM.id).exit_code == 0
    energies = {row["case_id"]: row["energy_wh"] for row in read_baseline(baseline).rows}
    assert energies == {SMALL.id: pytest.approx(1.004), MEDIUM.id: pytest.approx(2.008)}
    assert Path("benchmarks/budgets.toml").read_text() == BUDGETS


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return results of a suite that has lost one of the cases of its baseline."""
    suite = [SMALL, MEDIUM]
    monkeypatch.setitem(registry.suites._loaded, "ci", lambda: suite)
    before = bench("before.json", results(cases=[SMALL, MEDIUM]))
    assert gate(before, "--update").exit_code == 0
    suite.remove(MEDIUM)
    return bench("now.json", results())


def test_a_case_that_the_suite_has_lost_is_named_everywhere(removed: Path) -> None:
    done = gate(removed, "--junit", "junit.xml", "--markdown", "summary.md")
    assert done.exit_code == 0, done.output
    note = (
        f"{MEDIUM.id} of the baseline is neither among these results nor in ci, and so not judged: "
        "removed, renamed or not run; `greenbench gate --update --prune` drops it"
    )
    assert f"Note: {note}" in done.stdout.splitlines()
    assert note in strictly(gate(removed, "--json").stdout)["notes"]
    assert note in str(ET.parse("junit.xml").findtext(".//system-out"))
    assert f"- {MEDIUM.id} of the baseline" in Path("summary.md").read_text()


def test_a_case_that_was_only_left_out_is_not_called_gone(
    now: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.suites._loaded, "ci", lambda: [SMALL, MEDIUM])
    both = bench("both.json", results(cases=[SMALL, MEDIUM]))
    assert gate(both, "--update").exit_code == 0
    for arguments in ([now], [both, "--case", SMALL.id]):
        assert "of the baseline" not in gate(*arguments).stdout
    assert "of the baseline" not in gate(now, "--update").stdout
    assert gate(now, "--update", "--prune").exit_code == 0
    assert {row["case_id"] for row in read_baseline(BASELINE).rows} == {SMALL.id, MEDIUM.id}


def test_nobody_knows_what_a_suite_has_lost_that_is_not_registered(now: Path) -> None:
    both = bench("both.json", results(cases=[SMALL, MEDIUM], suite="theirs"))
    assert gate(both, "--update").exit_code == 0
    found = gate(bench("one.json", results(suite="theirs")))
    assert "of the baseline" not in found.stdout


def test_update_keeps_what_is_gone_until_it_is_told_to_prune(removed: Path) -> None:
    assert "--update --prune` drops it" in gate(removed, "--update").stdout
    assert {row["case_id"] for row in read_baseline(BASELINE).rows} == {SMALL.id, MEDIUM.id}
    assert f"dropped {MEDIUM.id}\n" in gate(removed, "--update", "--prune").stdout
    assert {row["case_id"] for row in read_baseline(BASELINE).rows} == {SMALL.id}
    assert "of the baseline" not in gate(removed).stdout
    assert "say --update, too" in refused(removed, "--prune")


def test_a_baseline_may_be_any_file(now: Path) -> None:
    assert gate(now, "--update", "--baseline", "mine.json").exit_code == 0
    assert not BASELINE.exists()
    done = gate(bench("costly.json", results(2.0)), "--baseline", "mine.json")
    assert done.exit_code == 1
    assert "baseline: mine.json" in done.stdout


def test_another_host_is_not_compared_and_it_says_so(baseline: Path) -> None:
    done = gate(bench("elsewhere.json", results(2.0, host="f" * 12)))
    assert done.exit_code == 0
    assert "skipped: another host" in done.stdout


@pytest.mark.parametrize(
    ("content", "expected"), [("", "it is empty"), ('{"schema": 9}', "has schema 9")]
)
def test_a_bad_baseline_is_one_line(now: Path, content: str, expected: str) -> None:
    BASELINE.parent.mkdir()
    BASELINE.write_text(content)
    assert expected in refused(now)
    assert expected in refused(now, "--update")
    assert BASELINE.read_text() == content


def test_results_of_two_hosts_are_no_baseline(now: Path) -> None:
    other = bench("elsewhere.json", results(host="f" * 12))
    assert "figures differ in host" in refused(now, other, "--update")
    assert not BASELINE.exists()


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--update", "--history"], "--update and --history contradict each other"),
        (["--update", "--baseline", "run:0123"], "--update writes a file, and --baseline is"),
        (["--update", "--baseline", "tag:branch=main"], "--update writes a file"),
        (["--update", "--baseline", "interleaved:main"], "--update writes a file"),
        (["--baseline", "interleaved"], "needs the revision to compare with"),
        (["--baseline", "interleaved:"], "needs the revision to compare with"),
        (["--baseline", "interleaved:main"], "measures by itself; leave files and --session out"),
        (["--baseline", "no_such.json"], "baseline no_such.json cannot be read: No such file"),
        (["--baseline", "benchmarks"], "baseline benchmarks cannot be read: Is a directory"),
        (["--baseline", "run:0123"], "there is no store at "),
        (["--budget", "no_such.toml"], "no_such.toml"),
        (["--case", "no_such*"], "no result in now.json is of a case 'no_such*'"),
        (["--update", "--case", "no_such*"], "no result in now.json is of a case 'no_such*'"),
        (["--suite", "ci"], "--suite selects from the store"),
        (["--rounds", "3"], "--max-pairs is for --baseline interleaved:REVISION"),
        (["--max-minutes", "3"], "--max-minutes is for --baseline interleaved:REVISION"),
        (["--max-minutes", "nan"], "--max-minutes is nan; expected a finite number above 0"),
        (["--until-decided"], "--until-decided measures by itself; leave files and --session out"),
        (["--until-decided", "--update"], "--until-decided measures and judges; leave --update"),
        (["--until-decided", "--history"], "--until-decided measures and judges; leave"),
        (["--max-repeats", "3"], "--max-repeats is for --until-decided"),
        (["--history"], "--history looks at all past runs of the store; leave files"),
        (["now.json"], "now.json is given twice"),
        (["no_such.json"], "no_such.json cannot be read"),
    ],
)
def test_options_that_cannot_work_are_one_line(
    now: Path, arguments: list[str], expected: str
) -> None:
    assert expected in refused(now, *arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--baseline", "interleaved:main"], "--baseline is 'interleaved:main', which goes on"),
        (["--baseline", "interleaved:auto"], "--baseline is 'interleaved:auto', which goes on"),
        (["--max-minutes", "inf"], "--max-minutes is inf; expected a finite number above 0"),
        (["--session", "last"], "--until-decided measures by itself; leave files and --session"),
        (["--max-pairs", "3"], "--max-pairs is for --baseline interleaved:REVISION; say"),
        (["--baseline", "no_such.json"], "baseline no_such.json cannot be read: No such file"),
        (["--case", "no_such*"], "no_such*"),
    ],
)
def test_what_contradicts_repeats_until_it_is_decided_is_one_line(
    arguments: list[str], expected: str
) -> None:
    assert expected in refused("--until-decided", *arguments)


@pytest.mark.parametrize("arguments", [["--history"], ["--update"], []])
def test_a_project_without_results_is_one_line(arguments: list[str]) -> None:
    assert "there is no store at " in refused(*arguments)


def test_a_missing_budget_file_is_named(now: Path) -> None:
    Path("benchmarks/budgets.toml").unlink()
    assert "benchmarks/budgets.toml" in refused(now)


def test_a_csv_is_no_result_of_the_gate(now: Path) -> None:
    Path("a.csv").write_text("case_id,energy_wh\na,1\n")
    assert "a.csv is a CSV" in refused("a.csv")
    assert "of two kinds" in refused(now, "a.csv")


def test_every_mistake_of_a_budget_has_its_line(now: Path) -> None:
    Path("benchmarks/budgets.toml").write_text(
        '[[budget]]\ncase = "*"\nparametres = { max = 1 }\nenergy_wh = { max = "NaN" }\n'
    )
    done = gate(now)
    assert (done.exit_code, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert first.startswith("Error: benchmarks/budgets.toml:3: ")
    assert "did you mean parameters" in first
    assert second.startswith("benchmarks/budgets.toml:4: ")


def test_a_budget_of_no_case_is_an_error(now: Path) -> None:
    Path("benchmarks/budgets.toml").write_text(BUDGETS.replace('"*"', '"default-dense.z-*"'))
    assert refused(now).startswith("benchmarks/budgets.toml:2: case 'default-dense.z-*' matches no")


def test_a_budget_of_a_case_that_did_not_run_is_a_note(now: Path, baseline: Path) -> None:
    other = BUDGETS.replace('"*"', '"bayesian-dense.s-torch-digits+trials8"')
    Path("benchmarks/budgets.toml").write_text(BUDGETS + other)
    done = gate(now, "--strict")
    assert done.exit_code == 0, done.output
    assert "Note: benchmarks/budgets.toml:6: no case of 'bayesian-dense.s-t" in done.stdout


@pytest.mark.parametrize(
    ("budget", "options", "expected"),
    [
        ("*", ["--case", "no_such*"], "no case"),
        ("*", ["--suite", "no_such"], "unknown suite 'no_such'"),
        (MEDIUM.id, ["--case", "*-dense.s-*"], "limits no case of 'ci' that is asked for"),
        ("*", [], "is in no git repository"),
    ],
)
def test_what_cannot_be_measured_in_turn_is_one_line(
    monkeypatch: pytest.MonkeyPatch, budget: str, options: list[str], expected: str
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(Path.cwd().parent))
    Path("benchmarks/budgets.toml").write_text(BUDGETS.replace('"*"', f'"{budget}"'))
    assert expected in refused("--baseline", "interleaved:main", *options)


def test_an_unknown_revision_is_one_line_and_leaves_no_journal(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], check=True)
    shown = refused("--baseline", "interleaved:mian")
    assert shown.startswith(f"revision 'mian' is not in {tmp_path}")
    assert not (tmp_path / "mlruns").exists()


def test_an_interrupted_measurement_is_no_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("greenbench.gate.interleave.interleave", interrupt)
    done = gate("--baseline", "interleaved:main")
    assert done.exit_code == 130
    assert done.stderr.endswith("interrupted: nothing is judged; finished repeats are kept\n")


# The store


@pytest.fixture(scope="module")
def stored(store: Store) -> dict[str, str]:
    """A store with seven sessions; since the fifth, training costs twice as many FLOPs."""
    found = {"uri": store.uri.reveal()}
    for session in range(7):
        for repeat in range(5 if session in (0, 6) else 1):
            result = make_result(
                SMALL,
                repeat=repeat,
                energy_j=3600.0 * (1 + repeat / 1000) * (2 if session >= 4 else 1),
                started_at=STARTED_AT + 1000 * session + repeat,
                environment={
                    "host": "h", "cpu": "c", "commit": f"c{session}",
                    "branch": "main" if session < 4 else "change",
                },
            )  # fmt: skip
            if session >= 4:
                costs = result.costs.__class__(**{**vars(result.costs), "train_flops": 2 * 10**9})
                result = result.__class__(**{**vars(result), "costs": costs})
            run = store.log_result(result, f"ci-{session}/{repeat}")
            found.setdefault(f"ci-{session}", run)
    return found


@pytest.fixture
def runs(stored: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", stored["uri"])
    return stored


def test_the_latest_session_of_the_store_is_judged(runs: dict[str, str]) -> None:
    found = strictly(gate("--json").stdout)["judgements"]
    assert [len(each["samples"]) for each in found] == [5, 5]
    assert found[1]["value"] == pytest.approx(2.004)


@pytest.mark.parametrize(
    ("reference", "samples"), [("run:ci-0", 5), ("tag:branch=main", 8), ("tag:session=ci-0", 5)]
)
def test_the_store_has_baselines(runs: dict[str, str], reference: str, samples: int) -> None:
    kind, _, name = reference.partition(":")
    asked = f"run:{runs[name]}" if kind == "run" else reference
    done = gate("--baseline", asked, "--json")
    energy = strictly(done.stdout)["judgements"][1]
    assert len(energy["baseline"]) == samples
    assert done.exit_code == 1


def test_the_session_that_is_judged_is_no_baseline(runs: dict[str, str]) -> None:
    assert "no other finished result" in refused("--baseline", f"run:{runs['ci-6']}")
    file = bench("same.json", results(), session="ci-6")
    assert "no other finished result" in refused(file, "--baseline", f"run:{runs['ci-6']}")


def test_update_writes_the_latest_session_of_the_store(runs: dict[str, str]) -> None:
    assert gate("--update").exit_code == 0
    assert {row["commit"] for row in read_baseline(BASELINE).rows} == {"c6"}


def test_a_case_that_the_store_lacks_is_one_line(runs: dict[str, str]) -> None:
    assert "is of a case 'no_such'" in refused("--case", "no_such")
    assert "no past run in the store is of such a case" in refused("--history", "--case", "no_such")
    assert "no results in " in refused("--suite", "no_such")


def test_history_names_the_first_session_and_commit_of_a_step(runs: dict[str, str]) -> None:
    done = gate("--history")
    assert done.exit_code == 0, done.output
    (line,) = [line for line in done.stdout.splitlines() if "train_flops" in line]
    for part in (SMALL.id, "ci-4", runs["ci-4"][:8], "c4", "c3"):
        assert part in line
    series = strictly(gate("--history", "--json").stdout)
    (flops,) = [each for each in series if each["metric"] == "train_flops"]
    assert flops["steps"][0]["index"] == 4
    assert f"session ci-4 (run {runs['ci-4']}, commit c4 after c3)" in flops["sentence"]


@pytest.fixture(scope="module")
def reused(stored: dict[str, str]) -> dict[str, str]:
    """Sessions of two repeats, of those and a third, and of nothing new, in a suite of theirs."""
    store = Store(stored["uri"])
    for place, (session, repeat, origin) in enumerate(
        [
            ("some-0", 0, None), ("some-0", 1, None),
            ("some-1", 0, "some-0"), ("some-1", 1, "some-0"), ("some-1", 2, None),
            ("some-2", 0, "some-0"), ("some-2", 1, "some-0"), ("some-2", 2, "some-1"),
        ]
    ):  # fmt: skip
        at, wh = STARTED_AT + 100 + place, 3600.0 * (1 + repeat / 1000)
        result = make_result(
            SMALL, repeat=repeat, suite="some", energy_j=wh, started_at=at, reused_from=origin
        )
        run = store.log_result(result, f"{session}/{repeat}")
        stored[session] = run
    return stored


def test_results_that_were_reused_are_no_samples_of_the_gate(
    reused: dict[str, str], runs: dict[str, str]
) -> None:
    said = refused("--session", "some-2")
    assert "all results in session some-2 of " in said
    assert "run the cases without `--reuse`" in said
    assert refused("--session", "some-2", "--update") == said
    judged = strictly(gate("--session", "some-1", "--json").stdout)
    assert [len(each["samples"]) for each in judged["judgements"]] == [1, 1]
    assert "2 of 3 results were taken over from an earlier session" in " ".join(judged["notes"])
    asked = ("--session", "some-1", "--json", "--baseline", f"run:{reused['some-0']}")
    assert len(strictly(gate(*asked).stdout)["judgements"][1]["baseline"]) == 2
    no_other = "no other finished result"
    assert no_other in refused("--session", "some-1", "--baseline", f"run:{reused['some-2']}")
    series = strictly(gate("--history", "--suite", "some", "--json").stdout)
    assert {len(each["values"]) for each in series if "values" in each} <= {2}


def test_comparers_count_what_was_reused_once(reused: dict[str, str], runs: dict[str, str]) -> None:
    asked = Wanted((), "some", all_sessions=True, where=(), include_disturbed=False)
    found = read_tables(asked, with_trials=True)
    assert sorted((row["session"], row["repeat"]) for row in found.rows) == [
        ("some-0", 0), ("some-0", 1), ("some-1", 2),
    ]  # fmt: skip
    assert len(found.trials) == 3
    # A session is whole by itself.
    (latest,) = read_tables(replace(asked, all_sessions=False)).sessions
    assert latest == "some-2"
    for session in ("some-1", "some-2"):
        whole = read_tables(replace(asked, all_sessions=False, session=session), with_trials=True)
        assert [row["repeat"] for row in whole.rows] == [0, 1, 2]
        assert len(whole.trials) == 3


def test_help_imports_nothing_heavy(greenbench: Greenbench) -> None:
    code = (
        "import sys\n"
        "sys.argv = ['greenbench', 'gate', '--help']\n"
        "from greenbench.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'keras', 'mlflow', 'pandas', 'numpy', 'scipy', 'ruptures'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=greenbench.environment,
        check=True,
    )
    assert "--baseline" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy: []"
