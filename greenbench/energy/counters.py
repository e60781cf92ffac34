"""Counters that tick: a process of its own looks at them just after each tick, and we ask it.

What they used between two moments is not said here, but when they had which value.
"""

import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from greenbench.energy.counter_history import History, combined
from greenbench.energy.counter_values import Ticks
from greenbench.energy.powercap import POWERCAP, packages
from greenbench.errors import EnergyError
from greenbench.machine.interpreter import worker_command, worker_search_path
from greenbench.results.readings import Component

TICKING: Mapping[str, Path | None] = {"codecarbon": POWERCAP, "process": None}
"""Meters whose components are read at the ticks of their counters, where they have any; and where
those of CPUs are: None for a meter whose figure of the CPU is not the machine's."""
MODULE = "greenbench.energy.sampler"
PACKAGE = Path(__file__).parents[1] / "__init__.py"
START_S = 60.0
"""What the driver of many GPUs may take to start."""
ANSWER_S = 10.0
FIRST_TICK_S = 1.0
PAUSE_S = 0.01
STEP_S = 0.2
STOP_S = 2.0
DRIVERS = tuple(map(Path, ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")))
"""One of them is there where a GPU may be read: NVIDIA's, either's in WSL, and AMD's."""
DOUBLES, DOUBLE = 4, 8
"""Numbers that the sampler tells of a tick, and the bytes of each."""

_log = logging.getLogger(__name__)


class Counters(Protocol):
    """Counters of some components, and when each had which value.

    Attributes
    ----------
    share : float or None
        The share of a core that looking at them takes, once their ticks are known; None if it is
        not known.
    pid : int or None
        Number of the process that looks; None if it is this one.
    """

    share: float | None
    pid: int | None

    def describe(self) -> Mapping[str, Component]:
        """Return the components by name, with provenance, source, tick and limit."""

    def ticks(self, since_s: float) -> Mapping[str, Sequence[Ticks]]:
        """Return by component the ticks of each of its devices.

        They begin with the last tick at or before `since_s`; earlier ones are forgotten. A
        component is missing if its counters cannot be believed: `faults` says why.

        Parameters
        ----------
        since_s : float
            Seconds of `time.perf_counter`.

        Raises
        ------
        EnergyError
            If nobody reads the counters any more.
        """

    def faults(self, since_s: float) -> Mapping[str, str]:
        """Return why components have no energy since then, as of the last `ticks`."""

    def close(self) -> None:
        """Stop reading; safe to call twice."""


def open_counters(
    gpus: Sequence[str] | None = None, powercap: Path | None = POWERCAP
) -> Counters | None:
    """Start to read this machine's counters; each has ticked once when this returns.

    Parameters
    ----------
    gpus : sequence of str or None
        UUIDs of NVIDIA GPUs; none for a training on the CPU. None for all that there are, and
        where there are none, for all of AMD.
    powercap : pathlib.Path or None
        Where Linux shows the counters of CPUs; None to leave them out.

    Returns
    -------
    Counters or None
        None where the machine has none that may be read.
    """
    has_gpus = bool(gpus) or (gpus is None and any(driver.exists() for driver in DRIVERS))
    if not has_gpus and not (powercap and packages(powercap)):
        return None
    told = {"gpus": gpus, "powercap": powercap and str(powercap)}
    with ExitStack() as stack:
        try:
            counters = SampledCounters(told)
            # Also where Ctrl+C ends the wait: the process would go on as long as ours.
            stack.callback(counters.close)
            if counters.start():
                stack.pop_all()
                return counters
        except (EnergyError, OSError) as error:
            _log.warning("%s; energy is read at the edges of windows instead", error)
    return None


class SampledCounters:
    """Counters that a process of their own reads, started at once.

    It ends with ours, however that ends: when standard input closes, or it has another parent.

    Parameters
    ----------
    told : dict
        What it is to read.

    Attributes
    ----------
    share : float or None
        The share of a core that it takes.
    pid : int
        Its number.
    """

    pid: int | None

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.share: float | None = None
        self._lost: str | None = None
        self._histories: list[History] = []
        self._asked_s = time.perf_counter()
        self._process = subprocess.Popen(
            worker_command(MODULE, str(PACKAGE), worker_search_path(sys.path)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self._process.pid
        self._answers: queue.Queue[tuple[dict[str, Any], bytes] | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._send({**told, "parent": os.getpid()})

    def start(self) -> bool:
        """Wait until all counters have ticked once; return whether there are any."""
        head, _ = self._answer(START_S)
        if not self._asked_s <= head["now_s"] <= time.perf_counter():
            raise EnergyError("the process that reads counters has another clock")
        self._histories = [History(**each) for each in head["counters"]]
        deadline_s = time.perf_counter() + FIRST_TICK_S
        while self._histories:
            self._fetch()
            if all(each.has_ticked for each in self._histories):
                break
            if time.perf_counter() > deadline_s:
                break
            time.sleep(PAUSE_S)
        return bool(self._histories)

    def describe(self) -> dict[str, Component]:
        """Return the components by name, with provenance, source, tick and limit."""
        return {name: combined(each) for name, each in self._by_component().items()}

    def ticks(self, since_s: float) -> dict[str, list[Ticks]]:
        """Return by component the ticks of each of its devices since then."""
        self._fetch()
        faults = self.faults(since_s)
        for history in self._histories:
            history.forget(since_s)
        return {
            name: [each.ticks() for each in histories]
            for name, histories in self._by_component().items()
            if name not in faults
        }

    def faults(self, since_s: float) -> dict[str, str]:
        """Return why components have no energy since then."""
        found: dict[str, str] = {}
        for history in self._histories:
            if reason := history.fault(since_s):
                found.setdefault(history.component, reason)
        return found

    def close(self) -> None:
        """End the process."""
        self._lost = self._lost or "the counters are closed"
        with suppress(OSError, ValueError):
            cast(Any, self._process.stdin).close()
        self._reap()

    def _by_component(self) -> dict[str, list[History]]:
        found: dict[str, list[History]] = {}
        for history in self._histories:
            found.setdefault(history.component, []).append(history)
        return found

    def _fetch(self) -> None:
        if self._lost is None:
            self._send({})
        head, data = self._answer(ANSWER_S)
        self.share = head["share"]
        start = 0
        for history, told in zip(self._histories, head["counters"], strict=True):
            numbers = DOUBLES * told["count"]
            found = np.frombuffer(data, np.float64, numbers, start).reshape(DOUBLES, -1)
            start += found.nbytes
            history.add(found, told, head["now_s"])

    def _send(self, request: Mapping[str, Any]) -> None:
        stdin: Any = self._process.stdin
        # If it has ended, the answer that does not come says so.
        with suppress(OSError):
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()

    def _answer(self, limit_s: float) -> tuple[dict[str, Any], bytes]:
        # In steps: if we are stopped, and it with us, that is one step, however long it lasts.
        for _ in range(round(limit_s / STEP_S)):
            if self._lost is not None:
                break
            with suppress(queue.Empty):
                answer = self._answers.get(timeout=STEP_S)
                if answer is not None:
                    return answer
                self._lost = f"the process that reads counters ended ({self._process.returncode})"
        if self._lost is None:
            self._lost = f"the process that reads counters did not answer for {limit_s:g} s"
            self._process.kill()
        raise EnergyError(self._lost)

    def _listen(self) -> None:
        """Pass answers on until there are no more, and let the system forget the process."""
        stdout: Any = self._process.stdout
        with suppress(ValueError, OSError):
            for line in stdout:
                if not line.startswith(b"{"):
                    continue  # Whatever starts with every Python may print.
                head = json.loads(line)
                size = sum(each.get("count", 0) for each in head["counters"]) * DOUBLES * DOUBLE
                data = stdout.read(size)
                if len(data) == size:
                    self._answers.put((head, data))
            stdout.close()
        self._reap()
        self._answers.put(None)

    def _reap(self) -> None:
        """Wait for the end of the process, but not for long."""
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
