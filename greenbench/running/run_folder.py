"""The folder of a run: made anew, or taken up from a run that was interrupted."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from greenbench.cases import SCHEMA_VERSION, Case
from greenbench.cases.case import Options
from greenbench.errors import JournalError
from greenbench.machine.claims import Claim, Fence
from greenbench.results import TrialStatus
from greenbench.results.journal import Journal
from greenbench.results.looks import Look, look_after
from greenbench.running.conditions import DATA, Conditions, change, changes, listed
from greenbench.running.executor import WorkerPool
from greenbench.running.manifest import DONE, LOCK, MANIFEST, UNREADABLE, Manifest
from greenbench.running.run_names import make_folder
from greenbench.search.basis import OF_DATA, differ

Notice = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What a run is asked for.

    Attributes
    ----------
    suite : str
        Its name.
    cases : sequence of Case
        What is run; their order is of no account.
    conditions : mapping
        What results depend on besides.
    may_mix : bool or None
        Whether a run goes on that was begun under other conditions; None where nobody can
        ask for that.
    design : str or None
        ``"until-decided"`` where the repeats of the cases are the most that there may be, and
        somebody looks again and again whether they are enough.
    """

    suite: str
    cases: Sequence[Case]
    conditions: Conditions
    may_mix: bool | None = None
    design: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what a run's folder says that it was asked for."""
        cases = sorted((case.to_dict() for case in self.cases), key=json.dumps)
        design = {"design": self.design} if self.design else {}
        return {"schema": SCHEMA_VERSION, "suite": self.suite, "cases": cases, **design}


@dataclass(frozen=True)
class RunFolder:
    """A run's folder, which is locked until the stack is closed that it was opened with.

    Attributes
    ----------
    path : pathlib.Path
        Where it is.
    request : Request
        What is run in it.
    is_resumed : bool
        Whether an interrupted run is gone on with.
    mixed : tuple of str
        What had changed when it was gone on with all the same.
    added : tuple of int
        Of each time that repeats were added after its end, how many; the request has them all.
    claim : Claim or None
        What makes it ours.
    """

    path: Path
    request: Request
    is_resumed: bool = False
    mixed: tuple[str, ...] = ()
    added: tuple[int, ...] = ()
    claim: Claim | None = field(default=None, compare=False, repr=False)

    def repeats(self) -> Iterator[tuple[Case, int, Journal]]:
        """Yield all repeats with their journals."""
        for case in self.request.cases:
            for repeat in range(case.repeats):
                yield case, repeat, Journal.of(self.path, case, repeat, self.fence)

    @property
    def fence(self) -> Fence | None:
        """What lets nobody write any more once the run was taken over."""
        return self.claim.fence if self.claim else None

    def check(self) -> None:
        """Raise `TakenOverError` if the run goes on in another process."""
        if self.claim is not None:
            self.claim.check()

    def mix(self, differences: Sequence[str]) -> "RunFolder":
        """Go on though something has changed: what was and what will be finished says so."""
        mixed = tuple(dict.fromkeys([*self.mixed, *differences]))
        folder = replace(self, mixed=mixed)
        # Before anything is run; who is killed in between marks again.
        folder.begin()
        folder.mark()
        return folder

    def mark(self) -> None:
        """Mark finished repeats of a run that went on after changes."""
        for _, _, journal in self.repeats():
            try:
                result = journal.read().result
            except JournalError:
                continue
            if result is not None and result.mixed != self.mixed:
                journal.mark_mixed(self.mixed)

    def tidy(self) -> None:
        """Drop files that a killed process had only half written."""
        for path in self.path.glob("*.tmp"):
            # What cannot be removed takes room, and no more.
            with suppress(OSError):
                path.unlink()

    def renew(self) -> None:
        """Put copies in the place of journals that somebody still writes who has lost the run."""
        for _, _, journal in self.repeats():
            # A damaged one is told of where it is read.
            with suppress(JournalError):
                if journal.read().result is None:
                    journal.renew()

    def begin(self) -> None:
        """Let later sessions take the run up if it is interrupted."""
        self.check()
        self._manifest.write(self.path)

    def is_complete(self) -> bool:
        """Return whether all repeats have their result, and only the end was interrupted."""
        try:
            return all(journal.read().result for _, _, journal in self.repeats())
        except JournalError:
            return False

    def finish(self) -> None:
        """Mark the run as complete, so that it is not taken up again."""
        self.check()
        self._manifest.finish(self.path)

    def mark_drifted(self) -> None:
        """Note that idle power changed too much for net figures while the run was measured."""
        self._manifest.mark_drifted(self.path)

    def look_of(self, case: Case, repeat: int) -> Look:
        """Return which look at a case a repeat comes before."""
        if self.request.design:
            return Look(look_after(repeat + 1), self.request.design)
        later = accumulate(reversed(self.added))
        return Look(1 + sum(repeat >= case.repeats - more for more in later))

    @cached_property
    def first_added(self) -> Mapping[str, int]:
        """The first of the repeats that were added last, by the case's hash, if any were."""
        more = self.added[-1] if self.added else 0
        return {case.hash: case.repeats - more for case in self.request.cases if more}

    @property
    def _manifest(self) -> Manifest:
        request = self.request
        return Manifest(request.to_dict(), request.conditions, self.mixed, self.added)


