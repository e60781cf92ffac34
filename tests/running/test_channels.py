"""The channels of a process that is told what to do: it ends with whoever tells it."""

import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.conftest import is_gone

PROGRAM = """
import time
from greenbench.running.channels import listen, take_over

listen(take_over()[1]).get()
time.sleep(999)
"""


@pytest.mark.parametrize("said", [b"", b"{}\n", b'{"case": ', b'{}\n{"case"'])
def test_process_ends_with_its_parent_whatever_that_was_saying(said: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=said, capture_output=True, check=False, timeout=400
    )
    assert done.returncode == 0


STARTING = """
import subprocess, sys, time
from greenbench.running.channels import listen, take_over

child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
listen(take_over()[1]).get()
time.sleep(999)
"""


def test_what_a_leader_of_a_group_has_started_ends_with_it(
    eventually: Callable[[Callable[[], object]], None],
) -> None:
    command, pipe = [sys.executable, "-c", STARTING], subprocess.PIPE
    leader = subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True)
    assert leader.stdout is not None
    child = int(leader.stdout.readline())
    leader.communicate()
    assert leader.returncode == -signal.SIGKILL
    eventually(lambda: is_gone(child))
