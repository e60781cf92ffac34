"""The worker process: runs repeats of one backend's cases, told what to do line by line.

Requests come in on standard input and events go out on standard output, each a JSON object
on a line. Everything else that is printed, by whichever library, goes to standard error.
"""

import contextlib
import gc
import logging
import os
import queue
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import greenbench
from greenbench import registry
from greenbench.backends import Backend, ReplayingBackend, process_state
from greenbench.backends.base import LocatingBackend
from greenbench.backends.process_state import ProcessState
from greenbench.backends.sharing import SharingBackend
from greenbench.cases import Case
from greenbench.cases.case import OWN
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.control import measure_control
from greenbench.energy.counters import TICKING, Counters, open_counters
from greenbench.energy.gpus import gpus_to_read
from greenbench.energy.host import StopWatch
from greenbench.energy.idle import IdlePower, measure_idle, measures
from greenbench.energy.meters import meter_names, open_meter
from greenbench.energy.scoped import ScopedMeter
from greenbench.errors import DatasetError, GreenbenchError
from greenbench.machine.claims import Fence
from greenbench.machine.environment import describe_environment
from greenbench.machine.places import described
from greenbench.machine.secrets import redact
from greenbench.machine.surroundings import (
    draw_without_screen,
    tolerate_warnings,
    wait_for_children,
)
from greenbench.results.gpus import Gpu
from greenbench.results.journal import Journal
from greenbench.results.marks import REPLAYING
from greenbench.results.scope import names_in
from greenbench.running.channels import listen, take_over, write
from greenbench.running.companions import CompanionProcesses
from greenbench.running.parts import import_parts
from greenbench.running.worker_process import ENDING, TRIAL_EVENTS
from greenbench.running.worker_warnings import Warnings
from greenbench.search.bench import Bench, Emit
from greenbench.search.kept_data import KeptData
from greenbench.search.repeat import data_of, prepare, run_repeat
from greenbench.search.sharing import SharedBackend
from greenbench.settings import Scope
from greenbench.tracking.autologging import forbid_autologging
from greenbench.tracking.models import save_model

NAMING = ("modules", "in_sight", "parts")
"""What of a request says which modules to import."""


def main() -> None:
    """Serve requests until standard input ends."""
    draw_without_screen(os.environ)
    tolerate_warnings()
    wait_for_children()
    events, given = take_over()
    worker = _Worker(events, listen(given))
    while True:
        worker.serve()


class _Worker:
    """Serves the requests of one parent, of which the first says what it is for.

    Parameters
    ----------
    events : binary file
        What the parent reads.
    requests : queue of dict
        What it asks for.
    """

    def __init__(self, events: BinaryIO, requests: "queue.Queue[dict[str, Any]]") -> None:
        self._events, self._requests = events, requests
        self._told = Warnings()
        logging.getLogger(process_state.__name__).addHandler(self._told)
        self._state = ProcessState()
        self._bench: Bench | None = None
        self._threads = 1
        self._needs_control = False

    def serve(self) -> None:
        """Wait for a request, do what it asks for, and tell the answer, or why there is none."""
        request = self._requests.get()
        emit = partial(_emit, self._events, request.get("request"))
        try:
            if self._bench is None:
                emit("ready", self._set_up(request, emit))
            else:
                emit(*self._answer(self._bench, request, emit))
        except Exception as error:
            # The log may be on the disk that is full.
            with contextlib.suppress(OSError):
                print(redact(traceback.format_exc()), file=sys.stderr, flush=True)
            lasting = self._state.put_back(_who(request)) if self._bench else []
            values = {
                "message": described(error),
                "is_configuration": isinstance(error, GreenbenchError),
                "is_of_data": isinstance(error, DatasetError),
                "lasting": lasting,
            }
            emit("failed", values)

    def _set_up(self, request: Mapping[str, Any], emit: Emit) -> dict[str, Any]:
        """Make the bench; return what the parent must know of it."""
        last = partial(_emit, self._events, None)
        bench, self._threads = _set_up(request, emit, last), int(request["threads"])
        self._bench = bench
        self._needs_control = bool(request.get("has_control")) and _reads_this_machine(bench)
        self._state = ProcessState()
        return {
            "environment": dict(bench.environment),
            "files": [greenbench.__file__, *registry.origin_files()],
            "measures": _measures(bench),
            "scope": bench.scope,
            "gpus": [asdict(gpu) for gpu in bench.gpus],
        }

    def _answer(
        self, bench: Bench, request: Mapping[str, Any], emit: Emit
    ) -> tuple[str, Mapping[str, Any]]:
        """Do what a request asks for; return the event that ends it, and its values."""
        if "idle_s" in request:
            return "idle", asdict(_measure_idle(bench, request["idle_s"]))
        if "warm_up" in request:
            case = Case.from_dict(request["warm_up"])
            with self._told.silenced():
                _attend(bench, request, request["warm_up"])
                prepare(bench, case, request["repeat"])
                return "warm", {"lasting": self._state.put_back(_who(request))}
        if "data_of" in request:
            return "data", data_of(bench, Case.from_dict(request["data_of"]), request["repeat"])
        if self._needs_control:
            # Once, before the first repeat: no other worker is busy then.
            self._needs_control = False
            control = measure_control(bench.meter, self._threads)
            bench = self._bench = replace(bench, machine_state=control)
        told_emit = _acknowledged(emit, self._requests) if request.get("waits") else emit
        with self._told.passed_on(emit):
            _run(replace(bench, emit=told_emit), self._state, request)
        return "finished", {"lasting": self._state.put_back(_who(request))}


