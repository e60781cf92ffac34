"""`greenbench.run` from real scripts: no guard, resumed after Ctrl+C, and in an event loop."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

SCRIPT = """
import asyncio, json, os, time
from pathlib import Path
import greenbench
from greenbench.architectures import native

@greenbench.register_architecture("tiny")
@native("torch")
def tiny(image_shape, classes):
    import torch
    journals = Path(os.environ["GREENBENCH_RUNS_DIR"], "journal")
    while Path("hold").exists() and any(
        '"event": "trial"' in path.read_text() for path in journals.glob("*/*.jsonl")
    ):
        time.sleep(0.02)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(classes))

async def in_a_notebook():
    # Notebooks run cells in a loop.
    return greenbench.run(
        greenbench.Case("random", "tiny", trials=60, epochs=1), repeats=1,
        idle=0, country="NLD", progress=True,
    )

# As Jupyter does: `asyncio.run` would keep Ctrl+C for itself until the cell has ended.
results = asyncio.new_event_loop().run_until_complete(in_a_notebook())
print(json.dumps([len(results), results[0].interruptions, results[0].incumbent.index]))
"""


def test_script_without_a_guard_goes_on_after_ctrl_c(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script)]
    # The second trial waits for it, so that whoever looks late is not too late.
    hold = tmp_path / "hold"
    hold.touch()
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr is not None
        journals = Path(os.environ["GREENBENCH_RUNS_DIR"], "journal")
        while first.poll() is None:
            found = list(journals.glob("*/*.jsonl"))
            if found and found[0].read_text().count('"event": "trial"'):
                break
            time.sleep(0.05)
        first.send_signal(signal.SIGINT)
        said = first.stderr.read()
    hold.unlink()
    assert "KeyboardInterrupt" in said
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert "resuming adhoc-" in second.stderr
    assert json.loads(second.stdout)[:2] == [1, 1]
