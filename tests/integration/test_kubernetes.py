"""Pods run cases, by the real client and operator of dask-kubernetes; Kubernetes is made up."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from greenbench.cluster import pods as of_pods
from greenbench.cluster import waiting
from greenbench.cluster.asked import Asked, asked
from greenbench.cluster.pods import pods
from greenbench.errors import ClusterError, ConfigurationError
from greenbench.settings import Scope, Settings
from greenbench.tracking import Store
from tests.conftest import Greenbench
from tests.made_up_kubernetes import CLOSED, kubeconfig, kubernetes, operator, require_kubernetes
from tests.made_up_objects import Store as Objects
from tests.made_up_pods import IMAGE

pytestmark = pytest.mark.integration

CASE = ("-s", "grid", "-a", "dense.xs", "-d", "synthetic", "--trials", "1", "--epochs", "1")
OPTIONS = ("--cluster", "kubernetes:1", "--cluster-option", f"image={IMAGE}")
SMALL = ("run", *CASE, "--repeats", "2", *OPTIONS)
PATIENCE_S = 300.0
FULL = "0/1 nodes are available: 1 Insufficient cpu."

Found = tuple[Objects, Path]
Client = Callable[[Path], None]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """Kubernetes with the operator: what it keeps, and the configuration of its clients."""
    require_kubernetes()
    folder = tmp_path_factory.mktemp("pods")
    with kubernetes(folder) as (objects, config), operator(objects, config):
        yield objects, config


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Let this process be a client of a Kubernetes: patient with it, and not with its pods."""
    require_kubernetes()
    import dask  # noqa: PLC0415
    import dask_kubernetes  # noqa: F401, PLC0415 - it brings what nobody has configured
    import kr8s.asyncio  # noqa: PLC0415

    monkeypatch.setattr(waiting, "PATIENCE_S", 0)
    monkeypatch.setattr(of_pods, "ANSWER_S", PATIENCE_S)
    monkeypatch.setattr(of_pods, "END_S", PATIENCE_S)

    def use(config: Path) -> None:
        monkeypatch.setenv("KUBECONFIG", str(config))
        # It keeps them by a thread and a loop, which Python may give their names again.
        monkeypatch.setattr(kr8s.asyncio.Api, "_instances", {})

    with dask.config.set({"kubernetes.resource-timeout": PATIENCE_S}):
        yield use


def named(*options: str) -> Asked:
    found = asked(None, "kubernetes:2", [f"image={IMAGE}", *options])
    assert found is not None
    return found


def refusal(wanted: Asked, said: list[str]) -> str:
    """Return what is said of pods that cannot be started."""
    with pytest.raises(ClusterError) as refused, pods(wanted, None, said.append):
        pass
    assert "\n" not in str(refused.value)
    return str(refused.value)


def left(objects: Objects) -> list[str]:
    """Return the kinds of which something stays, beside what there always is."""
    end = time.monotonic() + PATIENCE_S
    # As there, what belongs to something goes soon after it.
    while (kinds := _kinds(objects)) and time.monotonic() < end:
        time.sleep(0.1)
    return kinds


def _kinds(objects: Objects) -> list[str]:
    return sorted({kind for kind, *_ in list(objects.objects)} - {"namespaces", "events"})


