"""A made-up Kubernetes: an API server that keeps objects, and pods that are processes here.

It does what dask-kubernetes and its operator ask for, and no more: no access control, no schemas,
no nodes. Each pod has an address of its own on loopback, and images are names.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.made_up_objects import DASK, KINDS, RefusedError, Store
from tests.made_up_pods import LOOK_S, Object

OF_ALL = ("namespaces", "customresourcedefinitions")
"""Kinds whose objects lie in no namespace."""
PATH = re.compile(
    r"/(?P<base>api/v1|apis/[^/]+/[^/]+)(/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/]+)(/(?P<name>[^/]+)(/(?P<part>[^/]+))?)?"
)
CLOSED = "closed"
"""A namespace where nobody may do anything."""
STARTS_S = 300.0


def require_kubernetes() -> None:
    """Skip a test where there is no dask-kubernetes."""
    pytest.importorskip("dask_kubernetes", reason="pip install 'greenbench[cluster]' brings it")
    if os.uname().sysname != "Linux":
        pytest.skip("pods have addresses of their own on loopback, which only Linux gives")


class Server:
    """Answers over HTTP as Kubernetes does.

    Parameters
    ----------
    store : Store
        What it keeps.
    has_operator : bool
        Whether the kinds of the operator are known.
    """

    def __init__(self, store: Store, *, has_operator: bool = True) -> None:
        self.store = store
        self._kinds = {
            plural: (base, kind)
            for plural, (base, kind) in KINDS.items()
            if has_operator or base != DASK
        }

    async def answer(self, request: Any) -> Any:
        from aiohttp import web  # noqa: PLC0415

        if (found := self._discovered(request.path.rstrip("/"))) is not None:
            return web.json_response(found)
        path = PATH.fullmatch(request.path.rstrip("/"))
        if path is None or self._kinds.get(path["plural"], ("",))[0] != path["base"]:
            return web.Response(status=404, text="404 page not found")
        try:
            if path["part"] == "portforward":
                return await self._forward(request, path["namespace"], path["name"])
            if request.method == "GET" and request.query.get("watch") in ("1", "true"):
                return await self._watch(request, path)
            given = await request.json() if request.can_read_body else {}
            is_new = request.method == "POST"
            return web.json_response(self._done(request, path, given), status=200 + is_new)
        except RefusedError as error:
            told = {"kind": "Status", "status": "Failure", "code": error.code}
            return web.json_response({**told, "message": str(error)}, status=error.code)

    def _discovered(self, path: str) -> Object | None:
        bases = sorted({base for base, _ in self._kinds.values()} - {"api/v1"})
        versions = [base.partition("/")[2] for base in bases]
        if path == "/version":
            return {"major": "1", "minor": "33", "gitVersion": "v1.33.0"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            each = [{"groupVersion": name, "version": name.partition("/")[2]} for name in versions]
            groups = [
                {"name": one["groupVersion"].partition("/")[0], "versions": [one],
                 "preferredVersion": one}
                for one in each
            ]  # fmt: skip
            return {"kind": "APIGroupList", "groups": groups}
        if path.lstrip("/") not in ("api/v1", *bases):
            return None
        verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
        resources = [
            {"name": plural, "singularName": kind.lower(), "kind": kind,
             "namespaced": plural not in OF_ALL, "verbs": verbs}
            for plural, (base, kind) in self._kinds.items()
            if base == path.lstrip("/")
        ]  # fmt: skip
        version = path.lstrip("/").partition("/")[2]
        return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}

    def _done(self, request: Any, path: "re.Match[str]", given: Any) -> Object:
        plural, namespace, name = path["plural"], path["namespace"] or "", path["name"]
        if namespace == CLOSED:
            raise RefusedError(403, f'{plural} is forbidden: User "jane" may not use "{CLOSED}"')
        if request.method == "POST":
            return self.store.create(plural, namespace, given)
        if name is None:
            items = [
                each
                for each in self.store.some(plural, path["namespace"])
                if _is_chosen(each, request.query)
            ]
            meta = {"resourceVersion": str(len(self.store.events))}
            return {"kind": f"{KINDS[plural][1]}List", "metadata": meta, "items": items}
        old = self.store.one(plural, namespace, name)
        if request.method == "DELETE":
            self.store.delete(plural, old)
        elif request.method == "PATCH":
            if "json-patch" in request.content_type:
                import jsonpatch  # noqa: PLC0415

                try:
                    new = jsonpatch.apply_patch(old, given)
                except jsonpatch.JsonPatchTestFailed as error:
                    raise RefusedError(422, "somebody else has changed it") from error
            else:
                new = _merged(old, given)
            return self.store.replace(plural, old, new)
        elif request.method == "PUT":
            return self.store.replace(plural, old, given)
        return old

    async def _watch(self, request: Any, path: "re.Match[str]") -> Any:
        from aiohttp import web  # noqa: PLC0415

        self.store.watched.add(path["plural"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        at = int(request.query.get("resourceVersion") or 0)
        with suppress(ConnectionError):
            while True:
                news = self.store.news
                told = self.store.events[at:]
                for what, plural, changed in told:
                    where = changed["metadata"].get("namespace")
                    is_asked = plural == path["plural"] and path["namespace"] in (None, where)
                    if is_asked and _is_chosen(changed, request.query):
                        line = json.dumps({"type": what, "object": changed})
                        await response.write(line.encode() + b"\n")
                # More may have happened while these were written.
                at += len(told)
                await news.wait()
        return response

    async def _forward(self, request: Any, namespace: str, name: str) -> Any:
        """Lead a connection to a port of a pod, each frame with its channel before it."""
        from aiohttp import web  # noqa: PLC0415

        port = int(request.query["ports"])
        address = self.store.one("pods", namespace, name)["status"]["podIP"]
        there, back = await asyncio.open_connection(address, port)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for channel in b"\0\1":
            await socket.send_bytes(bytes([channel]) + port.to_bytes(2, "little"))

        async def answers() -> None:
            with suppress(ConnectionError):
                while data := await there.read(1 << 16):
                    await socket.send_bytes(b"\0" + data)
            await socket.close()

        answering = asyncio.ensure_future(answers())
        with suppress(ConnectionError):
            async for message in socket:
                back.write(message.data[1:])
                await back.drain()
        answering.cancel()
        back.close()
        return socket


def _is_chosen(found: Object, query: Mapping[str, str]) -> bool:
    labels = found["metadata"].get("labels", {})
    by_label = [each.split("=") for each in query.get("labelSelector", "").split(",") if each]
    by_field = [each.split("=") for each in query.get("fieldSelector", "").split(",") if each]
    return all(labels.get(name) == value for name, value in by_label) and all(
        _field(found, name) == value for name, value in by_field
    )


def _field(found: Any, path: str) -> Any:
    for name in path.split("."):
        found = found.get(name, {})
    return found


def _merged(old: Any, change: Any) -> Any:
    """Return what a merge patch (RFC 7386) makes of something."""
    if not isinstance(change, dict):
        return change
    merged = dict(old) if isinstance(old, dict) else {}
    for name, value in change.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


@contextmanager
def kubernetes(folder: Path, *, has_operator: bool = True) -> Iterator[tuple[Store, Path]]:
    """Start a server; yield what it keeps, and the configuration of its clients.

    Parameters
    ----------
    folder : pathlib.Path
        Where pods work, and their logs are.
    has_operator : bool
        Whether the kinds of the operator are known.
    """
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, "GREENBENCH_HOST_LOCK": str(folder / "lock")}
    loop, ready = asyncio.new_event_loop(), threading.Event()
    made: list[Any] = []

    async def serve() -> None:
        from aiohttp import web  # noqa: PLC0415

        made.append(Store(folder, environment))
        application = web.Application()
        answer = Server(made[0], has_operator=has_operator).answer
        application.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        made.append(runner.addresses[0][1])
        ready.set()
        try:
            await made[0].run()
        finally:
            await runner.cleanup()

    serving = loop.create_task(serve())

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(serving)
        # Of clients that went without a word.
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(STARTS_S)
    try:
        yield made[0], kubeconfig(folder, made[1])
    finally:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join()


def kubeconfig(folder: Path, port: int) -> Path:
    """Write what `kubectl` and others read; JSON is YAML."""
    cluster = {"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    user = {"name": "jane", "user": {"token": "made-up"}}
    context = {"name": "here", "context": {"cluster": "here", "user": "jane"}}
    found = {"apiVersion": "v1", "kind": "Config", "current-context": "here"}
    found |= {"clusters": [cluster], "users": [user], "contexts": [context]}
    path = folder / "kubeconfig"
    path.write_text(json.dumps(found))
    return path


@contextmanager
def operator(store: Store, config: Path) -> Iterator[None]:
    """Let the real operator look after the clusters of a server."""
    folder = config.parent
    line = [sys.executable, "-m", "kopf", "run", "--standalone", "--all-namespaces"]
    line += ["-m", "dask_kubernetes.operator.controller"]
    environment = {**os.environ, "KUBECONFIG": str(config)}
    with (folder / "operator.log").open("wb") as log:
        process = subprocess.Popen(
            line, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + STARTS_S
        while "daskclusters" not in store.watched:
            assert process.poll() is None, (folder / "operator.log").read_text()
            assert time.monotonic() < end, "the operator does not start"
            time.sleep(LOOK_S)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
