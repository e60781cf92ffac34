"""Repeats that are added to a run that has ended: to which run, and whether they may be."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from greenbench.cases import Case
from greenbench.energy.carbon import carbon_intensity
from greenbench.errors import ChangedError, ConfigurationError
from greenbench.machine.files import reason, remedy
from greenbench.running.conditions import changes, conditions_of, listed
from greenbench.running.manifest import MANIFEST, UNREADABLE, Manifest
from greenbench.running.run_folder import (
    Notice,
    Request,
    RunFolder,
    may_write,
    own,
    resume_notice,
)
from greenbench.settings import Settings

OPTION = "--continue-repeats"


@dataclass(frozen=True)
class Continuation:
    """A run, and the repeats that it is to have.

    Attributes
    ----------
    folder : RunFolder
        Its folder; the request has all repeats, those that are there and those that are added.
    found : Manifest
        What its folder said when it was looked for.
    differences : tuple of str
        What its results depend on and is no longer what it was.
    """

    folder: RunFolder
    found: Manifest
    differences: tuple[str, ...]

    @property
    def cases(self) -> Sequence[Case]:
        """The cases with all their repeats."""
        return self.folder.request.cases

    @property
    def is_begun(self) -> bool:
        """Whether these repeats were being added when that was interrupted."""
        return self.found.added == self.folder.added

    def take_up(self, stack: ExitStack, notice: Notice) -> RunFolder:
        """Take the run's folder, in which nothing is changed yet.

        Raises
        ------
        ConfigurationError
            If another process has it, or had it since it was found.
        """
        folder = self.folder
        try:
            claim = own(folder.path, stack, notice)
        except OSError as error:
            raise ConfigurationError(
                f"{OPTION}: the run {folder.path.name} cannot be written ({reason(error)}); "
                f"{remedy(error)}"
            ) from error
        if claim is None:
            raise ConfigurationError(
                f"{OPTION}: another greenbench is at the run {folder.path.name}; wait for its end"
            )
        is_done = self.found.is_done(folder.path)
        if Manifest.read(folder.path) != self.found or is_done == self.is_begun:
            raise ConfigurationError(
                f"{OPTION}: another greenbench has added to the run {folder.path.name} just now; "
                "say it again if you want more"
            )
        folder = replace(folder, claim=claim)
        folder.tidy()
        notice(self._notice())
        if self.is_begun:
            folder.mark()
        return folder

    def _notice(self) -> str:
        if self.is_begun:
            return resume_notice(self.folder)
        total = sum(case.repeats for case in self.cases)
        more = self.folder.added[-1]
        return (
            f"adding {more} repeat{'' if more == 1 else 's'} to {self.folder.path.name}: "
            f"{total - more * len(self.cases)} of {total} are there"
        )

    def begin(self, folder: RunFolder, data: Sequence[str], *, may_mix: bool) -> RunFolder:
        """Let the run go on, now that all is known that may have changed.

        Parameters
        ----------
        folder : RunFolder
            As `take_up` returned it.
        data : sequence of str
            What has changed that only workers know.
        may_mix : bool
            Whether it may go on all the same; all its results are marked then.

        Raises
        ------
        ChangedError
            If it may not; the run stays as it is.
        """
        differences = (*self.differences, *data)
        if differences and not may_mix:
            raise _refusal(folder, differences)
        if differences:
            return folder.mix(differences)
        if not self.is_begun:
            folder.begin()
        return folder


def find(
    settings: Settings, suite: str, cases: Sequence[Case], more: int, *, may_mix: bool
) -> Continuation:
    """Return the newest run of these cases that has ended, and to which repeats are added.

    Parameters
    ----------
    settings : Settings
        Where runs are, and how they are run now.
    suite : str
        Its name.
    cases : sequence of Case
        Of the run; their repeats are of no account.
    more : int
        How many repeats each case gets.
    may_mix : bool
        Whether the newest is taken though something has changed that its results depend on.

    Raises
    ------
    ConfigurationError
        If there is none, or it may not be added to.
    """
    if more < 1:
        raise ConfigurationError(f"{OPTION} is {more}; expected a whole number above 0")
    intensity = carbon_intensity(settings.carbon_g_per_kwh, settings.country)
    now = conditions_of(settings, cases, intensity)
    request = Request(suite, cases, now, may_mix)
    ended, interrupted = _candidates(settings.journal_dir, request)
    if not ended:
        unfinished = (
            f" ({interrupted[0].name} was interrupted: end it first)" if interrupted else ""
        )
        raise ConfigurationError(
            f"{OPTION}: no run of exactly these cases of suite {suite!r} has ended in "
            f"{settings.journal_dir}{unfinished}; run them without {OPTION}"
        )
    found = [_continuation(path, manifest, request, more) for path, manifest in ended]
    chosen = next((each for each in found if not each.differences), found[0])
    if not chosen.is_begun and not chosen.found.is_done(chosen.folder.path):
        raise ConfigurationError(
            f"{OPTION} is {more}, and adding {chosen.found.added[-1]} repeats to "
            f"{chosen.folder.path.name} was interrupted; end that first"
        )
    if not may_write(chosen.folder.path):
        raise ConfigurationError(
            f"{OPTION}: not all of the run {chosen.folder.path.name} may be written by you"
        )
    if chosen.differences and not may_mix:
        raise _refusal(chosen.folder, chosen.differences)
    return chosen


def _refusal(folder: RunFolder, differences: Sequence[str]) -> ChangedError:
    return ChangedError(
        f"{OPTION}: the run {folder.path.name} cannot be added to, since {listed(differences)} "
        f"changed; run the cases anew without {OPTION}, or add `--resume-anyway`, which marks all "
        "results of that run as mixed"
    )


def _candidates(root: Path, request: Request) -> tuple[list[tuple[Path, Manifest]], list[Path]]:
    """Return the runs of the same cases that have ended once, newest first, and the others."""
    wanted = _without_repeats(request.to_dict())
    ended, interrupted = [], []
    for path in sorted(root.glob(f"*/{MANIFEST}"), reverse=True):
        folder = path.parent
        try:
            manifest = Manifest.read(folder)
            is_same = _without_repeats(manifest.asked) == wanted
        except UNREADABLE:
            continue
        if is_same and (manifest.added or manifest.is_done(folder)):
            ended.append((folder, manifest))
        elif is_same:
            interrupted.append(folder)
    return ended, interrupted


def _without_repeats(asked: Mapping[str, Any]) -> dict[str, Any]:
    plain = [{n: v for n, v in case.items() if n != "repeats"} for case in asked["cases"]]
    return {**asked, "cases": sorted(plain, key=json.dumps)}


def _continuation(path: Path, found: Manifest, request: Request, more: int) -> Continuation:
    repeats = {Case.from_dict(case).hash: int(case["repeats"]) for case in found.asked["cases"]}
    is_done = found.is_done(path)
    is_begun = not is_done and found.added[-1] == more
    further = 0 if is_begun else more
    cases = [replace(case, repeats=repeats[case.hash] + further) for case in request.cases]
    folder = RunFolder(
        path,
        replace(request, cases=cases),
        is_resumed=True,
        mixed=found.mixed,
        added=found.added if is_begun else (*found.added, more),
    )
    return Continuation(folder, found, changes(found.conditions, request.conditions))
