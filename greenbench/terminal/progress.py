"""What people see while cases run: the case, the trial and the time left."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Group
from rich.live import Live

from greenbench.cases import Case
from greenbench.compare.units import with_unit
from greenbench.machine.secrets import redact
from greenbench.results import CaseResult
from greenbench.results.marks import marks_of
from greenbench.results.readings import JOULES_PER_WH, Provenance
from greenbench.tasks.score_format import value, words
from greenbench.terminal.console import is_watched, new_console, say, text
from greenbench.text import printing

LINE_INTERVAL_S = 20.0
MOST_PLACES = 12
"""That have a line each."""
MOST_WARNED = 100


class Progress:
    """Shows the case, the trial and the time left: a live line, or plain lines in a log.

    Parameters
    ----------
    cases : sequence of Case
        What will run.
    stream : file
        Where to. One that fails ends no measurement: what cannot be shown is dropped.
    is_open : bool
        Whether nobody knows how many repeats there will be.
    """

    def __init__(
        self, cases: Sequence[Case], stream: TextIO | None = None, *, is_open: bool = False
    ) -> None:
        self._is_open = is_open
        self._stream = printing(stream or sys.stderr)
        self._console = new_console(self._stream)
        self._live: Live | None = None
        self._cases = cases
        self._total = sum(case.repeats for case in cases)
        self._finished = 0
        self._left = _TimeLeft(cases)
        self._label = ""
        self._trials = (0, 0)
        self._places: dict[str, Place] = {}
        self._warned: list[str] = []
        self._shown_at = 0.0

    def __enter__(self) -> "Progress":
        # A log may want colours, and a dumb terminal has no cursor to move.
        if self._console.is_interactive and self._stream.isatty():
            # No refresh thread: it would run inside the measured windows.
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def notice(self, message: str) -> None:
        """Show one line that stays."""
        say(self._console, redact(message), is_wrapped=is_watched(self._console))

    def repeat_started(
        self, case: Case, repeat: int, done_trials: int, revision: str | None = None
    ) -> None:
        """Show that a repeat begins."""
        label = f"{case.id} repeat {repeat + 1}" if self._is_open else _counted(case, repeat)
        label += f" at {revision}" if revision else ""
        self._total += self._left.expect(case)
        total = "" if self._is_open else f"/{self._total}"
        self._label = f"[{self._finished + 1}{total}] {label}"
        self._trials = (done_trials, case.trials)
        self._left.start(case, done_trials / case.trials)
        self._show(force=True)

    def event(self, kind: str, values: Mapping[str, Any]) -> None:
        """Show a worker's event."""
        if kind == "warning":
            self.notice(f"Warning: {values['message']}")
            return
        if kind == "trial_finished":
            self._trials = (int(values["index"]) + 1, self._trials[1])
            self._left.progress(self._trials[0] / max(self._trials[1], 1))
        self._show(force=False)

    def repeat_finished(self, result: CaseResult | None) -> None:
        """Show that a repeat ended."""
        self._left.finish()
        self._tell_finished(self._label, result)

    def _tell_finished(self, label: str, result: CaseResult | None) -> None:
        self._finished += 1
        if self._places:
            label = f"[{self._finished}/{self._total}] {label}"
        if result is None:
            self.notice(f"{label}: FAILED")
        elif self._live is None:
            self.notice(f"{label}: {outcome(result)}{self._rest()}")

    def warn_once(self, message: str) -> None:
        """Show a warning, unless another place has said the same."""
        if message not in self._warned:
            # Each may name a file of its own, and there may be many.
            self._warned = [*self._warned, message][-MOST_WARNED:]
            self.notice(f"Warning: {message}")

    def at(self, place: str) -> "Place":
        """Return what shows the repeats of one of several places, where each has one at a time."""
        return self._places.setdefault(place, Place(self, place))

    def case_dropped(self, case: Case) -> None:
        """Leave out the rest of a case that cannot work."""
        self._total -= self._left.drop(case)

    def _rest(self) -> str:
        return "" if self._is_open else f" · {self._left.text()} left"

    def _show(self, *, force: bool) -> None:
        now = time.monotonic()
        interval_s = 1.0 if self._live else LINE_INTERVAL_S
        if now - self._shown_at < interval_s and not (force and self._live):
            return
        self._shown_at = now
        if busy := [place for place in self._places.values() if place.label]:
            self._show_places(busy)
            return
        line = f"{self._label} · {_of_trials(*self._trials)}{self._rest()}"
        if self._live:
            self._live.update(text(line), refresh=True)
        else:
            say(self._console, line, is_wrapped=is_watched(self._console))

    def _show_places(self, busy: "Sequence[Place]") -> None:
        """Show a line for each place, and one for all of them."""
        lines = [f"{each.name}: {each.label} · {_of_trials(*each.trials)}" for each in busy]
        more = f" · and {len(lines) - MOST_PLACES} more" if len(lines) > MOST_PLACES else ""
        head = f"[{self._finished}/{self._total} finished] {len(busy)} at once{more}{self._rest()}"
        shown = [head, *lines[:MOST_PLACES]]
        if self._live:
            width = self._console.width
            self._live.update(Group(*(text(_within(line, width)) for line in shown)), refresh=True)
        else:
            for line in shown:
                say(self._console, line, is_wrapped=is_watched(self._console))