def _emit(channel: BinaryIO, request: int | None, event: str, values: Mapping[str, Any]) -> None:
    write(channel, {"event": event, "values": values, "request": request})


def _acknowledged(emit: Emit, requests: "queue.Queue[dict[str, Any]]") -> Emit:
    """Return what waits, before a trial and after it, until the parent has seen to that."""

    def emit_and_wait(event: str, values: Mapping[str, Any]) -> None:
        emit(event, values)
        while event in TRIAL_EVENTS and "acknowledged" not in requests.get():
            pass

    return emit_and_wait


def _set_up(request: Mapping[str, Any], emit: Emit, last: Emit) -> Bench:
    forbid_autologging()
    name, threads = request["backend"], request["threads"]
    # Before anybody else's code: Keras reads its settings when it is first imported.
    ours = name in registry.backends.names()
    backend = _backend(request, last) if ours else None
    state = ProcessState()
    registry.load_plugins()
    _import_parts(request)
    state.put_back("a module of yours", after_imports=True)
    if backend is None:
        backend = _backend(request, last)
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
            **_modelled_with(measuring, request.get("cpu_tdp_w")),
        },
        data_dir=Path(request["data_dir"]),
        keep=save_model if request.get("keep_models") else None,
        host_lock=Path(request["host_lock"]) if request.get("headline") == Scope.GPU else None,
        emit=emit,
        kept=KeptData(),
    )


def _backend(request: Mapping[str, Any], last: Emit) -> Backend:
    name, threads, devices = request["backend"], request["threads"], request.get("devices", 1)
    kind = registry.backends.get(name)
    if devices == 1 or name == OWN:
        backend: Backend = kind(name, threads=threads)
        return backend
    shared: SharingBackend = kind(name, threads=threads, devices=devices)
    set_up = {key: request[key] for key in (*NAMING, "backend", "threads", "devices", "data_dir")}
    return SharedBackend(shared, lambda: CompanionProcesses(set_up, partial(_give_up, last)))


def _give_up(last: Emit, reason: str) -> None:
    """End this process, which waits for a companion that is lost."""
    last(ENDING, {"message": reason})
    os._exit(1)


