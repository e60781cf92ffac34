"""A cluster on this machine that is told to end while its workers start: one line, and nobody."""

from collections.abc import Callable

import pytest

from tests.conftest import Greenbench, is_gone

pytestmark = pytest.mark.integration

CASE = ("-s", "grid", "-a", "dense.xs", "-d", "synthetic", "--trials", "1", "--epochs", "1")
HELD = """
import os, sys, time
from pathlib import Path

if "spawn_main" in " ".join(sys.orig_argv):
    Path("held").write_text(f"{os.getpid()}\\n")
    while not Path("go").exists():
        time.sleep(0.02)
"""
"""Keeps workers from starting until a file is there."""


def test_driver_that_is_told_to_end_while_workers_start_says_one_line_and_leaves_none(
    greenbench: Greenbench, eventually: Callable[[Callable[[], object]], None]
) -> None:
    folder = greenbench.folder
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(HELD)
    greenbench.environment["PYTHONPATH"] = str(folder / "site")
    driver = greenbench.start("run", *CASE, "--repeats", "1", "--cluster", "local:1")
    held = folder / "held"
    eventually(lambda: held.exists() and held.read_text().endswith("\n"))

    driver.terminate()
    (folder / "go").touch()
    output, _ = driver.communicate(timeout=400)

    assert driver.returncode == 130, output
    assert output.splitlines() == [
        "interrupted: finished trials are kept; the same command resumes"
    ]
    assert is_gone(int(held.read_text()))
