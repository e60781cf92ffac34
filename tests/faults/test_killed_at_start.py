"""Whoever is killed just when it has started a program leaves none behind."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import is_gone

KILLED = """
import os, signal
from pathlib import Path
from greenbench.machine import processes
from greenbench.measuring import program as measured
from greenbench.trainings import program as trained

def killed(self, group):
    print(group, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

processes.Guardian.watch = killed
"""
PROGRAMS = {
    "trained": "trained.Program(['sleep', '600'], {}, Path('log'))",
    "measured": "measured.Program(['sleep', '600'], os.environ).run()",
}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the environment of others")
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_ends_with_whoever_is_killed_before_it_could_tell_of_it(
    program: str, tmp_path: Path, eventually: Callable[[Callable[[], object]], None]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED + PROGRAMS[program]],
        check=False,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
    )
    assert done.returncode == -signal.SIGKILL
    started = int(done.stdout)
    eventually(lambda: is_gone(started))
