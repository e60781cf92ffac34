"""A search over a training of one's own that real kills interrupt ends as a whole one."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from greenbench.results import CaseResult
from greenbench.results.journal import Journal

HERE = Path(__file__).parent
PROGRAM = "import finetune; from greenbench.cli import main; main()"
ARGUMENTS = (
    *("run", "-a", "finetune_killed.s", "-s", "sobol+asha", "--space", "rate"),
    *("--trials", "4", "--epochs", "9", "--repeats", "1", "--idle", "0", "--country", "NLD"),
)


def run(runs: Path, kills: Path, *, is_killed: bool = False) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
        "GREENBENCH_RUNS_DIR": str(runs),
        "GREENBENCH_HOST_LOCK": str(runs.with_suffix(".lock")),
        "GREENBENCH_THREADS": "1",
        "KILLS": str(kills),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *ARGUMENTS],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=runs.parent,
    )
    assert done.returncode == (-signal.SIGKILL if is_killed else 0), done.stderr + done.stdout


def result_of(runs: Path) -> CaseResult:
    (path,) = runs.glob("journal/*/*.jsonl")
    result = Journal(path).read().result
    assert result is not None
    return result


def outcome(result: CaseResult) -> Any:
    trials = [
        (each.index, each.hyperparameters, each.status, each.epochs, each.samples_seen)
        for each in result.trials
    ]
    return trials, result.test_score, result.incumbent and result.incumbent.index, result.costs


@pytest.mark.integration
def test_search_that_is_killed_with_its_worker_and_without_equals_a_whole_one(
    tmp_path: Path,
) -> None:
    whole_kills, kills = tmp_path / "whole-kills", tmp_path / "kills"
    whole_kills.mkdir()
    kills.mkdir()
    run(tmp_path / "whole", whole_kills)
    whole = result_of(tmp_path / "whole")
    trained = (whole_kills / "epochs").read_text().splitlines()
    # A trial that has saved nothing yet is lost with its worker.
    saved = [place for place, line in enumerate(trained, start=1) if not line.endswith(" 0")]
    count = len(saved)
    chosen = (saved[0], saved[count // 3], saved[2 * count // 3], saved[-1])
    for kills_before, place in enumerate(chosen):
        # Each takes the epoch again that it has cut off.
        who = "parent" if kills_before % 2 else "worker"
        (kills / f"{who}-{place + kills_before}").touch()
    run(tmp_path / "killed", kills, is_killed=True)
    run(tmp_path / "killed", kills, is_killed=True)
    run(tmp_path / "killed", kills)

    result = result_of(tmp_path / "killed")
    assert outcome(result) == outcome(whole)
    assert not list(kills.glob("worker-*"))
    assert not list(kills.glob("parent-*"))
    # The four epochs that were cut off were begun once more, and no other.
    assert len((kills / "epochs").read_text().splitlines()) == len(trained) + 4
    assert result.interruptions > whole.interruptions
    assert result.costs.parameters == 58
    assert result.costs.train_flops is not None
    assert not list((tmp_path / "killed").glob("journal/*/*.state"))
