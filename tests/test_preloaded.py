"""A command that is forked does what it does in an interpreter of its own, or is not forked."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import Greenbench
from tests.preloaded import Preloaded

pytestmark = pytest.mark.integration

LIST = ("list", "--json")
PLUGIN = """
import os, sys, threading
print(os.getcwd(), sys.path[:2], sys.argv, sys.orig_argv[1:], sys.flags, file=sys.stderr)
print(sys.stdin.read(), threading.active_count(), os.environ["PLUGIN_NAME"], file=sys.stderr)
"""


@pytest.fixture
def site(greenbench: Greenbench) -> Path:
    """A folder of modules, one of which is a plugin."""
    site = greenbench.folder / "site"
    info = site / "greenbench_told-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greenbench-told\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[greenbench.plugins]\ntold = greenbench_told\n")
    (site / "greenbench_told.py").write_text(PLUGIN)
    greenbench.environment |= {"PYTHONPATH": str(site), "PLUGIN_NAME": "told"}
    return site


@pytest.fixture
def forked(greenbench: Greenbench, preloaded: Preloaded) -> Greenbench:
    assert greenbench.preloaded is preloaded
    return greenbench


def alone(commands: Greenbench) -> Greenbench:
    return Greenbench(commands.folder, commands.environment)


def run(
    commands: Greenbench, *arguments: str, timeout_s: float = 400
) -> "subprocess.CompletedProcess[str] | None":
    assert commands.preloaded
    return commands.preloaded.run(arguments, commands.folder, commands.environment, timeout_s)


@pytest.mark.parametrize("arguments", [LIST, ("run", "-a", "dens"), ("compare",), ("nothing",)])
@pytest.mark.usefixtures("site")
def test_forked_command_does_the_same(forked: Greenbench, arguments: tuple[str, ...]) -> None:
    done, expected = run(forked, *arguments), alone(forked)(*arguments)
    assert done is not None
    assert (done.returncode, done.stdout) == (expected.returncode, expected.stdout)
    assert done.stderr == expected.stderr


@pytest.mark.parametrize("name", ["mlflow.py", "queue.py", "pandas/__init__.py"])
@pytest.mark.parametrize("is_in_sight", [True, False])
def test_folder_with_another_module_of_a_name_is_for_a_new_interpreter(
    forked: Greenbench, site: Path, name: str, is_in_sight: bool
) -> None:
    module = (forked.folder if is_in_sight else site) / name
    module.parent.mkdir(exist_ok=True)
    module.touch()
    assert run(forked, *LIST) is None


@pytest.mark.parametrize("name", ["HOME", "TMPDIR", "MLFLOW_LOGGING_LEVEL", "PYTHONWARNINGS"])
def test_variables_that_packages_read_are_for_a_new_interpreter(
    forked: Greenbench, name: str
) -> None:
    forked.environment[name] = "another"
    assert run(forked, *LIST) is None


def test_module_that_customizes_each_interpreter_is_for_a_new_one(
    forked: Greenbench, site: Path
) -> None:
    (site / "sitecustomize.py").touch()
    assert run(forked, *LIST) is None


def test_command_that_takes_too_long_is_ended_and_the_next_one_runs(forked: Greenbench) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run(forked, *LIST, timeout_s=0)
    done = run(forked, *LIST)
    assert done is not None
    assert done.returncode == 0, done.stderr
