"""The command line as a user meets it; what needs real runs is in ``integration/``."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from greenbench import __version__
from greenbench.cases import Case
from greenbench.cli import cli
from greenbench.doctor import doctor
from greenbench.results.account import Account
from greenbench.tracking import Store
from tests.builders import make_reading, make_result
from tests.conftest import Greenbench


def invoke(*arguments: str) -> Result:
    """Run a command in this process: one of its own takes seconds to import the same."""
    return CliRunner().invoke(cli, arguments)


@pytest.fixture
def standing_trace(tmp_path: Path) -> str:
    """A meter that opens at once, for the many tests that are not about the default one."""
    trace = tmp_path / "trace.csv"
    trace.write_text("time_s,cpu_w\n0,10\n1000,10\n")
    return f"replay:{trace}"


def test_version_is_the_packages(greenbench: Greenbench) -> None:
    assert greenbench("--version").stdout.strip().endswith(__version__)


def test_help_names_every_command(greenbench: Greenbench) -> None:
    shown = greenbench("--help").stdout
    for command in ("list", "run", "compare", "doctor", "ui", "sync"):
        assert re.search(rf"^  {command} ", shown, re.MULTILINE)


def test_list_shows_suites_cases_and_parts(greenbench: Greenbench) -> None:
    shown = greenbench("list").stdout
    assert "bayesian-dense.s-torch-digits+trials8" in shown
    assert "strategy: bayesian, bayesian_cost, bayesian_paper" in shown
    assert "scheduler: asha, hyperband" in shown


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [(("list", "--json"), 1), (("list", "--help"), 0), (("--help",), 0), (("--version",), 0)],
)
def test_variable_that_is_none_of_ours_is_said_once(
    arguments: tuple[str, ...], lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENBENCH_METRE", "zeus")
    done = invoke(*arguments)
    said = (
        "Warning: the variable GREENBENCH_METRE is set, but nothing reads it; did you mean "
        "GREENBENCH_METER?\n"
    )
    assert done.exit_code == 0
    assert done.stderr == said * lines


def test_data_that_an_architecture_cannot_take_are_refused_before_anything_starts() -> None:
    done = invoke("run", "-s", "default", "-d", "wine", "-a", "dense.xs")
    assert done.exit_code == 2
    assert done.stderr == (
        "Error: architecture 'dense' is for images, but data set 'wine' has numbers; "
        "choose another, such as mlp\n"
    )


def test_list_as_json_names_the_same_cases(greenbench: Greenbench) -> None:
    listed = json.loads(greenbench("list", "--json").stdout)
    assert "default-dense.xl-torch-digits" in listed["suites"]["scaling"]
    assert listed["parts"]["backend"] == [
        "keras",
        "keras_jax",
        "keras_tensorflow",
        "own",
        "tabular",
        "torch",
    ]
    assert listed["broken_plugins"] == []


def test_doctor_says_what_is_estimated_and_where_carbon_intensity_comes_from(
    greenbench: Greenbench,
) -> None:
    found = json.loads(greenbench("doctor", "--json").stdout)
    assert any(re.match(r"cpu: (measured|estimated)", line) for line in found["energy"])
    assert any("beside the headline" in line for line in found["energy"])
    assert "world average" in found["carbon intensity"]
    assert "no store" in found["mlflow store"]


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the doctor, which listens for other programs, do so for a moment."""
    monkeypatch.setattr(doctor, "LISTENING_S", 0.01)


