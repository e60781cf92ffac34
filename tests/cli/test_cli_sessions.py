"""Sessions as a user meets them: listed, chosen, and named where the latest has no answer."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from greenbench.cases import Case, matrix
from greenbench.cli import cli
from greenbench.results import CaseResult
from greenbench.running.manifest import Manifest
from greenbench.tracking import Store
from tests.builders import STARTED_AT, make_result

SIZES = matrix(networks=["simple_cnn.s", "simple_cnn.m"], repeats=2)
WHOLE, LOOK, ADHOC = "scaling-20231114-1", "scaling-20231115-1", "adhoc-20231116-1"
BUDGET = '[[budget]]\ncase = "*"\nparameters = { max = 1e9 }\n'


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def refused(*arguments: str) -> str:
    done = invoke(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


def made(case: Case, suite: str, day: int, repeat: int = 0) -> CaseResult:
    started_at = STARTED_AT + 86_400.0 * day
    return make_result(case, suite=suite, repeat=repeat, started_at=started_at)


@pytest.fixture(scope="module")
def folder(new_store: Callable[[Path], Store], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store: a whole suite, then a look at one of its cases, then another look."""
    folder = tmp_path_factory.mktemp("sessions")
    store = new_store(folder)
    results = [(WHOLE, made(case, "scaling", 0, n)) for case in SIZES for n in range(2)]
    results += [(LOOK, made(SIZES[0], "scaling", 1)), (ADHOC, made(SIZES[1], "adhoc", 2))]
    for session, result in results:
        store.log_result(result, f"{session}/{result.case.id}.r{result.repeat}")
    for session, ends in ((WHOLE, True), (LOOK, False)):
        run = folder / "journal" / session
        run.mkdir(parents=True)
        manifest = Manifest({"schema": 1, "suite": "scaling", "cases": []}, {})
        manifest.write(run)
        if ends:
            manifest.finish(run)
    return folder


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    monkeypatch.setenv("GREENBENCH_RUNS_DIR", str(folder))
    monkeypatch.setenv("COLUMNS", "200")


def test_sessions_are_listed_with_what_they_have() -> None:
    lines = invoke("sessions").stdout.splitlines()
    places = [next(n for n, line in enumerate(lines) if each in line) for each in (ADHOC, LOOK)]
    assert places == sorted(places)
    (whole,) = (line for line in lines if WHOLE in line)
    for text in ("scaling", "complete", "40 mWh estimated (model)"):
        assert text in whole


def test_sessions_as_json_say_the_same() -> None:
    found = json.loads(invoke("sessions", "--json", "--suite", "scaling").stdout)["sessions"]
    assert [(each["session"], each["state"]) for each in found] == [
        (LOOK, "interrupted"),
        (WHOLE, "complete"),
    ]
    whole = found[1]
    assert whole["repeats"] == {"least": 2, "most": 2}
    assert whole["started_at"] == "2023-11-14T22:13:20+00:00"
    assert whole["energy_wh"] == {"model": pytest.approx(0.04)}
    assert len(whole["cases"]) == 2


def test_suite_without_a_session_is_refused() -> None:
    assert "no session of suite 'ci' in sqlite" in refused("sessions", "--suite", "ci")


def test_small_look_does_not_hide_the_suite() -> None:
    done = invoke("compare")
    assert done.exit_code == 0, done.stderr
    assert f"from session {WHOLE} of 2023-11-14, since the latest ({LOOK}) has no" in done.stdout
    assert f"session {ADHOC}: 1 of 1 case counts as {WHOLE} ran it" in done.stdout


def test_json_says_which_session_it_is_of() -> None:
    said = json.loads(invoke("compare", "--suite", "scaling", "--json").stdout)
    assert said["sessions"] == [WHOLE]
    assert said["notes"][0].startswith(f"suite scaling: from session {WHOLE}")


def test_session_that_is_named_is_taken_without_a_word() -> None:
    said = json.loads(invoke("compare", "--session", WHOLE, "--json").stdout)
    assert (said["sessions"], said["notes"]) == ([WHOLE], [])


def test_nothing_else_is_tried_where_a_session_is_named() -> None:
    said = refused("compare", "--session", LOOK)
    assert "no results of two sizes of equal " in said
    assert f" in session {LOOK} of sqlite" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare", "--session", "scaling"), f"may be {LOOK} and {WHOLE}; write more"),
        (("report", "--session", "nope"), "no session 'nope' in sqlite"),
        (("gate", "--session", "nope", "--budget", "b.toml"), "there is adhoc"),
        (("compare", "--session", WHOLE, "--all-sessions"), "contradict each other"),
        (("compare", "--session", WHOLE, "x.csv"), "select from the store"),
        (("gate", "--session", WHOLE, "--history", "--budget", "b.toml"), "leave files and --se"),
        (("run", "--continue-repeats", "1", "--fresh"), "contradict each other"),
        (("run", "--continue-repeats", "1", "--repeats", "2"), "contradict each other"),
        (("run", "--reuse", "--fresh"), "--fresh and --reuse contradict each other; choose one"),
        (("run", "--reuse", "--resume-anyway"), "--resume-anyway and --reuse contradict"),
        (("run", "--reuse", "--continue-repeats", "2"), "--continue-repeats and --reuse contra"),
        (("run", "--reuse", "--until-decided"), "--until-decided and --reuse contradict"),
        (("run", "--reuse", "--keep-models"), "--keep-models and --reuse contradict"),
        (("run", "--reuse", "--cluster", "local:2"), "--cluster and --reuse contradict"),
        (("run", "--continue-repeats", "0"), "is 0; expected a whole number above 0"),
        (("run", "--continue-repeats", "1"), "no run of exactly these cases of suite 'ci'"),
    ],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GREENBENCH_COUNTRY", "NLD")
    Path("b.toml").write_text(BUDGET)
    Path("x.csv").write_text("a\n1\n")
    assert message in refused(*arguments)


def test_gate_judges_the_latest_and_names_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("b.toml").write_text(BUDGET)
    judged = ("gate", "--budget", "b.toml", "--json")
    latest = json.loads(invoke(*judged, "--suite", "scaling").stdout)
    assert {each["case_id"] for each in latest["judgements"]} == {SIZES[0].id}
    assert any(f"`--session {WHOLE}` takes that" in note for note in latest["notes"])
    whole = json.loads(invoke(*judged, "--session", WHOLE).stdout)
    assert {each["case_id"] for each in whole["judgements"]} == {case.id for case in SIZES}
    assert not any("--session" in note for note in whole["notes"])


def test_report_is_of_the_session_that_is_named(tmp_path: Path) -> None:
    for session, expected in ((WHOLE, True), (LOOK, False)):
        done = invoke("report", "--session", session, "--no-log", "-o", str(tmp_path / session))
        assert done.exit_code == 0, done.stderr
        page = next((tmp_path / session).glob("*.html")).read_text()
        assert (SIZES[1].id in page) is expected
