"""Programs as cases, run by the real command line: killed, resumed, too slow, in C."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.conftest import Greenbench, is_gone

pytestmark = pytest.mark.integration

SEARCH = ("--space", "rate", "-s", "sobol", "--repeats", "1", "--epochs", "3")
SLOW = """
echo $$ >> started
for epoch in $(seq 1 "$1"); do
    echo "{\\"epoch\\": $epoch, \\"score\\": 0.5}"
    case "$(wc -l < started)" in 2|3) until test -e fast; do sleep 0.2; done;; esac
done
"""
PATIENCE_S = 300.0
"""A worker has to start first, on a machine that may be busy."""
IN_C = """
#include <stdio.h>
#include <stdlib.h>
int main(int count, char **words) {
    for (int epoch = 1; epoch <= atoi(words[1]); epoch++)
        printf("{\\"epoch\\": %d, \\"loss\\": 1, \\"score\\": 0.%d}\\n", epoch, epoch);
    printf("{\\"test_score\\": 0.25}\\n");
}
"""


@pytest.fixture
def slow(plugin: Greenbench) -> tuple[str, ...]:
    (plugin.folder / "slow.sh").write_text(SLOW)
    command = "sh slow.sh {epochs} {learning_rate}"
    return ("run", "--command", command, *SEARCH, "--trials", "3")


def started(folder: Path) -> list[int]:
    file = folder / "started"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


@pytest.mark.parametrize("who", ["greenbench", "its worker"])
def test_a_program_ends_with_whoever_is_killed_and_the_run_is_resumed(
    plugin: Greenbench,
    slow: tuple[str, ...],
    eventually: Callable[..., None],
    who: str,
) -> None:
    process = plugin.start(*slow)
    eventually(lambda: len(started(plugin.folder)) == 2, PATIENCE_S)
    hanging = started(plugin.folder)[1]
    if who == "greenbench":
        process.kill()
    else:
        os.kill(psutil.Process(hanging).ppid(), signal.SIGKILL)
    # Only then: it would end by itself, and be recorded.
    eventually(lambda: is_gone(hanging))
    (plugin.folder / "fast").touch()
    out, _ = process.communicate()
    if who == "greenbench":
        done = plugin(*slow)
        assert done.returncode == 0, done.stderr
        # Those that were left, and the best one again, for its test.
        assert len(started(plugin.folder)) == 2 + 2 + 1
    else:
        assert process.returncode == 0, out
        assert "crashed" in plugin.journals[0].read_text()


def test_a_changed_script_starts_the_run_over_and_says_so(
    plugin: Greenbench,
    slow: tuple[str, ...],
    eventually: Callable[..., None],
) -> None:
    process = plugin.start(*slow)
    eventually(lambda: len(started(plugin.folder)) == 2, PATIENCE_S)
    process.kill()
    process.wait()
    hanging = started(plugin.folder)[1]
    eventually(lambda: is_gone(hanging))
    (plugin.folder / "fast").touch()
    (plugin.folder / "slow.sh").write_text(f"{SLOW}# changed\n")
    done = plugin(*slow)
    assert done.returncode == 0, done.stderr
    assert "the code of slow.sh" in done.stdout + done.stderr
    assert len(started(plugin.folder)) == 2 + 3


def test_a_program_that_takes_too_long_is_killed_with_its_children(
    plugin: Greenbench, slow: tuple[str, ...]
) -> None:
    # One hangs; the others must be through by then, however busy the machine is.
    (plugin.folder / "slow.sh").write_text(SLOW.replace("2|3)", "2)"))
    done = plugin(*slow, "--trials", "2", "--trial-timeout", "60")
    assert done.returncode == 0, done.stderr
    assert "timed_out" in plugin.journals[0].read_text()
    assert all(is_gone(pid) for pid in started(plugin.folder))


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_program_in_c_is_searched_in_two_sizes(plugin: Greenbench) -> None:
    (plugin.folder / "it.c").write_text(IN_C)
    subprocess.run(["cc", "it.c", "-o", "it"], cwd=plugin.folder, check=True)
    done = plugin(
        *("run", "--command", "./it {epochs} {width} {learning_rate}", *SEARCH, "--trials", "2"),
        *("--size", "s:width=1", "--size", "m:width=2", "--name", "in_c"),
    )
    assert done.returncode == 0, done.stderr
    names = [path.name.partition("-own")[0] for path in plugin.journals]
    assert names == ["sobol-command_in_c.m", "sobol-command_in_c.s"]


def test_a_command_that_cannot_work_gets_one_line_and_leaves_nothing(plugin: Greenbench) -> None:
    done = plugin("run", "--command", "sh gone.sh {learning_rate}", *SEARCH)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not plugin.journals
