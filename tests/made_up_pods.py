"""Pods of a made-up Kubernetes: processes on this machine, each with an address of its own."""

import re
import secrets
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

IMAGE = "here/greenbench:1"
"""The one that there is; of others, pods wait as Kubernetes lets them."""
LOOK_S = 0.1
MOST_STARTS = 3

Object = dict[str, Any]


class Kubelet:
    """Processes of pods."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, environment
        self._running: dict[str, tuple[subprocess.Popen[bytes], str]] = {}
        self._starts: dict[str, int] = {}
        self.without_image: set[str] = set()
        """Components whose image cannot be had any more."""
        self.without_node: dict[str, str] = {}
        """Components that no node takes, and what is said of it."""
        self._ending: list[subprocess.Popen[bytes]] = []

    def status(self, pod: Object, address_of: Callable[[str, str], str | None]) -> Object:
        """Return the status of a pod, which is started if it can be and doesn't run."""
        uid, container = pod["metadata"]["uid"], pod["spec"]["containers"][0]
        component = pod["metadata"]["labels"]["dask.org/component"]
        if container["image"] != IMAGE or component in self.without_image:
            return _waiting("Pending", "ImagePullBackOff", f"pull of {container['image']!r} failed")
        if uid not in self._running and component in self.without_node:
            return _unscheduled(self.without_node[component])
        if uid not in self._running:
            words = _environment(pod, address_of)
            if words is None:
                return {"phase": "Pending"}
            self._starts[uid] = self._starts.get(uid, 0) + 1
            self._running[uid] = self._start(pod, words)
        process, address = self._running[uid]
        if process.poll() is not None:
            if self._starts[uid] > MOST_STARTS:
                return _waiting("Running", "CrashLoopBackOff", "back-off restarting the container")
            del self._running[uid]
            return {"phase": "Running", "podIP": address}
        is_ready = str(component != "scheduler" or _answers(address, 8787))
        conditions = [{"type": name, "status": is_ready} for name in ("Ready", "ContainersReady")]
        return {"phase": "Running", "podIP": address, "conditions": conditions}

    def end_all_but(self, uids: set[str]) -> None:
        for uid in self._running.keys() - uids:
            process, _ = self._running.pop(uid)
            process.terminate()
            self._ending.append(process)
        self._ending = [each for each in self._ending if each.poll() is None]

    def close(self) -> None:
        """End all that is left."""
        self.end_all_but(set())
        for process in self._ending:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, pod: Object, words: dict[str, str]) -> "tuple[subprocess.Popen[bytes], str]":
        a, b, c = secrets.token_bytes(3)
        address = f"127.{a}.{b}.{c % 254 + 1}"
        line = [
            re.sub(r"\$\((\w+)\)", lambda found: words.get(found[1], found[0]), each)
            for each in pod["spec"]["containers"][0]["args"]
        ]
        # What a network of its own does for a pod.
        if line[1] == "scheduler":
            line += ["--host", address, "--dashboard-address", f"{address}:8787"]
        else:
            line += ["--host", address]
        with (self._folder / f"{pod['metadata']['name']}.log").open("ab") as log:
            process = subprocess.Popen(
                line, cwd=self._folder, env={**self._environment, **words},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        return process, address


def _environment(
    pod: Object, address_of: Callable[[str, str], str | None]
) -> dict[str, str] | None:
    """Return the variables of a pod, with services' addresses; None where one has none yet."""
    found = {}
    for variable in pod["spec"]["containers"][0].get("env") or ():
        value = str(variable["value"])
        if named := re.search(r"([\w-]+)\.([\w-]+)\.svc\.cluster\.local", value):
            address = address_of(named[1], named[2])
            if address is None:
                return None
            value = value.replace(named[0], address)
        found[variable["name"]] = value
    return found


def _waiting(phase: str, reason: str, message: str) -> Object:
    waiting = {"reason": reason, "message": message}
    return {"phase": phase, "containerStatuses": [{"state": {"waiting": waiting}}]}


def _unscheduled(message: str) -> Object:
    told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    return {"phase": "Pending", "conditions": [{**told, "message": message}]}


def is_ready(pod: Object) -> bool:
    return any(each["status"] == "True" for each in pod["status"].get("conditions", ()))


def _answers(address: str, port: int) -> bool:
    with socket.socket() as tried:
        tried.settimeout(LOOK_S)
        return tried.connect_ex((address, port)) == 0
