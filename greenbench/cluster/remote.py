"""What runs on a worker: repeats, one at a time, with the workers and the lock of its machine."""

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed import Queue, Status, get_client, get_worker

from greenbench import registry
from greenbench.cases import Case
from greenbench.cluster.line import AbandonedError, Line, Polled
from greenbench.cluster.orders import Common, digest_on, objection
from greenbench.cluster.relay import Piece, Receiver, Sender, fetch
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.cooling import CoolDown, thermometer
from greenbench.energy.gpus import training_gpus, visible_gpus
from greenbench.energy.hostlock import Held, measuring_lock
from greenbench.errors import ChangedDataError, ConfigurationError, DatasetError, GreenbenchError
from greenbench.machine.owners import Node
from greenbench.machine.places import described
from greenbench.machine.secrets import redact
from greenbench.results.journal import Journal
from greenbench.results.looks import Look
from greenbench.results.marks import REPLAYING
from greenbench.running.conditions import WHICH_CARD, conditions_here
from greenbench.running.executor import Job, WorkerPool
from greenbench.running.parts import import_parts
from greenbench.settings import Settings

ENDING = (Status.closing, Status.closed, Status.failed)
SAVED_EVERY_S = 30.0
"""So often is sent what a running trial has saved, which may be large."""
CHECK_S = 1.0


@dataclass(frozen=True)
class Introduction:
    """What a worker says of itself.

    Attributes
    ----------
    objection : str or None
        Why it cannot do what is asked for; None if it can.
    host : str
        As of `host_here`.
    """

    objection: str | None
    host: str


def introduce(common: str) -> Introduction:
    """Return whether this worker can do what `common` asks for, and where it is.

    Parameters
    ----------
    common : str
        As of `Common.to_json`.
    """
    try:
        why = objection(Common.from_json(common))
    except OSError as error:
        why = f"its files cannot be read ({described(error)})"
    return Introduction(why, host_here())


def host_here() -> str:
    """Return which machine this process is on, whose energy it takes part in, in any container."""
    node = Node.here()
    return node.boot or node.machine


def rest(common: str) -> None:
    """End the processes that wait for further repeats of a run, now or once they are free."""
    # Dask's event loop calls it, without which a repeat that is under way, maybe of another
    # driver, can neither go on nor end: that would be waited for without end.
    if not _end(common, waits=False):
        threading.Thread(target=_end, args=(common,), daemon=True).start()


def _end(common: str, *, waits: bool = True) -> bool:
    if not _only_one.acquire(blocking=waits):
        return False
    with ExitStack() as stack:
        stack.callback(_only_one.release)
        if common in _sites:
            _close_all()
    return True


def run_repeat(common: str, order: str, up: str, token: str) -> None:
    """Run one repeat on this worker; what comes of it goes to the driver as it comes.

    Parameters
    ----------
    common : str
        As of `Common.to_json`.
    order : str
        The repeat, as JSON: ``case``, ``repeat``, ``suite``, ``journal``, ``mixed``, ``look``,
        ``design``, and of the case's conditions, ``conditions`` and ``packages``.
    up : str
        Name of the queue that the driver reads.
    token : str
        Name of the queue that it answers with, and of this attempt.
    """
    client = get_client()
    driver, down = Queue(up, client=client), Queue(token, client=client)
    line = Line(driver, Polled(down), token, _watch_of(token))
    try:
        # Nobody reads what an error would say then.
        with suppress(AbandonedError), _only_one:
            _run(line, Common.from_json(common), json.loads(order))
    finally:
        # A scheduler keeps what somebody has not closed.
        down.close()
        driver.close()


def _watch_of(token: str) -> Any:
    worker = get_worker()

    def is_wanted() -> bool:
        task = worker.state.tasks.get(token)
        if worker.status in ENDING:
            return False
        return task is not None and task.state in ("executing", "long-running")

    return is_wanted


