"""A real SLURM: batch scripts and jobs of workers run cases, also beyond a job's time limit."""

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenbench.cluster import jobs as of_queue
from greenbench.cluster import queues
from greenbench.cluster.asked import asked
from greenbench.cluster.started import started
from greenbench.errors import ClusterError
from greenbench.settings import Settings
from greenbench.tracking import Store
from tests.conftest import Greenbench
from tests.slurm_queue import require_slurm, slurm

pytestmark = pytest.mark.integration

CASE = ("-s", "grid", "-a", "dense.xs", "-d", "synthetic", "--trials", "1", "--epochs", "1")
SMALL = ("run", *CASE, "--repeats", "2")
PATIENCE_S = 300.0
BLOCKED = """
echo "begun $1" >> trials
case "$(grep -c begun trials)" in
    1) score=0.5;;
    *) score=0.6; while ! test -e go; do sleep 0.2; done;;
esac
echo "{\\"epoch\\": 1, \\"score\\": $score}"
echo "ended $1" >> trials
"""
"""The second trial waits, and is the better one: the first one's model is not needed again."""


@pytest.fixture(scope="module")
def queue() -> Iterator[dict[str, str]]:
    require_slurm()
    # Not pytest's folder: the name of a socket is short.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, slurm(Path(folder)) as environment:
        yield environment


@pytest.fixture
def command(greenbench: Greenbench, queue: dict[str, str]) -> Greenbench:
    """The command line where jobs are submitted, in a folder with an odd name."""
    names = ("PATH", "SLURM_CONF")
    greenbench.environment |= {name: queue[name] for name in names}
    greenbench.environment |= {"GREENBENCH_HOST_LOCK": str(greenbench.folder / "lock")}
    return greenbench


