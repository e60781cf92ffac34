"""Workers as jobs of a queue, by dask-jobqueue: one a measured device, replaced when they end."""

import re
import shlex
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from greenbench.cluster import secured
from greenbench.cluster.asked import Asked
from greenbench.cluster.devices import METER
from greenbench.errors import ClusterError, ConfigurationError
from greenbench.machine.files import reason, remedy
from greenbench.machine.secrets import redact
from greenbench.settings import Scope, Settings

METER_OF_WORKER = ("--resources", f"{METER}=1")
SUBMIT_S = 120
KEEP_EVERY_S = 20.0
"""Longer than Dask needs to know that a worker is lost (``distributed.deploy``)."""

SUBMITS = {"slurm": "sbatch", "pbs": "qsub", "lsf": "bsub"}
WAITING = {"slurm": "squeue --me", "pbs": "qstat -u $USER", "lsf": "bjobs"}
WHOLE_NODE = {"slurm": "--exclusive", "pbs": "-l place=excl", "lsf": "-x"}
"""What keeps a node to one job: the energy of others on it would be taken for ours."""
MEMORY = {"slurm": "--mem=", "lsf": "-M "}
"""What asks for memory, and is left out where nobody says how much."""

Notice = Callable[[str], None]


@contextmanager
def queued(asked: Asked, settings: Settings, notice: Notice) -> Iterator[tuple[Any, Any]]:
    """Start a scheduler here, and workers as jobs, which end with the block.

    Parameters
    ----------
    asked : Asked
        Options that are not given are those of Dask's configuration (``jobqueue.slurm``).
    settings : Settings
        How cases run: as many cores as threads, if nobody asks for others.
    notice : callable
        Shows one line.

    Yields
    ------
    cluster : dask_jobqueue.core.JobQueueCluster
    security : distributed.Security

    Raises
    ------
    ClusterError
        If the queue takes no job.
    """
    kind = str(asked.kind)
    if shutil.which(SUBMITS[kind]) is None:
        raise ClusterError(
            f"--cluster {kind} submits jobs by `{SUBMITS[kind]}`, which is not on this machine's "
            "PATH; run it where you submit jobs"
        )
    logs = _logs(settings.runs_dir)
    submitted = _Submitted(kind)
    with _keys(logs) as security:
        made = _class(kind)
        with made(
            job_cls=submitted.told_by(made.job_cls),
            security=security,
            **{"log_directory": str(logs), **arguments(asked, settings)},
        ) as cluster:
            cluster.scale(jobs=asked.workers)
            submitted.wait()
            notice(f"{kind}: {asked.workers} jobs asked for; `{WAITING[kind]}` shows them")
            with _kept(cluster, asked.workers, submitted, notice):
                yield cluster, security


def arguments(asked: Asked, settings: Settings) -> dict[str, Any]:
    """Return what one of dask-jobqueue's clusters is made with: a process and a thread a job.

    Parameters
    ----------
    asked, settings
        As in `queued`.
    """
    import dask  # noqa: PLC0415

    kind = str(asked.kind)

    def configured(name: str, otherwise: Any = None) -> Any:
        found = dask.config.get(f"jobqueue.{kind}.{name}", None)
        return otherwise if found is None else found

    memory = asked.option("memory") or configured("memory")
    cores = int(asked.option("cores") or configured("cores") or settings.threads)
    extra = [*configured("job-extra-directives", []), *asked.all_of("extra")]
    is_whole = settings.headline != Scope.GPU
    extra += [WHOLE_NODE[kind]] if is_whole and WHOLE_NODE[kind] not in extra else []
    skipped = list(configured("job-directives-skip", []))
    if memory is None and kind in MEMORY:
        skipped.append(MEMORY[kind])
        # A node to itself has no memory of it, unless that is asked for.
        extra += ["--mem=0"] if is_whole and kind == "slurm" else []
    given = {
        "queue": asked.option("queue"),
        "walltime": asked.option("walltime"),
        "project" if kind == "lsf" else "account": asked.option("account"),
        "log_directory": configured("log-directory"),
    }
    if kind == "pbs" and memory is None and configured("resource-spec") is None:
        given["resource_spec"] = f"select=1:ncpus={cores}"
    return {
        **{name: value for name, value in given.items() if value is not None},
        "cores": cores,
        # It must be said, and is not asked of the queue then.
        "memory": memory or "1GB",
        "processes": 1,
        # A nanny would start anew what the queue has ended, and change how memory is used.
        "nanny": False,
        # A worker that a signal catches while it closes hangs, and some queues kill only the
        # children of a job: it takes the place of the shell.
        "python": f"exec {shlex.quote(configured('python', sys.executable))}",
        "job_extra_directives": extra,
        "job_directives_skip": skipped,
        # The last of two counts: what is measured is no memory of the worker's own.
        "worker_extra_args": [
            *configured("worker-extra-args", []),
            *("--nthreads", "1", "--memory-limit", "0", "--no-dashboard"),
            *METER_OF_WORKER,
        ],
        "scheduler_options": {
            "dashboard_address": "127.0.0.1:0",
            **configured("scheduler-options", {}),
        },
    }


