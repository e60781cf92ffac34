"""Which revision a change is compared with, in clones as people and CI make them."""

import subprocess
from pathlib import Path

import pytest

from greenbench.running.merge_base import base_of


def git(folder: Path, *arguments: str) -> str:
    names = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
    done = subprocess.run(
        ["git", *names, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(folder: Path, text: str) -> str:
    (folder / "file").write_text(text)
    git(folder, "add", "file")
    git(folder, "commit", "--quiet", "-m", text)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two commits on `main`, a branch `change` of two more from the first of them."""
    folder = tmp_path_factory.mktemp("origin")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, "first")
    git(folder, "checkout", "--quiet", "-b", "change")
    commit(folder, "one")
    commit(folder, "two")
    git(folder, "checkout", "--quiet", "main")
    commit(folder, "second")
    return folder


def clone(origin: Path, folder: Path, *options: str) -> Path:
    git(folder.parent, "clone", "--quiet", *options, f"file://{origin}", folder.name)
    return folder


def test_change_is_compared_with_where_it_left_the_default_branch(
    origin: Path, tmp_path: Path
) -> None:
    found = base_of(clone(origin, tmp_path / "clone", "--branch", "change"))
    first = git(origin, "rev-parse", "main~1")
    assert (found.revision, found.words) == (first[:12], "the merge base with origin/HEAD")
    # A worktree of somebody without a remote.
    git(origin, "checkout", "--quiet", "change")
    local = base_of(origin)
    git(origin, "checkout", "--quiet", "main")
    assert (local.revision, local.words) == (first[:12], "the merge base with main")


def test_merge_commit_of_a_pull_request_is_compared_with_the_branch_that_it_goes_into(
    origin: Path, tmp_path: Path
) -> None:
    folder = clone(origin, tmp_path / "clone")
    # As CI has it: detached, and with nobody's idea of the default branch.
    git(folder, "remote", "set-head", "origin", "--delete")
    git(folder, "checkout", "--quiet", "--detach")
    git(folder, "branch", "--quiet", "-D", "main")
    git(folder, "merge", "--quiet", "--strategy", "ours", "-m", "merge", "origin/change")
    found = base_of(folder)
    assert found.revision == git(origin, "rev-parse", "main")[:12]
    assert found.words == "the merge base with origin/main"


def test_commit_of_the_default_branch_is_compared_with_the_one_before(
    origin: Path, tmp_path: Path
) -> None:
    found = base_of(clone(origin, tmp_path / "clone", "--single-branch"))
    words = "the commit before HEAD (HEAD is on origin/HEAD)"
    assert (found.revision, found.words) == ("HEAD^", words)


def test_clone_of_a_single_branch_is_compared_with_the_commit_before_and_it_is_said_why(
    origin: Path, tmp_path: Path
) -> None:
    folder = clone(origin, tmp_path / "clone", "--single-branch", "--branch", "change")
    git(folder, "remote", "set-head", "origin", "--delete")
    found = base_of(folder)
    assert found.revision == "HEAD^"
    assert "no default branch: `git fetch origin main` gets it" in found.words


def test_nothing_to_compare_with_is_said_with_what_to_do(origin: Path, tmp_path: Path) -> None:
    shallow = clone(origin, tmp_path / "shallow", "--depth", "1")
    empty, first = tmp_path / "empty", tmp_path / "first"
    for folder in (empty, first):
        folder.mkdir()
        git(folder, "init", "--quiet")
    commit(first, "only")
    found = [base_of(folder) for folder in (shallow, empty, first, tmp_path)]
    assert [each.revision for each in found] == [None] * 4
    words = [each.words for each in found]
    assert "shallow; `git fetch --unshallow` gets the rest" in words[0]
    assert words[1].startswith("nothing is committed yet")
    assert words[2].startswith("HEAD is the first commit")
    assert words[3].startswith(f"{tmp_path} is in no git repository")


def test_shallow_change_does_not_know_where_it_began(origin: Path, tmp_path: Path) -> None:
    folder = clone(origin, tmp_path / "clone", "--depth", "1", "--no-single-branch")
    git(folder, "checkout", "--quiet", "change")
    found = base_of(folder)
    assert found.revision is None
    assert "no commit in common with origin/HEAD: this clone is shallow" in found.words
