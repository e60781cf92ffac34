"""What a GPU's energy counter gives, where there is one."""

import shutil

import pytest

from greenbench.tracking import Store
from tests.conftest import Greenbench

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA GPU on this machine"),
]


def test_gpu_energy_is_a_counters_gross_and_net_and_two_meters_agree(
    greenbench: Greenbench,
) -> None:
    # Windows of 10 s: the counter of a GPU ticks up to ten times a second.
    greenbench(
        "run", "-a", "simple_cnn.l", "--repeats", "2", "--min-window", "10",
        "--meter", "codecarbon,zeus",
    )  # fmt: skip
    database = greenbench.folder / "mlruns" / "mlflow.db"
    for row in Store.existing(f"sqlite:///{database}").read_rows():
        assert row["gpu_provenance"] == "counter"
        assert 0 < row["gpu_net_wh"] < row["gpu_wh"]
        assert row["meter_disagreement"] < 0.05
