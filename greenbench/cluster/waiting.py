"""Pods that do not run: what Kubernetes says of them, how often that is told, when to give up."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from greenbench.cluster.asked import KUBERNETES
from greenbench.errors import ClusterError
from greenbench.machine.secrets import redact

TELL_AFTER_S = 30.0
"""After how long a wait is told; then after twice as long, and so on."""
MINUTE_S = 60
PATIENCE_S = 60
"""How long all pods may be in trouble, which may pass: a registry that is away for a moment."""
LENGTH = 300
"""Of what Kubernetes says; it may repeat all that it was sent."""
TROUBLES = (
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
)
"""Why a container waits that will most likely never run."""

Found = Mapping[str, Any]
"""An object of Kubernetes, as it tells of it."""


class Waiting:
    """A wait for the pods of one component, which look after look judges.

    Parameters
    ----------
    component : str
        What they are: ``scheduler`` or ``worker``.
    notice : callable
        Shows one line.
    limit_s : float, optional
        How long the wait may take; without, as of a queue, there is no limit.
    clock : callable
        Tells seconds.
    """

    def __init__(
        self,
        component: str,
        notice: Callable[[str], None],
        limit_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._component, self._notice = component, notice
        self._limit_s, self._clock = limit_s, clock
        self._since, self._tell_after_s = clock(), TELL_AFTER_S
        self._troubled_since: dict[str, float] = {}

    def judge(self, pods: Sequence[Found], deployments: Sequence[Found] = ()) -> None:
        """Say now and then what the component waits for.

        Parameters
        ----------
        pods : sequence of mapping
            Those that there are; none as well if Kubernetes did not say.
        deployments : sequence of mapping
            What should have made them.

        Raises
        ------
        ClusterError
            If all of them have been in trouble for long, or it takes longer than the limit.
        """
        self._give_up_on(pods)
        waited_s, why = self._clock() - self._since, _reason(pods, deployments)
        if self._limit_s is not None and waited_s >= self._limit_s:
            raise ClusterError(
                f"--cluster {KUBERNETES} has no {self._component} within {_span(self._limit_s)}: "
                f"{why}; mend what it says, or let it take longer by --cluster-option wait"
            )
        if waited_s >= self._tell_after_s:
            # Somebody may not have looked for long.
            while waited_s >= self._tell_after_s > 0:
                self._tell_after_s *= 2
            self._notice(f"{KUBERNETES}: no {self._component} yet: {why}{self._end}")

    @property
    def _end(self) -> str:
        if self._limit_s is None:
            return ""
        return f"; given up after {_span(self._limit_s)} (--cluster-option wait)"

    def _give_up_on(self, pods: Sequence[Found]) -> None:
        if not pods:
            return
        now = self._clock()
        troubles = {pod["metadata"]["name"]: told for pod in pods if (told := _trouble(pod))}
        self._troubled_since = {name: self._troubled_since.get(name, now) for name in troubles}
        is_all = len(troubles) == len(pods)
        if is_all and now - max(self._troubled_since.values()) >= PATIENCE_S:
            name, told = troubles.popitem()
            raise ClusterError(
                f"--cluster {KUBERNETES} has no {self._component} that runs: "
                f"{plain(f'{name} is in {told}')}; correct what it says, or --cluster-option image"
            )


def plain(text: str) -> str:
    """Return what Kubernetes says as one line, not too long, and without secrets.

    Parameters
    ----------
    text : str
        Its words.
    """
    line = re.sub(r"\s+", " ", text).strip()
    return redact(line if len(line) <= LENGTH else f"{line[:LENGTH]}…")


def _reason(pods: Sequence[Found], deployments: Sequence[Found]) -> str:
    """Return what a component waits for: of one pod, whose state says most."""
    for pod in pods:
        if told := next(_told_of(pod), None):
            return plain(f"{pod['metadata']['name']} waits: {told}")
    if pods:
        return f"{pods[0]['metadata']['name']} is there, and does not answer"
    for deployment in deployments:
        for refused in _conditions(deployment, "ReplicaFailure", "True"):
            return plain(f"it gets no pod: {refused}")
    return "there is no pod of it"


def _told_of(pod: Found) -> Iterator[str]:
    yield from _conditions(pod, "PodScheduled", "False")
    for waiting in _waiting(pod):
        yield _both(waiting)
    if pod.get("status", {}).get("phase") == "Pending":
        yield "Pending"


def _trouble(pod: Found) -> str | None:
    """Return why a pod most likely never runs; None if it does, or may."""
    return next((_both(each) for each in _waiting(pod) if each.get("reason") in TROUBLES), None)


def _waiting(pod: Found) -> Iterator[Found]:
    for container in pod.get("status", {}).get("containerStatuses", ()):
        if waiting := container.get("state", {}).get("waiting"):
            yield waiting


def _conditions(found: Found, kind: str, status: str) -> Iterator[str]:
    for each in found.get("status", {}).get("conditions", ()):
        if each["type"] == kind and each["status"] == status:
            yield _both(each)


def _both(told: Found) -> str:
    message = told.get("message")
    return f"{told.get('reason')} ({message})" if message else str(told.get("reason"))


def _span(seconds: float) -> str:
    return f"{seconds / MINUTE_S:g} min" if seconds >= MINUTE_S else f"{seconds:g} s"
