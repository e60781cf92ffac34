"""Files that register parts, by their paths: what is loaded, and what is refused in one line."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from greenbench import registry
from greenbench.cases import Case
from greenbench.cli import cli
from greenbench.energy.carbon import CarbonIntensity
from greenbench.errors import ConfigurationError
from greenbench.running.conditions import conditions_of
from greenbench.running.part_files import load_part_files
from greenbench.settings import Settings

REGISTER = (
    "import greenbench\nfrom beside import NAME\n"
    "greenbench.register_architecture(NAME)(object())\nprint('loaded')\n"
)


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Work in a folder of its own, and forget what it registered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    new = set(sys.modules) - before
    for owner in registry.ALL:
        owner.forget({origin.owner for origin in owner.origins()} & new)
    for name in new:
        del sys.modules[name]


@pytest.fixture
def part(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("NAME = 'of_a_file'\n")
    (tmp_path / "my_parts.py").write_text(REGISTER)
    return Path("my_parts.py")


def test_parts_of_a_file_are_listed_and_its_prints_are_not(part: Path) -> None:
    result = CliRunner().invoke(cli, ["list", "-p", str(part), "-p", f"./{part}", "--json"])
    assert '"of_a_file"' in result.stdout
    assert result.stdout.startswith("{")
    assert result.stderr.count("loaded") == 1


def test_file_and_what_it_imports_are_conditions_of_a_run(part: Path) -> None:
    load_part_files([part])
    settings = Settings.from_environment(os.environ)
    case = Case(architecture="of_a_file")
    intensity = CarbonIntensity(1.0, "made up")
    before = conditions_of(settings, [case], intensity)
    Path("beside.py").write_text("NAME = 'of_a_file'  # changed\n")
    after = conditions_of(settings, [case], intensity)
    assert {name for name in after if before[name] != after[name]} == {"the code of beside.py"}


def test_file_called_like_a_module_of_pythons_does_not_take_its_name(tmp_path: Path) -> None:
    (tmp_path / "queue.py").write_text(
        "import greenbench\ngreenbench.register_architecture('queued')(object())\n"
    )
    load_part_files([Path("queue.py")])
    assert registry.architectures.place("queued") is not None
    assert str(tmp_path) not in str(sys.modules["queue"].__file__)


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("my_part.py", None, "-p my_part.py: there is no such file; did you mean my_parts.py?"),
        ("elsewhere/x.py", None, "-p elsewhere/x.py: there is no such file; relative paths start"),
        (".", None, "-p . is a folder; expected a file such as my_parts.py"),
        ("parts.toml", "", "-p parts.toml is no file of Python; expected one that ends in .py"),
        ("broken.py", "\n1 / 0\n", "-p broken.py failed: ZeroDivisionError: division by zero (b"),
        ("leaving.py", "raise SystemExit(3)\n", "-p leaving.py failed: SystemExit: 3 (leaving.py:"),
        ("nothing.py", "x = 1\n", "-p nothing.py registers no part; decorate one in it"),
    ],
)
@pytest.mark.usefixtures("part")
def test_what_cannot_be_loaded_is_one_line(name: str, source: str | None, said: str) -> None:
    if source is not None:
        Path(name).write_text(source)
    result = CliRunner().invoke(cli, ["run", "-p", name, "-a", "of_a_file"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {said}")
    assert result.stderr.count("\n") == 1
    with pytest.raises(ConfigurationError):
        load_part_files([Path(name)])
