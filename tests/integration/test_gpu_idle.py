"""Idle power of a real GPU: the same state before a suite as after it, and settled."""

import re
import shutil

import pytest

from tests.conftest import Greenbench

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA GPU on this machine"),
]


def test_context_and_load_of_the_suite_are_no_part_of_what_idle_power_changed_by(
    greenbench: Greenbench,
) -> None:
    # Long enough at full load that an unsettled GPU would be measured with raised clocks.
    done = greenbench(
        "run", "-a", "simple_cnn.l", "--batch-size", "512", "--min-window", "5", "--idle", "3"
    )
    assert done.returncode == 0, done.stderr
    told = dict(re.findall(r"idle power (before|after) the suite: .*?gpu ([\d.]+) W", done.stderr))
    before_w, after_w = float(told["before"]), float(told["after"])
    assert before_w > 1
    assert abs(after_w - before_w) < 0.05 * before_w


def test_nothing_is_measured_or_waited_for_if_nobody_wants_idle_power(
    greenbench: Greenbench,
) -> None:
    done = greenbench("run", "-a", "dense.xs", "--epochs", "1", "--idle", "0")
    assert done.returncode == 0, done.stderr
    assert "idle power" not in done.stderr


def test_repeat_waits_until_the_gpu_is_cool(greenbench: Greenbench) -> None:
    done = greenbench(
        *("run", "-a", "simple_cnn.l", "--repeats", "2", "--min-window", "20"),
        *("--idle", "0", "--cool-down"),
    )
    assert done.returncode == 0, done.stderr
    # 20 s at full load warm any GPU by more than two degrees.
    assert re.search(r"cooling down from \d+ to \d+ °C, for 300 s at most", done.stderr)
