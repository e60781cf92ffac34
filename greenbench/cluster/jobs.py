"""Jobs of a queue while they run: whether it takes them, who replaces them, when to give up."""

import re
import subprocess
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from greenbench.errors import ClusterError
from greenbench.machine.secrets import redact

SUBMIT_S = 120
ANSWER_S = 30
KEEP_EVERY_S = 20.0
"""Longer than Dask needs to know that a worker is lost (``distributed.deploy``)."""
MOST_IN_VAIN = 3
"""So many jobs in a row may end before their workers connect; then no further one is asked for."""

SUBMITS = {"slurm": "sbatch", "pbs": "qsub", "lsf": "bsub"}
LISTS = {
    "slurm": ("squeue", "--me", "--noheader", "--format=%i"),
    "pbs": ("qstat",),
    "lsf": ("bjobs", "-noheader"),
}
"""What lists jobs that wait or run, each line with the number of one at its beginning."""
NOTHING = re.compile("no (unfinished )?job", re.IGNORECASE)
"""What some of them say then, and fail."""
OVER = {"pbs": re.compile(r"\s[CFX]\s+\S+\s*$")}
"""Lines about jobs that have ended all the same."""
ENDS = {
    "slurm": (("scontrol", "--oneliner", "show", "job"), r"JobState=(\w+).* ExitCode=(\S+)"),
    "pbs": (("qstat", "-x", "-f"), r"(Exit_status) = (-?\d+)"),
    "lsf": (("bjobs", "-noheader", "-o", "stat exit_code"), r"(\w+)\s+(\S+)"),
}
"""What tells how a job ended, and how that is read."""


