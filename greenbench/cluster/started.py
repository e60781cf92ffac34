"""A cluster while it runs: one that is reached, or that is started here and ends with us."""

import importlib.util
import logging
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from greenbench.cases import Case
from greenbench.cluster import secured
from greenbench.cluster.asked import KUBERNETES, LOCAL, Asked
from greenbench.cluster.devices import METER, surroundings
from greenbench.errors import ClusterError, MissingPackageError
from greenbench.machine.secrets import redact
from greenbench.settings import Settings

CONNECT_S = 10
START_S = 300
"""How long workers on this machine may take to start, at most, until that is said."""
EXTRA = "cluster"
ENDS = (signal.SIGTERM, signal.SIGHUP)
"""What ends a process that does not expect it."""

Notice = Callable[[str], None]


@dataclass(frozen=True)
class Started:
    """A scheduler that runs.

    Attributes
    ----------
    address : str
        Of the scheduler.
    dashboard_link : str or None
        Its dashboard, without secrets; None where it has none, as without the package bokeh.
    security : distributed.Security or None
        With what one connects to it; None if not by TLS.
    check : callable
        Raises a `ClusterError` if no worker will ever come; asked where there is none.
    """

    address: str
    dashboard_link: str | None
    security: Any
    check: Callable[[], None] = lambda: None


@contextmanager
def started(
    asked: Asked, settings: Settings, cases: Sequence[Case], notice: Notice
) -> Iterator[Started]:
    """Reach the cluster that is asked for, or start it, and end it with the block.

    Workers of a queue may join much later, or go and be replaced by others.

    Parameters
    ----------
    asked : Asked
        Which one.
    settings : Settings
        How cases run.
    cases : sequence of Case
        What may run there.
    notice : callable
        Shows one line.

    Raises
    ------
    MissingPackageError
        If a package is not installed.
    ConfigurationError
        If this machine has fewer measured devices than are asked for, or TLS lacks a file.
    ClusterError
        If it cannot be reached or started.
    """
    needed = ("dask_kubernetes",) if asked.kind == KUBERNETES else ()
    for package in ("distributed", "dask_jobqueue", *needed):
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError("a cluster", package.replace("_", "-"), EXTRA)
    with _by_kind(asked, settings, cases, notice) as found:
        secured.warn_if_open(found.address, notice)
        yield found


@contextmanager
def _by_kind(
    asked: Asked, settings: Settings, cases: Sequence[Case], notice: Notice
) -> Iterator[Started]:
    if asked.scheduler is not None:
        yield _reached(asked.scheduler)
        return
    opened: AbstractContextManager[tuple[Any, ...]]
    if asked.kind == LOCAL:
        opened = _local(surroundings(asked.workers, cases, settings.headline, os.environ))
    elif asked.kind == KUBERNETES:
        from greenbench.cluster.pods import pods  # noqa: PLC0415

        opened = pods(asked, settings.headline, notice)
    else:
        from greenbench.cluster.queues import queued  # noqa: PLC0415

        opened = queued(asked, settings, notice)
    # That of pods is elsewhere, or forwarded, as its cluster knows.
    linked = nullcontext() if asked.kind == KUBERNETES else _linked_here()
    with _ending_when_told(), linked, opened as (cluster, security, *checks):
        is_there = asked.kind == KUBERNETES or has_bokeh()
        link = _link(cluster.dashboard_link) if is_there else None
        yield Started(cluster.scheduler_address, link, security, *checks)


@contextmanager
def _ending_when_told() -> Iterator[None]:
    """Let what terminates this process end it as Ctrl+C does: jobs and pods would outlive it."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    # Whoever ignores one of them, as nohup does, or sees to it, goes on doing so.
    is_main = threading.current_thread() is threading.main_thread()
    ours = [each for each in ENDS if is_main and signal.getsignal(each) is signal.SIG_DFL]
    for each in ours:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in ours:
            signal.signal(each, signal.SIG_DFL)


@contextmanager
def _linked_here() -> Iterator[None]:
    """Let links lead to loopback, where dashboards listen that are started here."""
    import dask  # noqa: PLC0415
    import distributed  # noqa: F401, PLC0415 - it brings what nobody has configured

    name = "distributed.dashboard.link"
    is_usual = dask.config.get(name) == "{scheme}://{host}:{port}/status"
    with dask.config.set({name: "{scheme}://127.0.0.1:{port}/status"} if is_usual else {}):
        yield


def _reached(address: str) -> Started:
    from distributed import Client  # noqa: PLC0415

    is_tls = address.startswith("tls")
    security = secured.configured(secured.OF_CLIENTS if is_tls else ())
    try:
        with Client(address, timeout=CONNECT_S, security=security, set_as_default=False) as client:
            has_dashboard = "dashboard" in client.scheduler_info()["services"]
            link = client.dashboard_link if has_dashboard else None
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {address} within {CONNECT_S} s ({_why(error)}); start "
            "one there with `dask scheduler`, or correct --scheduler"
        ) from error
    return Started(address, _link(link), security if is_tls else None)


@contextmanager
def _local(places: Sequence[dict[str, str]]) -> Iterator[tuple[Any, Any]]:
    """Start a scheduler in this process, and workers on this machine, a process each."""
    import dask  # noqa: PLC0415
    from distributed import Nanny, Scheduler, SpecCluster  # noqa: PLC0415

    security = secured.temporary()
    here = {"host": "127.0.0.1", "protocol": "tls://", "security": security}
    workers = {
        number: {
            "cls": Nanny,
            "options": {
                **here,
                "nthreads": 1,
                "memory_limit": 0,
                "resources": {METER: 1},
                "env": environment,
                "dashboard": False,
                "silence_logs": logging.ERROR,
            },
        }
        for number, environment in enumerate(places)
    }
    options = {**here, "port": 0, "dashboard": has_bokeh(), "dashboard_address": "127.0.0.1:0"}
    scheduler = {"cls": Scheduler, "options": options}
    # Dask trims its own memory, which would cost the trainings that a worker starts.
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": {}}),
        SpecCluster(scheduler=scheduler, security=security, silence_logs=logging.ERROR) as cluster,
    ):
        # Only now: Ctrl+C while it is made with them would keep Dask from closing them.
        cluster.worker_spec.update(workers)
        cluster.scale(len(workers))
        # What comes later is waited for by whoever needs it.
        with suppress(TimeoutError):
            cluster.wait_for_workers(len(workers), timeout=START_S)
        yield cluster, security


def has_bokeh() -> bool:
    """Return whether there is what Dask's dashboard is made with."""
    return importlib.util.find_spec("bokeh") is not None


def _link(link: str | None) -> str | None:
    # Dask fills it with anything of the environment that its configuration names.
    return redact(link) if link else None


def _why(error: BaseException) -> str:
    """Return the innermost cause as one short line."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    told = [text for each in causes if (text := redact(re.sub(r"\s+", " ", str(each))).strip())]
    return told[-1] if told else type(error).__name__