@pytest.mark.usefixtures("_hasty")
def test_doctor_takes_the_users_country(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENBENCH_COUNTRY", "NLD")
    assert "Netherlands 20" in invoke("doctor").stdout


@pytest.mark.usefixtures("_hasty")
@pytest.mark.parametrize(("columns", "lines"), [(100, 30), (80, 37), (60, 56)])
def test_doctor_fits_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, lines: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = invoke("doctor").stdout.splitlines()
    assert 10 < len(shown) <= lines
    # A command is for copying, so it is never broken, and neither is a word, such as an address.
    wide = [line for line in shown if len(line) > columns and "  $ " not in line]
    assert [line for line in wide if " " in line[18:].strip()] == []


def test_doctor_on_a_narrow_terminal_is_as_on_one_of_40_columns(
    monkeypatch: pytest.MonkeyPatch, standing_trace: str
) -> None:
    monkeypatch.setenv("GREENBENCH_METER", standing_trace)
    monkeypatch.setattr(doctor, "LISTENING_S", 0.0)
    shown = []
    for columns in ("20", "40"):
        monkeypatch.setenv("COLUMNS", columns)
        shown.append(invoke("doctor").stdout)
    assert shown[0] == shown[1] != ""


def test_commands_of_the_doctor_stay_on_one_line_and_begin_where_texts_do(
    monkeypatch: pytest.MonkeyPatch, standing_trace: str, tmp_path: Path
) -> None:
    counter = tmp_path / "class" / "powercap" / "intel-rapl:0" / "energy_uj"
    counter.parent.mkdir(parents=True)
    counter.write_text("1")
    monkeypatch.setattr(doctor, "SYS", tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    # One that measures the CPU would need no advice.
    Path(standing_trace.removeprefix("replay:")).write_text("time_s,gpu_w\n0,10\n1000,10\n")
    monkeypatch.setenv("GREENBENCH_METER", standing_trace)
    monkeypatch.setattr(doctor, "LISTENING_S", 0.0)
    monkeypatch.setenv("COLUMNS", "80")
    command = f"$ echo 'z {tmp_path}/class/powercap/*/energy_uj 0444' | sudo tee "
    (line,) = (line for line in invoke("doctor").stdout.splitlines() if command in line)
    assert len(line) > 80
    assert line.index("$") == 18
    assert line.endswith("/etc/tmpfiles.d/rapl.conf")


def test_doctor_refuses_what_a_run_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENBENCH_METER", "codecarbn")
    done = invoke("doctor")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: unknown meter 'codecarbn'; did you mean codecarbon?")
    assert done.stdout == ""


def test_a_bad_variable_is_one_line_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENBENCH_THREADS", "many")
    done = invoke("doctor")
    assert done.exit_code == 2
    assert done.stderr == "Error: GREENBENCH_THREADS is 'many'; expected a whole number above 0\n"


@pytest.mark.parametrize("arguments", [["--help"], ["list"]])
def test_help_and_list_import_nothing_heavy(greenbench: Greenbench, arguments: list[str]) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['greenbench', *{arguments!r}]\n"
        "from greenbench.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'keras', 'mlflow', 'pandas', 'numpy', 'scipy', 'sklearn'}\n"
        "heavy |= {'greenbench.tracking.store', 'greenbench.results', 'dask', 'distributed'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=greenbench.environment,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"


BAD_METERS = {
    "unknown": ("no_such", "unknown meter 'no_such'; known: codecarbon, "),
    "misspelt": ("codecarbon,zeuss", "unknown meter 'zeuss'; did you mean zeus"),
    "upper case": ("Codecarbon", "unknown meter 'Codecarbon'; did you mean codecarbon?"),
    "empty": ("", "meter is ''; expected a name"),
    "blank": (" ", "meter is ' '; expected a name"),
    "comma": (",", "meter is ','; expected a name"),
    "comma at the end": ("codecarbon,", "meter is 'codecarbon,'; expected a name"),
    "argument alone": (":trace.csv", "meter is ':trace.csv'; expected a name"),
    "twice": ("codecarbon, codecarbon", "meter 'codecarbon' is listed twice"),
    "needless argument": ("codecarbon:x", "meter 'codecarbon' takes no argument, but got 'x'"),
    "no argument": ("replay", "meter 'replay' needs an argument"),
    "no argument after the colon": ("codecarbon,replay:", "meter 'replay' needs an argument"),
}


@pytest.mark.parametrize(("meter", "message"), BAD_METERS.values(), ids=BAD_METERS)
def test_bad_meter_is_one_line_and_leaves_nothing_behind(
    meter: str, message: str, tmp_path: Path
) -> None:
    done = invoke("run", "ci", "--meter", meter)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: {message}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tdp", ["abc", "0", "-5", "nan"])
def test_bad_tdp_is_one_line_and_leaves_nothing_behind(
    tdp: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENBENCH_CPU_TDP_W", tdp)
    done = invoke("run", "ci")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"Error: GREENBENCH_CPU_TDP_W is {tdp!r}; expected a number above 0\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.integration
@pytest.mark.parametrize("content", [None, "time_s,cpu_w\n0,ten\n"], ids=["missing", "no number"])
def test_bad_trace_is_one_line_and_leaves_no_run_behind(
    greenbench: Greenbench, content: str | None
) -> None:
    trace = greenbench.folder / "trace.csv"
    if content is not None:
        trace.write_text(content)
    done = greenbench("run", "-a", "dense.xs", "--meter", "replay:trace.csv")
    assert done.returncode == 2
    # The worker finds out, so it was announced.
    announced, error = done.stderr.splitlines()
    assert announced == "starting workers: torch"
    assert error.startswith(f"Error: trace {trace} cannot be read: ")
    assert list((greenbench.folder / "mlruns").glob("journal/*")) == []


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "3600"])
def test_bad_shortest_window_is_one_line_and_leaves_nothing_behind(
    seconds: str, tmp_path: Path
) -> None:
    done = invoke("run", "ci", "--min-window", seconds)
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: shortest window is ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--meter", "--min-window", "--include-disturbed"])
def test_help_of_run_shows_how_to_measure(option: str) -> None:
    assert option in invoke("run", "--help").stdout


@pytest.mark.integration
@pytest.mark.usefixtures("made_store")
def test_cases_are_shown_in_the_order_in_which_they_were_asked_for(
    greenbench: Greenbench,
) -> None:
    sizes = ["dense.m", "dense.xs", "dense.s"]
    chosen = [word for size in sizes for word in ("-a", size)]
    done = greenbench("run", *chosen, "--epochs", "1", "--repeats", "1")
    assert done.returncode == 0
    table, *_ = done.stdout.partition("Diminishing returns")
    assert re.findall(r"default-(dense\.\w+)-torch", table) == sizes


@pytest.fixture(scope="module")
def uri(store: Store) -> str:
    """A store in which only one sample, of dense.s, was not disturbed."""
    samples = [
        ("dense", "s", 3600.0, 0.0),
        ("dense", "s", 4 * 3600.0, 1.0),
        ("dense", "m", 3 * 3600.0, 1.0),
        ("simple_cnn", "s", 3600.0, 1.0),
        ("simple_cnn", "m", 3600.0, 1.0),
    ]
    for number, (family, size, energy_j, other_cpu_s) in enumerate(samples):
        reading = replace(make_reading(energy_j, duration_s=10.0), other_cpu_s=other_cpu_s)
        case = Case(architecture=family, size=size)
        result = make_result(case, account=Account({"train": reading}))
        store.log_result(result, f"ci-1/{case.id}.r{number}")
    return store.uri.reveal()


@pytest.fixture
def compare(uri: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return lambda *arguments: invoke("compare", *arguments)


@pytest.mark.parametrize(
    ("options", "energies_wh", "left_out"),
    [
        ([], {"dense.s": (1.0, 1)}, ["dense.m"]),
        (["--include-disturbed"], {"dense.s": (2.5, 2), "dense.m": (3.0, 1)}, []),
    ],
    ids=["quiet", "all"],
)
def test_compare_counts_disturbed_samples_only_if_told_to(
    compare: Callable[..., Result],
    options: list[str],
    energies_wh: dict[str, tuple[float, int]],
    left_out: list[str],
) -> None:
    (answer,) = json.loads(compare("--json", "--where", "family=dense", *options).stdout)["answers"]
    sizes = {size["network"]: size["energy_wh"] for size in answer["sizes"]}
    assert {name: (each["median"], each["n"]) for name, each in sizes.items()} == energies_wh
    assert answer["left_out"] == left_out


def test_compare_shows_what_is_left_out_and_what_the_marks_mean(
    compare: Callable[..., Result],
) -> None:
    shown = compare("--where", "family=dense").stdout
    assert "Left out, without a sample that counts: dense.m." in shown
    assert re.search(r"^disturbed: something else used .* \(2 of 3 samples\)$", shown, re.MULTILINE)
    assert "Left out" not in compare("--where", "family=dense", "--include-disturbed").stdout


def test_compare_refuses_what_was_all_disturbed_in_one_line(compare: Callable[..., Result]) -> None:
    done = compare("--where", "family=simple_cnn")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: simple_cnn (default, torch, digits): every sample was")
    assert "`--include-disturbed`" in done.stderr
    assert done.stderr.count("\n") == 1
    assert compare("--where", "family=simple_cnn", "--include-disturbed").exit_code == 0


@pytest.mark.parametrize("uri", ["http://bob:hunter2@host:5000\n", "http://bob:hunter2@host:port"])
def test_ui_of_a_server_that_cannot_be_is_refused(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    done = CliRunner().invoke(cli, ["ui"])
    assert done.exit_code == 2
    assert done.output.startswith("Error: MLFLOW_TRACKING_URI")
    assert " is 'http://bob:***@host:" in done.output
    assert "hunter2" not in done.output


@pytest.mark.parametrize("text", ["many", "0", "2.5", "-1"])
def test_number_of_batched_trials_that_is_none_is_refused_in_one_line(text: str) -> None:
    done = invoke("run", "-s", "random", "--batched-trials", text)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert "expected a whole number above 0, or auto" in done.stderr
    assert text in done.stderr