def _run(line: Line, common: Common, order: Mapping[str, Any]) -> None:
    ended: dict[str, Any] = {"kind": None, "message": ""}
    gone: list[str] = []
    with ExitStack() as stack:
        scratch = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(
                    prefix="greenbench-", dir=_local_directory(), ignore_cleanup_errors=True
                )
            )
        )
        journal = Journal(scratch / order["journal"])
        sender = Sender(
            journal, lambda piece: _brought(line, piece), lambda names: _drop(line, names)
        )
        try:
            _measure(line, common, order, journal, sender)
            gone = sender.add()
        except GreenbenchError as error:
            line.check()
            with suppress(GreenbenchError):
                gone = sender.add()
            kinds = {"data": DatasetError, "configuration": ConfigurationError}
            kind = next((name for name, of in kinds.items() if isinstance(error, of)), "worker")
            ended = {"kind": kind, "message": redact(str(error))}
        # In one message: the next repeat waits for each answer.
        line.ask("ended", is_discarded=sender.is_gone, gone=gone, **ended)


def _measure(
    line: Line, common: Common, order: Mapping[str, Any], journal: Journal, sender: Sender
) -> None:
    if why := objection(common):
        raise ConfigurationError(f"{_name()} cannot run it: {why}")
    case = Case.from_dict(order["case"])
    site = _site(common)
    with _ending_if_unwanted(line, site), _lock_of(line, site, case) as held:
        # It may have waited for long.
        line.check()
        idle_w = site.prepare(line, case, order["repeat"], held)
        here = conditions_here(site.settings, [case], site.packages, site.home)
        _begin(line, site, case, journal, here)
        sender.begin()
        look, digest = Look(int(order["look"]), order["design"]), digest_on(order, here, common)
        at = (case, order["repeat"], order["suite"], journal)
        job = Job(*at, idle_w, order["mixed"], look, waits=True, conditions=digest)
        site.pool.run(job, _Events(line, sender))


def _lock_of(line: Line, site: "_Site", case: Case) -> AbstractContextManager[Held]:
    """Return the lock of this machine, or of the cards whose own counter is the headline."""
    most, settings = case.devices, site.settings
    if case.backend in REPLAYING:
        # Nothing of this machine is measured, and so nobody is kept waiting.
        return nullcontext(Held(settings.host_lock, ExitStack(), is_shared=False))
    gpus = visible_gpus(os.environ)[:most] if most > 1 else training_gpus(os.environ)

    def on_wait(said: str) -> None:
        line.tell("notice", text=f"{_name()} is {said}")

    return measuring_lock(
        settings.host_lock, gpus, settings.headline, on_wait, while_waiting=line.check
    )


def _begin(
    line: Line, site: "_Site", case: Case, journal: Journal, here: Mapping[str, Any]
) -> None:
    """Say where the repeat is to go on, and take what there is of it."""
    place = {**here, "device": site.pool.device_of(case)}
    # Which card of several equal ones is of no account.
    place.pop(WHICH_CARD, None)
    there = line.ask("hello", conditions=place, scope=site.scope_of(case))
    if there["objection"]:
        raise ChangedDataError(there["objection"])
    lines = Piece.from_dict(there["lines"])

    def ask(name: str, offset: int) -> Piece:
        if (name, offset) == (lines.name, lines.offset):
            return lines
        return Piece.from_dict(line.ask("fetch", name=name, offset=offset)["piece"])

    for name, basis in there["siblings"].items():
        # What the case's other repeats rest on, which this one must not differ from.
        Journal(journal.path.with_name(Path(name).name)).start(0.0, basis)
    fetch(Receiver(journal), there["sizes"], ask)


class _Events:
    """Passes a worker's events on; a trial begins when the driver knows of it, and has the last.

    So it is known which one was under way, however soon it takes this process with it.
    """

    def __init__(self, line: Line, sender: Sender) -> None:
        self._line, self._sender = line, sender
        self._sent_at = time.monotonic()

    def __call__(self, kind: str, values: Mapping[str, Any]) -> None:
        self._line.check()
        is_due = time.monotonic() - self._sent_at >= SAVED_EVERY_S
        if kind in ("trial_started", "trial_finished") or is_due:
            self._sender.send()
            self._sent_at = time.monotonic()
        pass_on = self._line.ask if kind == "trial_started" else self._line.tell
        pass_on("event", kind=kind, event=dict(values))


