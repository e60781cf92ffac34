"""What a worker does of which Dask must not wait."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Status

from greenbench.cases import Case
from greenbench.cluster import remote
from greenbench.cluster.orders import Common
from greenbench.energy.carbon import CarbonIntensity
from greenbench.settings import Settings

ORDER = {
    "case": Case().to_dict(), "repeat": 0, "suite": "ci", "journal": "a.r0.jsonl", "mixed": [],
    "look": 1, "design": None, "conditions": None, "packages": [],
}  # fmt: skip


class Queue:
    """A queue of Dask, whose event loop stands still until `goes_on`."""

    goes_on: threading.Event
    is_asked: threading.Event
    closed: list[str]

    def __init__(self, name: str, client: object) -> None:
        self.name = name

    def put(self, value: Any, timeout: float | None = None) -> None:
        self.is_asked.set()
        self.goes_on.wait()
        self.number = value["number"]

    def get(self, *, batch: bool) -> list[dict[str, int]]:
        return [{"number": 1}]

    def close(self) -> None:
        self.closed.append(self.name)


def test_event_loop_does_not_wait_for_a_repeat_that_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = SimpleNamespace(state="executing")
    worker = SimpleNamespace(
        name="first",
        status=Status.running,
        local_directory=str(tmp_path),
        state=SimpleNamespace(tasks={"token": task}),
    )
    for name in ("goes_on", "is_asked"):
        monkeypatch.setattr(Queue, name, threading.Event(), raising=False)
    monkeypatch.setattr(Queue, "closed", [], raising=False)
    monkeypatch.setattr(remote, "Queue", Queue)
    monkeypatch.setattr(remote, "get_worker", lambda: worker)
    monkeypatch.setattr(remote, "get_client", lambda: None)
    settings = Settings.from_environment({"GREENBENCH_RUNS_DIR": str(tmp_path)})
    common = Common.of(settings, [], CarbonIntensity(100.0, "fixed"))
    told = replace(common, version="0").to_json()
    given = (told, json.dumps(ORDER), "up", "token")
    repeat = threading.Thread(target=remote.run_repeat, args=given, daemon=True)
    loop = threading.Thread(target=remote.rest, args=(told,), daemon=True)
    repeat.start()
    Queue.is_asked.wait()
    loop.start()
    loop.join(400)
    has_waited = loop.is_alive()
    Queue.goes_on.set()
    repeat.join()
    assert not has_waited
    assert sorted(Queue.closed) == ["token", "up"]
