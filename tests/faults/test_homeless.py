"""Users without a home, with one that they may not write to, and in a folder that is gone."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

Command = Callable[..., "subprocess.CompletedProcess[str]"]

NAMES = (
    *("HOME", "USER", "LOGNAME", "USERNAME", "LNAME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"),
    "GREENBENCH_DATA_DIR",
)
# Owns what we own, and is nobody whom the system knows; unlike root, it may not write everywhere.
NOBODY = ("unshare", "--user", "--map-user=12345", "--map-group=12345")
QUICK = ("--epochs", "1", "--repeats", "1")
SIZES = ("-a", "dense.xs", "-a", "dense.s")


def can_be_nobody() -> bool:
    """Return whether this system lets us run as a user without a name."""
    if shutil.which(NOBODY[0]) is None:
        return False
    return subprocess.run([*NOBODY, "true"], capture_output=True, check=False).returncode == 0


needs_nobody = pytest.mark.skipif(
    not can_be_nobody(), reason="the system gives no user namespaces, in which a user has no name"
)


@pytest.fixture
def nobody(tmp_path: Path) -> Command:
    """Run greenbench as a user without a name and, unless one is given, without a home."""
    working = tmp_path / "working"
    working.mkdir()

    def run(*arguments: str, home: str | None = None) -> "subprocess.CompletedProcess[str]":
        environment = {name: text for name, text in os.environ.items() if name not in NAMES}
        environment |= {"GREENBENCH_RUNS_DIR": str(working / "mlruns"), "GREENBENCH_COUNTRY": "NLD"}
        return subprocess.run(
            [*NOBODY, sys.executable, "-m", "greenbench", *arguments],
            cwd=working,
            env=environment if home is None else {**environment, "HOME": home},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


@needs_nobody
def test_a_user_without_home_or_name_lists_runs_and_compares(
    nobody: Command, tmp_path: Path
) -> None:
    listed = nobody("list")
    assert (listed.returncode, listed.stderr) == (0, "")

    done = nobody("run", *SIZES, *QUICK)

    assert done.returncode == 0, done.stderr
    assert "MLflow store: sqlite" in done.stdout
    compared = nobody("compare", "returns", "--include-disturbed")
    assert compared.returncode == 0, compared.stderr
    assert [path.name for path in (tmp_path / "working").iterdir()] == ["mlruns"]


@needs_nobody
def test_home_that_cannot_be_written_stops_no_run(nobody: Command, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)

    done = nobody("run", "-a", "dense.xs", "-b", "keras", *QUICK, home=str(home))

    assert done.returncode == 0, done.stderr
    assert "MLflow store: sqlite" in done.stdout
    assert "Traceback" not in done.stderr
    assert list(home.iterdir()) == []


@needs_nobody
def test_home_that_is_absent_is_replaced_and_a_file_stops_nothing(
    nobody: Command, tmp_path: Path
) -> None:
    without = nobody("doctor", "--json")
    with_file = nobody("doctor", "--json", home=os.devnull)

    assert (without.returncode, without.stderr) == (0, "")
    home = tmp_path / "working" / "mlruns" / "home"
    assert json.loads(without.stdout)["data"].startswith(f"{home}/.cache/greenbench ")
    assert (with_file.returncode, with_file.stderr) == (0, "")


@pytest.mark.parametrize(
    "command",
    [
        ("list",), ("doctor",), ("run", "ci"), ("compare", "returns"), ("report",), ("sync",),
        ("gate", "results.json"), ("record", "-a", "dense"),
    ],
    ids=lambda command: command[0],
)  # fmt: skip
def test_deleted_working_folder_is_said_in_one_line(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    done = in_a_folder_that_goes(tmp_path / "gone", *command)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: the working folder is gone (No such file or directory)")
    assert "`cd`" in line


def test_help_needs_no_working_folder(tmp_path: Path) -> None:
    done = in_a_folder_that_goes(tmp_path / "gone", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "doctor" in done.stdout


def in_a_folder_that_goes(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run greenbench in a folder that was deleted after somebody went there."""
    folder.mkdir()
    return subprocess.run(
        [
            *("sh", "-c", 'cd "$1" && rmdir "$1" && shift && exec "$@"', "sh", str(folder)),
            *(sys.executable, "-m", "greenbench", *arguments),
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