def make(root: Path, request: Request, stack: ExitStack) -> RunFolder:
    """Make a new folder in `root`."""
    folder = make_folder(root, request.suite)
    return RunFolder(folder, request, claim=own(folder, stack))


def take_up(root: Path, request: Request, stack: ExitStack, notice: Notice) -> RunFolder | None:
    """Take up the newest interrupted run of the same cases under the same conditions.

    If there is none, one under other conditions is gone on with if that was asked for, and
    else named, with what differs.
    """
    others: list[tuple[RunFolder, tuple[str, ...]]] = []
    damaged: list[Path] = []
    foreign: list[Path] = []
    for found in _interrupted(root, request):
        if not may_write(found.path):
            foreign += [] if found.is_outdated else [found.path]
            continue
        if (known := found.manifest) is None:
            damaged += [] if found.is_outdated else [found.path]
            continue
        differences = changes(known.conditions, request.conditions)
        folder = RunFolder(found.path, request, True, known.mixed, known.added)
        if differences:
            if request.may_mix or not found.is_outdated:
                others.append((folder, differences))
        elif ours := _owned(folder, stack, notice):
            ours.tidy()
            notice(resume_notice(ours))
            ours.mark()
            return ours
    for folder, differences in others:
        with ExitStack() as attempt:
            if not (ours := _owned(folder, attempt, notice)):
                continue
            if request.may_mix:
                stack.enter_context(attempt.pop_all())
                ours.tidy()
                mixed = ours.mix(differences)
                notice(resume_notice(mixed))
                return mixed
        refuse(folder, differences, notice)
        break
    _tell_damaged(damaged, notice)
    _tell_foreign(foreign, notice)
    return None


def _owned(folder: RunFolder, stack: ExitStack, notice: Notice) -> RunFolder | None:
    """Return a run as ours; None if another process has it, or had it since it was found."""
    claim = own(folder.path, stack, notice)
    if claim is None:
        return None
    with suppress(*UNREADABLE):
        now = Manifest.read(folder.path)
        is_same = (now.mixed, now.added) == (folder.mixed, folder.added)
        if is_same and not now.is_done(folder.path):
            ours = replace(folder, claim=claim)
            if claim.is_taken_over:
                ours.renew()
            return ours
    claim.release()
    return None


def refuse(folder: RunFolder, differences: Sequence[str], notice: Notice) -> None:
    """Say why an interrupted run is not gone on with."""
    advice = " (`--resume-anyway` goes on with it)" if folder.request.may_mix is not None else ""
    notice(
        f"the interrupted run {folder.path.name} is not gone on with: {listed(differences)} "
        f"changed; starting over{advice}"
    )


def _tell_damaged(folders: Sequence[Path], notice: Notice) -> None:
    for folder in folders:
        with ExitStack() as attempt:
            if own(folder, attempt, notice):
                notice(
                    f"the interrupted run {folder.name} is not gone on with: its {MANIFEST} cannot "
                    "be read; starting over (delete the folder if you need nothing of it)"
                )


def _tell_foreign(folders: Sequence[Path], notice: Notice) -> None:
    for folder in folders:
        with ExitStack() as attempt:
            try:
                is_interrupted = own(folder, attempt, notice) is not None
            except OSError:
                is_interrupted = True
            if is_interrupted:
                notice(
                    f"the interrupted run {folder.name} is not gone on with: not all of it may be "
                    "written by you, as if it was another user's; starting over"
                )


