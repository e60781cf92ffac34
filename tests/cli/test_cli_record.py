"""`greenbench record`: a small cell recorded for real, replayed, and what is refused."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from greenbench.cli import cli
from greenbench.tabular import read_recording
from tests.conftest import Greenbench

ASKED = ("-a", "dense.xs", "-d", "digits")
SMALL = ("--trials", "24", "--epochs", "2")


def record(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["record", *arguments])


@pytest.mark.integration
@pytest.mark.usefixtures("made_store")
def test_recorded_cell_can_be_replayed_and_is_not_recorded_again(greenbench: Greenbench) -> None:
    done = greenbench("record", *ASKED, *SMALL)
    assert done.returncode == 0, done.stderr
    assert "recording: benchmarks/tabular/dense.xs-digits.parquet" in done.stdout
    assert "24 trainings: 24 complete" in done.stdout
    assert "rank correlation" in done.stdout
    file = greenbench.folder / "benchmarks/tabular/dense.xs-digits.parquet"
    recording = read_recording(file)
    assert (recording.epochs, recording.batch_size, len(recording.trainings)) == (2, 64, 24)

    again = greenbench.here("record", *ASKED, *SMALL)
    assert again.returncode == 2
    assert "exists; replace it with --force" in again.stderr

    replayed = greenbench(
        "run", *ASKED, "-s", "random", "-b", "tabular", "--trials", "5", "--epochs", "2"
    )
    assert replayed.returncode == 0, replayed.stderr
    assert "replayed" in replayed.stdout
    synced = greenbench.here("sync")
    assert "delivered 0 results" in synced.stdout


@pytest.mark.integration
@pytest.mark.usefixtures("made_store")
def test_interrupted_recording_is_resumed(
    greenbench: Greenbench, eventually: Callable[[Callable[[], object]], None]
) -> None:
    command = ("record", *ASKED, "--trials", "100", "--epochs", "2", "--as", "mnist")
    first = greenbench.start(*command)
    eventually(lambda: greenbench.journals and len(trials_in(greenbench.journals[0])) > 5)
    first.send_signal(signal.SIGINT)
    assert first.wait(timeout=400) == 130
    kept = trials_in(greenbench.journals[0])
    assert len(kept) < 100
    again = greenbench(*command)
    assert again.returncode == 0, again.stderr
    assert "resuming" in again.stderr
    assert trials_in(greenbench.journals[0])[: len(kept)] == kept
    file = greenbench.folder / "benchmarks/tabular/dense.xs-mnist.parquet"
    assert len(read_recording(file).trainings) == 100


def trials_in(journal: Path) -> list[str]:
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n") and '"event": "trial"' in line]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-a", "dense_polly", "-d", "digits"), "did you mean dense_poly"),
        (("-a", "dense.xs", "-d", "digitz"), "did you mean digits"),
        ((*ASKED, "--as", "cifar"), "did you mean cifar10"),
        ((*ASKED, "--size", "m"), "--size m contradicts --architecture dense.xs"),
        ((*ASKED, "--epochs", "0"), "epochs is 0"),
        ((*ASKED, "--trials", "23"), "24"),
        ((*ASKED, "--space", "adm"), "did you mean adam"),
        ((*ASKED, "--backend", "tabular"), "record what another one trains"),
        ((*ASKED, "--data", "limit"), "expected name=value"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_before_anything_is_trained(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    result = record(*arguments, "--output-dir", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "mlruns").exists()


def test_recording_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "dense.xs-digits.parquet").write_bytes(b"mine")
    result = record(*ASKED, "--output-dir", str(tmp_path))
    assert result.exit_code == 2
    assert "exists; replace it with --force" in result.output
    assert (tmp_path / "dense.xs-digits.parquet").read_bytes() == b"mine"


def test_folder_that_cannot_be_written_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = record(*ASKED, "--output-dir", str(tmp_path / "file"))
    assert result.exit_code == 2
    assert "cannot be written" in result.output
    assert len(result.output.splitlines()) == 1
    assert not (tmp_path / "mlruns").exists()


def test_refused_store_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "ftp://example.org/store")
    result = record(*ASKED, "--output-dir", str(tmp_path / "out" / "deep"))
    assert result.exit_code == 2
    assert "ftp" in result.output
    assert not (tmp_path / "out").exists()
