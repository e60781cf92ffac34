"""Repeats that are added to a run by real workers: killed, resumed, refused after a change."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from greenbench.results.journal import Journal
from greenbench.tracking import Store
from tests.conftest import Greenbench, is_gone

pytestmark = pytest.mark.integration

RUN = ("run", "-a", "mine.s", "-a", "mine.m", "--epochs", "1")
ADD = (*RUN, "--continue-repeats", "2")
PLUGIN = """
import os
import time
from pathlib import Path

from greenbench import register_architecture
from greenbench.architectures import Flatten, Linear, Spec, family

@register_architecture("mine")
@family(s={"width": 4}, m={"width": 16})
def mine(image_shape, classes, width=4):
    journals = Path(os.environ["GREENBENCH_RUNS_DIR"], "journal")
    while Path(os.environ["HOLD"]).exists() and 2 < sum(
        '"event": "result"' in path.read_text() for path in journals.glob("*/*.jsonl")
    ):
        time.sleep(0.02)
    return Spec("mine", image_shape, [Flatten(), Linear(width), Linear(classes)])
"""


@pytest.fixture
def plugin(greenbench: Greenbench) -> Greenbench:
    """The command line where a plugin registers an architecture."""
    metadata = greenbench.folder / "mine-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[greenbench.plugins]\nmine = mine_parts\n")
    (greenbench.folder / "mine_parts.py").write_text(PLUGIN)
    greenbench.environment["PYTHONPATH"] = str(greenbench.folder)
    greenbench.environment["HOLD"] = str(greenbench.folder / "hold")
    return greenbench


def finished(greenbench: Greenbench) -> list[Path]:
    return [path for path in greenbench.journals if Journal(path).read().result]


def test_killed_addition_goes_on_measures_nothing_twice_and_refuses_another_code(
    plugin: Greenbench, eventually: Callable[[Callable[[], object]], None]
) -> None:
    done = plugin(*RUN, "--repeats", "1")
    assert done.returncode == 0, done.stderr
    # The second repeat that is added waits to be killed.
    hold = plugin.folder / "hold"
    hold.touch()
    killed = plugin.start(*ADD, start_new_session=True)
    eventually(lambda: len(finished(plugin)) == 3)
    workers = [worker.pid for worker in psutil.Process(killed.pid).children()]
    killed.kill()
    killed.wait()
    eventually(lambda: all(map(is_gone, workers)))
    hold.unlink()
    before = {path: path.read_text() for path in finished(plugin)}

    again = plugin(*ADD)

    assert again.returncode == 0, again.stderr
    assert len(finished(plugin)) == 6
    assert all(path.read_text().startswith(text) for path, text in before.items())
    rows = Store(f"sqlite:///{plugin.folder}/mlruns/mlflow.db").read_rows()
    assert sorted((row["size"], row["repeat"]) for row in rows) == [
        (size, repeat) for size in "ms" for repeat in range(3)
    ]
    assert len({row["session"] for row in rows}) == 1

    (plugin.folder / "mine_parts.py").write_text(PLUGIN.replace("width=4", "width=5"))
    refused = plugin(*ADD)
    assert refused.returncode == 2
    assert "since the code of mine_parts.py changed" in refused.stderr
    assert len(finished(plugin)) == 6