class Jobs:
    """The jobs of a cluster of dask-jobqueue, which itself would wait for them without end.

    Parameters
    ----------
    kind : str
        Of the queue.
    logs : pathlib.Path
        The folder of what jobs print.
    notice : callable
        Shows one line.
    """

    def __init__(self, kind: str, logs: Path, notice: Callable[[str], None]) -> None:
        self._kind, self._logs, self._notice = kind, logs, notice
        self._is_known = threading.Event()
        self._refusal: str | None = None
        self._by_name: dict[str, Any] = {}
        self._in_vain = 0
        self._failure: str | None = None

    def told_by(self, job: Any) -> Any:
        """Return a kind of job that tells what became of its submission, and fails nobody."""
        from distributed.deploy.spec import ProcessInterface  # noqa: PLC0415

        class Told(job):  # type: ignore[misc]
            has_joined = False

            async def start(told) -> None:  # noqa: N805
                self._by_name[str(told.name)] = told
                try:
                    await super().start()
                except (OSError, RuntimeError, ValueError) as error:
                    self._refusal = _last_words(error)
                    # It has no number, by which `_renew` knows it.
                    await ProcessInterface.start(told)
                finally:
                    self._is_known.set()

            async def close(told) -> None:  # noqa: N805
                await super().close()
                # dask-jobqueue forgets that, and Dask takes who is known of for one that runs.
                await ProcessInterface.close(told)

        return Told

    @contextmanager
    def kept(self, cluster: Any, count: int) -> Iterator[None]:
        """Ask for so many jobs, and for others in place of those that end, as at their limit.

        Raises
        ------
        ClusterError
            If the queue does not take the first one.
        """
        self._watch(cluster)
        cluster.scale(jobs=count)
        self._wait()
        is_over = threading.Event()

        def keep() -> None:
            told = None
            while not is_over.wait(KEEP_EVERY_S):
                if self._refusal not in (None, told):
                    told = self._refusal
                    self._notice(f"the queue takes no further job ({told}); it is asked again")
                gone = self._gone(list(cluster.workers.values()))
                self._judge(gone, has_workers=bool(cluster.scheduler_info["workers"]))
                cluster.loop.add_callback(self._renew, cluster, count, gone)

        thread = threading.Thread(target=keep, name="jobs", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def check(self) -> None:
        """Raise `ClusterError` if jobs ended in vain, so that no further one is asked for."""
        if (failure := self._failure) is not None:
            raise ClusterError(failure)

    def _wait(self) -> None:
        """Wait until the first job is submitted."""
        if not self._is_known.wait(SUBMIT_S):
            self._refusal = f"`{SUBMITS[self._kind]}` does not end within {SUBMIT_S} s"
        if self._refusal is not None:
            raise ClusterError(
                f"{self._kind} takes no job ({self._refusal}); correct --cluster-option, or "
                f"jobqueue.{self._kind} of Dask's configuration"
            )

    def _watch(self, cluster: Any) -> None:
        """Know whose workers connect, however soon they go."""
        from distributed import SchedulerPlugin  # noqa: PLC0415

        class Joins(SchedulerPlugin):  # type: ignore[misc]
            def add_worker(joins, scheduler: Any, worker: str) -> None:  # noqa: N805
                job = self._by_name.get(str(scheduler.workers[worker].name))
                if job is not None:
                    job.has_joined = True
                    self._in_vain, self._failure = 0, None

        cluster.scheduler.add_plugin(Joins())

    def _gone(self, jobs: Collection[Any]) -> list[Any]:
        """Return the jobs that are over, and whose workers never connected."""
        waiting = [job for job in jobs if job.job_id is not None and not job.has_joined]
        there = listed(self._kind) if waiting else None
        if there is None:
            return []
        return [job for job in waiting if job.job_id not in there and not job.has_joined]

    def _judge(self, gone: Collection[Any], *, has_workers: bool) -> None:
        self._in_vain += len(gone)
        if not gone or self._in_vain < MOST_IN_VAIN or self._failure is not None:
            return
        last = max(gone, key=lambda job: int(job.job_id)).job_id
        self._failure = (
            f"{self._kind} is asked for no further job, as {self._in_vain} in a row ended before "
            f"their workers connected: the last one, {last}, {_end(self._kind, last)}, and its "
            f"log is {_log(self._logs, last)}; mend what it says, then run the same command"
        )
        if has_workers:
            # Who is there goes on; else whoever waits is told by `check`.
            self._notice(self._failure)

    async def _renew(self, cluster: Any, count: int, gone: Collection[Any]) -> None:
        from distributed.deploy.spec import ProcessInterface  # noqa: PLC0415

        for name, job in list(cluster.workers.items()):
            if job.job_id is None or job in gone:
                del cluster.workers[name]
                # Its own way to close would ask the queue to end it.
                await ProcessInterface.close(job)
        if self._failure is None:
            cluster.scale(jobs=count)


def listed(kind: str) -> set[str] | None:
    """Return the numbers of all jobs that wait or run; None if the queue does not say.

    Parameters
    ----------
    kind : str
        Of the queue.
    """
    told = _answer(*LISTS[kind])
    if told is None:
        return None
    over = OVER.get(kind)
    lines = [line for line in told.splitlines() if not (over and over.search(line))]
    return {found[1] for line in lines if (found := re.match(r"\s*(\d+)", line))}


def _last_words(error: BaseException) -> str:
    """Return what the queue's command said of a job, without what dask-jobqueue adds."""
    _, _, said = str(error).partition("stderr:\n")
    return redact(re.sub(r"\s+", " ", said or str(error)).strip()) or type(error).__name__


def _end(kind: str, number: str) -> str:
    line, pattern = ENDS[kind]
    found = re.search(pattern, _answer(*line, number) or "")
    return f"ended with {found[1]} {found[2]}" if found else "ended without anybody knowing how"


def _log(logs: Path, number: str) -> Path:
    """Return what a job has printed, its errors if it may be; the folder if there is nothing."""
    whole = re.compile(rf"(?<!\d){number}(?!\d)")
    found = [path for path in logs.glob("*") if whole.search(path.name) and _says_something(path)]
    return max(found, key=lambda path: path.suffix.lower().startswith(".e"), default=logs)


def _says_something(path: Path) -> bool:
    # It may vanish meanwhile.
    with suppress(OSError):
        return path.is_file() and path.stat().st_size > 0
    return False


def _answer(*line: str) -> str | None:
    try:
        done = subprocess.run(
            line, text=True, errors="replace", capture_output=True, check=False,
            stdin=subprocess.DEVNULL, timeout=ANSWER_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode and not NOTHING.search(done.stderr) else done.stdout