@dataclass
class _Site:
    """What a machine measures with, for one run and its code."""

    common: Common
    settings: Settings
    pool: WorkerPool
    packages: list[str]
    home: Path
    idle_w: dict[str, float] | None = None
    cool_down: CoolDown | None = None

    def prepare(self, line: Line, case: Case, repeat: int, held: Held) -> dict[str, float]:
        """Start the workers of a case, and know idle power; return it."""
        self.pool.launch([case])
        self.pool.wait_until_ready()
        held.take(self.pool.gpus or ())
        if self.settings.cool_down:
            if self.cool_down is None:
                notice = lambda text: line.tell("notice", text=text)  # noqa: E731
                self.cool_down = CoolDown(thermometer(lambda: self.pool.gpus or []), notice)
            self.cool_down.wait()
        if self.idle_w is None:
            self.idle_w = self._measure_idle(line, case, repeat)
        return self.idle_w

    def _measure_idle(self, line: Line, case: Case, repeat: int) -> dict[str, float]:
        if not self.settings.idle_s or not self.pool.measures:
            return {}
        self.pool.warm_up([(case, repeat)])
        seconds = self.settings.idle_s
        line.tell("notice", text=f"{_name()} measures idle power for {seconds:g} s")
        return dict(self.pool.measure_idle(seconds).power_w)

    def scope_of(self, case: Case) -> list[str] | None:
        """Return which components count in a case's figures."""
        scope = self.pool.scope_of(case)
        return None if scope is None else list(scope)


_sites: dict[str, _Site] = {}
"""The one of this process, by what it was made of."""
_only_one = threading.Lock()


def _site(common: Common) -> _Site:
    """Return what measures here; another run, or other code, begins with new workers."""
    key = common.to_json()
    if key not in _sites:
        _close_all()
        _forget_nanny(os.environ)
        home = common.home()
        registry.load_plugins()
        placed = [{**module, "file": str(home / module["file"])} for module in common.modules]
        in_sight = {name: str(home / file) for name, file in common.in_sight.items()}
        import_parts(placed, in_sight, common.parts)
        folder = Path(tempfile.mkdtemp(prefix="greenbench-", dir=_local_directory()))
        settings = Settings.from_environment(
            {
                **common.environment,
                **_without_store(os.environ),
                "GREENBENCH_RUNS_DIR": str(folder),
            },
            **common.settings,
        )
        intensity = CarbonIntensity(**common.intensity)
        pool = WorkerPool(settings, intensity, folder, working=home)
        _sites[key] = _Site(common, settings, pool, list(common.packages), home)
    return _sites[key]


def _forget_nanny(environment: MutableMapping[str, str]) -> None:
    """Drop what Dask sets for its own workers, and would cost the trainings that they start."""
    for name, value in dask.config.get("distributed.nanny.pre-spawn-environ", {}).items():
        if environment.get(name) == str(value):
            del environment[name]


def _close_all() -> None:
    while _sites:
        _sites.popitem()[1].pool.close()


def _without_store(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environment.items() if not name.startswith("MLFLOW_")}


@contextmanager
def _ending_if_unwanted(line: Line, site: _Site) -> Iterator[None]:
    """End the processes that measure as soon as nobody waits for what they do."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(CHECK_S):
            try:
                line.check()
            except AbandonedError:
                site.pool.close()
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    except AbandonedError:
        # Whoever began to start one may have been quicker than who watches.
        _close_all()
        raise
    finally:
        over.set()
        thread.join()


def _brought(line: Line, piece: Piece) -> int:
    return int(line.ask("piece", piece=piece.to_dict())["size"])


def _drop(line: Line, names: list[str]) -> None:
    line.ask("drop", names=names)


def _name() -> str:
    return f"worker {get_worker().name}"


def _local_directory() -> str:
    return str(get_worker().local_directory)
