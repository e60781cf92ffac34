"""What waits in the journal is delivered once, whatever lies beside it and whoever is killed."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from greenbench.results.journal import Journal
from greenbench.running.spool import IDLE_DRIFT
from greenbench.settings import Settings
from greenbench.tracking import Store
from tests.builders import make_result
from tests.conftest import Greenbench

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
SYNC = """
import os, sys, time
from pathlib import Path
from mlflow import MlflowClient
from greenbench.results.journal import Journal
from greenbench.running.spool import deliver_all
from greenbench.settings import Settings
how = sys.argv[1]
if hasattr(Journal, how):
    setattr(Journal, how, lambda self: os._exit(9))
create = MlflowClient.create_run
def create_together(*arguments, **options):
    # Each has found by now that nobody has delivered it.
    Path(f"arrived-{os.getpid()}").touch()
    until = time.monotonic() + 8
    while len(list(Path().glob("arrived-*"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    return create(*arguments, **options)
if how == "together":
    MlflowClient.create_run = create_together
print(deliver_all(Settings.from_environment(os.environ)))
"""


def waiting(settings: Settings, session: str, repeats: int = 1) -> list[Journal]:
    """Let results wait in a run's folder."""
    folder = settings.journal_dir / session
    folder.mkdir(parents=True)
    journals = []
    for repeat in range(repeats):
        result = make_result(repeat=repeat)
        journals.append(Journal.of(folder, result.case, repeat))
        journals[-1].finish(result)
    return journals


@pytest.fixture
def settings(greenbench: Greenbench) -> Settings:
    return Settings.from_environment(greenbench.environment)


def sync(greenbench: Greenbench, how: str) -> "subprocess.Popen[str]":
    """Start a sync that dies in place of a mark in a journal, or delivers when another does."""
    process = subprocess.Popen(
        [sys.executable, "-c", SYNC, how],
        cwd=greenbench.folder,
        env={**greenbench.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    greenbench.started.append(process)
    return process


def test_two_syncs_at_once_deliver_each_result_once(
    greenbench: Greenbench, settings: Settings
) -> None:
    waiting(settings, "ci-1", 2)
    both = [sync(greenbench, "together"), sync(greenbench, "together")]
    said = [process.communicate(timeout=400)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    rows = Store.existing(settings.tracking_uri).read_rows()
    assert sorted(row["repeat"] for row in rows) == [0, 1]
    assert sum(int(text.partition("(")[2].partition(",")[0]) for text in said) == 2


@pytest.mark.usefixtures("made_store")
def test_sync_that_is_killed_between_store_and_journal_delivers_nothing_twice(
    greenbench: Greenbench, settings: Settings
) -> None:
    (journal,) = waiting(settings, "ci-1")
    killed = sync(greenbench, "mark_delivered")
    killed.communicate(timeout=400)
    assert killed.returncode == 9
    state = journal.read()
    assert (state.is_attempted, state.is_delivered) == (True, False)
    assert greenbench("sync").returncode == 0
    assert len(Store.existing(settings.tracking_uri).read_rows()) == 1
    found = MlflowClient(settings.tracking_uri.reveal()).search_runs(["1"], "tags.kind = 'case'")
    assert len(found) == 1


@pytest.mark.usefixtures("made_store")
def test_odd_things_among_the_journals_hold_up_nobody(
    greenbench: Greenbench, settings: Settings
) -> None:
    good = waiting(settings, "b-good", 2)
    for name in ("it's", 'say "x"', "half \udcff", "line\nend", "50%2F?#"):
        good += waiting(settings, name)
    odd = settings.journal_dir / "a-odd"
    odd.mkdir()
    (odd / "folder.r0.jsonl").mkdir()
    os.mkfifo(odd / "pipe.r0.jsonl")
    (odd / "link.r0.jsonl").symlink_to(odd / "nowhere")
    (odd / "binary.r0.jsonl").write_bytes(b"\x00\xff\xfe\n" * 3)
    (odd / "deep.r0.jsonl").write_bytes(b"[" * 100_000 + b"\n")
    (odd / "huge.r0.jsonl").write_bytes(
        b'{"event": "start", "values": {"schema": 1, "at": ' + b"9" * 400 + b"}}\n"
    )
    (odd / "newer.r0.jsonl").write_bytes(
        b'{"event": "start", "values": {"schema": 999, "at": 1}}\n'
    )
    (odd / "empty.r0.jsonl").touch()
    (odd / IDLE_DRIFT).touch()
    for number, note in enumerate([b"[" * 100_000, b'{"suite": "ci", "drift": NaN}', b"null"]):
        folder = settings.journal_dir / f"c-{number}"
        folder.mkdir()
        (folder / IDLE_DRIFT).write_bytes(note)
    (pipe := settings.journal_dir / "c-pipe").mkdir()
    os.mkfifo(pipe / IDLE_DRIFT)
    (settings.journal_dir / "file").touch()
    (settings.journal_dir / "loop").symlink_to("loop")

    done = greenbench("sync")

    assert done.returncode == 1, done.stderr
    assert "delivered 7 results" in done.stdout
    lines = done.stderr.splitlines()
    for name in ("folder", "pipe", "link", "binary", "deep", "huge", "newer"):
        assert len([line for line in lines if f"{name}.r0.jsonl" in line]) == 1, (name, lines)
    assert len([line for line in lines if IDLE_DRIFT in line]) == 5
    assert len(lines) == 12, lines
    assert all(journal.read().is_delivered for journal in good)

    again = greenbench.here("sync")
    assert "delivered 0 results" in again.stdout
    # The note was put aside; the journals are for the user to look at.
    assert len(again.stderr.splitlines()) == 7


@pytest.mark.usefixtures("made_store")
def test_result_that_the_store_refuses_is_named_and_holds_up_no_other(
    greenbench: Greenbench, settings: Settings
) -> None:
    (bad, good) = waiting(settings, "ci-1", 2)
    result = bad.read().result
    assert result is not None
    # MLflow takes no name with such letters, which no search space has.
    bad.discard()
    trial = result.trials[0]
    refused = replace(trial, hyperparameters={**trial.hyperparameters, "top*5?": 5})
    bad.finish(replace(result, trials=(refused, *result.trials[1:])))

    done = greenbench("sync")

    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()[:1]
    assert f"{bad.path} is not delivered" in line
    assert "top*5?" in line
    assert "delivered 1 results" in done.stdout
    (row,) = Store.existing(settings.tracking_uri).read_rows()
    assert row["repeat"] == 1
    assert good.read().is_delivered
    # However often it is tried, nothing piles up.
    assert greenbench.here("sync").returncode == 1
    found = MlflowClient(settings.tracking_uri.reveal()).search_runs(["1"], "tags.kind = 'case'")
    assert len(found) == 2


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"),
    reason="gives rights away with setpriv, which root alone may",
)
def test_run_folder_that_may_not_be_read_or_written_is_named_and_left_out(
    greenbench: Greenbench, settings: Settings
) -> None:
    waiting(settings, "a-read-only", 2)
    waiting(settings, "b-hidden")
    (ours,) = waiting(settings, "c-ours")
    (settings.journal_dir / "a-read-only").chmod(0o555)
    (settings.journal_dir / "b-hidden").chmod(0o000)
    # Without the rights of root over what others forbid.
    powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    done = subprocess.run(
        [*powerless, sys.executable, "-m", "greenbench", "sync"],
        cwd=greenbench.folder,
        env=greenbench.environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    # They are for whoever may write there.
    assert done.returncode == 0, done.stderr
    assert "delivered 1 results" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("left out")
    assert line.endswith("a-read-only, b-hidden")
    assert ours.read().is_delivered


def test_store_that_goes_away_is_said_once_and_not_for_each_result(
    greenbench: Greenbench, settings: Settings
) -> None:
    waiting(settings, "ci-1", 3)
    greenbench.environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    done = greenbench("sync")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
