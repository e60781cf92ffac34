"""The tutorial on one's own training, followed to the letter in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/tutorial-own.md"


def commands() -> list[str]:
    """Return the commands of the page, in order, but for what installs."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    typed = [line[2:] for block in blocks for line in block.splitlines() if line[:2] == "$ "]
    return [line for line in typed if "pip install" not in line]


@pytest.mark.integration
def test_every_command_works_in_its_order(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GREENBENCH_")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment |= {"GREENBENCH_HOST_LOCK": str(tmp_path / "lock"), "GREENBENCH_IDLE_S": "0"}
    script = "set -e\n" + "\n".join(commands())
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=False, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r"training\.[sm] reaches \d", done.stdout)
    assert "found learning_rate" in done.stdout
    assert "2 passed" in done.stdout
    for name in ("benchmarks/bench_training.py", "budgets.toml", "tox.ini"):
        assert (tmp_path / name).is_file()
