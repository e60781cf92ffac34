"""Plugins that are off are imported by nobody: no command, no worker, no test run, no script."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Greenbench

pytestmark = pytest.mark.integration

PLUGIN = """
import os
from pathlib import Path

# Whoever imports this leaves a trace.
(Path(__file__).parent / f"imported-{os.getpid()}").touch()

from greenbench import register_space
from greenbench.strategies import Dimension, SearchSpace

RATE = Dimension("learning_rate", 1e-4, 0.1, prior="log")
register_space("of_a_plugin")(SearchSpace("of_a_plugin", (RATE,)))
"""
CASE = 'Case(architecture="dense", size="xs", dataset="synthetic", epochs=1, repeats=1)'
SCRIPT = f"""
import greenbench
from greenbench.cases import Case

print(greenbench.run([{CASE}], progress=False))
"""
TESTS = f"""
from greenbench.cases import Case


def test_cost(greenbench_run):
    assert greenbench_run({CASE})


def test_selected(greenbench_case):
    assert greenbench_case
"""
RUN = [
    "-m",
    "greenbench",
    "run",
    "-a",
    "dense.xs",
    "-d",
    "synthetic",
    "--epochs",
    "1",
    "--repeats",
    "1",
]
WAYS_IN = {
    "run": RUN,
    "list": ["-m", "greenbench", "list"],
    "doctor": ["-m", "greenbench", "doctor"],
    "script": ["ours.py"],
    "pytest": ["-m", "pytest", "-q", "test_ours.py", "--collect-only", "-k", "selected"],
    "pytest's worker": ["-m", "pytest", "-q", "test_ours.py", "-k", "cost"],
}


@pytest.fixture
def installed(greenbench: Greenbench) -> Path:
    """The folder of an installed plugin, in which each process that imports it leaves a file."""
    folder = greenbench.folder / "site"
    info = folder / "their_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "their_parts.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[greenbench.plugins]\nparts = their_parts\n")
    (greenbench.folder / "ours.py").write_text(SCRIPT)
    (greenbench.folder / "test_ours.py").write_text(TESTS)
    greenbench.environment |= {
        "PYTHONPATH": str(folder),
        "GREENBENCH_IDLE_S": "0",
        "GREENBENCH_COUNTRY": "NLD",
    }
    return folder


def run(greenbench: Greenbench, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=greenbench.folder,
        env=greenbench.environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_a_plugin_is_imported_by_command_and_worker_unless_it_is_off(
    greenbench: Greenbench, installed: Path
) -> None:
    """Which shows that the traces of the next tests would be there."""
    done = run(greenbench, *RUN, "--space", "of_a_plugin")
    assert done.returncode == 0, done.stderr
    assert len(list(installed.glob("imported-*"))) == 2


@pytest.mark.parametrize("way", WAYS_IN)
def test_no_way_in_imports_a_plugin_that_is_off(
    greenbench: Greenbench, installed: Path, way: str
) -> None:
    greenbench.environment["GREENBENCH_PLUGINS"] = "0"
    done = run(greenbench, *WAYS_IN[way])
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(installed.glob("imported-*"))
    if way in ("list", "doctor"):
        said = " ".join(done.stdout.split())
        assert "plugins are off (GREENBENCH_PLUGINS=0); not loaded: parts (their_parts)" in said


def test_a_part_of_a_plugin_that_is_off_is_unknown_for_that_reason(
    greenbench: Greenbench, installed: Path
) -> None:
    greenbench.environment["GREENBENCH_PLUGINS"] = "0"
    done = run(greenbench, *RUN, "--space", "of_a_plugin")
    assert done.returncode == 2
    (line,) = [each for each in done.stderr.splitlines() if each.startswith("Error")]
    assert "unknown search space 'of_a_plugin'" in line
    assert "plugins are off (GREENBENCH_PLUGINS=0); not loaded: parts (their_parts)" in line
    assert not list(installed.glob("imported-*"))


@pytest.mark.parametrize("way", ["run", "list", "doctor", "pytest"])
def test_neither_on_nor_off_is_refused_in_one_line(
    greenbench: Greenbench, installed: Path, way: str
) -> None:
    greenbench.environment["GREENBENCH_PLUGINS"] = "off"
    done = run(greenbench, *WAYS_IN[way])
    assert done.returncode != 0
    assert "GREENBENCH_PLUGINS is 'off'; expected 1 or 0" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(installed.glob("imported-*"))
