"""A real plugin distribution whose networks kill, hang or hold their worker at a chosen build."""

from pathlib import Path

import pytest

from tests.conftest import Greenbench

PLUGIN = '''
"""Networks that go wrong: each build is counted, over all workers of a run."""
import os
import time
from pathlib import Path

import torch
from greenbench import register_architecture
from greenbench.architectures import native

COUNT = Path(os.environ["PLUGIN_COUNT"])


class Bomb(torch.nn.Module):
    def __init__(self, inner, effect):
        super().__init__()
        self.inner, self.effect = inner, effect

    def forward(self, images):
        if self.training and self.effect is not None:
            self.effect()
        return self.inner(images)


def _crash():
    os.kill(os.getpid(), 9)


def _hang():
    time.sleep(3600)


def _hold():
    COUNT.with_name("held").touch()
    while not COUNT.with_name("go").exists():
        time.sleep(0.02)


def _fail():
    raise ValueError("<b>no</b> such thing")


def _memory():
    raise torch.OutOfMemoryError("out of memory")


EFFECTS = {"crash": _crash, "hang": _hang, "hold": _hold, "fail": _fail, "memory": _memory}


@register_architecture("bomb")
@native("torch")
def bomb(image_shape, classes, effect="crash", build=3):
    count = int(COUNT.read_text()) + 1 if COUNT.exists() else 1
    COUNT.write_text(str(count))
    # The warm-up builds twice.
    count = max(count - 1, 1)
    channels, height, width = image_shape
    inner = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(channels * height * width, classes)
    )
    return Bomb(inner, EFFECTS[effect] if count == build else None)
'''


@pytest.fixture
def plugin(greenbench: Greenbench, made_store: None, tmp_path: Path) -> Greenbench:
    """The command line with the plugin installed.

    Build 1 is the warm-up's, build 2 that of trial 0, build 3 that of trial 1.
    """
    site = tmp_path / "site"
    (site / "greenbench_bombs-1.0.dist-info").mkdir(parents=True)
    info = site / "greenbench_bombs-1.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greenbench-bombs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[greenbench.plugins]\nbombs = greenbench_bombs\n")
    (site / "greenbench_bombs.py").write_text(PLUGIN)
    greenbench.environment["PYTHONPATH"] = str(site)
    greenbench.environment["PLUGIN_COUNT"] = str(tmp_path / "count")
    return greenbench


@pytest.fixture(scope="session", autouse=True)
def _store_stays_imported() -> None:
    """Import the store before pytester, which forgets what is imported while it is in use.

    SQLAlchemy breaks when it is imported a second time.
    """
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401, PLC0415
