"""How far a measurement on another GPU of the host disturbs: energy and time beside and alone."""

import os
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from greenbench.energy.gpus import visible_gpus
from greenbench.tracking import Store
from tests.conftest import Greenbench

MOST = 0.05
"""Share by which a neighbour may change the energy of a card's own counter."""

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(
        len(visible_gpus(os.environ)) < 2,
        reason="needs two NVIDIA GPUs, one to measure and one for a neighbour",
    ),
]


def card(greenbench: Greenbench, name: str, index: int) -> Greenbench:
    """Return the command line with a store of its own, and one card."""
    folder = greenbench.folder / name
    folder.mkdir()
    uuid = visible_gpus(os.environ)[index].uuid
    own = {"CUDA_VISIBLE_DEVICES": uuid, "GREENBENCH_RUNS_DIR": str(folder / "mlruns")}
    environment = {**greenbench.environment, **own}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return Greenbench(folder, environment)


def arguments(repeats: int) -> list[str]:
    return [
        "run", "-a", "simple_cnn.l", "--batch-size", "512", "--repeats", str(repeats),
        "--min-window", "10", "--headline", "gpu", "--idle", "0",
    ]  # fmt: skip


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return Store.existing(f"sqlite:///{folder}/mlruns/mlflow.db").read_rows()


def test_a_neighbour_on_another_card_changes_the_energy_of_a_card_by_little(
    greenbench: Greenbench,
) -> None:
    alone, beside = card(greenbench, "alone", 0), card(greenbench, "beside", 0)
    neighbour = card(greenbench, "neighbour", 1)
    done = alone(*arguments(3))
    assert done.returncode == 0, done.stderr
    # It outlasts the other one, and is ended.
    process = neighbour.start(*arguments(30))
    try:
        assert process.stdout is not None
        while "repeat" not in (line := process.stdout.readline()) and line:
            pass
        done = beside(*arguments(3))
    finally:
        process.terminate()
        process.communicate()
    assert done.returncode == 0, done.stderr
    one, other = rows_of(alone.folder), rows_of(beside.folder)
    assert [row["marks"] and "shared-host" in row["marks"] for row in other] == [True] * 3
    assert not any("shared-host" in str(row["marks"]) for row in one)
    energy, time = (
        median(row[column] for row in other) / median(row[column] for row in one)
        for column in ("gpu_wh", "duration_s")
    )
    print(f"beside a neighbour: {energy:.4f} times the energy, {time:.4f} times the time")
    assert abs(energy - 1) < MOST
