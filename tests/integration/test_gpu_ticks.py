"""The energy counters of real NVIDIA GPUs, read at their ticks."""

import shutil
import time

import numpy as np
import pytest

from greenbench.energy.counters import open_counters

WATCHED_S = 5.0
SHARE = 0.1
"""Of a core: a read takes up to 3 ms in a virtual machine."""

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA GPU on this machine"),
]


def test_ticks_of_a_gpu_are_all_seen_and_hold_its_power() -> None:
    counters = open_counters(powercap=None)
    assert counters is not None
    try:
        time.sleep(1.0)  # Until it has learned their length.
        since_s = time.perf_counter()
        time.sleep(WATCHED_S)
        found, faults = counters.ticks(since_s), counters.faults(since_s)
        gpu = counters.describe()["gpu"]
    finally:
        counters.close()
    assert faults == {}
    assert gpu.tick_s is not None
    assert counters.share is not None
    assert counters.share < SHARE * len(found["gpu"])
    for ticks in found["gpu"]:
        lengths_s = np.diff(ticks.times_s)
        # Not one was missed, and none is a fluke of the reader's.
        assert len(lengths_s) == pytest.approx(WATCHED_S / gpu.tick_s, abs=2)
        assert np.abs(lengths_s - gpu.tick_s).max() < gpu.tick_s / 4
        power_w = np.diff(ticks.energy_j) / lengths_s
        assert gpu.limit_w is not None
        assert (power_w > 1.0).all()
        assert (power_w < gpu.limit_w).all()
