"""Scripts as people have them, made trainings by a few lines, under a real worker."""

import difflib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from greenbench.results import CaseResult, TrialStatus
from greenbench.results.journal import Journal
from tests.conftest import Greenbench

SCRIPTS = Path(__file__).with_name("own_scripts")
MOST_LINES = 12
WITHOUT_FILES = ("char_gpt", "keras_fit")
WITH_FILES = ("mnist_adadelta", "cifar_resnet")
NAMES = (*WITH_FILES, *WITHOUT_FILES)
BRIEF = {
    "mnist_adadelta": ["--epochs=1", "--limit=256"],
    "cifar_resnet": ["--epochs=1", "--limit=256"],
    "char_gpt": ["--max_iters=4", "--eval_interval=2"],
    "keras_fit": ["1"],
}


def added(name: str) -> list[str]:
    """Return the lines that a script has more, or otherwise, as a training."""
    script, case = (
        (SCRIPTS / f"{each}.py").read_text(encoding="utf-8").splitlines()
        for each in (name, f"{name}_case")
    )
    return [line for line in difflib.ndiff(script, case) if line.startswith("+ ")]


def has(name: str) -> bool:
    return name in WITHOUT_FILES or "GREENBENCH_DATA_DIR" in os.environ


def needs_data(name: str) -> None:
    if not has(name):
        pytest.skip("GREENBENCH_DATA_DIR is not set: no image files")


@pytest.mark.parametrize("name", NAMES)
def test_script_becomes_a_training_by_a_few_lines(name: str) -> None:
    assert 0 < len(added(name)) <= MOST_LINES


@pytest.mark.integration
@pytest.mark.parametrize("name", NAMES)
def test_script_runs_by_itself(name: str, tmp_path: Path) -> None:
    needs_data(name)
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / f"{name}.py"), *BRIEF[name]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "loss" in done.stdout


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, CaseResult]:
    """A search over two trials of each training whose data are here, in one worker."""
    greenbench = Greenbench(tmp_path_factory.mktemp("own"), dict(os.environ))
    names = [name for name in NAMES if has(name)]
    chosen = [each for name in names for each in ("-p", f"{SCRIPTS / name}_case.py", "-a", name)]
    search = ("-s", "random_log+asha", "--trials", "2", "--epochs", "4", "--repeats", "1")
    done = greenbench("run", *chosen, *search)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [Journal(path).read().result for path in greenbench.journals]
    return {result.case.architecture: result for result in found if result is not None}


@pytest.mark.integration
@pytest.mark.parametrize("name", NAMES)
def test_training_is_searched_and_booked_by_phase(
    name: str, results: Mapping[str, CaseResult]
) -> None:
    needs_data(name)
    result = results[name]
    assert [trial.status for trial in result.trials].count(TrialStatus.COMPLETED) >= 1
    # Loading is known from training by run.epochs(), which a loop over iterations does not ask for.
    looped = {"load"} if name != "char_gpt" else set()
    assert {"train", "evaluate"} | looped <= set(result.account.phases)


@pytest.mark.integration
def test_keras_training_is_tested_and_saved(results: Mapping[str, CaseResult]) -> None:
    result = results["keras_fit"]
    assert 0.0 <= (result.test_score or -1.0) <= 1.0
    assert "save" in result.account.phases
    assert result.costs.parameters == 9930
