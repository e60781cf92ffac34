"""Objects of a made-up Kubernetes, and who makes pods of deployments, and processes of pods."""

import asyncio
import copy
import secrets
from collections.abc import Mapping
from pathlib import Path

from tests.made_up_pods import LOOK_S, Kubelet, Object, is_ready

DASK = "apis/kubernetes.dask.org/v1"
KINDS = {
    "namespaces": ("api/v1", "Namespace"),
    "pods": ("api/v1", "Pod"),
    "services": ("api/v1", "Service"),
    "events": ("api/v1", "Event"),
    "deployments": ("apis/apps/v1", "Deployment"),
    "customresourcedefinitions": ("apis/apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    "daskclusters": (DASK, "DaskCluster"),
    "daskworkergroups": (DASK, "DaskWorkerGroup"),
    "daskjobs": (DASK, "DaskJob"),
    "daskautoscalers": (DASK, "DaskAutoscaler"),
}


class RefusedError(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Store:
    """Objects, and what has happened to them.

    Parameters
    ----------
    folder : pathlib.Path
        Where pods work.
    environment : mapping of str to str
        That of all pods, beside their own.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.pods = Kubelet(folder, environment)
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.events: list[tuple[str, str, Object]] = []
        self.news = asyncio.Event()
        self.watched: set[str] = set()
        """Kinds that somebody watches, or has watched."""
        self.asked_for: list[Object] = []
        """Each cluster that was ever asked for."""
        self.stays_pending = False
        """Whether clusters are "Pending" for ever, as where the operator says so last."""
        for name in ("default", "kube-system"):
            self.create("namespaces", "", {"metadata": {"name": name}})

    def create(self, plural: str, namespace: str, given: Object) -> Object:
        made = copy.deepcopy(given)
        meta = made["metadata"]
        if "name" not in meta:
            meta["name"] = f"{meta.pop('generateName')}{secrets.token_hex(3)}"
        if namespace and ("namespaces", "", namespace) not in self.objects:
            raise RefusedError(404, f'namespaces "{namespace}" not found')
        if (plural, namespace, meta["name"]) in self.objects:
            raise RefusedError(409, f'{plural} "{meta["name"]}" already exists')
        base, kind = KINDS[plural]
        made |= {"apiVersion": base.partition("/")[2], "kind": kind}
        meta |= {"uid": secrets.token_hex(8), "generation": 1}
        meta |= {"creationTimestamp": "2026-01-01T00:00:00Z"}
        meta |= {"namespace": namespace} if namespace else {}
        if plural == "services":
            made["status"] = {"loadBalancer": {}}
        if plural == "daskclusters":
            self.asked_for.append(copy.deepcopy(made))
        self._keep("ADDED", plural, made)
        return made

    def replace(self, plural: str, old: Object, new: Object) -> Object:
        if new == old:
            return old
        changed = copy.deepcopy(new)
        if plural == "daskclusters" and self.stays_pending and "phase" in changed.get("status", {}):
            said = changed["status"]["phase"]
            changed["status"]["phase"] = "Pending" if said == "Running" else said
        if changed.get("spec") != old.get("spec"):
            changed["metadata"]["generation"] += 1
        self._keep("MODIFIED", plural, changed)
        self._finish(plural, changed)
        return changed

    def delete(self, plural: str, old: Object) -> None:
        gone = copy.deepcopy(old)
        gone["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:01Z"
        self._keep("MODIFIED", plural, gone)
        self._finish(plural, gone)

    def one(self, plural: str, namespace: str, name: str) -> Object:
        try:
            return self.objects[plural, namespace, name]
        except KeyError:
            raise RefusedError(404, f'{plural} "{name}" not found') from None

    def some(self, plural: str, namespace: str | None = None) -> list[Object]:
        return [
            found
            # A copy: tests ask in threads of their own.
            for (kind, where, _), found in list(self.objects.items())
            if kind == plural and namespace in (None, where)
        ]

    def _finish(self, plural: str, changed: Object) -> None:
        """Remove what is to be deleted, once nobody has something to do before."""
        meta = changed["metadata"]
        if "deletionTimestamp" not in meta or meta.get("finalizers"):
            return
        self._keep("DELETED", plural, changed)

    def _collect(self) -> None:
        """Remove what belongs to something that is gone."""
        there = {each["metadata"]["uid"] for each in self.objects.values()}
        for (plural, *_), found in list(self.objects.items()):
            owners = {owner["uid"] for owner in found["metadata"].get("ownerReferences", ())}
            if owners and not owners & there and "deletionTimestamp" not in found["metadata"]:
                self.delete(plural, found)

    def _keep(self, what: str, plural: str, changed: Object) -> None:
        meta = changed["metadata"]
        meta["resourceVersion"] = str(len(self.events) + 1)
        key = (plural, meta.get("namespace", ""), meta["name"])
        if what == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = changed
        self.events.append((what, plural, copy.deepcopy(changed)))
        self.news.set()
        self.news = asyncio.Event()

    async def run(self) -> None:
        """Play the controllers: what belongs to nothing, pods of deployments, processes of pods."""
        try:
            while True:
                self._collect()
                for deployment in self.some("deployments"):
                    self._have_pod(deployment)
                for pod in self.some("pods"):
                    self._look_after(pod)
                self.pods.end_all_but({pod["metadata"]["uid"] for pod in self.some("pods")})
                await asyncio.sleep(LOOK_S)
        finally:
            self.pods.close()

    def _have_pod(self, deployment: Object) -> None:
        meta, template = deployment["metadata"], deployment["spec"]["template"]
        uid = meta["uid"]
        if any(uid == pod["metadata"]["ownerReferences"][0]["uid"] for pod in self.some("pods")):
            return
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": uid}
        about = {"labels": template["metadata"]["labels"], "ownerReferences": [owner]}
        about["name"] = f"{meta['name']}-{secrets.token_hex(3)}"
        pod = {"metadata": about, "spec": template["spec"], "status": {"phase": "Pending"}}
        self.create("pods", meta["namespace"], pod)

    def _look_after(self, pod: Object) -> None:
        status = self.pods.status(pod, self._address_of)
        if status != pod["status"]:
            self.replace("pods", pod, {**pod, "status": status})

    def _address_of(self, service: str, namespace: str) -> str | None:
        """Return the address of the one pod that a service leads to; None if none is ready."""
        chosen = self.objects.get(("services", namespace, service), {}).get("spec", {})
        for pod in self.some("pods", namespace):
            labels = pod["metadata"]["labels"]
            if chosen and chosen["selector"].items() <= labels.items() and is_ready(pod):
                return str(pod["status"]["podIP"])
        return None
