"""What the folder of a run says of it: what was asked for, under which conditions, and its end."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenbench.errors import JournalError
from greenbench.machine.claims import Claim
from greenbench.machine.files import read_plain, reason, remedy, replacing
from greenbench.running.conditions import Conditions

MANIFEST = "run.json"
DONE = "done"
DRIFTED = "drifted"
"""A file that is there if idle power changed too much during the run."""
LOCK = ".lock"
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading raises of a file that is not what greenbench wrote."""


@dataclass(frozen=True)
class Manifest:
    """What `MANIFEST` holds.

    Attributes
    ----------
    asked : mapping
        ``schema``, ``suite`` and ``cases``, sorted; ``design``, unless the repeats are fixed.
    conditions : mapping or None
        What the results depend on besides; None if an older greenbench began the run.
    mixed : tuple of str
        What had changed when it was gone on with all the same.
    added : tuple of int
        Of each time that repeats were added after its end, how many; ``asked`` has them all.
    """

    asked: Mapping[str, Any]
    conditions: Conditions | None
    mixed: tuple[str, ...] = ()
    added: tuple[int, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Return what a run's folder says; raises one of `UNREADABLE` if it cannot be read."""
        values = json.loads(read_plain(folder / MANIFEST))
        # The order of the cases did not use to be of no account.
        cases = sorted(values["cases"], key=json.dumps)
        asked = {"schema": values["schema"], "suite": values["suite"], "cases": cases}
        asked |= {"design": values["design"]} if "design" in values else {}
        conditions, mixed, added = (
            values.get("conditions"),
            values.get("mixed", []),
            values.get("added", []),
        )
        if not isinstance(conditions, dict | None) or not all(isinstance(m, str) for m in mixed):
            raise TypeError("conditions must be a mapping, and what is mixed, texts")
        if not all(isinstance(number, int) for number in added):
            raise TypeError("added must be whole numbers")
        return cls(asked, conditions, tuple(mixed), tuple(added))

    def write(self, folder: Path) -> None:
        """Write it into a run's folder; where it adds repeats, the run has not ended then."""
        lists = {"mixed": list(self.mixed), "added": list(self.added)}
        values = {**self.asked, "conditions": dict(self.conditions or {})}
        values |= {name: each for name, each in lists.items() if each}
        _write(folder / MANIFEST, json.dumps(values))

    def is_done(self, folder: Path) -> bool:
        """Return whether the run has ended, with all repeats that were added to it."""
        try:
            said = read_plain(folder / DONE)
        except OSError:
            return False
        return not self.added or said == self._end.encode()

    def finish(self, folder: Path) -> None:
        """Note that the run has ended."""
        _write(folder / DONE, self._end)

    def is_drifted(self, folder: Path) -> bool:
        """Return whether idle power changed too much during the run, as `mark_drifted` noted."""
        return (folder / DRIFTED).exists()

    def mark_drifted(self, folder: Path) -> None:
        """Note that idle power changed too much during the run."""
        _write(folder / DRIFTED, "")

    @property
    def _end(self) -> str:
        return json.dumps(list(self.added)) if self.added else ""


def state_of(folder: Path) -> str:
    """Return what the folder of a run says of it: complete, running, interrupted or unknown.

    Parameters
    ----------
    folder : pathlib.Path
        Of any machine, and so maybe not there; a run under pytest does not tell, either, nor
        does one that may go on on another machine, on a shared folder.
    """
    try:
        if Manifest.read(folder).is_done(folder):
            return "complete"
        is_free = Claim(folder / LOCK, f"the run {folder.name}").is_free()
    except UNREADABLE:
        return "unknown"
    if is_free is None:
        # Of another machine, which alone could tell at once.
        return "unknown"
    return "interrupted" if is_free else "running"


def _write(path: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    try:
        with replacing(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise JournalError(
            f"{path} cannot be written ({reason(error)}); {remedy(error)}, then run the same "
            "command again"
        ) from error
