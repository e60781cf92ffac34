"""Threads on real runs: recorded, compared across runs, and the number that takes least."""

import json

import pytest

from greenbench.tracking import Store
from tests.conftest import Greenbench

pytestmark = pytest.mark.integration

SMALL = ("-a", "dense.xs", "-d", "digits", "--epochs", "1", "--repeats", "3")


@pytest.mark.usefixtures("made_store")
def test_runs_with_one_and_two_threads_give_a_ratio(greenbench: Greenbench) -> None:
    for threads in ("1", "2"):
        done = greenbench("run", *SMALL, "--threads", threads)
        assert done.returncode == 0, done.stderr
    rows = Store(f"sqlite:///{greenbench.folder / 'mlruns/mlflow.db'}").read_rows()
    assert sorted(row["threads"] for row in rows) == ["1"] * 3 + ["2"] * 3
    done = greenbench.here("compare", "threads", "--json", "--include-disturbed")
    assert done.returncode == 0, done.stderr
    (ratio,) = json.loads(done.stdout)["answers"][0]["ratios"]
    assert (ratio["variant"], ratio["baseline"], ratio["pairs"]) == ("2", "1", 3)
    assert ratio["energy"]["low"] <= ratio["energy"]["median"] <= ratio["energy"]["high"]


def test_doctor_finds_a_number_of_threads_and_keeps_nothing(greenbench: Greenbench) -> None:
    greenbench.environment["TMPDIR"] = str(greenbench.folder)
    done = greenbench("doctor", "--threads", "-a", "dense.xs", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (network,) = found["networks"]
    tried = [figures["threads"] for figures in network["figures"]]
    assert found["best"] in tried
    assert tried[0] == 1
    assert all(figures["cpu_s"]["n"] == 5 for figures in network["figures"])
    assert [
        path.name for path in greenbench.folder.iterdir() if "greenbench-threads" in path.name
    ] == []
    assert not (greenbench.folder / "mlruns").exists()