def test_pods_run_a_suite_and_are_gone_with_it(found: Found, greenbench: Greenbench) -> None:
    objects, config = found
    greenbench.environment |= {"KUBECONFIG": str(config), "GREENBENCH_METER": "process"}
    greenbench.environment["DASK_KUBERNETES__RESOURCE_TIMEOUT"] = str(PATIENCE_S)
    done = greenbench(*SMALL, timeout_s=3 * PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    settings = Settings.from_environment(greenbench.environment)
    rows = Store.existing(settings.tracking_uri).read_rows()
    assert sorted(row["repeat"] for row in rows) == [0, 1]
    assert left(objects) == []

    name = objects.asked_for[-1]["metadata"]["name"]
    told = done.stderr.splitlines()
    assert f"--selector dask.org/cluster-name={name} --namespace default" in told[0]
    assert [line for line in told if line.startswith("the cluster's dashboard: http://")]
    assert "Warning" not in done.stderr
    assert "Traceback" not in done.stderr


def test_pods_that_wait_say_why_and_measure_one_at_a_time_on_nodes_of_their_own(
    found: Found, client: Client, eventually: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    objects, config = found
    client(config)
    from distributed import Client as Asking  # noqa: PLC0415

    monkeypatch.setattr(objects, "stays_pending", True)

    monkeypatch.setattr(waiting, "TELL_AFTER_S", 0)
    monkeypatch.setattr(of_pods, "LOOK_EVERY_S", 0)
    monkeypatch.setattr(objects.pods, "without_node", {"scheduler": FULL})
    monkeypatch.setattr(objects.pods, "without_image", {"worker"})
    said: list[str] = []

    def notice(text: str) -> None:
        said.append(text)
        if f"waits: Unschedulable ({FULL})" in text:
            objects.pods.without_node.pop("scheduler", None)

    with pods(named("namespace=default"), None, notice) as (cluster, security, check):
        told = next(line for line in said if "Unschedulable" in line)
        assert told.startswith("kubernetes: no scheduler yet: greenbench-")
        assert told.endswith("; given up after 60 min (--cluster-option wait)")

        def is_given_up() -> bool:
            try:
                check()
            except ClusterError as error:
                return "default-worker" in str(error) and "ImagePullBackOff" in str(error)
            return False

        eventually(is_given_up, PATIENCE_S)
        objects.pods.without_node["worker"] = FULL
        objects.pods.without_image.clear()

        def is_told() -> bool:
            # Until they are looked at again, they wait for their image.
            with suppress(ClusterError):
                check()
            return f"waits: Unschedulable ({FULL})" in said[-1] and "no worker yet" in said[-1]

        eventually(is_told, PATIENCE_S)
        assert "given up" not in said[-1]
        objects.pods.without_node.clear()

        with Asking(cluster.scheduler_address, set_as_default=False) as asking:
            asking.wait_for_workers(2, timeout=PATIENCE_S)
            workers = asking.scheduler_info()["workers"].values()
            assert [worker["resources"] for worker in workers] == [{"METER": 1}] * 2
            assert [worker["nthreads"] for worker in workers] == [1, 1]
        pods_there = [pod for pod in objects.some("pods") if "affinity" in pod["spec"]]
        assert len(pods_there) == 2
        for pod in pods_there:
            (apart,) = pod["spec"]["affinity"]["podAntiAffinity"].popitem()[1]
            chosen = apart["labelSelector"]["matchLabels"].items()
            assert chosen <= pod["metadata"]["labels"].items()
    assert security is None
    assert left(objects) == []


def test_a_scheduler_that_no_node_takes_is_given_up(
    found: Found, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects, config = found
    client(config)
    monkeypatch.setattr(objects.pods, "without_node", {"scheduler": FULL})
    told = refusal(named("wait=0:00:02"), [])
    assert told.startswith("--cluster kubernetes has no scheduler within 2 s: ")
    assert left(objects) == []


def test_a_driver_that_is_terminated_leaves_no_pods(
    found: Found, greenbench: Greenbench, eventually: Callable[..., None], monkeypatch: Any
) -> None:
    objects, config = found
    monkeypatch.setattr(objects.pods, "without_node", {"scheduler": FULL})
    greenbench.environment["KUBECONFIG"] = str(config)
    driver = greenbench.start(*SMALL)
    eventually(lambda: objects.some("pods"), PATIENCE_S)
    driver.terminate()
    told, _ = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 130, told
    # That it waits is told after a while, which a busy machine may take.
    assert [line for line in told.splitlines()[1:] if "no scheduler yet" not in line] == [
        "interrupted: finished trials are kept; the same command resumes"
    ]
    assert left(objects) == []


def test_an_image_that_cannot_be_had_ends_the_run(found: Found, client: Client) -> None:
    objects, config = found
    client(config)
    told = refusal(named("image=no/such:1"), [])
    assert "ImagePullBackOff (pull of 'no/such:1' failed)" in told
    assert "--cluster-option image" in told
    assert left(objects) == []


def test_a_cluster_without_operator_is_given_up(tmp_path: Path, client: Client) -> None:
    import dask  # noqa: PLC0415

    with (
        kubernetes(tmp_path) as (objects, config),
        dask.config.set({"kubernetes.resource-timeout": 1}),
    ):
        client(config)
        told = refusal(named(), [])
        assert "no Dask operator makes its pods within 1 s" in told
        assert "the Dask operator must be installed" in told
        assert left(objects) == []
        assert len(objects.asked_for) == 1


def test_whoever_knows_no_clusters_of_dask_or_is_gone_is_one_line(
    tmp_path: Path, client: Client
) -> None:
    with kubernetes(tmp_path, has_operator=False) as (_, config):
        client(config)
        assert "cannot start pods (it knows no DaskCluster)" in refusal(named(), [])
    client(config)
    assert "cannot start pods (" in refusal(named(), [])


def test_whoever_says_nothing_is_not_waited_for(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_pods, "ANSWER_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        client(kubeconfig(tmp_path, mute.getsockname()[1]))
        said: list[str] = []
        assert "cannot start pods (TimeoutError)" in refusal(named(), said)
    assert said == []


def test_a_namespace_that_refuses_is_one_line_and_exit_code_2(greenbench: Greenbench) -> None:
    require_kubernetes()
    with kubernetes(greenbench.folder) as (_, config):
        greenbench.environment["KUBECONFIG"] = str(config)
        done = greenbench(*SMALL, "--cluster-option", f"namespace={CLOSED}")
    assert done.returncode == 2, done.stdout + done.stderr
    (told,) = done.stderr.splitlines()
    assert told.startswith("Error: --cluster kubernetes cannot start pods (")
    assert 'User "jane" may not use "closed"' in told
    assert f"kubectl get daskclusters --namespace {CLOSED}" in told


def test_an_image_without_greenbench_is_refused() -> None:
    require_kubernetes()
    wanted = asked(None, "kubernetes:2")
    assert wanted is not None
    with pytest.raises(ConfigurationError, match="add --cluster-option image="):
        of_pods.manifest(wanted, None)


def test_pods_that_measure_gpus_may_share_a_node() -> None:
    require_kubernetes()
    assert "affinity" not in of_pods.manifest(named(), Scope.GPU)["spec"]["worker"]["spec"]