def _class(kind: str) -> Any:
    from dask_jobqueue import LSFCluster, PBSCluster, SLURMCluster  # noqa: PLC0415

    return {"slurm": SLURMCluster, "pbs": PBSCluster, "lsf": LSFCluster}[kind]


def _logs(runs_dir: Path) -> Path:
    """Return the folder of what jobs print, which is made."""
    logs = runs_dir / "jobs"
    if shlex.quote(str(logs)) != str(logs):
        raise ConfigurationError(
            f"jobs are told where their files are, {str(logs)!r}, and dask-jobqueue cannot write "
            "such a path into a script; choose another GREENBENCH_RUNS_DIR"
        )
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the folder {logs} cannot be made ({reason(error)}); {remedy(error)}"
        ) from error
    return logs


@contextmanager
def _keys(logs: Path) -> Iterator[Any]:
    """Yield the certificates of Dask's configuration, or such as are made now."""
    if secured.is_configured():
        yield secured.configured()
        return
    # Nobody else may look into it, and it goes with the run.
    with tempfile.TemporaryDirectory(prefix="tls-", dir=logs) as folder:
        yield secured.temporary(Path(folder))


class _Submitted:
    """Knows whether the queue takes jobs: Dask itself would log that it does not, and wait."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._is_known = threading.Event()
        self.refusal: str | None = None

    def told_by(self, job: Any) -> Any:
        """Return a kind of job that tells what became of its submission, and fails nobody."""
        from distributed.deploy.spec import ProcessInterface  # noqa: PLC0415

        class Told(job):  # type: ignore[misc]
            async def start(told) -> None:  # noqa: N805
                try:
                    await super().start()
                except (OSError, RuntimeError, ValueError) as error:
                    self.refusal = _last_words(error)
                    # It has no number, by which `_kept` knows it.
                    await ProcessInterface.start(told)
                finally:
                    self._is_known.set()

        return Told

    def wait(self) -> None:
        """Wait until the first job is submitted.

        Raises
        ------
        ClusterError
            If it is not.
        """
        if not self._is_known.wait(SUBMIT_S):
            self.refusal = f"`{SUBMITS[self._kind]}` does not end within {SUBMIT_S} s"
        if self.refusal is not None:
            raise ClusterError(
                f"{self._kind} takes no job ({self.refusal}); correct --cluster-option, or "
                f"jobqueue.{self._kind} of Dask's configuration"
            )


def _last_words(error: BaseException) -> str:
    """Return what the queue's command said of a job, without what dask-jobqueue adds."""
    _, _, said = str(error).partition("stderr:\n")
    return redact(re.sub(r"\s+", " ", said or str(error)).strip()) or type(error).__name__


@contextmanager
def _kept(cluster: Any, jobs: int, submitted: _Submitted, notice: Notice) -> Iterator[None]:
    """Ask for new jobs in place of those that have ended, such as at their time limit."""
    is_over = threading.Event()

    def renew() -> None:
        for name, job in list(cluster.workers.items()):
            if job.job_id is None:
                del cluster.workers[name]
        cluster.scale(jobs=jobs)

    def keep() -> None:
        told = None
        while not is_over.wait(KEEP_EVERY_S):
            if submitted.refusal not in (None, told):
                told = submitted.refusal
                notice(f"the queue takes no further job ({told}); it is asked again")
            cluster.loop.add_callback(renew)

    thread = threading.Thread(target=keep, name="jobs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
