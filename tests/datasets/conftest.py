"""A context in an empty folder, and the folder with real images where there is one."""

import os
from pathlib import Path

import pytest

from greenbench.datasets import LoadContext


@pytest.fixture
def context(tmp_path: Path) -> LoadContext:
    return LoadContext(seed=3, data_dir=tmp_path / "data")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    folder = os.environ.get("GREENBENCH_DATA_DIR")
    if not folder:
        pytest.skip("GREENBENCH_DATA_DIR is not set")
    return Path(folder)
