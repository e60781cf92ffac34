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
    submitted = _Submitted(kind)
    with _keys(settings.runs_dir) as (security, folder):
        made = _class(kind)
        with made(
            job_cls=submitted.told_by(made.job_cls),
            security=security,
            shared_temp_directory=folder,
            **arguments(asked, settings),
        ) as cluster:
            cluster.scale(jobs=asked.workers)
            submitted.wait()
            notice(f"{kind}: {asked.workers} jobs asked for; `{WAITING[kind]}` shows them")
            with _kept(cluster, asked.workers):
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
    if settings.headline != Scope.GPU and WHOLE_NODE[kind] not in extra:
        extra.append(WHOLE_NODE[kind])
    skipped = list(configured("job-directives-skip", []))
    if memory is None and kind in MEMORY:
        skipped.append(MEMORY[kind])
    given = {
        "queue": asked.option("queue"),
        "walltime": asked.option("walltime"),
        "project" if kind == "lsf" else "account": asked.option("account"),
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
        "python": shlex.quote(configured("python", sys.executable)),
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


@contextmanager
def _keys(runs_dir: Path) -> Iterator[tuple[Any, str | None]]:
    """Yield certificates, and the folder in which jobs find those that are made now."""
    if secured.is_configured():
        yield secured.configured(), None
        return
    runs_dir.mkdir(parents=True, exist_ok=True)
    # Nobody else may look into it, and it goes with the run.
    with tempfile.TemporaryDirectory(prefix="tls-", dir=runs_dir) as folder:
        if shlex.quote(folder) != folder:
            raise ConfigurationError(
                f"jobs are told where their certificates are, {folder!r}, and dask-jobqueue cannot "
                "write such a path into a script; choose another GREENBENCH_RUNS_DIR"
            )
        yield secured.temporary(), folder


class _Submitted:
    """Knows whether the queue takes jobs: Dask itself would only log it."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._is_known = threading.Event()
        self._refusal: str | None = None

    def told_by(self, job: Any) -> Any:
        """Return a kind of job that tells what became of its submission."""

        class Told(job):  # type: ignore[misc]
            async def start(told) -> None:  # noqa: N805
                try:
                    await super().start()
                except (OSError, RuntimeError, ValueError) as error:
                    self._refusal = self._refusal or _last_words(error)
                    raise
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
            self._refusal = f"`{SUBMITS[self._kind]}` does not end within {SUBMIT_S} s"
        if self._refusal is not None:
            raise ClusterError(
                f"{self._kind} takes no job ({self._refusal}); correct --cluster-option, or "
                f"jobqueue.{self._kind} of Dask's configuration"
            )


def _last_words(error: BaseException) -> str:
    """Return what the queue's command said of a job, without what dask-jobqueue adds."""
    _, _, said = str(error).partition("stderr:\n")
    return redact(re.sub(r"\s+", " ", said or str(error)).strip()) or type(error).__name__


@contextmanager
def _kept(cluster: Any, jobs: int) -> Iterator[None]:
    """Ask for new jobs in place of those that have ended, such as at their time limit."""
    is_over = threading.Event()

    def keep() -> None:
        while not is_over.wait(KEEP_EVERY_S):
            cluster.scale(jobs=jobs)

    thread = threading.Thread(target=keep, name="jobs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
