"""What survives when things break: crashes, hangs, kills, an absent server, bad input."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from greenbench.cli import cli
from greenbench.tracking import Store
from tests.conftest import Greenbench, events, is_gone
from tests.mlflow_server import Server

pytestmark = pytest.mark.integration

QUICK = ("--dataset", "digits", "--repeats", "1", "--epochs", "2", "--strategy", "random")
BOMB = ("run", *QUICK, "--architecture", "bomb", "--trials", "4")
HOLD = ("--architecture", "bomb", "--set", "effect=hold")


def stored(greenbench: Greenbench) -> list[dict[str, Any]]:
    return Store(f"sqlite:///{greenbench.folder}/mlruns/mlflow.db").read_rows()


@pytest.mark.parametrize(
    ("effect", "status"),
    [("crash", "crashed"), ("fail", "failed"), ("memory", "out_of_memory")],
)
def test_a_trial_that_breaks_is_recorded_and_the_search_goes_on(
    plugin: Greenbench, effect: str, status: str
) -> None:
    done = plugin(*BOMB, "--set", f"effect={effect}")

    assert done.returncode == 0, done.stderr
    (journal,) = plugin.journals
    trials = events(journal, "trial")
    assert [trial["index"] for trial in trials] == [0, 1, 2, 3]
    assert [trial["status"] for trial in trials] == ["completed", status, "completed", "completed"]
    assert trials[1]["val_score"] is None
    assert trials[1]["error"]
    assert events(journal, "result")[0]["test_score"] > 0.5
    # Nobody knows what a worker that died had used: that is not 0.
    lost = trials[1]["account"]["phases"]["train"]["components"]["cpu"]["energy_j"]
    (row,) = stored(plugin)
    assert (lost is None) == (row["energy_wh"] is None) == (effect == "crash")


def test_a_crash_among_paused_trials_costs_their_models_and_no_more(plugin: Greenbench) -> None:
    scheduled = ("--dataset", "digits", "--repeats", "1", "--epochs", "9", "-s", "random+asha")
    # The fifth build is that of the fourth trial; three were started, and the best was promoted.
    done = plugin("run", *scheduled, "-a", "bomb", "--trials", "8", "--set", "build=5")

    assert done.returncode == 0, done.stderr
    (journal,) = plugin.journals
    lines = events(journal, "trial")
    crash = next(i for i, line in enumerate(lines) if line["status"] == "crashed")
    paused = {line["index"] for line in lines[:crash] if line["status"] == "stopped"}
    assert paused
    assert not paused & {line["index"] for line in lines[crash:]}
    trials = events(journal, "result")[0]["trials"]
    assert [trial["index"] for trial in trials] == list(range(8))
    assert "completed" in {trial["status"] for trial in trials}
    positions = [part["position"] for trial in trials for part in trial["segments"]]
    assert sorted(positions) == list(range(len(lines)))
    assert stored(plugin)[0]["energy_wh"] is None


def test_a_hung_trial_is_stopped_at_its_limit(plugin: Greenbench) -> None:
    # What does not hang must be through by then, however busy the machine is.
    done = plugin(*BOMB, "--set", "effect=hang", "--trial-timeout", "60")

    assert done.returncode == 0, done.stderr
    (journal,) = plugin.journals
    statuses = [trial["status"] for trial in events(journal, "trial")]
    assert statuses == ["completed", "timed_out", "completed", "completed"]


def test_a_killed_run_keeps_finished_trials_and_resumes_with_what_is_left(
    plugin: Greenbench, eventually: Callable[[Callable[[], object]], None]
) -> None:
    # The third trial waits to be killed.
    command = ("run", *QUICK, *HOLD, "--set", "build=4", "--trials", "6")
    running = plugin.start(*command)
    eventually((plugin.folder / "held").exists)
    workers = [worker.pid for worker in psutil.Process(running.pid).children()]
    running.send_signal(signal.SIGKILL)
    running.wait()
    # Its worker must not go on measuring, nor write to the journal that is resumed.
    assert workers
    eventually(lambda: all(map(is_gone, workers)))
    kept = events(plugin.journals[0], "trial")
    assert len(kept) == 2

    resumed = plugin(*command)

    assert resumed.returncode == 0, resumed.stderr
    assert "resuming" in resumed.stderr
    (journal,) = plugin.journals
    trials = events(journal, "trial")
    assert [trial["index"] for trial in trials] == list(range(6))
    assert trials[: len(kept)] == kept
    assert events(journal, "result")[0]["interruptions"] == 1


def test_a_resumed_search_gives_what_an_uninterrupted_one_gives(
    plugin: Greenbench, eventually: Callable[[Callable[[], object]], None]
) -> None:
    # The fifth trial waits to be killed.
    command = ("run", "-s", "bayesian", *HOLD, "--set", "build=6", "--trials", "7")
    command = (*command, "--epochs", "6", "--repeats", "1")
    running = plugin.start(*command)
    eventually((plugin.folder / "held").exists)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert plugin(*command).returncode == 0
    (interrupted,) = plugin.journals

    assert plugin(*command, "--fresh").returncode == 0

    whole = next(journal for journal in plugin.journals if journal != interrupted)
    first, second = events(interrupted, "result")[0], events(whole, "result")[0]
    assert [t["hyperparameters"] for t in first["trials"]] == [
        t["hyperparameters"] for t in second["trials"]
    ]
    assert [t["val_score"] for t in first["trials"]] == [t["val_score"] for t in second["trials"]]
    assert first["test_score"] == second["test_score"]


def test_two_runs_at_once_on_a_fresh_store_both_finish_and_one_waits(
    plugin: Greenbench, eventually: Callable[[Callable[[], object]], None]
) -> None:
    (plugin.folder / "mlruns" / "mlflow.db").unlink()
    command = ("run", *QUICK, *HOLD, "--set", "build=2", "--trials", "2")
    both = [plugin.start(*command), plugin.start(*command)]
    outputs = ["", ""]

    def listen(number: int) -> None:
        for line in both[number].stdout or ():
            outputs[number] += line

    listening = [threading.Thread(target=listen, args=(number,)) for number in range(2)]
    for thread in listening:
        thread.start()
    # Whoever is first trains until the other one waits.
    eventually(lambda: any("waiting for the host lock" in output for output in outputs))
    (plugin.folder / "go").touch()
    for thread in listening:
        thread.join()

    assert [process.wait() for process in both] == [0, 0], outputs
    assert sum("waiting for the host lock" in output for output in outputs) == 1
    rows = stored(plugin)
    assert len(rows) == 2


def test_results_wait_while_the_server_is_away_and_a_damaged_journal_holds_up_none(
    greenbench: Greenbench,
) -> None:
    home = greenbench.environment.copy()
    greenbench.environment["MLFLOW_TRACKING_URI"] = "http://user:secret@127.0.0.1:9"
    done = greenbench("run", *QUICK, "-a", "dense.xs", "--trials", "2", "--repeats", "2")

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("greenbench sync") == 1
    assert "secret" not in done.stdout + done.stderr
    assert "dense.xs" in done.stdout

    greenbench.environment.clear()
    greenbench.environment.update(home)
    damaged, _ = greenbench.journals
    whole = damaged.read_bytes()
    damaged.write_bytes(b"not JSON\n" + whole)
    synced = greenbench("sync")
    assert synced.returncode == 1
    assert damaged.name in synced.stderr
    assert "delivered 1 results" in synced.stdout

    damaged.write_bytes(whole)
    assert "delivered 1 results" in greenbench.here("sync").stdout
    assert "delivered 0 results" in greenbench.here("sync").stdout
    assert sorted(row["repeat"] for row in stored(greenbench)) == [0, 1]


def test_a_full_disk_ends_the_case_with_one_line_and_keeps_finished_trials(
    greenbench: Greenbench, tmp_path: Path
) -> None:
    small = tmp_path / "mlruns"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        # Checkpoints of this network are larger than the disk.
        done = greenbench("run", *QUICK, "-a", "simple_cnn.s", "--trials", "4")
        assert done.returncode == 2
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error")]
        assert "No space left on device" in line
        assert "no room for the store" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "-a", "simple_cn"), ("unknown architecture 'simple_cn'", "simple_cnn")),
        (("run", "-a", "simple_cnn.xxl"), ("size of simple_cnn", "'xxl'", "xl")),
        (("run", "-s", "baysian"), ("unknown strategy 'baysian'", "bayesian")),
        (("run", "-b", "pytorch"), ("unknown backend 'pytorch'", "torch")),
        (("run", "-d", "mnst"), ("unknown dataset 'mnst'", "mnist")),
        (("run", "cii"), ("unknown suite 'cii'", "ci")),
        (("run", "-s", "default", "--trials", "8"), ("--trials 8", "default")),
        (("run", "--country", "FRA", "--carbon-intensity", "3"), ("choose one",)),
        (("run", "--country", "XYZ"), ("unknown country 'XYZ'",)),
        (("run", "--carbon-intensity", "-1"), ("carbon intensity is -1",)),
        (("run", "ci", "--set", "relu=false"), ("--set",)),
        (("run", "--epochs", "0"), ("epochs is 0",)),
        (("run", "-a", "simple_cnn", "--set", "layers=9"), ("'layers'", "conv_layers")),
        (("run", "-a", "simple_cnn.m", "--set", "width=2"), ("width", "not both")),
        (("compare",), ("no store", "greenbench run")),
        (("ui",), ("no store", "greenbench run")),
    ],
)
def test_bad_input_gets_one_line_exit_code_2_and_leaves_nothing_behind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    # None gets so far that it needs a process of its own.
    done = CliRunner().invoke(cli, arguments)

    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert all(word in line for word in words), line
    assert not list(tmp_path.glob("mlruns/journal/*/*.jsonl"))
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()


def test_a_network_that_does_not_fit_the_images_names_the_depth_that_does(
    greenbench: Greenbench,
) -> None:
    done = greenbench("run", "-a", "simple_cnn", "--set", "conv_layers=9", "--repeats", "3")

    assert done.returncode == 2
    assert "look at it" not in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert "choose conv_layers=4 or fewer" in line
    assert not list(greenbench.folder.glob("mlruns/journal/*"))


def test_a_case_in_which_no_trial_completes_exits_with_1_and_says_why(plugin: Greenbench) -> None:
    command = ("run", "-s", "default", "-a", "bomb", "--repeats", "1", "--epochs", "1")
    done = plugin(*command, "--set", "effect=fail", "--set", "build=2")

    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert "no trial of repeat 0 completed: ValueError: <b>no</b> such thing" in line
    assert stored(plugin)[0]["status"] == "failed"


def test_ctrl_c_keeps_finished_trials_and_records_no_crash(
    plugin: Greenbench, eventually: Callable[[Callable[[], object]], None]
) -> None:
    # The second trial waits to be interrupted.
    command = ("run", *QUICK, *HOLD, "--set", "build=3", "--trials", "6")
    running = plugin.start(*command, start_new_session=True)
    eventually((plugin.folder / "held").exists)
    os.killpg(running.pid, signal.SIGINT)

    output, _ = running.communicate(timeout=400)

    assert running.returncode == 130
    assert "the same command resumes" in output
    statuses = [trial["status"] for trial in events(plugin.journals[0], "trial")]
    assert statuses == ["completed"]


def test_a_tracking_server_gets_the_results_over_http(
    greenbench: Greenbench, mlflow_server: Server
) -> None:
    greenbench.environment["MLFLOW_TRACKING_URI"] = mlflow_server.url()
    done = greenbench("run", *QUICK, "-a", "dense.xs", "--trials", "2")
    assert done.returncode == 0, done.stderr
    # Other tests run cases of no suite, too.
    found = Store(mlflow_server.url()).read_rows("adhoc")
    (row,) = (row for row in found if row["session"] == greenbench.journals[0].parent.name)
    assert row["case_id"].startswith("random-dense.xs-torch-digits")
    assert row["energy_provenance"] in ("model", "counter", "constant")
