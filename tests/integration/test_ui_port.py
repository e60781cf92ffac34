"""The MLflow UI's port, where several people look at their stores."""

import os
import re
import shutil
from pathlib import Path

import pytest

from greenbench.tracking import Store
from tests.conftest import Greenbench

pytestmark = pytest.mark.integration


def test_two_that_start_at_once_show_their_own_stores(
    greenbench: Greenbench, store: Store, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    database = Path(str(store.uri).removeprefix("sqlite:///"))
    shutil.copy(database, other / "mlflow.db")
    uris = (store.uri.reveal(), f"sqlite:///{other / 'mlflow.db'}")
    started = []
    for uri in uris:
        greenbench.environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
        started.append(greenbench.start("ui"))

    addresses = []
    for ui in started:
        line = ""
        while not line.startswith("MLflow UI:"):
            line = ui.stdout.readline() if ui.stdout else ""
            assert line, "the UI ended"
        addresses += re.findall(r"http://127\.0\.0\.1:\d+", line)
    assert len(set(addresses)) == 2
    for ui in started:
        ui.terminate()
        assert ui.wait(timeout=400) == 0
