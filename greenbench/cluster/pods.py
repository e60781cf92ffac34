"""Workers in Kubernetes, by the operator of dask-kubernetes: pods, which end with the run."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from greenbench.cluster.asked import KUBERNETES, Asked
from greenbench.cluster.queues import METER_OF_WORKER
from greenbench.cluster.waiting import Waiting, plain
from greenbench.errors import ClusterError, ConfigurationError
from greenbench.settings import Scope

ANSWER_S = 30
"""How long an answer of Kubernetes is waited for; its client would wait without end."""
LOOK_EVERY_S = 2.0
END_S = 120
WAIT = "01:00:00"
"""How long the scheduler may take to start, if nobody says."""
FORBIDDEN, UNKNOWN = 403, 404
OWN_IMAGES = "ghcr.io/dask/"
NODE = "kubernetes.io/hostname"
MARK = {"greenbench.measures": "host"}
"""Label of pods that keep others of the same label off their node."""
LIKE_US = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Is there in pods, and in nothing else."""

Notice = Callable[[str], None]


@contextmanager
def pods(
    asked: Asked, headline: str | None, notice: Notice
) -> Iterator[tuple[Any, None, Callable[[], None]]]:
    """Start a scheduler and workers as pods, and remove them with the block.

    Parameters
    ----------
    asked : Asked
        Options that are not given are those of Dask's configuration (``kubernetes``).
    headline : str or None
        A `Scope`: whether each worker needs a node to itself.
    notice : callable
        Shows one line.

    Yields
    ------
    cluster : dask_kubernetes.operator.KubeCluster
    security : None
    check : callable
        Says what workers wait for; raises a `ClusterError` once no worker's pod will ever run.

    Raises
    ------
    ConfigurationError
        If no image is named.
    ClusterError
        If Kubernetes, or the operator in it, does not do so.
    """
    from distributed.utils import LoopRunner  # noqa: PLC0415

    spec, wait_s = manifest(asked, headline), _seconds(asked.option("wait") or WAIT)
    # As of Dask, which needs one that runs beside us: nothing else can be given up in time.
    runner = LoopRunner()
    runner.start()
    started = _Pods(spec, asked.option("namespace"), wait_s, runner.loop, notice)
    try:
        yield started.start(), None, started.check
    finally:
        started.remove()
        runner.stop()


def manifest(asked: Asked, headline: str | None) -> dict[str, Any]:
    """Return what the operator is given: a ``DaskCluster`` of a name that nobody else has.

    Parameters
    ----------
    asked, headline
        As in `pods`.
    """
    import dask  # noqa: PLC0415
    from dask_kubernetes.operator import make_cluster_spec  # noqa: PLC0415

    def configured(name: str) -> Any:
        return dask.config.get(f"kubernetes.{name}")

    image = asked.option("image") or configured("image")
    if image.startswith(OWN_IMAGES):
        raise ConfigurationError(
            f"--cluster {KUBERNETES} needs an image that has greenbench and your project, and "
            f"{image} has neither; add --cluster-option image=…"
        )
    spec: dict[str, Any] = make_cluster_spec(
        name=f"greenbench-{secrets.token_hex(5)}",
        image=image,
        n_workers=asked.workers,
        resources=configured("resources"),
        env=configured("env"),
        scheduler_service_type=configured("scheduler-service-type"),
        idle_timeout=configured("idle-timeout") or 0,
    )
    scheduler, worker = spec["spec"]["scheduler"], spec["spec"]["worker"]
    # Programs of the names that it would call, dask-worker and dask-scheduler, are no more.
    scheduler["spec"]["containers"][0]["args"] = ["dask", "scheduler", "--host", "0.0.0.0"]
    container = worker["spec"]["containers"][0]
    container["args"] = [
        # Kubernetes starts anew what ends; a nanny would, too, and change how memory is used.
        *("dask", "worker", "--no-nanny", "--nthreads", "1", "--memory-limit", "0"),
        *("--no-dashboard", "--name", "$(DASK_WORKER_NAME)", *METER_OF_WORKER),
    ]
    del container["ports"]
    if headline != Scope.GPU:
        # The lock of a host does not hold between pods, which see no file of each other.
        worker["metadata"] = {"labels": MARK}
        others = {"labelSelector": {"matchLabels": MARK}, "topologyKey": NODE}
        apart = {"requiredDuringSchedulingIgnoredDuringExecution": [others]}
        worker["spec"]["affinity"] = {"podAntiAffinity": apart}
    return spec


