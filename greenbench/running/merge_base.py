"""Which revision a change is compared with, if nobody names one: where it left the main branch."""

from dataclasses import dataclass
from pathlib import Path

from greenbench.running.checkout import run_git

DEFAULT_BRANCHES = (
    "refs/remotes/origin/HEAD",
    "refs/remotes/origin/main",
    "refs/remotes/origin/master",
    "refs/heads/main",
    "refs/heads/master",
)
"""Names of the default branch, the surest first."""


@dataclass(frozen=True)
class Base:
    """The revision before a change.

    Attributes
    ----------
    revision : str or None
        As git takes it; None where there is none.
    words : str
        Which one it is, or why there is none, and what to do.
    """

    revision: str | None
    words: str


def base_of(working: Path) -> Base:
    """Return the revision that the working folder is compared with.

    It is the merge base with the default branch; HEAD's first parent where HEAD is on that branch,
    or where the clone does not have it.

    Parameters
    ----------
    working : Path
        A folder of the user's repository.

    Raises
    ------
    GateError
        If git cannot be run.
    """
    if run_git(working, "rev-parse", "--is-inside-work-tree").stdout.strip() != "true":
        return Base(None, f"{working} is in no git repository; run in one, or name a baseline")
    head = _commit(working, "HEAD")
    if head is None:
        return Base(None, "nothing is committed yet; commit, and the next change has a base")
    branch = next((name for name in DEFAULT_BRANCHES if _commit(working, name)), None)
    if branch is None:
        return _parent(working, "the clone has no default branch: `git fetch origin main` gets it")
    name = branch.split("/", 2)[2]
    found = run_git(working, "merge-base", "HEAD", branch).stdout.strip()
    if not found:
        return Base(None, f"HEAD has no commit in common with {name}{_what_to_do(working)}")
    if found == head:
        return _parent(working, f"HEAD is on {name}")
    return Base(found[:12], f"the merge base with {name}")


def _parent(working: Path, why: str) -> Base:
    if _commit(working, "HEAD^"):
        return Base("HEAD^", f"the commit before HEAD ({why})")
    if _is_shallow(working):
        return Base(None, f"the commit before HEAD is not here{_what_to_do(working)}")
    return Base(None, "HEAD is the first commit; the next change has a base")


def _what_to_do(working: Path) -> str:
    if _is_shallow(working):
        return ": this clone is shallow; `git fetch --unshallow` gets the rest"
    return "; name the revision, as in interleaved:REVISION"


def _is_shallow(working: Path) -> bool:
    return run_git(working, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"


def _commit(working: Path, revision: str) -> str | None:
    """Return the commit that a revision names, if it is here."""
    found = run_git(working, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    return found.stdout.strip() or None
