"""Variables, configuration files and limits around a run: none stops it, or changes a figure."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

GARBAGE = "[codecarbon\nnot = [ a file\n\x00"
CASES = ("run", "-a", "dense.xs", "-b", "torch", "-b", "keras", "--epochs", "1", "--repeats", "1")
OURS = {"GREENBENCH_COUNTRY": "NLD", "GREENBENCH_IDLE_S": "0", "GREENBENCH_THREADS": "1"}

FILES = {
    ".codecarbon.config": GARBAGE,
    ".netrc": "machine",
    ".env": "=\x00",
    "matplotlibrc": "backend: nonsense\nnonsense nonsense\n",
    ".gitconfig": "[broken",
    ".keras/keras.json": "{",
    ".mlflow/credentials": "[mlflow",
    ".config/matplotlib/matplotlibrc": "backend : nonsense\nfigure.dpi: -3\n:::",
    ".config/git/config": "[broken",
}
OF_PYTHON = {
    "PYTHONWARNINGS": "error", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "7",
    "PYTHONSTARTUP": "/nonexistent", "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1",
}  # fmt: skip
OF_LIBRARIES = {
    "MPLBACKEND": "nonsense", "MPLCONFIGDIR": "/proc/none",
    "OMP_NUM_THREADS": "abc", "MKL_NUM_THREADS": "-3", "OPENBLAS_NUM_THREADS": "x",
    "OMP_PROC_BIND": "nonsense", "OMP_PLACES": "x", "OMP_DYNAMIC": "maybe", "OMP_SCHEDULE": "x",
    "GOMP_CPU_AFFINITY": "990-991", "OMP_THREAD_LIMIT": "1",
    "CUDA_VISIBLE_DEVICES": "garbage", "CUBLAS_WORKSPACE_CONFIG": "zz",
    "TORCH_HOME": "/dev/null", "TORCH_COMPILE_DISABLE": "x", "ATEN_CPU_CAPABILITY": "nonsense",
    "KERAS_BACKEND": "nonsense", "KERAS_HOME": "/proc/none", "KERAS_MAX_EPOCHS": "0",
    "JAX_PLATFORMS": "nonsense", "TF_CPP_MIN_LOG_LEVEL": "x",
}  # fmt: skip
OF_CODECARBON = {
    "CODECARBON_TRACKING_MODE": "nonsense", "CODECARBON_FORCE_CPU_POWER": "500",
    "CODECARBON_FORCE_RAM_POWER": "700", "CODECARBON_OUTPUT_DIR": "/nonexistent",
    "CODECARBON_LOG_LEVEL": "nonsense", "CODECARBON_SAVE_TO_FILE": "true",
    "CODECARBON_ALLOW_MULTIPLE_RUNS": "false", "CODECARBON_PUE": "3",
    # Of a job whose Slurm is out of reach, as in a container.
    "SLURM_JOB_ID": "12",
}  # fmt: skip
OF_MLFLOW = {
    "MLFLOW_EXPERIMENT_NAME": "theirs", "MLFLOW_EXPERIMENT_ID": "77", "MLFLOW_RUN_ID": "0123",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true", "MLFLOW_ENABLE_ASYNC_LOGGING": "true",
    "MLFLOW_REGISTRY_URI": "garbage", "MLFLOW_DEFAULT_ARTIFACT_ROOT": "/nonexistent",
    "MLFLOW_LOGGING_LEVEL": "DEBUG", "MLFLOW_TRACKING_USERNAME": "ada",
}  # fmt: skip
OF_GIT = {
    "GIT_DIR": "/nonexistent", "GIT_WORK_TREE": "/nonexistent", "GIT_INDEX_FILE": "/nonexistent",
    "GIT_CONFIG_COUNT": "abc", "GIT_TRACE": "1",
}  # fmt: skip
OF_THE_SYSTEM = {
    "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "TZ": "Nowhere/Land:::", "TERM": "",
    "COLUMNS": "abc", "LINES": "0", "TMPDIR": "/nonexistent", "XDG_CACHE_HOME": "/dev/null/cache",
    "CI": "", "GITHUB_ACTIONS": "maybe", "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "x",
    "PYTEST_ADDOPTS": "--nonsense", "DISPLAY": ":99",
}  # fmt: skip
VARIABLES = {
    **OF_PYTHON, **OF_LIBRARIES, **OF_CODECARBON, **OF_MLFLOW, **OF_GIT, **OF_THE_SYSTEM,
}  # fmt: skip


def greenbench(
    folder: Path, *arguments: str, variables: Mapping[str, str] | None = None, **options: Any
) -> "subprocess.CompletedProcess[str]":
    """Run a command in a folder, with a store of its own."""
    environment = {**os.environ, "GREENBENCH_RUNS_DIR": str(folder / "mlruns"), **OURS}
    return subprocess.run(
        [sys.executable, "-m", "greenbench", *arguments],
        cwd=folder,
        env={**environment, **(variables or {})},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        **options,
    )


def figures(folder: Path) -> list[dict[str, Any]]:
    """Return what must not depend on what is around a run, of each case in its order."""
    found = []
    for path in sorted(folder.glob("mlruns/journal/*/*.jsonl")):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        (result,) = (line["values"] for line in lines if line["event"] == "result")
        (trial,) = result["trials"]
        parts = trial["account"]["phases"]["train"]["components"]
        found.append(
            {
                "case": result["case"],
                "costs": result["costs"],
                "accuracy": (trial["val_score"], result["test_score"]),
                "losses": [epoch["train_loss"] for epoch in trial["epochs"]],
                "energy": {name: (x["provenance"], x["source"]) for name, x in parts.items()},
                "environment": result["environment"],
                "is_delivered": any(line["event"] == "delivered" for line in lines),
            }
        )
    return found


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in surroundings without surprises."""
    folder = tmp_path_factory.mktemp("clean")
    variables = {"GREENBENCH_HOST_LOCK": str(folder / "host.lock")}
    done = greenbench(folder, *CASES, variables=variables)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def hostile(tmp_path: Path) -> dict[str, str]:
    """Variables at odds with everything, and files in the home and in the working folder."""
    home = tmp_path / "home"
    for folder in (home, tmp_path):
        for name, text in FILES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return {**VARIABLES, "HOME": str(home)}