class Place:
    """One of several places where repeats run at once, such as a worker of a cluster.

    Parameters
    ----------
    progress : Progress
        Of all places.
    name : str
        What people call it.

    Attributes
    ----------
    label : str
        The repeat that runs there; empty while none does.
    trials : tuple of int
        How many are done, of how many.
    """

    def __init__(self, progress: Progress, name: str) -> None:
        self.name = name
        self.label = ""
        self.trials = (0, 0)
        self._all = progress

    def notice(self, message: str) -> None:
        """Show one line that stays."""
        self._all.notice(f"{self.name}: {message}")

    def repeat_started(
        self, case: Case, repeat: int, done_trials: int, revision: str | None = None
    ) -> None:
        """Show that a repeat begins here."""
        self.label = _counted(case, repeat)
        self.trials = (done_trials, case.trials)
        self._all._left.start(case, done_trials / case.trials, self.name)
        self._all._show(force=True)

    def event(self, kind: str, values: Mapping[str, Any]) -> None:
        """Show a worker's event."""
        if kind == "warning":
            self._all.warn_once(str(values["message"]))
            return
        if kind == "trial_finished":
            self.trials = (int(values["index"]) + 1, self.trials[1])
            self._all._left.progress(self.trials[0] / max(self.trials[1], 1), self.name)
        self._all._show(force=False)

    def repeat_finished(self, result: CaseResult | None) -> None:
        """Show that the repeat ended."""
        label, self.label = self.label, ""
        self._all._left.finish(self.name)
        self._all._tell_finished(f"{label} on {self.name}", result)

    def repeat_lost(self) -> None:
        """Show that the repeat goes on elsewhere."""
        self.label = ""
        self._all._left.stop(self.name)


def _counted(case: Case, repeat: int) -> str:
    return f"{case.id} repeat {repeat + 1}/{case.repeats}" if case.repeats > 1 else case.id


def _of_trials(done: int, total: int) -> str:
    return f"trial {min(done + 1, total)}/{total}"


def _within(line: str, width: int) -> str:
    """Return a line that fits, without its middle if it does not: its end is what changes."""
    if len(line) <= width:
        return line
    kept = max(width - 1, 2)
    return f"{line[: kept // 2]}…{line[len(line) - (kept - kept // 2) :]}"


@dataclass
class _Current:
    """A repeat that runs: of which case, since when, and which share of it is done."""

    case: str
    since: float
    share: float
    done_before: float


class _TimeLeft:
    """Estimates the rest: by a case's own repeats, else by trials × epochs done so far."""

    def __init__(self, cases: Sequence[Case], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # A case may come twice, once for each revision.
        self._remaining = Counter(case.id for case in cases for _ in range(case.repeats))
        self._work = {case.id: case.trials * case.epochs for case in cases}
        self._seconds: dict[str, list[float]] = {case.id: [] for case in cases}
        self._current: dict[str, _Current] = {}

    def expect(self, case: Case) -> int:
        """Count a repeat that nobody announced, as that of a case which a test makes itself."""
        if self._remaining[case.id] > 0:
            return 0
        self._remaining[case.id] = 1
        self._work[case.id] = case.trials * case.epochs
        self._seconds.setdefault(case.id, [])
        return 1

    def start(self, case: Case, done_share: float = 0.0, place: str = "") -> None:
        # What was done before an interruption took no time now.
        self._current[place] = _Current(case.id, self._clock(), done_share, done_share)

    def progress(self, share: float, place: str = "") -> None:
        if current := self._current.get(place):
            current.share = share

    def finish(self, place: str = "") -> None:
        if current := self._current.pop(place, None):
            if current.done_before < 1:
                whole_s = (self._clock() - current.since) / (1 - current.done_before)
                self._seconds[current.case].append(whole_s)
            self._remaining[current.case] -= 1

    def stop(self, place: str) -> None:
        """Know that a repeat ended nowhere: it is still to come."""
        self._current.pop(place, None)

    def drop(self, case: Case) -> int:
        count, self._remaining[case.id] = self._remaining[case.id], 0
        return count

    def text(self) -> str:
        seconds = self.seconds()
        if seconds is None:
            return "unknown time"
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"

    def seconds(self) -> float | None:
        done_s = sum(map(sum, self._seconds.values()))
        done_work = sum(len(times) * self._work[name] for name, times in self._seconds.items())
        for each in self._current.values():
            if each.share > each.done_before:
                done_s += self._clock() - each.since
                done_work += round((each.share - each.done_before) * self._work[each.case])
        if not done_work:
            return None
        pace = done_s / done_work
        left = sum(count * self._expected(name, pace) for name, count in self._remaining.items())
        for each in self._current.values():
            left -= each.done_before * self._expected(each.case, pace)
            left -= self._clock() - each.since
        return max(left, 0.0) / max(len(self._current), 1)

    def _expected(self, name: str, seconds_per_work: float) -> float:
        times = self._seconds[name]
        return sum(times) / len(times) if times else self._work[name] * seconds_per_work


def outcome(result: CaseResult) -> str:
    """Return one repeat in a few words."""
    total = result.account.total
    failed = sum(trial.val_score is None for trial in result.trials)
    trials = f"{len(result.trials)} trial{'s' if len(result.trials) != 1 else ''}"
    if failed:
        trials += f" ({failed} failed)"
    score = f"test {words(result.score)} {value(result.score, result.test_score)}"
    energy = _energy(total.energy_j, total.provenance)
    marks = " ".join(("", *marks_of(result)))
    return f"{trials}, {score}, {energy}{marks and f' ({marks.strip()})'}"


def _energy(energy_j: float | None, provenance: Provenance) -> str:
    if energy_j is None:
        return "energy unknown"
    return f"{with_unit(energy_j / JOULES_PER_WH)} {provenance.label}"
