"""The cluster while it runs: one that is there, or one that is started for a run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from greenbench.cases import Case
from greenbench.cluster.asked import Asked
from greenbench.settings import Settings


@dataclass(frozen=True)
class Started:
    """A cluster that can be connected to."""

    address: str
    dashboard_link: str | None = None
    security: Any = None


@contextmanager
def started(
    asked: Asked, settings: Settings, cases: Sequence[Case], notice: Callable[[str], None]
) -> Iterator[Started]:
    """Connect to a cluster, or start one that ends with us."""
    if asked.scheduler:
        yield Started(asked.scheduler)
        return
    from distributed import LocalCluster  # noqa: PLC0415

    with LocalCluster(
        processes=True,
        n_workers=asked.workers,
        threads_per_worker=1,
        resources={"METER": 1},
        dashboard_address=None,
    ) as cluster:
        yield Started(cluster.scheduler_address, None)