class _Pods:
    """What Kubernetes was asked for, until it is gone."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        namespace: str | None,
        wait_s: float,
        loop: Any,
        notice: Notice,
    ) -> None:
        self._spec, self._namespace = spec, namespace
        self._loop, self._notice = loop, notice
        self._name = str(spec["metadata"]["name"])
        self._api: Any = None
        self._cluster: Any = None
        self._starting: asyncio.Future[Any] | None = None
        self._waits = {
            "scheduler": Waiting("scheduler", notice, wait_s),
            "worker": Waiting("worker", notice),
        }
        self._looked_at = time.monotonic()

    def start(self) -> Any:
        """Return the cluster, whose scheduler answers."""
        try:
            return self._do(self._start)
        except ClusterError:
            raise
        except Exception as error:
            # Of any kind: those of clients of Kubernetes have no common root.
            raise ClusterError(
                f"--cluster {KUBERNETES} cannot start pods ({_why(error)}); see that `kubectl get "
                f"daskclusters{self._where}` works, for which the Dask operator must be installed"
            ) from error

    def check(self) -> None:
        """Say what workers wait for; raise a `ClusterError` if all were in trouble for too long."""
        if time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = time.monotonic()
        self._do(self._look, "worker")

    def remove(self) -> None:
        """Remove all that was started; say so if it may be left behind."""
        if self._cluster is None:
            return
        try:
            self._do(self._remove)
        except Exception as error:
            self._notice(
                f"{KUBERNETES}: pods may be left behind ({_why(error)}); `kubectl delete "
                f"daskcluster {self._name}{self._where}` removes them"
            )

    @property
    def _where(self) -> str:
        return f" --namespace {self._namespace}" if self._namespace else ""

    def _do(self, what: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        from distributed.utils import sync  # noqa: PLC0415

        return sync(self._loop, what, *arguments)

    async def _start(self) -> Any:
        import dask  # noqa: PLC0415
        import kr8s  # noqa: PLC0415

        # Whoever asks hears of errors; what it watches beside that would print its own.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        self._api = await asyncio.wait_for(kr8s.asyncio.api(), ANSWER_S)
        # All that is asked in this loop is asked by this one, as long as it is kept.
        self._api.timeout = ANSWER_S
        self._namespace = (
            self._namespace or dask.config.get("kubernetes.namespace") or self._api.namespace
        )
        await self._check_access()
        is_inside, is_said = LIKE_US.is_dir(), dask.config.get("kubernetes.port-forward-cluster-ip")
        self._cluster = self._class()(
            custom_cluster_spec=self._spec,
            namespace=self._namespace,
            # Names of services are not known outside, which it tries for ten seconds each.
            port_forward_cluster_ip=not is_inside if is_said is None else is_said,
            # It would not give up for an hour.
            shutdown_on_close=False,
            asynchronous=True,
            loop=self._loop,
            quiet=True,
        )
        self._notice(
            f"{KUBERNETES}: {self._name} asked for; `kubectl get pods --selector "
            f"dask.org/cluster-name={self._name}{self._where}` shows its pods"
        )
        self._starting = asyncio.ensure_future(self._cluster)
        try:
            while not (await asyncio.wait([self._starting], timeout=LOOK_EVERY_S))[0]:
                await self._look("scheduler")
            return self._starting.result()
        finally:
            self._starting.cancel()

    def _class(pods) -> Any:  # noqa: N805
        """Return a cluster that does not wait for what some operators never say."""
        import dask  # noqa: PLC0415
        from dask_kubernetes.operator import KubeCluster  # noqa: PLC0415

        class Ours(KubeCluster):  # type: ignore[misc]
            async def _wait_for_controller(self) -> None:
                # It would wait for "Running", over which operators until 2026.3 write "Pending" now
                # and then (dask-kubernetes#968); what runs is waited for afterwards.
                patience_s = dask.config.get("kubernetes.resource-timeout")
                end = time.monotonic() + patience_s
                while await pods._phase() in (None, "Created"):
                    if time.monotonic() > end:
                        raise TimeoutError(f"no Dask operator makes its pods within {patience_s} s")
                    await asyncio.sleep(0.25)

        return Ours

    async def _phase(self) -> str | None:
        async with self._api.call_api("GET", **self._at(f"daskclusters/{self._name}")) as answer:
            found = answer.json().get("status", {}).get("phase")
        return None if found is None else str(found)

    async def _check_access(self) -> None:
        """Ask for what is there: refused later, one of several questions ends all others."""
        import kr8s  # noqa: PLC0415

        try:
            async with self._api.call_api("GET", **self._at("daskclusters")):
                pass
        except kr8s.ServerError as error:
            if error.response is None or error.response.status_code != UNKNOWN:
                raise
            raise RuntimeError("it knows no DaskCluster") from error

    async def _remove(self) -> None:
        if self._starting is not None:
            # Ctrl+C ends the wait for it, and not what is waited for.
            self._starting.cancel()
        cluster = self._at(f"daskclusters/{self._name}")
        # The operator makes it the cluster's own, unless it is gone by then.
        group = self._at(f"daskworkergroups/{self._name}-default")
        await asyncio.wait_for(self._cluster.close(), ANSWER_S)
        for thing in (cluster, group):
            async with self._api.call_api("DELETE", raise_for_status=False, **thing) as answer:
                is_gone = answer.status_code in (FORBIDDEN, UNKNOWN)
            end = time.monotonic() + END_S
            while not is_gone:
                if time.monotonic() > end:
                    raise TimeoutError(f"the operator did not remove it within {END_S} s")
                await asyncio.sleep(0.5)
                async with self._api.call_api("GET", raise_for_status=False, **thing) as answer:
                    is_gone = answer.status_code == UNKNOWN

    def _at(self, url: str) -> dict[str, Any]:
        return {"version": "kubernetes.dask.org/v1", "url": url, "namespace": self._namespace}

    async def _look(self, component: str) -> None:
        """Say what pods wait for; give up if they will never run."""
        try:
            found = await self._some("pods", "v1", component)
            makers = [] if found else await self._some("deployments", "apps/v1", component)
        except Exception:
            # Whoever starts them, or the scheduler, says what is wrong.
            found = makers = []
        self._waits[component].judge(found, makers)

    async def _some(self, kind: str, version: str, component: str) -> list[dict[str, Any]]:
        chosen = f"dask.org/cluster-name={self._name},dask.org/component={component}"
        async with self._api.call_api(
            "GET", version=version, url=kind, namespace=self._namespace,
            params={"labelSelector": chosen},
        ) as answer:  # fmt: skip
            return list(answer.json()["items"])


def _seconds(text: str) -> float:
    hours, minutes, seconds = map(int, text.split(":"))
    return float(3600 * hours + 60 * minutes + seconds)


def _why(error: BaseException) -> str:
    return plain(str(error)) or type(error).__name__
