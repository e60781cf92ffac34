"""What is said of pods that do not run, how often, and when they are given up."""

from typing import Any

import pytest

from greenbench.cluster.waiting import Waiting
from greenbench.errors import ClusterError
from greenbench.testing import FakeClock

NAME = "greenbench-1-scheduler-7f"
FULL = "0/3 nodes are available:\n3 Insufficient cpu."
QUOTA = {
    "type": "ReplicaFailure",
    "status": "True",
    "reason": "FailedCreate",
    "message": "exceeded quota: team",
}


def pod(name: str = NAME, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": status}


def unscheduled(reason: str = "Unschedulable", message: str = FULL) -> dict[str, Any]:
    said = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return pod(phase="Pending", conditions=[{"type": "Ready", "status": "False"}, said])


def waiting(reason: str, **told: str) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, **told}}
    return pod(phase="Pending", containerStatuses=[{"state": state}])


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_a_pod_that_no_node_takes_is_told_with_kubernetes_own_reason(clock: FakeClock) -> None:
    said: list[str] = []
    wait = Waiting("scheduler", said.append, 3600, clock)
    wait.judge([unscheduled()])
    assert said == []
    clock.advance(30)
    wait.judge([unscheduled()])
    assert said == [
        f"kubernetes: no scheduler yet: {NAME} waits: Unschedulable (0/3 nodes are available: "
        "3 Insufficient cpu.); given up after 60 min (--cluster-option wait)"
    ]


def test_a_wait_is_told_at_growing_intervals(clock: FakeClock) -> None:
    said: list[float] = []
    wait = Waiting("worker", lambda _: said.append(clock()), None, clock)
    start = clock()
    for _ in range(1000):
        clock.advance(1)
        wait.judge([unscheduled()])
    assert [when - start for when in said] == [30, 60, 120, 240, 480, 960]
    # Workers came, and went much later.
    clock.advance(100_000)
    wait.judge([unscheduled()])
    wait.judge([unscheduled()])
    assert len(said) == 7


def test_a_scheduler_is_given_up_after_a_limit_and_workers_are_not(clock: FakeClock) -> None:
    scheduler = Waiting("scheduler", print, 90, clock)
    worker = Waiting("worker", print, None, clock)
    clock.advance(90)
    worker.judge([unscheduled()])
    with pytest.raises(ClusterError) as refused:
        scheduler.judge([unscheduled("SchedulingGated", "the queue is full")])
    assert str(refused.value) == (
        f"--cluster kubernetes has no scheduler within 1.5 min: {NAME} waits: SchedulingGated (the "
        "queue is full); mend what it says, or let it take longer by --cluster-option wait"
    )


@pytest.mark.parametrize(
    ("pods", "deployments", "told"),
    [
        ([], [], "there is no pod of it"),
        ([pod(phase="Pending")], [], f"{NAME} waits: Pending"),
        ([waiting("ContainerCreating")], [], f"{NAME} waits: ContainerCreating"),
        ([waiting("ErrImagePull", message="no host")], [], "waits: ErrImagePull (no host)"),
        ([pod("a", phase="Running"), unscheduled()], [], f"{NAME} waits: Unschedulable"),
        ([pod("a", phase="Running")], [], "a is there, and does not answer"),
        ([unscheduled(message="https://me:hyena@host")], [], "Unschedulable (https://"),
        ([unscheduled(message="node " * 1000)], [], "node node no…"),
        (
            [],
            [pod(conditions=[QUOTA])],
            "it gets no pod: FailedCreate (exceeded quota: team)",
        ),
    ],
)
def test_what_is_waited_for_is_one_line(
    clock: FakeClock, pods: list[Any], deployments: list[Any], told: str
) -> None:
    said: list[str] = []
    wait = Waiting("scheduler", said.append, 3600, clock)
    clock.advance(30)
    wait.judge(pods, deployments)
    (line,) = said
    assert told in line
    assert "\n" not in line
    assert "hyena" not in line


def test_trouble_of_all_pods_is_given_up_after_a_while(clock: FakeClock) -> None:
    wait = Waiting("worker", print, None, clock)
    broken = waiting("ImagePullBackOff", message="no such image")
    wait.judge([broken])
    clock.advance(59)
    # Kubernetes did not answer.
    wait.judge([])
    wait.judge([broken, pod("b", phase="Running")])
    clock.advance(1)
    wait.judge([broken, pod("b", phase="Running")])
    with pytest.raises(ClusterError, match=r"in ImagePullBackOff \(no such image\); correct"):
        wait.judge([broken])
