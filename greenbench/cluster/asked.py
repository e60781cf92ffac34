"""Which cluster is asked for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """Which cluster is asked for."""

    scheduler: str | None
    kind: str | None
    workers: int


def asked(scheduler: str | None, cluster: str | None) -> Asked | None:
    """Return the cluster that a command line asks for; None if for none."""
    if scheduler is not None:
        return Asked(scheduler, None, 0)
    if cluster is None:
        return None
    kind, _, workers = cluster.partition(":")
    return Asked(None, kind, int(workers or 1))
