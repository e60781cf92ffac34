"""An attempt: one repeat on one worker, as the driver sees it; it owns the journal."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from greenbench.cases import Case
from greenbench.cluster.relay import Piece, Receiver
from greenbench.errors import ConfigurationError, DatasetError, GreenbenchError, WorkerError
from greenbench.results import TrialStatus
from greenbench.results.journal import Journal
from greenbench.running.conditions import READ, change, listed
from greenbench.running.executor import record_lost
from greenbench.running.worker_process import lost_trials

TRIAL_LINE = b'{"event": "trial"'
KINDS = {"data": DatasetError, "configuration": ConfigurationError}
NO_TRIAL = (-1, 0)
MOST_DEATHS = 2
"""So many workers may die at the same trial: then it is taken for what kills them."""
MOST_SIBLINGS = 8
"""So many of a case's other repeats are told a worker: those were compared with the first, too."""


@dataclass
class Repeat:
    """One repeat that is due: its journal, and what became of it so far.

    Attributes
    ----------
    case : Case
        Of which.
    number : int
        Which of the case's.
    journal : Journal
        The driver's.
    deaths : dict
        How many workers died at what: the index of a trial and the epochs of it that were kept,
        or `NO_TRIAL`.
    worker : str or None
        The name of the worker that it was last at.
    attempts : int
        How often it was sent to one.
    """

    case: Case
    number: int
    journal: Journal
    deaths: dict[tuple[int, int], int] = field(default_factory=dict)
    worker: str | None = None
    attempts: int = 0


