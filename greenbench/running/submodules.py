"""Submodules of a revision: checked out from what the clone has, and never fetched."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

Git = Callable[..., "subprocess.CompletedProcess[str]"]

_LINK = "160000"
_ALONE = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
_NO_HOOKS = ("-c", "core.hooksPath=/dev/null")


@dataclass(frozen=True)
class Submodule:
    """A submodule of a revision: its folder in the project, and its commit."""

    path: str
    commit: str


def check_out_submodules(
    git: Git, repository: Path, commit: str, folder: Path, index: Path
) -> list[Submodule]:
    """Check out the submodules of a commit, and theirs; return those that the clone lacks.

    Parameters
    ----------
    git : callable
        Runs git in a folder with some arguments and, by name, variables.
    repository : Path
        A folder of the repository, or its git directory.
    commit : str
        Of the repository.
    folder : Path
        Where its files are.
    index : Path
        A file that may be written.
    """
    lacking: list[Submodule] = []
    for submodule in _submodules(git, repository, commit):
        target = (folder / submodule.path).resolve()
        source = next(_sources(git, repository, commit, submodule), None)
        if source is None or not target.is_relative_to(folder):
            lacking.append(submodule)
            continue
        target.mkdir(parents=True, exist_ok=True)
        index.unlink(missing_ok=True)
        places = {
            "GIT_DIR": str(source),
            "GIT_WORK_TREE": str(target),
            "GIT_INDEX_FILE": str(index),
        }
        steps = (("read-tree", submodule.commit), ("checkout-index", "--all", "--force"))
        if any(git(target, *_NO_HOOKS, *step, **places, **_ALONE).returncode for step in steps):
            lacking.append(submodule)
            continue
        inner = check_out_submodules(git, source, submodule.commit, target, index)
        lacking += [Submodule(f"{submodule.path}/{each.path}", each.commit) for each in inner]
    return lacking


def _submodules(git: Git, repository: Path, commit: str) -> Iterator[Submodule]:
    listed = git(repository, "ls-tree", "-r", "-z", "--full-tree", commit, **_ALONE).stdout
    for entry in filter(None, listed.split("\0")):
        described, _, path = entry.partition("\t")
        mode, _, digest = described.split()
        if mode == _LINK:
            yield Submodule(path, digest)


def _sources(git: Git, repository: Path, commit: str, submodule: Submodule) -> Iterator[Path]:
    """Yield the git directories of the clone that have the commit of a submodule."""
    for place in _git_dirs(git, repository, commit, submodule.path):
        exists = ("cat-file", "-e", f"{submodule.commit}^{{commit}}")
        if place.is_dir() and not git(place, *exists, GIT_DIR=str(place), **_ALONE).returncode:
            yield place


def _git_dirs(git: Git, repository: Path, commit: str, path: str) -> Iterator[Path]:
    own = git(repository, "rev-parse", "--absolute-git-dir", "--git-common-dir").stdout.splitlines()
    name = _name_of(git, repository, commit, path)
    for modules in [(repository / line / "modules").resolve() for line in own]:
        place = (modules / name).resolve()
        # A name comes from a file of the revision, and may lead anywhere.
        if place != modules and place.is_relative_to(modules):
            yield place
    if (repository / path / ".git").exists():
        found = git(repository / path, "rev-parse", "--absolute-git-dir")
        if not found.returncode:
            yield Path(found.stdout.removesuffix("\n"))


def _name_of(git: Git, repository: Path, commit: str, path: str) -> str:
    """Return what `.gitmodules` calls the submodule at a path; its path by default."""
    asked = (
        "config",
        "--blob",
        f"{commit}:.gitmodules",
        "-z",
        "--get-regexp",
        r"^submodule\..*\.path$",
    )
    for entry in git(repository, *asked, **_ALONE).stdout.split("\0"):
        key, _, value = entry.partition("\n")
        if value == path:
            return key.removeprefix("submodule.").removesuffix(".path")
    return path
