"""Results of programs, which are taken over where it is known what these run and read."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from greenbench import registry
from greenbench.cases import Case
from greenbench.cli import cli
from greenbench.errors import ConfigurationError
from greenbench.settings import Settings
from tests.running.reusing import CASES, NEW, ran, reused

pytestmark = pytest.mark.usefixtures("pool")

BASIS: dict[str, str | None] = {"content": None, "digest": None, "device": "cpu"}
PYTHON = "python train.py {learning_rate}"
TRAIN = "import net\nprint(open('table.csv').read())\n"


def case_of(line: str = PYTHON, reads: str | None = "table.csv", **changes: Any) -> Case:
    told = {"command": line, **changes.pop("options", {})}
    told |= {} if reads is None else {"reads": reads}
    made = Case("random", "command_it", space="rate", architecture_options=tuple(told.items()))
    return registry.settled(replace(made, repeats=1, **changes))


@dataclass
class Project:
    """A folder with programs, and how results of them are taken over."""

    folder: Path
    settings: Settings

    def write(self, name: str, text: str, *, is_program: bool = False) -> Path:
        path = self.folder / name
        path.write_text(text)
        if is_program:
            path.chmod(0o755)
        return path

    def runs(self, case: Case) -> None:
        ran(self.settings, [case], basis=BASIS)

    def reuses(self, case: Case) -> str:
        """Return what is said of a second run; nothing if the result was taken over."""
        said: list[str] = []
        if reused(self.settings, [case], said=said):
            return ""
        for path in (self.settings.journal_dir / NEW).iterdir():
            path.unlink()
        return said[-1]


@pytest.fixture
def project(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    found = Project(tmp_path, settings)
    found.write("train.py", TRAIN)
    found.write("net.py", "WIDTH = 8\n")
    found.write("table.csv", "1,2\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return found


def test_program_that_says_what_it_reads_is_reused(project: Project) -> None:
    project.runs(case_of())
    assert project.reuses(case_of()) == ""


def test_program_that_does_not_say_is_measured_anew(project: Project) -> None:
    project.runs(case_of(reads=None))
    assert project.reuses(case_of(reads=None)) == (
        "1 repeat is measured anew: nobody knows whether the data of command_it changed, which it "
        "loads itself; `--reads` tells"
    )


def other_python(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a link to the same Python before ours, as another environment has it."""
    (project.folder / "bin").mkdir()
    (project.folder / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    monkeypatch.setenv("PATH", f"{project.folder}/bin{os.pathsep}{os.environ['PATH']}")


CHANGES: dict[str, tuple[Callable[[Project, pytest.MonkeyPatch], Any], str]] = {
    "script": (lambda it, _: it.write("train.py", f"{TRAIN}#"), "the code of train.py changed"),
    "what it imports": (lambda it, _: it.write("net.py", "WIDTH = 9\n"), "the code of net.py"),
    "data": (lambda it, _: it.write("table.csv", "1,3\n"), "the file table.csv changed"),
    "data that are gone": (
        lambda it, _: (it.folder / "table.csv").unlink(),
        "the file table.csv (it is not there)",
    ),
    "Python": (other_python, "the program python of command_it changed"),
    "a variable": (lambda _, patch: patch.setenv("MODE", "b"), "the variable MODE changed"),
    "no variable": (lambda _, patch: patch.delenv("MODE"), "the variable MODE changed"),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_what_a_program_is_and_reads_are_conditions(
    project: Project, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    monkeypatch.setenv("MODE", "a")
    case = case_of(reads="table.csv '$MODE'")
    project.runs(case)
    change, said = CHANGES[changed]
    change(project, monkeypatch)
    assert said in project.reuses(case)


def test_values_of_variables_are_in_no_file_of_a_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "a-secret-of-mine")
    project.runs(case_of(reads="'$TOKEN'"))
    kept = [path for path in project.settings.journal_dir.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"a-secret-of-mine" in path.read_bytes()]


def test_program_that_is_found_by_its_name_is_a_condition(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{project.folder}{os.pathsep}{os.environ['PATH']}")
    project.write("trainer", "#!/usr/bin/perl\n", is_program=True)
    case = case_of("trainer {learning_rate}", reads="")
    project.runs(case)
    assert project.reuses(case) == ""
    (project.settings.journal_dir / NEW).rename(project.folder / "first")
    project.write("trainer", "#!/usr/bin/perl\n1;\n", is_program=True)
    assert "the program trainer of command_it changed" in project.reuses(case)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sh train.sh {learning_rate}", "what 'sh' starts"),
        ("./train.sh {learning_rate}", "what './train.sh' starts"),
        ("env A=1 python train.py {learning_rate}", "what 'env' starts"),
        ("python -m train {learning_rate}", "the code that 'python' runs"),
        ("python -W ignore train.py {learning_rate}", "the code that 'python' runs"),
        ("python train_{learning_rate}.py", "the code of 'train_{learning_rate}.py'"),
        ("./console {learning_rate}", "which Python './console' runs"),
        ("perl train.py {learning_rate}", "which Python 'perl' runs"),
        ("{program} {learning_rate}", "which program '{program}' is"),
    ],
)
def test_program_whose_words_do_not_tell_its_code_is_measured_anew(
    project: Project, line: str, said: str
) -> None:
    project.write("train.sh", "#!/bin/sh\npython train.py\n", is_program=True)
    project.write("console", "#!/usr/bin/env python\n", is_program=True)
    options = {"program": "perl"} if "{program}" in line else {}
    case = case_of(line, options=options)
    project.runs(case)
    told = project.reuses(case)
    assert told.startswith(f"1 repeat is measured anew: nobody knows {said}"), told


def test_result_of_another_python_is_not_that_of_ours(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        other_python(project, patch)
        project.runs(case_of())
        assert "another Python than ours" in project.reuses(case_of())
    assert "the program python of command_it (none, now" not in project.reuses(case_of())
    assert "the program python of command_it changed" in project.reuses(case_of())


def test_data_of_each_size_are_what_it_sets(project: Project) -> None:
    project.write("other.csv", "5\n")
    line, reads = f"{PYTHON} {{data}}", "{data}.csv"
    table, other = (
        case_of(line, reads, options={"data": name}, size=name) for name in ("table", "other")
    )
    ran(project.settings, [table, other], basis=BASIS)
    project.write("other.csv", "6\n")
    found = reused(project.settings, [table, other])
    assert [*found] == [("table", 0)]


def test_what_a_program_reads_is_no_condition_of_other_cases(project: Project) -> None:
    ran(project.settings, [case_of(), CASES[1]], basis=BASIS)
    for name in ("train.py", "table.csv"):
        project.write(name, "")
    said: list[str] = []
    assert not reused(project.settings, [CASES[1]], said=said)
    # Its basis here is that of a training: no file and no code is named.
    assert "the data set digits changed" in said[-1]


def test_to_say_what_is_read_changes_nothing_that_is_trained() -> None:
    told, untold = case_of(), case_of(reads=None)
    assert told.id == untold.id
    assert told.derive_seed(0, "run", 0) == untold.derive_seed(0, "run", 0)
    # As a training in Python, whose source it changes.
    assert told.hash != untold.hash


def test_place_in_what_is_read_that_nothing_sets_is_refused(project: Project) -> None:
    with pytest.raises(ConfigurationError, match=r"has \{learning_rate\}, which nothing sets"):
        registry.training_of(case_of(reads="{learning_rate}.csv"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--reads", ""), "--reads is ''; expected a file, a folder or a '$VARIABLE', or none"),
        (("--reads", "$"), "--reads is '$'; expected"),
        (("--reads", "none", "--reads", "a"), "--reads none says that the program reads nothing"),
        (("--set", "reads=a"), "--set reads=… is what --reads is for"),
    ],
)
def test_what_nobody_can_mean_by_reads_is_refused_in_one_line(
    project: Project, given: tuple[str, ...], said: str
) -> None:
    done = CliRunner().invoke(cli, ["run", "--command", PYTHON, "--space", "rate", *given])
    assert done.exit_code == 2
    assert said in done.output
    assert len(done.output.splitlines()) == 1


def test_reads_without_a_program_are_refused() -> None:
    done = CliRunner().invoke(cli, ["run", "--reads", "data.csv"])
    assert done.exit_code == 2
    assert "--reads says how a program is run, and there is none" in done.output
