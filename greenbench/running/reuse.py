"""Reuse: repeats whose result an earlier run has, under all the same conditions, are not measured.

A result is taken over if nothing that it depends on differs: the case, the repeat, all that a run's
folder says of its conditions, the machine, its device and the data, which a worker loads to compare
them. What is doubtful of it (`DOUBTFUL`) is a reason to measure anew.
"""

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from greenbench.cases import Case
from greenbench.cases.case import Options
from greenbench.energy.carbon import CarbonIntensity
from greenbench.errors import GreenbenchError, JournalError
from greenbench.machine.environment import describe_environment
from greenbench.registry import OWN
from greenbench.results import CaseResult
from greenbench.results.journal import Journal
from greenbench.results.marks import DOUBTFUL, marks_of
from greenbench.running.conditions import DATA, Conditions, change, changes, digest_of, listed
from greenbench.running.executor import WorkerPool
from greenbench.running.manifest import DONE, MANIFEST, UNREADABLE, Manifest
from greenbench.running.run_folder import Notice, RunFolder
from greenbench.search.basis import OF_DATA
from greenbench.settings import Settings

MACHINE = ("cpu", "cores", "memory_gib", "system")
"""What a fingerprint is made of, but for the device, which only a worker knows."""
NONE = "no complete run has their results"


@dataclass(frozen=True)
class Found:
    """A result that may be taken over.

    Attributes
    ----------
    session : str
        Of the run that measured it.
    result : CaseResult
        As it is there.
    basis : mapping
        What it rests on, and only a worker knows.
    """

    session: str
    result: CaseResult
    basis: Mapping[str, Any]

    def as_of(self, suite: str, at: float) -> CaseResult:
        """Return the result as one of a session of now; figures are what they were.

        Parameters
        ----------
        suite : str
            That runs now.
        at : float
            Seconds since 1970-01-01 UTC, as of which it is kept: sessions are ordered by time.
        """
        result, later_s = self.result, at - self.result.started_at
        moved = [replace(each, started_at=each.started_at + later_s) for each in result.trials]
        return replace(
            result,
            suite=suite,
            trials=tuple(moved),
            started_at=at,
            reused_from=result.reused_from or self.session,
        )


Reasons = Counter[str]
"""How many repeats are measured anew, by why."""
Candidates = dict[tuple[Case, int], Found]
_Data = tuple[str, Options, str | None]


def take_over(
    folder: RunFolder,
    conditions: Mapping[Case, Conditions],
    settings: Settings,
    intensity: CarbonIntensity,
    notice: Notice,
) -> None:
    """Take over what other runs have of the repeats that a run has not begun, and say what not.

    Parameters
    ----------
    folder : RunFolder
        Of the run; its journals get the results.
    conditions : mapping of Case to mapping
        What results of each case depend on now.
    settings : Settings
        Where the folders of runs are, and what workers are set up with.
    intensity : CarbonIntensity
        Workers are set up with that, too.
    notice : callable
        Told of what is measured anew, a line a reason.
    """
    if folder.mixed:
        notice("nothing is reused: the run went on after changes, and all in it is mixed")
        return
    found, reasons = candidates(settings.journal_dir, folder, conditions)
    if found:
        backends = ", ".join(sorted({case.backend for case, _ in found}))
        notice(f"starting workers to see whether data are what they were: {backends}")
        pool = WorkerPool(settings, intensity, folder.path)
        try:
            pool.launch(case for case, _ in found)
            pool.wait_until_ready()
            found = _intact(found, pool, reasons)
        finally:
            pool.close()
    at = time.time()
    for place, ((case, repeat), each) in enumerate(found.items()):
        # A millisecond apart, which is what a store tells apart.
        result = each.as_of(folder.request.suite, at + place / 1000)
        Journal.of(folder.path, case, repeat, folder.fence).adopt(each.basis, result)
    for reason, count in reasons.items():
        notice(f"{count} repeat{' is' if count == 1 else 's are'} measured anew: {reason}")


