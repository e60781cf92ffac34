"""The worker process: runs repeats of one backend's cases, told what to do line by line.

Requests come in on standard input and events go out on standard output, each a JSON object
on a line. Everything else that is printed, by whichever library, goes to standard error.
"""

import contextlib
import importlib.util
import json
import logging
import multiprocessing
import os
import queue
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import greenbench
from greenbench import registry
from greenbench.backends import Backend, ReplayingBackend, process_state
from greenbench.backends.process_state import ProcessState
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.host import StopWatch
from greenbench.energy.idle import measure_idle_w, measures
from greenbench.energy.meters import meter_names, open_meter
from greenbench.errors import ConfigurationError, GreenbenchError
from greenbench.machine.environment import describe_environment
from greenbench.machine.places import described
from greenbench.results.journal import Journal
from greenbench.running.worker_warnings import Warnings
from greenbench.search.bench import Bench, Emit
from greenbench.search.repeat import data_of, run_repeat
from greenbench.tracking.autologging import forbid_autologging


def main() -> None:
    """Serve requests until standard input ends."""
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def emit(event: str, values: Mapping[str, Any]) -> None:
        channel.write(json.dumps({"event": event, "values": values}).encode() + b"\n")

    requests = _listen(sys.stdin.buffer)
    told = Warnings(emit)
    logging.getLogger(process_state.__name__).addHandler(told)
    bench: Bench | None = None
    state = ProcessState()
    while True:
        request = requests.get()
        try:
            if bench is None:
                bench = _set_up(request, emit)
                state = ProcessState()
                files = [greenbench.__file__, *registry.origin_files()]
                emit("ready", {"environment": dict(bench.environment), "files": files})
            elif "idle_s" in request:
                emit("idle", {"power_w": _measure_idle_w(bench, request["idle_s"])})
            elif "data_of" in request:
                case = Case.from_dict(request["data_of"])
                emit("data", data_of(bench, case, request["repeat"]))
            else:
                with told.passed_on():
                    _run(bench, request)
                emit("finished", {"lasting": state.put_back(_who(request))})
        except Exception as error:
            # The log may be on the disk that is full.
            with contextlib.suppress(OSError):
                traceback.print_exc()
            is_ours = isinstance(error, GreenbenchError)
            lasting = state.put_back(_who(request)) if bench else []
            values = {
                "message": described(error),
                "is_configuration": is_ours,
                "lasting": lasting,
            }
            emit("failed", values)


def _listen(stream: BinaryIO) -> "queue.Queue[dict[str, Any]]":
    """Read requests in a thread, which ends the process as soon as its parent is gone."""
    requests: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        for line in stream:
            requests.put(json.loads(line))
        # The parent may have been killed. Nobody waits for this measurement any more, and
        # whoever resumes it must not find us still writing to the journal.
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return requests


def _set_up(request: Mapping[str, Any], emit: Emit) -> Bench:
    sys.path[:0] = [entry for entry in request["sys_path"] if entry not in sys.path]
    forbid_autologging()
    name, threads = request["backend"], request["threads"]
    # Before anybody else's code: Keras reads its settings when it is first imported.
    ours = name in registry.backends.names()
    backend = registry.backends.get(name)(name, threads=threads) if ours else None
    state = ProcessState()
    registry.load_plugins()
    for module in request["modules"]:
        import_module_file(module["name"], module["file"])
    state.put_back("a module of yours", after_imports=True)
    if backend is None:
        backend = registry.backends.get(name)(name, threads=threads)
    measuring = _measuring(backend, request)
    is_replay = isinstance(backend, ReplayingBackend)
    meters = [measuring["meter"].name] if is_replay else meter_names(request["meter"])
    return Bench(
        backend=backend,
        **measuring,
        intensity=CarbonIntensity(**request["intensity"]),
        environment={
            **describe_environment(threads, backend.describe(), request["revision"]),
            "meter": ",".join(meters),
        },
        data_dir=Path(request["data_dir"]),
        emit=emit,
    )


def _measuring(backend: Backend, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a bench that energy and time are read with."""
    if isinstance(backend, ReplayingBackend):
        # Windows that are replayed need not be long for this machine's counters.
        return {"meter": backend.meter(), "control": backend.meter(), "clock": backend.now_s}
    return {
        "meter": open_meter(request["meter"]),
        "control": open_meter(request["meter"].partition(",")[0]),
        "min_window_s": request["min_window_s"],
        "stops": _watch_stops(),
    }


def _watch_stops() -> StopWatch:
    stops = StopWatch()
    stops.start()
    return stops


def _measure_idle_w(bench: Bench, seconds: float) -> dict[str, float]:
    return measure_idle_w(bench.meter, seconds) if measures(bench.meter) else {}


def _who(request: Mapping[str, Any]) -> str:
    case = request.get("case")
    return f"case {Case.from_dict(case).id}" if case else "a module of yours"


def _run(bench: Bench, request: Mapping[str, Any]) -> None:
    # Whoever turns it off for a moment turns it on again.
    forbid_autologging()
    journal = Journal(Path(request["journal"]))
    case = Case.from_dict(request["case"])
    bench = replace(bench, idle_w=request["idle_w"], mixed=request["mixed"])
    run_repeat(bench, case, request["repeat"], request["suite"], journal)


def import_module_file(name: str, file: str) -> None:
    """Import a module that registers parts, under the name that it has in the parent."""
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"cannot import {file}, which registers parts of a case")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    try:
        main()
    finally:
        # An interpreter that shuts down would wait for the thread that reads its input.
        os._exit(1)
