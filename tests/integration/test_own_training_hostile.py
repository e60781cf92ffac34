"""A training of one's own that dies, prints, reads and logs to MLflow itself, in a real worker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from greenbench.results import TrialStatus
from greenbench.results.journal import Journal

PROGRAM = "import hostile; from greenbench.cli import main; main()"
HOSTILE = """
import os
import sys

import greenbench


@greenbench.register_training("hostile")
def hostile(run):
    import mlflow

    mlflow.set_tracking_uri("sqlite:///theirs.db")
    mlflow.autolog()
    print("printed by a training")
    assert sys.stdin.read() == ""
    for epoch in run.epochs():
        run["learning_rate"]
        if epoch == 1 and not os.path.exists("died"):
            open("died", "w").close()
            os._exit(3)
        if epoch == 0:
            mlflow.start_run()
            mlflow.log_metric("theirs", 1.0)
        yield run.report(score=0.5)
    run.final(0.5)
"""


@pytest.mark.integration
def test_search_goes_on_and_its_results_are_ours(tmp_path: Path) -> None:
    (tmp_path / "hostile.py").write_text(HOSTILE, encoding="utf-8")
    runs = tmp_path / "runs"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        "GREENBENCH_RUNS_DIR": str(runs),
        "GREENBENCH_HOST_LOCK": str(tmp_path / "lock"),
        "GREENBENCH_THREADS": "1",
    }
    arguments = (
        *("run", "-a", "hostile", "-s", "random", "--space", "rate", "--trials", "3"),
        *("--epochs", "2", "--repeats", "1", "--idle", "0", "--country", "NLD"),
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    assert "printed by a training" not in done.stdout + done.stderr
    (path,) = runs.glob("journal/*/*.jsonl")
    state = Journal(path).read()
    first, *others = state.trials
    assert first.status is TrialStatus.CRASHED
    assert first.error is not None
    assert first.error.startswith("training 'hostile' (hostile.py:")
    assert "ended with exit code 3" in first.error
    # Each opens a run of its own, which no other trial meets.
    assert [trial.status for trial in others] == [TrialStatus.COMPLETED] * 2, others
    assert state.is_delivered
    assert "leaves behind 1 open run of MLflow's" in done.stderr + done.stdout
    (log,) = path.parent.glob("worker-*.log")
    assert "printed by a training" in log.read_text(encoding="utf-8", errors="replace")
    assert (runs / "mlflow.db").exists()
    assert (tmp_path / "theirs.db").exists()
