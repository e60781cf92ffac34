"""`greenbench measure --`: real programs, their streams, ends and signals."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.conftest import Greenbench, is_gone
from tests.lock_holders import end, lock_holders, said

pytestmark = pytest.mark.integration

Eventually = Callable[[Callable[[], object]], None]

TRACE = "# provenance: counter\ntime_s,cpu_w\n0,50\n100000,50\n"
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _replayed(greenbench: Greenbench, tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text(TRACE)
    greenbench.environment["GREENBENCH_METER"] = f"replay:{tmp_path / 'trace.csv'}"


def python(code: str) -> tuple[str, ...]:
    return "--no-mlflow", "--", sys.executable, "-c", code


def test_program_has_its_own_streams_arguments_and_exit_code(greenbench: Greenbench) -> None:
    greenbench.environment["MPLBACKEND"] = "module://mine"
    code = "import os, sys; print(os.environ['MPLBACKEND'], sys.stdin.read()); sys.exit(7)"
    command = [sys.executable, "-m", "greenbench", "measure", "--max-wh", "1", *python(code)]
    done = subprocess.run(
        command,
        cwd=greenbench.folder,
        env=greenbench.environment,
        input="typed",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "module://mine typed\n")
    assert "cpu, measured by replay" in done.stderr
    assert "the budget is not judged" in done.stderr


def test_budget_decides_the_exit_code_and_json_has_all(greenbench: Greenbench) -> None:
    (greenbench.folder / "fit.py").write_text("print('trained')")
    given = ("--no-mlflow", "--json", "out.json", "--include-disturbed", "--max-wh")
    over = greenbench("measure", *given, "1e-9", "--", sys.executable, "fit.py")
    assert (over.returncode, over.stdout) == (1, "trained\n")
    assert "fail: fit.py: energy_wh is" in over.stderr
    told = json.loads((greenbench.folder / "out.json").read_text())
    assert told["name"] == "fit.py"
    assert told["energy_provenance"] == "counter"
    assert told["marks"][0] == "replayed"
    assert told["cpu_s"] > 0
    within = greenbench("measure", *given, "1000", sys.executable, "fit.py")
    assert within.returncode == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_program_and_its_children_end_with_us(
    greenbench: Greenbench, eventually: Eventually, number: signal.Signals, code: int
) -> None:
    # As from a script: Python's own handler would print a traceback, and end with 1.
    family = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)\n" + FAMILY
    process = greenbench.start("measure", *python(family))
    assert process.stdout is not None
    child = int(process.stdout.readline())
    program = psutil.Process(child).ppid()
    os.kill(process.pid, number)
    assert process.wait(400) == code
    eventually(lambda: is_gone(program) and is_gone(child))


def test_what_the_program_measures_of_itself_does_not_wait_for_us(greenbench: Greenbench) -> None:
    code = (
        "import greenbench\n"
        "with greenbench.measure('inside', log=False) as window: pass\n"
        "print(window.measurement.name)"
    )
    done = greenbench("measure", *python(code))
    assert (done.returncode, done.stdout) == (0, "inside\n"), done.stderr


def test_other_measurements_are_waited_for_which_is_said(greenbench: Greenbench) -> None:
    with lock_holders(Path(greenbench.environment["GREENBENCH_HOST_LOCK"])) as start:
        holder = start()
        assert said(holder) == "held"
        process = greenbench.start("measure", *python("print('at last')"))
        assert process.stdout is not None
        assert process.stdout.readline().startswith("waiting for the host lock (")
        end(holder)
        assert "at last" in process.stdout.read()
        assert process.wait(400) == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), "Missing argument 'COMMAND...'"),
        (("--max-wh", "-1", "ls"), "budget is -1.0; expected a number of Wh above 0"),
        (("--no-mlflow", "nosuch"), "program 'nosuch' cannot be started (No such file"),
        (("--name", "a<b", "ls"), "name of a measurement is 'a<b'"),
        (("--json", "none/x.json", "ls"), "--json none/x.json cannot be written"),
        (("--headline", "gpu", "--no-mlflow", "ls"), "headline is 'gpu', but the meter finds no"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    greenbench: Greenbench, given: tuple[str, ...], expected: str
) -> None:
    done = greenbench("measure", *given)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr.splitlines()[-1]
    assert not (greenbench.folder / "mlruns").exists()