def test_a_run_in_hostile_surroundings_gives_the_same_figures(
    clean: Path, tmp_path: Path, hostile: dict[str, str]
) -> None:
    done = greenbench(tmp_path, *CASES, variables=hostile)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "MLflow store: sqlite" in done.stdout
    expected, found = figures(clean), figures(tmp_path)
    assert len(expected) == 2
    assert found == expected
    assert all(each["is_delivered"] for each in found)
    reported = greenbench(tmp_path, "report", variables=hostile)
    assert reported.returncode == 0, reported.stderr


def test_doctor_finds_the_same_in_hostile_surroundings(
    tmp_path: Path, hostile: dict[str, str]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    calm = greenbench(tmp_path / "elsewhere", "doctor", "--json")
    done = greenbench(tmp_path, "doctor", "--json", variables=hostile)
    assert (done.returncode, done.stderr) == (0, "")
    expected, found = json.loads(calm.stdout), json.loads(done.stdout)
    for name in ("energy", "figures are for", "threads", "carbon intensity"):
        assert found[name] == expected[name]


def starve() -> None:
    """Leave a process few files, no input, and the signals that nohup and others ignore."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    for name in ("SIGHUP", "SIGINT", "SIGPIPE", "SIGCHLD"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    os.close(0)


def test_a_process_that_inherits_odd_limits_and_signals_runs(clean: Path, tmp_path: Path) -> None:
    # Neither asserts nor docstrings.
    variables = {"PYTHONOPTIMIZE": "2", "PATH": "/nonexistent"}
    alone = ("run", "-a", "dense.xs", "--epochs", "1", "--repeats", "1")

    done = greenbench(tmp_path, *alone, variables=variables, preexec_fn=starve)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    (expected,) = (each for each in figures(clean) if each["case"]["backend"] == "torch")
    (found,) = figures(tmp_path)
    for name in ("case", "costs", "accuracy", "losses", "energy", "is_delivered"):
        assert found[name] == expected[name]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_results_are_tagged_with_the_commit_here_whatever_a_hook_says(tmp_path: Path) -> None:
    commits = {}
    for name in ("mine", "theirs"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).touch()
        for step in (("init", "-q"), ("add", "."), ("commit", "-qm", name)):
            identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
            subprocess.run(["git", *identity, *step], cwd=folder, check=True)
        commits[name] = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=folder, capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
    code = "from greenbench.machine.environment import git_revision as r; print(r()['commit'])"
    theirs = tmp_path / "theirs" / ".git"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "mine",
        env={**os.environ, "GIT_DIR": str(theirs), "GIT_INDEX_FILE": str(theirs / "index")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == commits["mine"]