def may_write(folder: Path) -> bool:
    """Return whether a run's folder and all in it may be written, as another user's may not."""
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return False
    lock = folder / LOCK
    is_plain = lock.is_file() and not lock.is_symlink() and os.access(lock, os.R_OK)
    if os.path.lexists(lock) and not is_plain:
        return False
    # What has gone meanwhile was written by somebody who goes on with it.
    others = [path for path in folder.rglob("*") if path != lock and not path.is_symlink()]
    return all(os.access(path, os.W_OK) or not path.exists() for path in others)


def changed_data(folder: RunFolder, pool: WorkerPool) -> tuple[str, ...]:
    """Return what differs of data and devices from what a run's repeats rested on so far.

    Each data set is loaded once, unless its images depend on the seed of the split.
    """
    found: list[str] = []
    same: set[tuple[str, Options, str]] = set()
    for case, repeat, basis in _last_starts(folder):
        device = pool.device_of(case)
        if differ(basis.get("device"), device):
            found.append(change("device", basis["device"], device))
        if (case.dataset, case.dataset_options, basis.get("content")) in same:
            continue
        now = pool.data_of(case, repeat)
        if any(differ(basis.get(name), now.get(name)) for name in OF_DATA):
            found.append(f"{DATA}{case.dataset}")
        elif content := now.get("content"):
            same.add((case.dataset, case.dataset_options, content))
    return tuple(dict.fromkeys(found))


def _last_starts(folder: RunFolder) -> Iterator[tuple[Case, int, Mapping[str, Any]]]:
    """Yield for each case the repeat that was started last, and what it rested on."""
    for case in folder.request.cases:
        journals = (Journal.of(folder.path, case, repeat) for repeat in range(case.repeats))
        # Older journals do not tell their turns.
        starts = [
            (journal.last_turn(), start["at"], journal.repeat, start.get("basis", {}))
            for journal in journals
            if (start := journal.last_start())
        ]
        if starts:
            *_, repeat, basis = max(starts, key=lambda start: start[:3])
            yield case, repeat, basis


@dataclass(frozen=True)
class _Interrupted:
    path: Path
    manifest: Manifest | None = None
    """None if it no longer tells what it was of."""
    is_outdated: bool = False
    """Whether a later run of the same cases was finished."""


def _interrupted(root: Path, request: Request) -> Iterator[_Interrupted]:
    wanted = request.to_dict()
    is_outdated = False
    for path in sorted(root.glob(f"*/{MANIFEST}"), reverse=True):
        try:
            found = Manifest.read(path.parent)
        except UNREADABLE:
            is_done = (path.parent / DONE).exists()
            if not is_done and path.parent.name.startswith(f"{request.suite}-"):
                yield _Interrupted(path.parent, is_outdated=is_outdated)
            continue
        if found.asked != wanted:
            continue
        if found.is_done(path.parent):
            is_outdated = True
        else:
            yield _Interrupted(path.parent, found, is_outdated)


def own(folder: Path, stack: ExitStack, notice: Notice | None = None) -> Claim | None:
    """Claim a run's folder until the stack is closed; None if another process has it.

    The system frees it if we are killed; on a shared folder, other machines see that we are gone.
    """
    claim = Claim(folder / LOCK, f"the run {folder.name}", notice)
    if not claim.acquire():
        return None
    stack.callback(claim.release)
    return claim


def resume_notice(folder: RunFolder) -> str:
    """Return what is said of a run that is gone on with: what is there, and what is not."""
    finished = trials = lost = total = 0
    for _, _, journal in folder.repeats():
        total += 1
        try:
            state = journal.read()
        except JournalError:
            continue
        finished += state.result is not None
        if state.result is None:
            trials += len(state.trials)
            lost += sum(trial.status is TrialStatus.STOPPED for trial in state.trials)
    stopped = f" ({lost} that had paused stay where they are)" if lost else ""
    marked = f"; all are marked as mixed: {listed(folder.mixed)} changed" if folder.mixed else ""
    if folder.request.design:
        there = f"{finished} repeats are finished"
    else:
        there = f"{finished} of {total} repeats are finished"
    if finished == total:
        return (
            f"resuming {folder.path.name}: all {total} repeats are finished, so nothing is trained"
            f"{marked}; `--fresh` measures anew"
        )
    return (
        f"resuming {folder.path.name}: {there}, and {trials} "
        f"trials of the interrupted one{stopped}{marked}; `--fresh` starts over instead"
    )
