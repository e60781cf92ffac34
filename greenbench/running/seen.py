"""Cases whose first repeats may have been seen, since an earlier run had a fixed number of them."""

from collections.abc import Sequence
from pathlib import Path

from greenbench.cases import Case
from greenbench.errors import GreenbenchError
from greenbench.running.manifest import MANIFEST, UNREADABLE, Manifest


def seen_before(root: Path, cases: Sequence[Case]) -> list[Case]:
    """Return the cases that a run with fixed repeats has ended of, so that its answer was seen.

    Parameters
    ----------
    root : pathlib.Path
        Where the folders of runs are.
    cases : sequence of Case
        To run until it is decided.
    """
    seen: set[str] = set()
    for path in root.glob(f"*/{MANIFEST}"):
        try:
            manifest = Manifest.read(path.parent)
            has_ended = bool(manifest.added) or manifest.is_done(path.parent)
            if has_ended and "design" not in manifest.asked:
                seen |= {Case.from_dict(case).hash for case in manifest.asked["cases"]}
        except (*UNREADABLE, GreenbenchError):
            # Of what no longer is a case, none of these is one.
            continue
    return [case for case in cases if case.hash in seen]