def candidates(
    root: Path, folder: RunFolder, conditions: Mapping[Case, Conditions]
) -> tuple[Candidates, Reasons]:
    """Return for each repeat that a run has not begun a result of another run, if one may do.

    Parameters
    ----------
    root : pathlib.Path
        Where the folders of runs are.
    folder : RunFolder
        Of the run.
    conditions : mapping of Case to mapping
        What results of each case depend on now.
    """
    runs, here = _complete(root, folder.path), describe_environment(1, {})
    found, reasons = Candidates(), Reasons()
    for case, repeat, journal in folder.repeats():
        if journal.path.exists():
            continue
        first = None
        for run in runs:
            each = _look(run, case, repeat, conditions[case], here)
            if isinstance(each, Found):
                found[case, repeat] = each
                break
            first = first or each
        else:
            reasons[first or NONE] += 1
    return found, reasons


@dataclass(frozen=True)
class _Run:
    path: Path
    manifest: Manifest
    ended_at: float


def _complete(root: Path, own: Path) -> list[_Run]:
    """Return the runs that have ended, the newest first."""
    found = []
    for path in root.glob(f"*/{MANIFEST}"):
        with suppress(*UNREADABLE):
            folder, manifest = path.parent, Manifest.read(path.parent)
            if folder != own and manifest.is_done(folder):
                found.append(_Run(folder, manifest, (folder / DONE).stat().st_mtime))
    return sorted(found, key=lambda run: run.ended_at, reverse=True)


def _look(
    run: _Run, case: Case, repeat: int, now: Conditions, here: Mapping[str, str]
) -> Found | str | None:
    """Return what a run has of a repeat, or why that is of no use; None if it has nothing."""
    journal = Journal.of(run.path, case, repeat)
    if not journal.path.exists():
        return None
    before = run.manifest.conditions
    of_case = None if before is None else {name: before.get(name) for name in now}
    if of_case and case.threads is not None:
        of_case["threads"] = None
    if differences := changes(of_case, now):
        return f"since their results, {listed(differences)} changed"
    if run.manifest.is_drifted(run.path):
        return "idle power changed too much during the run that has their results"
    try:
        result, start = journal.read().result, journal.last_start()
    except (JournalError, *UNREADABLE):
        return "their results cannot be read"
    if result is None:
        return None
    return _objection(result, now, here) or Found(run.path.name, result, start.get("basis", {}))


def _objection(result: CaseResult, now: Conditions, here: Mapping[str, str]) -> str | None:
    """Return why a result is not taken over, as far as that is known without its data."""
    if result.conditions != digest_of(now, result.case, result.repeat):
        return "their results do not say that they were measured under these conditions"
    if other := [name for name in MACHINE if result.environment.get(name) != here[name]]:
        return f"their results are of a machine with another {other[0]}"
    if result.design:
        return "their results are of a run that went on until it knew (`--until-decided`)"
    if result.incumbent is None:
        return "no trial of their results completed"
    if marks := [mark for mark in marks_of(result) if mark in DOUBTFUL]:
        return f"their results are marked as {' and '.join(marks)}"
    if result.case.backend == OWN:
        return "their trainings load their data themselves, and nobody knows whether they changed"
    return None


def _intact(found: Candidates, pool: WorkerPool, reasons: Reasons) -> Candidates:
    """Return what rests on the same data and device as now; the others are counted."""
    kept = Candidates()
    same: set[_Data] = set()
    for (case, repeat), each in found.items():
        if changed := _changed(case, repeat, each.basis, pool, same):
            reasons[f"since their results, {changed} changed"] += 1
        else:
            kept[case, repeat] = each
    return kept


def _changed(
    case: Case, repeat: int, basis: Mapping[str, Any], pool: WorkerPool, same: set[_Data]
) -> str | None:
    """Return what differs of device and data; `same` are data that were compared before."""
    before, now = basis.get("device"), pool.device_of(case)
    if before != now:
        return change("device", before, now)
    data = (case.dataset, case.dataset_options, basis.get("content"))
    # How equal data are split, the case and its repeat decide.
    if data in same:
        return None
    try:
        loaded = pool.data_of(case, repeat)
    except GreenbenchError:
        # Whoever measures it is told why.
        loaded = {}
    known = [name for name in OF_DATA if basis.get(name) is not None]
    if not known or any(basis[name] != loaded.get(name) for name in known):
        return f"{DATA}{case.dataset}"
    if "content" in known:
        same.add(data)
    return None
