"""Names are anybody's: whatever command shows them, no terminal, log or spreadsheet obeys them."""

import ast
import csv
import io
import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import greenbench
from greenbench.cases import Case
from greenbench.cli import cli
from greenbench.results import CaseResult
from greenbench.results.table import to_row, to_trial_rows
from greenbench.tracking import Store
from tests.builders import make_result, make_trial

PACKAGE = Path(greenbench.__file__).parent
NASTY = (
    "::error file=a.py::x",
    "a\n::set-output name=x::y",
    "b\r\n##[error]z",
    "c ##vso[task.setvariable]",
    "d\x1b[31m\x1b]8;;http://evil\x07e\x08\x9b2J",
    "f\u202eg\u2066h\u200bi\u2028j\u2029k\x85l\x00m\x01n",
    "=cmd|'/c calc'!A0",
    "[red]o[/red] [link=http://evil]p[/link]",
    "<img src=x onerror=q>|`r`![s](http://evil) https://evil www.evil.example",
    r"$\foo$ %0A $t^2$",
    "section_start:1:u\r\x1b[0K",
    "v\ud800w\udcff",
    "@x",
    "-y",
)
BUDGETS = """[[budget]]
case = "*"
parameters = { max = 1 }
energy_wh = { max_increase = "10%", on_estimated = "error", session_noise = "1%" }
"""
Show = Callable[..., Result]


def harmless(text: str, *, with_commands: bool = False) -> None:
    """Fail for what a terminal, a log or a reader would obey."""
    odd = {letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl")}
    assert not odd - {"\n"}
    if not with_commands:
        assert not re.search(r"^\s*::", text, re.MULTILINE)
    assert not re.search(r"##\w*\[", text)


@pytest.fixture
def show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Show:
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*arguments: str) -> Result:
        done = CliRunner().invoke(cli, arguments)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        harmless(done.stdout)
        harmless(done.stderr)
        return done

    return invoke


def results() -> Iterator[CaseResult]:
    sizes = zip("sml", (20.0, 36.0, 90.0), strict=True)
    searches = (("grid", "torch"), ("random", "torch"), ("grid", "keras"))
    for (size, energy_j), (strategy, backend) in product(sizes, searches):
        for repeat in range(5):
            trials = [make_trial(index, error=NASTY[index]) for index in range(3)]
            case = Case(strategy, backend=backend, size=size, trials=3)
            yield make_result(case, repeat=repeat, energy_j=energy_j, trials=trials)


def nasty(row: dict[str, object], place: int) -> dict[str, object]:
    """Return a row whose texts are nasty, but for those that say what it is."""
    kept = ("case_hash", "energy_provenance", "status", "options", "marks", "segments", "session")
    kept += ("score_direction", "score_range")
    spoilt = {
        name: "".join(NASTY[(number + place + step) % len(NASTY)] for step in (0, 5, 9))
        + f" {value}"
        if isinstance(value, str) and name not in kept and not name.endswith("provenance")
        else value
        for number, (name, value) in enumerate(row.items())
    }
    if "family" in spoilt:
        spoilt["architecture"] = f"{spoilt['family']}.{spoilt['size']}"
    return spoilt


@pytest.fixture(params=(0, 4, 9))
def benchmark_file(request: pytest.FixtureRequest, show: Show) -> str:
    made = list(results())
    rows = [nasty({**to_row(each), "session": "s"}, request.param) for each in made]
    trials = [
        nasty({**row, "session": "s"}, request.param) for r in made for row in to_trial_rows(r)
    ]
    text = json.dumps({"benchmarks": [{"extra_info": {"repeats": rows, "trials": trials}}]})
    name = "a\n::error::b \x1b[31m.json"
    Path(name).write_text(text, encoding="utf-8")
    return name


@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",)])
@pytest.mark.parametrize("question", ["returns", "factors"])
def test_a_csv_of_nasty_names_is_answered_in_harmless_lines(
    show: Show, question: str, form: tuple[str, ...]
) -> None:
    # A cell with a line break is quoted, and so is one with a separator.
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    names = [name for name in NASTY if not re.search("[\x00\ud800]", name)]
    writer.writerow(["size", "energy_wh", "accuracy", "seed", "group"])
    for name in names:
        for seed in range(3):
            writer.writerow([name, 1 + seed / 100 + len(name), 0.9, seed, names[seed % 2]])
    path = Path("x\n::error::y.csv")
    path.write_text(stream.getvalue(), encoding="utf-8", newline="")
    options = {
        "returns": ["--group", ""],
        "factors": ["--factors", "group", "--response", "energy_wh"],
    }[question]

    done = show("compare", question, str(path), *options, *form)

    assert done.exit_code == 0, done.output
    if form == ("--csv",):
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert rows
        for cell in (cell for row in rows for cell in row.values()):
            assert re.fullmatch(r"-?[\d.e+-]+|[^=+@-].*|", cell)


