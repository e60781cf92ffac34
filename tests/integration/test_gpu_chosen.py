"""From the worker's device to the figures: a whole run on a machine with made-up GPUs."""

import os
from pathlib import Path

import pytest

from greenbench.tracking import Store
from tests.conftest import Greenbench
from tests.lock_holders import CARDS, lock_holders, said

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
IDLING_W, TRAINING_W = 1000, 100

SITE = f'''
"""What every process of the run begins with: three cards, of which the second one trains."""
import sys

sys.path.append({str(ROOT)!r})
from tests.made_up_nvml import Card, install_for_good

install_for_good(
    Card("GPU-aa", power_w={IDLING_W}, temperature=80, reasons=0x40),
    Card("GPU-bb", bus=0x20, power_w={TRAINING_W}, temperature=41, slices=["MIG-bb1"]),
    Card("GPU-cc", bus=0x30, power_w={IDLING_W}, temperature=80),
)
'''
PLUGIN = '''
"""A backend that computes on the CPU, and says what the environment tells it to."""
import os

from greenbench import register_backend
from greenbench.backends.torch import TorchBackend


@register_backend("located")
class Located(TorchBackend):
    def gpu_uuids(self):
        return os.environ["TOLD"].split()
'''


@pytest.fixture
def machine(greenbench: Greenbench, tmp_path: Path) -> Greenbench:
    """The command line on a machine whose driver and tool know three GPUs."""
    site, tools = tmp_path / "site", tmp_path / "tools"
    info = site / "greenbench_located-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greenbench-located\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[greenbench.plugins]\nlocated = greenbench_located\n")
    (site / "greenbench_located.py").write_text(PLUGIN)
    (site / "sitecustomize.py").write_text(SITE)
    tools.mkdir()
    (tools / "nvidia-smi").write_text("#!/bin/sh\n")
    (tools / "nvidia-smi").chmod(0o755)
    greenbench.environment |= {
        "PYTHONPATH": str(site),
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "GREENBENCH_IDLE_S": "0",
    }
    return greenbench


@pytest.mark.parametrize(
    ("told", "is_read"), [("GPU-bb", True), ("", False)], ids=["second card", "cpu"]
)
def test_run_reads_the_card_that_trains_and_no_other(
    machine: Greenbench, told: str, is_read: bool
) -> None:
    pytest.importorskip("zeus")
    machine.environment["TOLD"] = told
    done = machine(
        "run", "-a", "dense.xs", "-b", "located", "--epochs", "20", "--repeats", "1",
        "--meter", "codecarbon,zeus",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    [row] = Store.existing(f"sqlite:///{machine.folder}/mlruns/mlflow.db").read_rows()
    if not is_read:
        assert (row["gpu_wh"], row["gpu_provenance"], row["gpu_temperature_c"]) == (None,) * 3
        return
    power_w = row["gpu_wh"] * 3600 / row["duration_s"]
    assert TRAINING_W / 2 < power_w < IDLING_W / 2
    assert (row["gpu_temperature_before_c"], row["gpu_temperature_c"]) == (41.0, 41.0)
    assert "shared" in row["marks"].split()
    assert "throttled" not in row["marks"]
    assert "of the whole card, of which a slice (MIG) trains" in row["energy_source"]


def test_run_whose_headline_is_a_cards_counter_goes_on_beside_others_and_is_marked(
    machine: Greenbench,
) -> None:
    machine.environment["TOLD"] = "GPU-bb"
    with lock_holders(Path(machine.environment["GREENBENCH_HOST_LOCK"])) as start:
        # It is given GPU-aa first, which the worker then says that it does not train on.
        assert said(start("GPU-cc", program=CARDS)) == "held"
        done = machine(
            "run", "-a", "dense.xs", "-b", "located", "--epochs", "20", "--repeats", "1",
            "--headline", "gpu",
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "waiting for the host lock" not in done.stderr
    [row] = Store.existing(f"sqlite:///{machine.folder}/mlruns/mlflow.db").read_rows()
    assert row["energy_scope"] == "gpu"
    assert "shared-host" in row["marks"].split()
