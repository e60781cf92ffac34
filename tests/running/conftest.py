from pathlib import Path

import pytest

from greenbench.settings import Settings
from tests.running.reusing import BASIS, Pool


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> type[Pool]:
    for module in ("reuse", "session"):
        monkeypatch.setattr(f"greenbench.running.{module}.WorkerPool", Pool)
    for name, value in {"data": BASIS, "device": "cpu", "loaded": [], "launched": []}.items():
        monkeypatch.setattr(Pool, name, value)
    return Pool


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_environment(
        {
            "GREENBENCH_RUNS_DIR": str(tmp_path / "runs"),
            "GREENBENCH_COUNTRY": "NLD",
            "GREENBENCH_HOST_LOCK": str(tmp_path / "lock"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        }
    )
