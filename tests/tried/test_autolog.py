"""Autologging of MLflow in a user's module: nothing of it is measured, or fills a store."""

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.conftest import Greenbench

pytestmark = pytest.mark.integration

NETWORK = '''
"""A project's network; the project logs its own trainings with MLflow."""
import torch
from greenbench import register_architecture
from greenbench.architectures import native

{top}


@register_architecture("logged")
@native("torch")
def logged(image_shape, classes):
    {inside}
    channels, height, width = image_shape
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(channels * height * width, classes)
    )
'''
PLACES = {
    "at_the_top": ("import mlflow.sklearn\nmlflow.sklearn.autolog()\nmlflow.autolog()", "pass"),
    "in_a_builder": ("", "import mlflow; mlflow.autolog()"),
}


@pytest.mark.parametrize("place", PLACES)
def test_autologging_fills_no_store_and_no_search(
    greenbench: Greenbench, tmp_path: Path, place: str
) -> None:
    pytest.importorskip("skopt")
    top, inside = PLACES[place]
    site = tmp_path / "site"
    info = site / "greenbench_logged-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greenbench-logged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[greenbench.plugins]\nlogged = greenbench_logged\n")
    (site / "greenbench_logged.py").write_text(NETWORK.format(top=top, inside=inside))
    greenbench.environment["PYTHONPATH"] = str(site)
    search = ("-s", "bayesian", "-a", "logged", "--trials", "8", "--epochs", "1")
    done = greenbench("run", *search, "--repeats", "1", timeout_s=400)

    assert done.returncode == 0, done.stderr
    # MLflow's own default is a store in the working folder.
    assert {path.name for path in tmp_path.iterdir()} <= {
        "mlruns", "site", "host.lock", "host.lock.turn"
    }  # fmt: skip
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(experiments)
    assert sorted(run.data.tags["kind"] for run in runs) == ["case", *["trial"] * 8]


PROGRAM = """
import sys
from greenbench.tracking.autologging import forbid_autologging
if "before" in sys.argv: import mlflow.sklearn; mlflow.sklearn.autolog()
forbid_autologging()
assert ("mlflow" in sys.modules) == ("before" in sys.argv)
forbid_autologging()
import mlflow.sklearn; mlflow.sklearn.autolog()
from mlflow.utils.autologging_utils import disable_autologging
if "nested" in sys.argv:
    with disable_autologging(): pass
    forbid_autologging()
from sklearn.linear_model import LinearRegression
LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
"""


@pytest.mark.parametrize("how", ["before", "after", "nested"])
def test_whoever_turns_it_on_and_whenever(tmp_path: Path, how: str) -> None:
    command = [sys.executable, "-c", PROGRAM, how]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