def test_every_command_that_reads_a_file_of_nasty_names_prints_harmless_lines(
    show: Show, benchmark_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("benchmarks").mkdir()
    Path("benchmarks/budgets.toml").write_text(BUDGETS)
    judged = ("--baseline", "base.json")
    outputs = ("--junit", "j.xml", "--markdown", "m.md", "--smaller-is-better", "b.json")
    outputs += ("--bencher", "c.json")
    for command in (
        ("compare", "returns", benchmark_file),
        ("compare", "strategies", benchmark_file),
        ("compare", "backends", benchmark_file),
        ("compare", "returns", benchmark_file, "--json"),
        ("compare", "returns", benchmark_file, "--csv"),
        ("gate", benchmark_file, "--json"),
        ("gate", benchmark_file, "--update", "--baseline", "base.json"),
        ("gate", benchmark_file, *judged, "--json"),
        ("gate", benchmark_file, *judged, *outputs),
    ):
        done = show(*command)
        assert done.exit_code in (0, 1, 2)

    harmless(Path("m.md").read_text(encoding="utf-8"))
    for element in ET.parse("j.xml").iter():
        harmless("".join((element.text or "", *element.attrib.values())))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    done = CliRunner().invoke(cli, ["gate", benchmark_file, *judged])
    harmless(done.stderr, with_commands=True)
    assert done.exit_code == 1
    commands = [line for line in done.stderr.splitlines() if line.lstrip().startswith("::")]
    assert commands
    ours = r"::(error|notice) file=benchmarks/budgets\.toml,line=\d+,title=[^:]*::"
    assert all(re.match(ours, line) for line in commands)


def test_a_report_of_nasty_names_is_made_and_harmless(show: Show, benchmark_file: str) -> None:
    done = show("report", benchmark_file, "-o", "out")

    assert done.exit_code == 0, done.output
    for path in Path("out").rglob("*"):
        if path.suffix in (".html", ".csv"):
            harmless(path.read_text(encoding="utf-8"), with_commands=path.suffix == ".html")
        elif path.suffix == ".svg":
            ET.parse(path)
    assert "<img" not in Path("out/report.html").read_text(encoding="utf-8")


def test_a_store_takes_and_shows_errors_and_paths_of_any_letters(
    show: Show, new_store: Callable[[Path], Store]
) -> None:
    Path("mlruns").mkdir()
    store = new_store(Path("mlruns"))
    for each in [*results()][::9]:
        each.environment["branch"] = NASTY[11]
        store.log_result(each, f"s/{each.case.hash}/{each.repeat}")

    for command in (["compare"], ["report"], ["compare", "strategies", "--json"]):
        assert show(*command).exit_code in (0, 2)


@pytest.mark.parametrize("name", NASTY)
def test_errors_about_nasty_names_are_one_harmless_line(show: Show, name: str) -> None:
    # What an operating system can give: no NUL, and bytes that are no UTF-8.
    name = name.replace("\x00", "").replace("\ud800", "\udc80")
    for command in (
        ("compare", f"{name}.csv"), ("run", "-s", name), ("run", "-a", name), ("run", name),
        ("gate", "--budget", name), ("report", f"{name}.json"), ("compare", name), (name,),
    ):  # fmt: skip
        done = show(*command)
        assert done.exit_code == 2
        errors = [
            line for line in done.stderr.splitlines() if not line.startswith(("Usage", "Try"))
        ]
        assert len([line for line in errors if line]) == 1, done.stderr


WAYS_OUT = {
    "echo": ("cli/output.py",),
    "Console": ("terminal/console.py",),
    "Table": ("terminal", "reports"),
    # The worker's is in its log.
    # What a program of the user's tells is for us, and what a copy of a process says, for its log.
    "print": (
        "terminal",
        "running/worker.py",
        "running/rank.py",
        "machine/reporting.py",
        "trainings/driver.py",
    ),
    "write_line": ("integrations", "pytest_plugin.py"),
    # Of a process of ours, too, which others read.
    "stdout": (
        "terminal",
        "cli/output.py",
        "running",
        "tracking/ui.py",
        "machine",
        "energy/counters.py",
        "cluster/jobs.py",
        "measuring/program.py",
        "trainings/program.py",
    ),
    "stderr": (
        # Into the worker's log.
        "trainings/driver.py",
        # What a part prints while it is made.
        "machine/places.py",
        "terminal",
        "cli/output.py",
        "running",
        "integrations/pytest_gate.py",
        "registry.py",
        "cluster/jobs.py",
    ),
}
"""What prints, and where that is allowed: there, names are cleaned."""


def other_ways(path: Path) -> Iterator[str]:
    """Yield what prints in a module that is not the place for it."""
    place = path.relative_to(PACKAGE).as_posix()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        called = node.func if isinstance(node, ast.Call) else None
        name = getattr(called, "attr", None) or getattr(called, "id", None)
        if isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr"):
            name = node.attr
        if not place.startswith(WAYS_OUT.get(str(name), "")):
            yield f"{place}:{node.lineno}: {name}"


def test_nothing_prints_but_by_the_ways_that_clean() -> None:
    assert [line for path in sorted(PACKAGE.rglob("*.py")) for line in other_ways(path)] == []
