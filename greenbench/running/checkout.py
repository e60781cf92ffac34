"""Another revision of the user's project, checked out into a folder of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import greenbench
from greenbench.errors import ConfigurationError, GateError
from greenbench.machine.environment import OF_A_REPOSITORY
from greenbench.running.submodules import Submodule, check_out_submodules

TIMEOUT_S = 300.0
WORKER_MODULE = "greenbench.running.worker"
OLD_WORKER_MODULE = "greenbench.worker"


@dataclass(frozen=True)
class Checkout:
    """A revision in a folder.

    Attributes
    ----------
    revision, commit : str
        As it was asked for, and which commit that is.
    project : Path
        Root of the user's repository.
    folder : Path
        Where the same files of the revision are.
    lacking : tuple of Submodule
        Its submodules whose commits are not in the clone, so that their folders are empty.
    """

    revision: str
    commit: str
    project: Path
    folder: Path
    lacking: tuple[Submodule, ...] = ()

    def check_submodules(self, files: Iterable[Path]) -> None:
        """Raise `ConfigurationError` if one of some files is of a submodule that is lacking.

        Parameters
        ----------
        files : iterable of Path
            Those of the working folder that cases are run with.
        """
        for file in files:
            for each in self.lacking:
                if file.resolve().is_relative_to((self.project / each.path).resolve()):
                    raise ConfigurationError(
                        f"revision {self.revision!r} cannot be compared: {file} is of the "
                        f"submodule {each.path!r}, whose commit {each.commit[:12]} is not in this "
                        f"clone; fetch it (`git submodule update --init {each.path}`, and "
                        f"`git -C {each.path} fetch`)"
                    )

    def place_of(self, path: str) -> str:
        """Return where a file or folder of the project is in the checkout.

        Parameters
        ----------
        path : str
            One that is not of the project, or is of the environment that Python runs in,
            stays as it is.
        """
        for place in (Path(path).absolute(), Path(path).resolve()):
            if any(place.is_relative_to(p) for p in (sys.prefix, Path(sys.prefix).resolve())):
                return path
            if place.is_relative_to(self.project):
                return str(self.folder / place.relative_to(self.project))
        return path

    def worker_module(self) -> str:
        """Return the module that a worker of this revision runs.

        A project that has greenbench in itself may have one that is older than its rooms.
        """
        package = Path(self.place_of(greenbench.__file__)).parent
        return OLD_WORKER_MODULE if (package / "worker.py").exists() else WORKER_MODULE

    def check_code(self, files: Sequence[str]) -> None:
        """Raise `ConfigurationError` if code that runs is not that of the revision.

        Parameters
        ----------
        files : sequence of str
            Those that the cases' parts were imported from.
        """
        others = [file for file in files if not Path(file).is_relative_to(self.folder)]
        if len(others) == len(files):
            raise ConfigurationError(
                f"revision {self.revision!r} cannot be compared: no code of these cases comes from "
                f"{self.project}, so both sides would run the same; install it there with "
                "`pip install -e .`"
            )
        if strays := [file for file in others if self.place_of(file) != file]:
            raise ConfigurationError(
                f"revision {self.revision!r} cannot be compared: it would import {strays[0]}, "
                "which is of the working folder"
            )


@contextmanager
def checked_out(revision: str, working: Path) -> Iterator[Checkout]:
    """Check a revision out, beside the user's files, until the context is left.

    The files are no work tree that git knows of: whoever is killed meanwhile leaves nothing in
    the user's repository.

    Parameters
    ----------
    revision : str
        As git takes it: a branch, a tag, a commit.
    working : Path
        A folder of the user's repository.

    Raises
    ------
    ConfigurationError
        If this is no repository, or it has no such revision, or not this folder.
    GateError
        If it cannot be checked out.
    """
    root = run_git(working, "rev-parse", "--show-toplevel")
    if root.returncode:
        raise ConfigurationError(
            f"{working} is in no git repository, so {revision!r} cannot be checked out; "
            f"run in one, or compare with a baseline's file (git: {_on_one_line(root.stderr)})"
        )
    project = Path(root.stdout.removesuffix("\n"))
    found = run_git(project, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    if found.returncode:
        raise ConfigurationError(
            f"revision {revision!r} is not in {project}; name a branch, a tag or a commit "
            "(a shallow clone has few: `git fetch --unshallow`)"
        )
    commit = found.stdout.strip()
    with tempfile.TemporaryDirectory(prefix="greenbench-base-") as parent:
        # In a folder of its own: the project's may have any name, such as that of the index.
        folder = Path(parent).resolve() / "project" / project.name
        folder.mkdir(parents=True)
        index = str(Path(parent).resolve() / "index")
        for step in (("read-tree", commit), ("checkout-index", "--all", f"--prefix={folder}/")):
            done = run_git(project, *step, GIT_INDEX_FILE=index)
            if done.returncode:
                raise GateError(
                    f"revision {revision!r} cannot be checked out: {_on_one_line(done.stderr)}"
                )
        lacking = check_out_submodules(
            run_git, project, commit, folder, Path(parent) / "index-of-one"
        )
        checkout = Checkout(revision, commit[:12], project, folder, tuple(lacking))
        if not Path(checkout.place_of(str(working))).is_dir():
            raise ConfigurationError(
                f"revision {revision!r} does not have the folder {working}; run in one that it has"
            )
        yield checkout


def run_git(working: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run git in a folder, whatever repository the variables of the environment name.

    Parameters
    ----------
    working : Path
        Where.
    *arguments : str
        Of git.
    **variables : str
        Of its environment.

    Raises
    ------
    GateError
        If it cannot be run.
    """
    inherited = {name: text for name, text in os.environ.items() if name not in OF_A_REPOSITORY}
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=working,
            env={**inherited, **variables},
            capture_output=True,
            text=True,
            # Paths need not be.
            encoding="utf-8",
            errors="surrogateescape",
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise GateError(f"git cannot be run: {error}") from error


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
