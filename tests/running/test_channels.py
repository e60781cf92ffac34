"""The channels of a process that is told what to do: it ends with whoever tells it."""

import subprocess
import sys

import pytest

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
