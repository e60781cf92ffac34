"""Workers in Kubernetes, by the operator of dask-kubernetes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from greenbench.cluster.asked import KUBERNETES, Asked
from greenbench.cluster.queues import METER_OF_WORKER
from greenbench.errors import ClusterError
from greenbench.machine.secrets import redact


@contextmanager
def pods(asked: Asked) -> Iterator[tuple[Any, None]]:
    """Start a scheduler and workers as pods, and remove them with the block.

    Parameters
    ----------
    asked : Asked
        Options that are not given are those of Dask's configuration (``kubernetes``).

    Raises
    ------
    ClusterError
        If Kubernetes, or the operator in it, does not do so.
    """
    from dask_kubernetes.operator import KubeCluster  # noqa: PLC0415

    given = {
        name: value for name in ("image", "namespace") if (value := asked.option(name)) is not None
    }
    command = ["dask-worker", "--nthreads", "1", *METER_OF_WORKER]
    try:
        # Of any kind: those of clients of Kubernetes have no common root.
        cluster = KubeCluster(n_workers=asked.workers, worker_command=command, quiet=True, **given)
    except Exception as error:
        raise ClusterError(
            f"--cluster {KUBERNETES} cannot start pods ({redact(str(error)) or type(error)}); see "
            "that `kubectl get pods` works and the Dask operator is installed"
        ) from error
    with cluster:
        yield cluster, None