def submit(command: Greenbench, *words: str) -> None:
    """Submit the script of a run, as whoever reads the manual does."""
    written = command("cluster-script", "slurm", "--output", "job.sh", *words)
    assert written.returncode == 0, written.stderr
    done = subprocess.run(
        ["sbatch", "job.sh"], cwd=command.folder, env=command.environment, text=True,
        capture_output=True, check=False, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def job_of(command: Greenbench) -> str:
    """Return what SLURM says of the job that was submitted last here."""
    log = output_of(command)
    if not log:
        # Without a number, it would tell of all jobs.
        return ""
    number = log[0].stem.partition("-")[2]
    shown = subprocess.run(
        ["scontrol", "show", "job", number], env=command.environment, text=True,
        capture_output=True, check=False, timeout=400,
    )  # fmt: skip
    return shown.stdout


def output_of(command: Greenbench) -> list[Path]:
    return sorted(command.folder.glob("slurm-*.out"))


def told(command: Greenbench) -> str:
    return "\n".join(path.read_text() for path in output_of(command))


def stored(command: Greenbench) -> list[int]:
    """Return the repeats that the store has, of whichever case."""
    store = Store.existing(Settings.from_environment(environment_of(command)).tracking_uri)
    return sorted(row["repeat"] for row in store.read_rows())


def environment_of(command: Greenbench) -> dict[str, str]:
    runs = {"GREENBENCH_RUNS_DIR": str(command.folder / "mlruns")}
    return {**{n: t for n, t in command.environment.items() if not n.startswith("MLFLOW_")}, **runs}


def test_a_batch_script_runs_a_suite_on_its_nodes(
    command: Greenbench, eventually: Callable[..., None]
) -> None:
    submit(command, "--nodes", "2", "--time", "20", "--", *SMALL)
    eventually(lambda: "JobState=COMPLETED" in job_of(command), PATIENCE_S)
    assert stored(command) == [0, 1], told(command)
    assert not list((command.folder / "mlruns").glob("job-*"))


def test_jobs_of_a_queue_run_a_suite(command: Greenbench) -> None:
    done = command(*SMALL, "--cluster", "slurm:2", "--cluster-option", "walltime=00:20:00")
    assert done.returncode == 0, done.stdout + done.stderr
    assert stored(command) == [0, 1]
    left = subprocess.run(
        ["squeue", "--noheader", "--states=PENDING,RUNNING"], env=command.environment, text=True,
        capture_output=True, check=True, timeout=400,
    )  # fmt: skip
    assert not left.stdout


def test_a_run_goes_on_in_the_job_after_its_time_limit(
    command: Greenbench, eventually: Callable[..., None]
) -> None:
    (command.folder / "blocked.sh").write_text(BLOCKED)
    line = "sh blocked.sh {learning_rate}"
    case = ("--command", line, "--space", "rate", "-s", "sobol", "--repeats", "1", "--epochs", "1")
    submit(command, "--time", "20", "--", "run", *case, "--trials", "2")
    trials = command.folder / "trials"
    eventually(lambda: trials.exists() and trials.read_text().count("begun") == 2, PATIENCE_S)
    # It is over in a minute or two, and the run is told so two minutes before.
    set_time_limit(command, minutes_run(command) + 2)
    # Whoever looks late finds that the next job has come to its limit, too.
    eventually(lambda: re.search("Restarts=[1-9]", job_of(command)), PATIENCE_S)
    set_time_limit(command, 20)
    (command.folder / "go").touch()
    eventually(lambda: "JobState=COMPLETED" in job_of(command), PATIENCE_S)

    assert "the time limit is near" in told(command)
    assert "finished trials are kept; the same command resumes" in told(command)
    assert stored(command) == [0]
    first, ended, *others = trials.read_text().split()[1::2]
    # The second trial was begun anew in each job.
    assert (ended, len(set(others))) == (first, 1), trials.read_text()
    assert len(others) >= 3


def minutes_run(command: Greenbench) -> int:
    found = re.search(r"RunTime=(?:\d+-)?(\d+):(\d+):", job_of(command))
    assert found, job_of(command)
    return 60 * int(found[1]) + int(found[2])


def set_time_limit(command: Greenbench, minutes: int) -> None:
    number = output_of(command)[0].stem.partition("-")[2]
    subprocess.run(
        ["scontrol", "update", f"JobId={number}", f"TimeLimit={minutes}"],
        env=command.environment, check=True, timeout=400,
    )  # fmt: skip


@pytest.fixture
def submitting(queue: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a process that submits jobs."""
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, queue[name])
    monkeypatch.setenv("GREENBENCH_RUNS_DIR", str(tmp_path))
    return Settings.from_environment(os.environ)


def test_a_job_that_ends_is_replaced(
    submitting: Settings, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., None]
) -> None:
    import dask  # noqa: PLC0415
    from distributed import Client  # noqa: PLC0415

    monkeypatch.setattr(of_queue, "KEEP_EVERY_S", 0.5)
    said: list[str] = []
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}),
        started(named("slurm:1"), submitting, [], said.append) as found,
        Client(found.address, security=found.security) as client,
    ):

        def jobs() -> list[str]:
            client.wait_for_workers(1, timeout=PATIENCE_S)
            workers = client.scheduler_info()["workers"].values()
            assert all(worker["resources"] == {"METER": 1} for worker in workers)
            found = client.run(os.getenv, "SLURM_JOB_ID", on_error="ignore")
            return [str(number) for number in found.values()]

        (first,) = jobs()
        subprocess.run(["scancel", first], check=True, timeout=400)
        eventually(lambda: jobs() not in ([], [first]), PATIENCE_S)
    assert found.address.startswith("tls://")
    assert "squeue" in said[0]
    assert not [path for path in submitting.runs_dir.rglob("tls_*") if path.is_file()]


def named(cluster: str, *options: str) -> queues.Asked:
    found = asked(None, cluster, options)
    assert found is not None
    return found


def test_a_queue_that_takes_no_job_is_one_line(submitting: Settings) -> None:
    wanted = named("slurm:1", "queue=nowhere")
    with (
        pytest.raises(ClusterError, match="invalid partition specified: nowhere") as refused,
        started(wanted, submitting, [], print),
    ):
        pass
    assert "correct --cluster-option" in str(refused.value)


def test_a_queue_whose_jobs_die_at_once_ends_the_run(
    command: Greenbench, queue: dict[str, str]
) -> None:
    # As of nodes without the environment of whoever submits.
    command.environment["DASK_JOBQUEUE__SLURM__PYTHON"] = "/absent/python"
    done = command(*SMALL, "--cluster", "slurm:1")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "slurm is asked for no further job, as 3 in a row" in done.stdout + done.stderr
    assert "ended with FAILED 127:0, and its log is " in done.stdout + done.stderr