@dataclass
class Attempt:
    """A repeat on one worker.

    Parameters
    ----------
    repeat : Repeat
        Which.
    token : str
        Names it among all attempts.
    worker, name : str
        The worker's address, and how people call it.

    Attributes
    ----------
    running : dict
        What was told of the trials that are under way, by index.
    error : GreenbenchError or None
        Why it failed, once it is over.
    is_over : bool
        Whether the worker is done with it.
    has_begun : bool
        Whether the worker has said hello.
    taken_from : str or None
        The worker that had achieved what this one goes on from, if another one.
    notices : list of str
        What the user is to be told of it.
    """

    repeat: Repeat
    token: str
    worker: str
    name: str
    running: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    error: GreenbenchError | None = None
    is_over: bool = False
    has_begun: bool = False
    taken_from: str | None = None
    notices: list[str] = field(default_factory=list)
    _scope: list[str] | None = None
    _objection: str | None = None

    def __post_init__(self) -> None:
        self._receiver = Receiver(self.repeat.journal)

    def answer(self, op: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a worker's question; asked again, it is the same one.

        Raises
        ------
        ClusterError
            If it is nothing that a worker of ours asks.
        JournalError
            If the journal cannot be written.
        """
        if op == "hello":
            return self._hello(values)
        if op == "fetch":
            piece = self._receiver.pieces(str(values["name"]), int(values["offset"]))
            return {"piece": piece.to_dict()}
        if op == "piece":
            return {"size": self._take(Piece.from_dict(values["piece"]))}
        if op == "drop":
            self._receiver.drop([str(name) for name in values["names"]])
        elif op == "ended":
            self._end(values)
        return {}

    def hear(self, kind: str, values: Mapping[str, Any]) -> None:
        """Know which trials are under way."""
        if kind == "trial_started":
            self.running[int(values["index"])] = dict(values)

    def _hello(self, values: Mapping[str, Any]) -> dict[str, Any]:
        # It may ask twice.
        if not self.has_begun:
            self.has_begun, self._scope = True, values["scope"]
            here = dict(values["conditions"])
            self._objection = self._object_to(here)
            if self._objection is None:
                self._place(here)
        lines = self._receiver.pieces(self.repeat.journal.path.name, 0).to_dict()
        return {
            "sizes": self._receiver.sizes(),
            "lines": lines,
            "siblings": self._siblings(),
            "objection": self._objection,
        }

    def _place(self, here: Mapping[str, Any]) -> None:
        """Let the repeat go on, or start over, on the host of this worker."""
        journal, repeat = self.repeat.journal, self.repeat
        before = journal.last_place()
        if before != here:
            self._move(before, here)
            journal.place(here)
        has_more = journal.read().starts > 0
        self.taken_from = repeat.worker if has_more and repeat.worker != self.name else None
        repeat.worker = self.name

    def _object_to(self, here: Mapping[str, Any]) -> str | None:
        """Return that files here are not those that the case's other repeats read, if so."""
        names = [name for name in here if name.startswith(READ)]
        if not names:
            return None
        places = islice(filter(None, map(Journal.last_place, self._others())), MOST_SIBLINGS)
        found = {n: None for place in places for n in names if place.get(n, here[n]) != here[n]}
        if not found:
            return None
        return (
            f"{self.repeat.case.id}: {listed([*found])} of worker {self.name} differs from what "
            "other repeats read; bring the same there, or start over with --fresh"
        )

    def _siblings(self) -> dict[str, Any]:
        """Return what the case's other repeats rest on, less what depends on the host."""
        here = self.repeat.journal.last_place()
        found: dict[str, Any] = {}
        for sibling in islice(self._begun_siblings(), MOST_SIBLINGS):
            basis = dict(sibling.last_start().get("basis", {}))
            if sibling.last_place() != here:
                basis.pop("device", None)
            if basis:
                found[sibling.path.name] = basis
        return found

    def _begun_siblings(self) -> Iterator[Journal]:
        """Yield the case's other repeats that were begun, the first one first."""
        return (sibling for sibling in self._others() if sibling.last_start())

    def _others(self) -> Iterator[Journal]:
        path = self.repeat.journal.path
        stem, _, _ = path.stem.rpartition(".r")
        for number in range(self.repeat.case.repeats):
            if number != self.repeat.number:
                yield Journal(path.with_name(f"{stem}.r{number}{path.suffix}"))

    def _move(self, before: Mapping[str, Any], here: Mapping[str, Any]) -> None:
        """Leave behind what was achieved on a host that differs."""
        if not self.repeat.journal.read().starts:
            self.repeat.journal.discard()
            return
        differences = [
            change(name, before.get(name), here.get(name))
            for name in sorted(before.keys() | here.keys())
            if before.get(name) != here.get(name)
        ]
        self.start_over(f"{listed(differences)} differ from where it began")

    def start_over(self, why: str) -> None:
        """Put what was achieved so far under another name, and say why."""
        repeat = self.repeat
        aside = put_aside(repeat.journal)
        self.notices.append(
            f"{repeat.case.id}: repeat {repeat.number + 1} starts over on {self.name}, as {why} "
            f"(what it had is in {aside})"
        )

    def _take(self, piece: Piece) -> int:
        size = self._receiver.take(piece)
        if not piece.digest:
            for line in piece.data.splitlines():
                if line.startswith(TRIAL_LINE):
                    self.running.pop(json.loads(line)["values"]["index"], None)
        return size

    def _end(self, values: Mapping[str, Any]) -> None:
        self._receiver.drop([str(name) for name in values["gone"]])
        self.is_over = True
        if values["kind"] is not None:
            kind = KINDS.get(values["kind"], WorkerError)
            self.error = kind(str(values["message"]))
        if values["is_discarded"] and self.has_begun:
            self.repeat.journal.discard()

    def lose(self, *, has_left: bool = False) -> None:
        """Record what became of the repeat now that the worker is gone.

        Parameters
        ----------
        has_left : bool
            Whether it was told to go, as by a queue at its time limit: no trial is to blame.
        """
        if has_left:
            self._tell_gone("has left", "goes on elsewhere")
            return
        repeat = self.repeat
        at = {index: (index, self._kept(index)) for index in self.running}
        for key in at.values() or [NO_TRIAL]:
            repeat.deaths[key] = repeat.deaths.get(key, 0) + 1
        lost = [
            self.running[index] for index, key in at.items() if repeat.deaths[key] >= MOST_DEATHS
        ]
        message = f"worker {self.name} died of it, as another one did before"
        for trial in lost_trials(lost, TrialStatus.CRASHED, message, self._scope):
            record_lost(trial, repeat.case, repeat.journal)
        again = "goes on elsewhere" if not lost else "goes on elsewhere without that trial"
        self._tell_gone("is gone", again)
        if repeat.deaths.get(NO_TRIAL, 0) > MOST_DEATHS:
            self.error = WorkerError(
                f"{repeat.case.id}: {repeat.deaths[NO_TRIAL]} workers died during repeat "
                f"{repeat.number + 1} while none of its trials was under way; see their logs"
            )

    def _tell_gone(self, how: str, then: str) -> None:
        repeat = self.repeat
        self.notices.append(
            f"worker {self.name} {how}: {repeat.case.id}, repeat {repeat.number + 1}, {then}"
        )

    def _kept(self, index: int) -> int:
        """Return how many epochs of a trial would not be lost."""
        found = self.repeat.journal.load_state(index)
        return len(found[0]["epochs"]) if found else 0


def put_aside(journal: Journal) -> str:
    """Put what a repeat has achieved under another name, and start it over; return that name."""
    if not journal.path.exists():
        return "nothing"
    if journal.fence:
        journal.fence.check()
    number = 1
    while (aside := journal.path.with_suffix(f".{number}.aside")).exists():
        number += 1
    journal.path.replace(aside)
    journal.discard()
    return aside.name
