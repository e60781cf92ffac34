"""Reuse: repeats whose result an earlier run has, under all the same conditions, are not measured.

A result is taken over if nothing that it depends on differs: the case, the repeat, all its
conditions, the machine, its device and the data, which a worker loads to compare them. What is
doubtful of it is a reason to measure anew. Folders of runs are looked through, then the store.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from greenbench.cases import Case
from greenbench.cases.case import Options
from greenbench.energy.carbon import CarbonIntensity
from greenbench.errors import GreenbenchError, JournalError
from greenbench.machine.environment import describe_environment
from greenbench.registry import OWN
from greenbench.results.journal import DAMAGE, Journal
from greenbench.running.conditions import DATA, WHICH_CARD, Conditions, change, changes, listed
from greenbench.running.executor import WorkerPool
from greenbench.running.manifest import DONE, MANIFEST, UNREADABLE, Manifest
from greenbench.running.reusable import Found, first_found, objection
from greenbench.running.reuse_stored import StoredResults
from greenbench.running.run_folder import Notice, RunFolder
from greenbench.search.basis import OF_DATA
from greenbench.settings import Settings

NONE = "no complete run has their results"
UNREADABLE_RESULTS = "their results cannot be read"

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
    *,
    hold: Callable[[], AbstractContextManager[object]] = nullcontext,
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
    hold : callable
        Returns a context in which nobody measures who would be disturbed by loading data.
    """
    if folder.mixed:
        notice("nothing is reused: the run went on after changes, and all in it is mixed")
        return
    found, reasons = candidates(settings, folder, conditions, notice)
    if found:
        with hold(), closing(WorkerPool(settings, intensity, folder.path)) as pool:
            backends = ", ".join(sorted({case.backend for case, _ in found}))
            notice(f"starting workers to see whether data are what they were: {backends}")
            pool.launch(case for case, _ in found)
            pool.wait_until_ready()
            found = _intact(found, pool, reasons)
    at = time.time()
    for place, ((case, repeat), each) in enumerate(found.items()):
        # A millisecond apart, which is what a store tells apart.
        result = each.as_of(folder.request.suite, at + place / 1000)
        Journal.of(folder.path, case, repeat, folder.fence).adopt(each.basis, result)
    for reason, count in reasons.items():
        notice(f"{count} repeat{' is' if count == 1 else 's are'} measured anew: {reason}")


def candidates(
    settings: Settings,
    folder: RunFolder,
    conditions: Mapping[Case, Conditions],
    notice: Notice,
) -> tuple[Candidates, Reasons]:
    """Return for each repeat that a run has not begun a result of another run, if one may do.

    Parameters
    ----------
    settings : Settings
        Where the folders of runs are, and the store, which is asked for what they do not have.
    folder : RunFolder
        Of the run.
    conditions : mapping of Case to mapping
        What results of each case depend on now.
    notice : callable
        Told if the store is away.
    """
    results, here = Results(settings, folder.path, notice), describe_environment(1, {})
    found, reasons = Candidates(), Reasons()
    for case, repeat, journal in folder.repeats():
        if journal.path.exists():
            continue
        best = results.look(case, repeat, conditions[case], here)
        if isinstance(best, Found):
            found[case, repeat] = best
        else:
            reasons[best] += 1
    return found, reasons


class Results:
    """What other runs, and the store, have of repeats.

    Parameters
    ----------
    settings : Settings
        Where the folders of runs are, and the store, which is asked for what they do not have.
    own : pathlib.Path
        The folder of the run that asks.
    notice : callable
        Told if the store is away.
    """

    def __init__(self, settings: Settings, own: Path, notice: Notice) -> None:
        self._runs = _complete(settings.journal_dir, own)
        self._store = StoredResults(settings, notice)

    def look(
        self, case: Case, repeat: int, now: Conditions, here: Mapping[str, str]
    ) -> Found | str:
        """Return a result of a repeat, or why there is none that may do.

        Parameters
        ----------
        case : Case
            The definition.
        repeat : int
            Which repeat, from 0.
        now, here
            As of `greenbench.running.reusable.objection`.
        """
        of_repeat = (case, repeat, now, here)
        looks = chain(
            (_look(run, *of_repeat) for run in self._runs),
            (self._store.look(*each) for each in [of_repeat]),
        )
        return first_found(looks) or NONE


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
    try:
        place = journal.last_place()
    except (JournalError, *DAMAGE):
        return UNREADABLE_RESULTS
    of_case = _before(run, place, case, now)
    if differences := changes(of_case, now):
        return f"since their results, {listed(differences)} changed"
    if run.manifest.is_drifted(run.path):
        return "idle power changed too much during the run that has their results"
    try:
        result, basis = journal.read().result, journal.basis()
    except (JournalError, *UNREADABLE):
        return UNREADABLE_RESULTS
    if result is None:
        return None
    if place and result.idle_w and not result.reused_from:
        return "nobody knows by how much idle power changed during their run on a cluster"
    return objection(result, now, here) or Found(run.path.name, result, basis)


def _before(run: _Run, place: Conditions, case: Case, now: Conditions) -> Conditions | None:
    """Return what a repeat was measured under; of a cluster's, its journal says the host's part."""
    if run.manifest.conditions is None:
        return None
    before = {**run.manifest.conditions, **place}
    of_case = {name: before.get(name) for name in now}
    if place:
        # It does not say that, and the digest of all conditions does.
        of_case[WHICH_CARD] = now.get(WHICH_CARD)
    if case.threads is not None:
        of_case["threads"] = None
    return of_case


def _intact(found: Candidates, pool: WorkerPool, reasons: Reasons) -> Candidates:
    """Return what rests on the same data and device as now; the others are counted."""
    kept = Candidates()
    same: set[_Data] = set()
    for (case, repeat), each in found.items():
        if changed := changed_since(case, repeat, each.basis, pool, same):
            reasons[f"since their results, {changed} changed"] += 1
        else:
            kept[case, repeat] = each
    return kept


def changed_since(
    case: Case, repeat: int, basis: Mapping[str, Any], pool: WorkerPool, same: set[_Data]
) -> str | None:
    """Return what differs of device and data from what a result rests on.

    Parameters
    ----------
    case : Case
        The definition.
    repeat : int
        Which repeat, from 0.
    basis : mapping
        Of the result.
    pool : WorkerPool
        Has a worker for the case, which loads its data.
    same : set
        Data that were compared before, and gets what is found to be equal.
    """
    before, now = basis.get("device"), pool.device_of(case)
    if before != now:
        return change("device", before, now)
    if case.backend == OWN:
        # What it reads is among the conditions.
        return None
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
