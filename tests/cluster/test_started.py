"""Clusters that are started or reached: what jobs are asked for, and what is said where none is."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import pytest

from greenbench.cluster import jobs, queues, secured
from greenbench.cluster import started as starting
from greenbench.cluster.asked import Asked, asked
from greenbench.cluster.started import started
from greenbench.errors import ClusterError, ConfigurationError, GreenbenchError, MissingPackageError
from greenbench.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_environment({"GREENBENCH_RUNS_DIR": str(tmp_path)}, threads=3)


def named(cluster: str, *options: str) -> Asked:
    found = asked(None, cluster, options)
    assert found is not None
    return found


def refusal(wanted: Asked | None, settings: Settings) -> GreenbenchError:
    assert wanted is not None
    with pytest.raises(GreenbenchError) as refused, started(wanted, settings, [], print):
        pass
    assert "\n" not in str(refused.value)
    return refused.value


def script_of(wanted: Asked, settings: Settings) -> list[str]:
    """Return the lines of a worker's job."""
    made = queues._class(str(wanted.kind))
    given = queues.arguments(wanted, settings)
    given.pop("scheduler_options")
    if wanted.kind == "lsf":
        given["lsf_units"] = "mb"
    text: str = made.job_cls("tls://1.2.3.4:5", name="1", **given).job_script()
    return text.splitlines()


def test_a_job_is_a_whole_node_and_one_measurement_at_a_time(settings: Settings) -> None:
    lines = script_of(named("slurm:2", "queue=long", "walltime=08:00:00"), settings)
    for each in ("-p long", "-t 08:00:00", "--cpus-per-task=3", "--exclusive", "--mem=0", "-n 1"):
        assert f"#SBATCH {each}" in lines
    *_, worker = lines[-1].partition("dask_worker ")
    assert worker.endswith("--nthreads 1 --memory-limit 0 --no-dashboard --resources METER=1")
    assert "--no-nanny" in worker
    assert lines[-1].startswith("exec ")


def test_a_job_that_measures_a_gpu_shares_its_node(settings: Settings) -> None:
    wanted = named("slurm:2", "extra=--gres=gpu:1", "memory=4GiB", "cores=6")
    lines = script_of(wanted, replace(settings, headline="gpu"))
    assert {"#SBATCH --gres=gpu:1", "#SBATCH --mem=4G", "#SBATCH --cpus-per-task=6"} <= set(lines)
    assert "#SBATCH --exclusive" not in lines


def test_other_queues_are_asked_in_their_words(settings: Settings) -> None:
    lines = script_of(named("pbs", "account=me"), settings)
    assert {"#PBS -A me", "#PBS -l select=1:ncpus=3", "#PBS -l place=excl"} <= set(lines)
    lines = script_of(named("lsf", "account=me", "extra=-R a"), settings)
    assert {'#BSUB -P "me"', "#BSUB -n 3", "#BSUB -x", "#BSUB -R a"} <= set(lines)
    assert not [line for line in lines if line.startswith("#BSUB -M")]


def test_what_nobody_says_is_in_dasks_own_configuration(settings: Settings) -> None:
    own = {
        "queue": "theirs", "cores": 2, "memory": "2GiB", "job-extra-directives": ["-C fast"],
        "worker-extra-args": ["--lifetime", "1h"],
    }  # fmt: skip
    with dask.config.set({f"jobqueue.slurm.{name}": value for name, value in own.items()}):
        lines = script_of(named("slurm"), settings)
    assert {"#SBATCH -p theirs", "#SBATCH -C fast", "#SBATCH --mem=2G"} <= set(lines)
    assert "--lifetime 1h" in lines[-1]


def test_a_queue_that_is_not_here_is_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert "by `qsub`, which is not on" in str(refusal(named("pbs:2"), settings))


QUEUE = {
    "sbatch": "echo 1 >> {0}/taken; echo Submitted batch job $(grep -c 1 {0}/taken)",
    "squeue": "cat {0}/queue",
    "scontrol": "echo JobId=$4 JobState=FAILED Reason=NonZeroExitCode ExitCode=1:0 Nodes=n1",
    "scancel": "true",
}
"""A queue whose jobs are over as soon as they are taken, by its programs."""


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, line in QUEUE.items():
        program = tmp_path / name
        program.write_text("#!/bin/sh\n" + line.format(tmp_path))
        program.chmod(0o755)
    (tmp_path / "queue").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(jobs, "KEEP_EVERY_S", 0.01)
    return tmp_path


