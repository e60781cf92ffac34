"""What is recorded of a batch of trials whose worker dies or hangs."""

import json
from pathlib import Path

import pytest

from tests.conftest import Greenbench

pytestmark = pytest.mark.integration

PLUGIN = '''
"""A backend that takes batches on a CPU, and whose second batch (after the warm-up) ends it."""
import os
import time
from pathlib import Path

from greenbench import register_backend
from greenbench.backends.torch import TorchBackend

COUNT = Path(os.environ["PLUGIN_COUNT"])
EFFECTS = {"crash": lambda: os.kill(os.getpid(), 9), "hang": lambda: time.sleep(3600)}


@register_backend("fragile")
class FragileBackend(TorchBackend):
    batches_pay = True

    def build_batch(self, requests):
        count = int(COUNT.read_text()) + 1 if COUNT.exists() else 1
        COUNT.write_text(str(count))
        if count == 2:
            EFFECTS[os.environ["PLUGIN_EFFECT"]]()
        return super().build_batch(requests)
'''


@pytest.fixture
def fragile(greenbench: Greenbench, tmp_path: Path) -> Greenbench:
    """The command line with the plugin installed."""
    info = tmp_path / "site" / "greenbench_fragile-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greenbench-fragile\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[greenbench.plugins]\nfragile = greenbench_fragile\n")
    (tmp_path / "site" / "greenbench_fragile.py").write_text(PLUGIN)
    greenbench.environment["PYTHONPATH"] = str(tmp_path / "site")
    greenbench.environment["PLUGIN_COUNT"] = str(tmp_path / "count")
    return greenbench


@pytest.mark.parametrize(
    ("strategy", "effect", "status", "cause"),
    [
        ("random", "crash", "crashed", "killed by SIGKILL"),
        ("random+asha", "crash", "crashed", "killed by SIGKILL"),
        # A limit for each of the three lanes.
        ("random", "hang", "timed_out", "longer than 60 s"),
    ],
)
def test_all_lanes_of_a_lost_batch_are_recorded_and_the_search_goes_on(
    fragile: Greenbench, strategy: str, effect: str, status: str, cause: str
) -> None:
    fragile.environment["PLUGIN_EFFECT"] = effect
    # Within that, a worker on a busy machine loads its data, too.
    limit = ("--trial-timeout", "20") if effect == "hang" else ()
    done = fragile(
        "run", "-s", strategy, "-a", "dense", "--backend", "fragile", "--repeats", "1",
        "--epochs", "4", "--trials", "6", "--batched-trials", "3", *limit,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    (journal,) = fragile.journals
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    (result,) = (line["values"] for line in lines if line["event"] == "result")
    trials = result["trials"]
    assert [trial["index"] for trial in trials] == list(range(6))
    assert [trial["status"] for trial in trials[:3]] == [status] * 3
    assert all(cause in trial["error"] for trial in trials[:3])
    assert "completed" in {trial["status"] for trial in trials[3:]}
    assert {trial["lanes"] for trial in trials} == {3}
    lost = trials[0]["account"]["phases"]["train"]["components"]["cpu"]
    assert lost["energy_j"] is None
    positions = [each["position"] for trial in trials for each in trial["segments"]]
    assert sorted(positions) == list(range(len(positions)))
