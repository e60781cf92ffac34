"""The process that reads counters at their ticks. It imports nothing heavy, and measures nothing.

It is told what to read by a line of JSON on standard input, and answers with one on standard
output. Each further line asks for what was seen since the last answer: a line of JSON, and then
for each counter the times of its ticks, until when the old values were seen, how far off the times
may be, and the new values, as doubles.
It ends when standard input does, or when its parent is gone.
"""

import json
import math
import os
import signal
import sys
import threading
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from greenbench.energy.amd import open_amd_counters
from greenbench.energy.counter import Counter
from greenbench.energy.nvml_counters import open_nvml_counters
from greenbench.energy.phase_lock import SHARE, SLOWEST_S, PhaseLock
from greenbench.energy.powercap import open_powercap
from greenbench.machine.surroundings import tolerate_warnings


class Sampled:
    """One counter, followed.

    Parameters
    ----------
    counter : Counter
        What to read.
    clock, cpu_clock : callable
        Seconds, and CPU seconds of this process.
    share : float
        Of a core, that reading it may take.
    """

    def __init__(
        self,
        counter: Counter,
        clock: Callable[[], float],
        cpu_clock: Callable[[], float],
        share: float,
    ) -> None:
        self.lock = PhaseLock(clock(), share)
        self._counter = counter
        self._clock, self._cpu_clock = clock, cpu_clock
        self._value_j: float | None = None
        self._seen = [array("d") for _ in range(4)]
        self._failure: dict[str, Any] | None = None
        self._looked_s = clock()
        self._taking = threading.Lock()

    def look(self) -> None:
        """Read the counter; note a tick if it has a new value, and a failure if it has none."""
        cpu_s, began_s = self._cpu_clock(), self._clock()
        try:
            value_j = self._counter.read_j()
            if not math.isfinite(value_j):
                raise ValueError(f"it read {value_j:g}")
        except Exception as error:
            self._failed(error, began_s)
            return
        ended_s = self._clock()
        is_first, is_new = self._value_j is None, value_j != self._value_j
        self._value_j = value_j
        seen = self.lock.looked(
            began_s, ended_s, self._cpu_clock() - cpu_s, is_new and not is_first
        )
        with self._taking:
            self._looked_s, self._failure = began_s, None
            if seen is not None:
                told = (seen.time_s, seen.after_s, seen.within_s, value_j)
                for values, each in zip(self._seen, told, strict=True):
                    values.append(each)

    def take(self) -> tuple[dict[str, Any], bytes]:
        """Return what was seen since the last call: its description, and numbers."""
        with self._taking:
            seen, self._seen = self._seen, [array("d") for _ in range(4)]
            told = {
                "count": len(seen[0]),
                "interval_s": self.lock.interval_s,
                "looked_s": self._looked_s,
                "failure": self._failure,
            }
        return told, b"".join(values.tobytes() for values in seen)

    def _failed(self, error: Exception, at_s: float) -> None:
        self.lock.due_s = self._clock() + SLOWEST_S
        with self._taking:
            # The value is cumulative: what a single failure has missed, the next look finds.
            self._failure = self._failure or {"since_s": at_s, "why": _one_line(error)}


class Usage:
    """The share of a core that this process takes while it follows counters.

    It begins anew when the ticks of all counters are known: to learn them takes many looks, for
    half a second, before anything is measured.

    Parameters
    ----------
    all_sampled : sequence of Sampled
        The counters.
    clock, cpu_clock : callable
        As in `Sampled`.
    """

    def __init__(
        self,
        all_sampled: Sequence[Sampled],
        clock: Callable[[], float],
        cpu_clock: Callable[[], float],
    ) -> None:
        self._all_sampled = all_sampled
        self._clock, self._cpu_clock = clock, cpu_clock
        self._is_learning = True
        self._began = clock(), cpu_clock()

    def note(self) -> None:
        """Begin anew if all has been learned by now."""
        if self._is_learning and all(each.lock.tick_s is not None for each in self._all_sampled):
            self._is_learning = False
            self._began = self._clock(), self._cpu_clock()

    @property
    def share(self) -> float:
        """CPU seconds a second since then; 0 at its very beginning."""
        began_s, began_cpu_s = self._began
        passed_s = self._clock() - began_s
        return (self._cpu_clock() - began_cpu_s) / passed_s if passed_s > 0 else 0.0


def follow(
    all_sampled: Sequence[Sampled],
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
    goes_on: Callable[[], bool] = lambda: True,
) -> None:
    """Look at each counter when it is due, as long as `goes_on` says so."""
    while goes_on():
        sampled = min(all_sampled, key=lambda each: each.lock.due_s)
        wait_s = sampled.lock.due_s - clock()
        if wait_s > 0:
            sleep(min(wait_s, SLOWEST_S))
        if clock() >= sampled.lock.due_s:
            sampled.look()


def main() -> None:
    """Read counters until the parent is gone."""
    # Ctrl+C is for the parent, which ends us when it is ready.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers, requests = _take_over()
    tolerate_warnings()
    if not (line := requests.readline()):
        return  # The parent is gone already.
    told = json.loads(line)
    counters = open_powercap(Path(told["powercap"])) if told["powercap"] else []
    counters += open_nvml_counters(told["gpus"])
    if told["gpus"] is None and not any(each.component == "gpu" for each in counters):
        counters += open_amd_counters()
    clock, cpu_clock = time.perf_counter, time.process_time
    share = SHARE / max(len(counters), 1)
    all_sampled = [Sampled(each, clock, cpu_clock, share) for each in counters]
    _answer(answers, {"now_s": clock(), "counters": [_described(each) for each in counters]})

    usage = Usage(all_sampled, clock, cpu_clock)

    def serve() -> None:
        for _ in requests:
            taken = [sampled.take() for sampled in all_sampled]
            head = {"share": usage.share, "now_s": clock()}
            _answer(answers, {**head, "counters": [each for each, _ in taken]}, taken)
        os._exit(0)

    if not counters:
        return
    threading.Thread(target=serve, daemon=True).start()
    # A process that the parent forked holds the other end of standard input, too.
    has_parent = partial(_is_child_of, told["parent"])

    def goes_on() -> bool:
        usage.note()
        return has_parent()

    follow(all_sampled, goes_on=goes_on)
    os._exit(0)


def _is_child_of(parent: int) -> bool:
    # Only there a process gets another parent.
    return os.name != "posix" or os.getppid() == parent


def _take_over() -> tuple[BinaryIO, BinaryIO]:
    """Return channels that no library which prints writes to."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers, sys.stdin.buffer


def _answer(
    channel: BinaryIO, head: Mapping[str, Any], taken: Sequence[tuple[Any, bytes]] = ()
) -> None:
    try:
        channel.write(json.dumps(head).encode() + b"\n" + b"".join(data for _, data in taken))
        channel.flush()
    except OSError:
        os._exit(0)  # Nobody reads it any more.


def _described(counter: Counter) -> dict[str, Any]:
    return {
        "component": counter.component,
        "device": counter.device,
        "source": counter.source,
        "limit_w": counter.limit_w,
        "range_j": counter.range_j,
    }


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


if __name__ == "__main__":
    main()