def test_a_queue_whose_jobs_die_at_once_is_given_up(
    settings: Settings, queue: Path, eventually: Callable[..., None]
) -> None:
    logs = settings.runs_dir / "jobs"
    logs.mkdir()
    log = logs / "dask-worker-3.err"
    log.write_text("No module named distributed")
    with started(named("slurm:1"), settings, [], print) as found:

        def refused() -> str | None:
            try:
                found.check()
            except ClusterError as error:
                return str(error)
            return None

        eventually(refused)
        said = refused() or ""
    assert "slurm is asked for no further job, as 3 in a row ended before" in said
    assert f"the last one, 3, ended with FAILED 1:0, and its log is {log}; mend" in said
    assert len((queue / "taken").read_text().split()) == 3


def test_log_that_vanishes_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("job-3.out", "job-3.err"):
        (tmp_path / name).write_text("a line")
    looks = iter([True])
    whole = Path.stat

    def stat(path: Path, **how: Any) -> Any:
        if path == tmp_path / "job-3.err" and not next(looks, False):
            raise FileNotFoundError(str(path))
        return whole(path, **how)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", stat)
        log = jobs._log(tmp_path, "3")
    assert log == tmp_path / "job-3.out"


def test_a_queue_that_does_not_answer_is_asked_for_no_other_job(
    settings: Settings, queue: Path, eventually: Callable[..., None]
) -> None:
    (queue / "squeue").write_text(f"#!/bin/sh\necho asked >> {queue}/asked\nexit 1")
    with started(named("slurm:2"), settings, [], print) as found:
        eventually(lambda: (queue / "asked").exists() and (queue / "asked").stat().st_size > 30)
        found.check()
    assert len((queue / "taken").read_text().split()) == 2


@pytest.mark.parametrize(
    ("kind", "lines", "listed"),
    [
        ("slurm", "7\n 8\n", {"7", "8"}),
        ("pbs", "Job id  S Queue\n---\n7.pbs me 0 R long\n8.pbs me 0 C long\n", {"7"}),
        ("lsf", "7  me  PEND long\n", {"7"}),
    ],
)
def test_jobs_that_wait_or_run_are_read_from_what_each_queue_lists(
    queue: Path, kind: str, lines: str, listed: set[str]
) -> None:
    (queue / "queue").write_text(lines)
    (queue / "squeue").rename(queue / jobs.LISTS[kind][0])
    assert jobs.listed(kind) == listed


def test_jobs_cannot_be_told_of_any_folder(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "sbatch"
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    odd = replace(settings, runs_dir=tmp_path / "my runs")
    assert "choose another GREENBENCH_RUNS_DIR" in str(refusal(named("slurm"), odd))
    assert not odd.runs_dir.exists()


def test_a_scheduler_that_is_not_there_is_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "CONNECT_S", 0.5)
    error = refusal(asked("tcp://127.0.0.1:9", None), settings)
    assert isinstance(error, ClusterError)
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in str(error)
    assert "dask scheduler" in str(error)


@pytest.mark.parametrize(
    ("configured", "told"),
    [
        ({}, "TLS needs distributed.comm.tls.ca-file"),
        ({"ca-file": "/absent"}, "distributed.comm.tls.ca-file of Dask's configuration is"),
        ({"ca-file": "a\nb", "client.cert": "a\nb"}, "needs distributed.comm.tls.client.key"),
    ],
)
def test_tls_without_its_files_is_one_line(
    settings: Settings, configured: Mapping[str, Any], told: str
) -> None:
    names = {f"distributed.comm.tls.{name}": value for name, value in configured.items()}
    with dask.config.set(names):
        error = refusal(asked("tls://127.0.0.1:9", None), settings)
    assert isinstance(error, ConfigurationError)
    assert told in str(error)
    assert "DASK_DISTRIBUTED__COMM__TLS__C" in str(error)


def test_a_package_that_is_absent_is_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "dask_kubernetes" else find(name)
    )
    error = refusal(named("kubernetes:2"), settings)
    assert isinstance(error, MissingPackageError)
    assert "pip install 'greenbench[cluster]'" in str(error)


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("tcp://10.0.0.1:8786", True),
        ("tcp://[2001:db8::1]:8786", True),
        ("tcp://node1:8786", True),
        ("tls://10.0.0.1:8786", False),
        ("tcp://127.0.0.1:8786", False),
        ("tcp://[::1]:8786", False),
        ("tcp://localhost:8786", False),
    ],
)
def test_whoever_others_may_reach_without_tls_is_told(address: str, is_open: bool) -> None:
    said: list[str] = []
    secured.warn_if_open(address, said.append)
    assert len(said) == is_open
    assert all("run code as you" in line for line in said)


def test_keys_are_their_owners_and_are_never_replaced(tmp_path: Path) -> None:
    security = secured.temporary(tmp_path)
    files = sorted(tmp_path.iterdir())
    assert {path.name for path in files} == set(secured.FIELDS)
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert "PRIVATE KEY" not in repr(security)
    with pytest.raises(FileExistsError):
        secured.temporary(tmp_path)