def _attend(bench: Bench, request: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    """Tell companions what is trained from now on."""
    if isinstance(bench.backend, SharedBackend):
        parts = {name: request[name] for name in NAMING if name in request}
        bench.backend.attend({"case": case, "repeat": request["repeat"], **parts})


def _import_parts(request: Mapping[str, Any]) -> bool:
    return import_parts(request["modules"], request["in_sight"], request["parts"])


def _measuring(backend: Backend, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a bench that energy and time are read with."""
    if isinstance(backend, ReplayingBackend):
        # Windows that are replayed need not be long for this machine's counters.
        return {"meter": backend.meter(), "control": backend.meter(), "clock": backend.now_s}
    told = backend.gpu_uuids() if isinstance(backend, LocatingBackend) else None
    gpus = gpus_to_read(os.environ, told, request.get("devices", 1))
    first = request["meter"].partition(",")[0]
    tdp_w = request.get("cpu_tdp_w")
    counters = _counters(first, gpus)
    counted = counters.describe() if counters else {}
    meter = open_meter(request["meter"], gpus, tdp_w, counted=counted)
    # Of what a trace was recorded, nobody knows.
    is_replay = meter_names(first)[0] in REPLAYING
    device = None if is_replay else backend.describe().get("device")
    read = {**meter.describe(), **counted}
    scope = names_in(request.get("headline"), read, device)
    return {
        "meter": ScopedMeter(meter, scope),
        "control": ScopedMeter(open_meter(request["meter"], gpus, tdp_w), scope),
        "scope": scope,
        "gpus": gpus or (),
        "min_window_s": request["min_window_s"],
        "stops": _watch_stops(),
        "counters": counters,
    }


def _modelled_with(measuring: Mapping[str, Any], tdp_w: float | None) -> dict[str, str]:
    """Return the TDP that the user tells, where the CPU's energy is computed with it."""
    counters = measuring.get("counters")
    read = {**measuring["meter"].describe(), **(counters.describe() if counters else {})}
    is_modelled = "cpu" in read and not read["cpu"].provenance.is_measured
    is_replay = meter_names(measuring["meter"].name)[0] in REPLAYING
    return {"cpu_tdp_w": f"{tdp_w:g}"} if tdp_w and is_modelled and not is_replay else {}


def _counters(meter: str, gpus: Sequence[Gpu] | None) -> Counters | None:
    # What another meter reads, or replays, is that meter's figure.
    name = meter_names(meter)[0]
    if name not in TICKING:
        return None
    return open_counters(None if gpus is None else [gpu.uuid for gpu in gpus], TICKING[name])


def _watch_stops() -> StopWatch:
    stops = StopWatch()
    stops.start()
    return stops


def _measures(bench: Bench) -> bool:
    # A recording tells nothing of this machine.
    return not isinstance(bench.backend, ReplayingBackend) and measures(bench.meter, bench.counters)


def _reads_this_machine(bench: Bench) -> bool:
    is_replay = meter_names(bench.meter.name)[0] in REPLAYING
    return not isinstance(bench.backend, ReplayingBackend) and not is_replay


def _measure_idle(bench: Bench, seconds: float) -> IdlePower:
    # A model that only a cycle of references keeps would be gone at some later time.
    gc.collect()
    bench.backend.synchronize()
    ticks = bench.counters.ticks if bench.counters else None
    return measure_idle(bench.meter, seconds, ticks=ticks)


def _who(request: Mapping[str, Any]) -> str:
    case = request.get("case") or request.get("warm_up")
    return f"case {Case.from_dict(case).id}" if case else "a module of yours"


def _run(bench: Bench, state: ProcessState, request: Mapping[str, Any]) -> None:
    # Whoever turns it off for a moment turns it on again.
    forbid_autologging()
    if _import_parts(request):
        state.put_back("a module of yours", after_imports=True)
    given = request["fence"]
    fence = given and Fence(Path(given["note"]), given["token"])
    journal = Journal(Path(request["journal"]), fence)
    case = Case.from_dict(request["case"])
    bench = replace(
        bench,
        idle_w=request["idle_w"],
        mixed=request["mixed"],
        look=request["look"],
        design=request["design"],
        conditions=request["conditions"],
    )
    _attend(bench, request, request["case"])
    run_repeat(bench, case, request["repeat"], request["suite"], journal)


if __name__ == "__main__":
    try:
        main()
    finally:
        # An interpreter that shuts down would wait for the thread that reads its input.
        os._exit(1)
