"""Workers as jobs of a queue, by dask-jobqueue: one a measured device, replaced when they end."""

import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from greenbench.cluster import secured
from greenbench.cluster.asked import Asked
from greenbench.cluster.devices import METER
from greenbench.cluster.jobs import SUBMITS, Jobs
from greenbench.errors import ClusterError, ConfigurationError
from greenbench.machine.files import folder_made, reason, remedy
from greenbench.settings import Scope, Settings

METER_OF_WORKER = ("--resources", f"{METER}=1")
WAITING = {"slurm": "squeue --me", "pbs": "qstat -u $USER", "lsf": "bjobs"}
WHOLE_NODE = {"slurm": "--exclusive", "pbs": "-l place=excl", "lsf": "-x"}
"""What keeps a node to one job: the energy of others on it would be taken for ours."""
MEMORY = {"slurm": "--mem=", "lsf": "-M "}
"""What asks for memory, and is left out where nobody says how much."""

Notice = Callable[[str], None]


@contextmanager
def queued(
    asked: Asked, settings: Settings, notice: Notice
) -> Iterator[tuple[Any, Any, Callable[[], None]]]:
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
    check : callable
        Raises a `ClusterError` once all jobs die before their workers connect.

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
    with _logs(settings.runs_dir) as logs, _keys(logs) as security:
        given = {"log_directory": str(logs), **arguments(asked, settings)}
        jobs = Jobs(kind, Path(given["log_directory"]), notice)
        made = _class(kind)
        with (
            made(job_cls=jobs.told_by(made.job_cls), security=security, **given) as cluster,
            jobs.kept(cluster, asked.workers),
        ):
            notice(f"{kind}: {asked.workers} jobs asked for; `{WAITING[kind]}` shows them")
            yield cluster, security, jobs.check


def arguments(asked: Asked, settings: Settings) -> dict[str, Any]:
    """Return what one of dask-jobqueue's clusters is made with: a process and a thread a job.

    Parameters
    ----------
    asked, settings
        As in `queued`.
    """
    kind = str(asked.kind)
    memory = asked.option("memory") or _configured(kind, "memory")
    cores = int(asked.option("cores") or _configured(kind, "cores") or settings.threads)
    given = {
        "queue": asked.option("queue"),
        "walltime": asked.option("walltime"),
        "project" if kind == "lsf" else "account": asked.option("account"),
        "log_directory": _configured(kind, "log-directory"),
    }
    if kind == "pbs" and memory is None and _configured(kind, "resource-spec") is None:
        given["resource_spec"] = f"select=1:ncpus={cores}"
    extra, skipped = _directives(asked, settings, says_memory=memory is not None)
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
        "python": f"exec {shlex.quote(_configured(kind, 'python', sys.executable))}",
        "job_extra_directives": extra,
        "job_directives_skip": skipped,
        # The last of two counts: what is measured is no memory of the worker's own.
        "worker_extra_args": [
            *_configured(kind, "worker-extra-args", []),
            *("--nthreads", "1", "--memory-limit", "0", "--no-dashboard"),
            *METER_OF_WORKER,
        ],
        "scheduler_options": {
            "dashboard_address": "127.0.0.1:0",
            **_configured(kind, "scheduler-options", {}),
        },
    }


def _configured(kind: str, name: str, otherwise: Any = None) -> Any:
    """Return what Dask's configuration says of a queue."""
    import dask  # noqa: PLC0415

    found = dask.config.get(f"jobqueue.{kind}.{name}", None)
    return otherwise if found is None else found


def _directives(
    asked: Asked, settings: Settings, *, says_memory: bool
) -> tuple[list[str], list[str]]:
    """Return what a job's script asks for besides, and what it leaves out."""
    kind = str(asked.kind)
    extra = [*_configured(kind, "job-extra-directives", []), *asked.all_of("extra")]
    skipped = list(_configured(kind, "job-directives-skip", []))
    is_whole = settings.headline != Scope.GPU
    if is_whole and WHOLE_NODE[kind] not in extra:
        extra.append(WHOLE_NODE[kind])
    if not says_memory and kind in MEMORY:
        skipped.append(MEMORY[kind])
        # A node to itself has no memory of it, unless that is asked for.
        extra += ["--mem=0"] if is_whole and kind == "slurm" else []
    return extra, skipped


def _class(kind: str) -> Any:
    from dask_jobqueue import LSFCluster, PBSCluster, SLURMCluster  # noqa: PLC0415

    return {"slurm": SLURMCluster, "pbs": PBSCluster, "lsf": LSFCluster}[kind]


@contextmanager
def _logs(runs_dir: Path) -> Iterator[Path]:
    """Yield the folder of what jobs print, which is made, and stays if they print something."""
    logs = runs_dir / "jobs"
    if shlex.quote(str(logs)) != str(logs):
        raise ConfigurationError(
            f"jobs are told where their files are, {str(logs)!r}, and dask-jobqueue cannot write "
            "such a path into a script; choose another GREENBENCH_RUNS_DIR"
        )
    with ExitStack() as stack:
        try:
            stack.enter_context(folder_made(logs))
        except OSError as error:
            raise ConfigurationError(
                f"the folder {logs} cannot be made ({reason(error)}); {remedy(error)}"
            ) from error
        yield logs


@contextmanager
def _keys(logs: Path) -> Iterator[Any]:
    """Yield the certificates of Dask's configuration, or such as are made now."""
    if secured.is_configured():
        yield secured.configured()
        return
    # Nobody else may look into it, and it goes with the run.
    with tempfile.TemporaryDirectory(prefix="tls-", dir=logs) as folder:
        yield secured.temporary(Path(folder))
