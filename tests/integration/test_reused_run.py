"""Results that a whole command takes over from an earlier one, and what is said of it."""

import shutil
from pathlib import Path

import pytest

from greenbench.cli.tables import Wanted, read_tables
from greenbench.results.journal import Journal
from greenbench.tabular import write_recording
from greenbench.tracking import Store
from tests.conftest import Greenbench
from tests.mlflow_server import Server
from tests.tabular.recordings import EPOCHS, make_recording

pytestmark = pytest.mark.integration

RUN = ("run", "-s", "random", "-a", "dense.xs", "-b", "tabular", "--trials", "6")
RUN = (*RUN, "--epochs", str(EPOCHS))


def sessions(greenbench: Greenbench) -> list[list[Path]]:
    found: dict[Path, list[Path]] = {}
    # A later run has a later name.
    for path in greenbench.journals:
        found.setdefault(path.parent, []).append(path)
    return list(found.values())


def recorded(greenbench: Greenbench) -> None:
    recordings = greenbench.folder / "recordings"
    recordings.mkdir()
    write_recording(make_recording(), recordings)
    greenbench.environment["GREENBENCH_TABULAR_DIR"] = str(recordings)


def test_run_takes_over_from_a_server_what_no_folder_has(
    greenbench: Greenbench, mlflow_server: Server
) -> None:
    recorded(greenbench)
    greenbench.environment["MLFLOW_TRACKING_URI"] = mlflow_server.url()
    done = greenbench(*RUN, "--repeats", "2")
    assert done.returncode == 0, done.stderr
    (first,) = sessions(greenbench)
    before = [Journal(path).read().result for path in sorted(first)]
    shutil.rmtree(first[0].parent)

    done = greenbench(*RUN, "--repeats", "2", "--reuse")
    assert done.returncode == 0, done.stderr
    assert "Reused 2 of 2 repeats" in done.stdout
    (second,) = sessions(greenbench)
    after = [Journal(path).read().result for path in sorted(second)]
    for was, now in zip(before, after, strict=True):
        assert was
        assert now
        assert now.account == was.account
        assert now.reused_from == first[0].parent.name


def test_second_run_takes_over_measures_what_is_missing_and_counts_once(
    greenbench: Greenbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(greenbench)
    done = greenbench(*RUN, "--repeats", "2")
    assert done.returncode == 0, done.stderr

    done = greenbench(*RUN, "--repeats", "3", "--reuse")
    assert done.returncode == 0, done.stderr
    assert "1 repeat is measured anew: no complete run has their results" in done.stderr
    assert "Reused 2 of 3 repeats" in done.stdout

    first, second = sessions(greenbench)
    origins = [Journal(path).read().result for path in second]
    origin = first[0].parent.name
    assert [each and each.reused_from for each in origins] == [origin, origin, None]
    uri = f"sqlite:///{greenbench.folder}/mlruns/mlflow.db"
    rows = Store(uri).read_rows()
    energy = {(row["session"], row["repeat"]): row["energy_wh"] for row in rows}
    again = second[0].parent.name
    assert [energy[again, each] for each in (0, 1)] == [energy[origin, each] for each in (0, 1)]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    asked = Wanted((), None, all_sessions=True, where=(), include_disturbed=False)
    assert len(rows) == 5
    assert len(read_tables(asked).rows) == 3


def test_run_on_this_host_takes_over_what_a_worker_of_a_cluster_measured_here(
    greenbench: Greenbench,
) -> None:
    recorded(greenbench)
    done = greenbench(*RUN, "--repeats", "2", "--cluster", "local:1")
    assert done.returncode == 0, done.stderr

    done = greenbench(*RUN, "--repeats", "3", "--reuse")
    assert done.returncode == 0, done.stderr
    assert "1 repeat is measured anew: no complete run has their results" in done.stderr
    assert "Reused 2 of 3 repeats" in done.stdout
