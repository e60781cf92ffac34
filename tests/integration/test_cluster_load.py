"""Many cases on a cluster, under kills and restarts: a small run of the benchmark on scale."""

from pathlib import Path

import pytest

from benchmarks.bench_scale import load

pytestmark = pytest.mark.integration


def test_nothing_is_lost_or_doubled_under_kills_and_restarts(tmp_path: Path) -> None:
    found = load(tmp_path, cases=12, workers=2, kills=2, restarts=1, epochs=60)
    assert found["injected"]
    assert found["exit_code"] == found["sync_exit_code"] == 0, (tmp_path / "run.log").read_text()
    assert (found["once"], found["more_than_once"], found["absent"]) == (12, 0, 0)
    assert (found["trials_once"], found["trials_more_than_once"]) == (24, 0)
    assert found["phases_off"] == 0
