"""Another revision's files, without a trace in the user's repository."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from greenbench.errors import ConfigurationError, GateError
from greenbench.running.checkout import Checkout, checked_out


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose first commit, the tag v1, has other files than the working folder."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "my own project"
    (folder / "nets").mkdir(parents=True)
    (folder / "nets" / "net.py").write_text("WIDTH = 1\n")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    git(folder, "tag", "v1")
    (folder / "nets" / "net.py").write_text("WIDTH = 2\n")
    (folder / "later").mkdir()
    (folder / "later" / "new.py").touch()
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "second")
    (folder / "nets" / "net.py").write_text("WIDTH = 3\n")
    return folder


def refusal(revision: str, folder: Path) -> str:
    with pytest.raises(ConfigurationError) as refused, checked_out(revision, folder):
        pass
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


@pytest.mark.parametrize("revision", ["v1", "HEAD~1", "main~1"])
def test_the_files_of_the_revision_are_beside_those_of_the_user(
    project: Path, revision: str
) -> None:
    before = git(project, "status", "--porcelain")
    with checked_out(revision, project) as base:
        assert (base.folder / "nets" / "net.py").read_text() == "WIDTH = 1\n"
        assert not (base.folder / "later").exists()
        assert base.commit == git(project, "rev-parse", "v1")[:12]
        assert base.revision == revision
    assert (project / "nets" / "net.py").read_text() == "WIDTH = 3\n"
    assert git(project, "status", "--porcelain") == before


@pytest.mark.parametrize("name", ["index", "project", "HEAD", "-x", ".git x", "a\nb", "n\udcff"])
def test_a_repository_may_have_any_name(project: Path, name: str) -> None:
    folder = project.rename(project.parent / name)

    with checked_out("v1", folder) as base:
        assert (base.folder / "nets" / "net.py").read_text() == "WIDTH = 1\n"
        assert base.place_of(str(folder / "nets")) == str(base.folder / "nets")


def test_nothing_of_it_is_left_whatever_happens(project: Path) -> None:
    folders = []

    def break_off() -> None:
        with checked_out("v1", project) as base:
            folders.append(base.folder)
            # Also if we were killed here.
            assert git(project, "worktree", "list").count("\n") == 0
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        break_off()
    assert not folders[0].parent.exists()
    assert git(project, "branch").split() == ["*", "main"]


def test_variables_of_a_hook_do_not_mislead_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    before = (project / ".git" / "index").read_bytes()
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(project / ".git" / "index"))
    with checked_out("v1", project) as base:
        assert base.project == project
        assert (base.folder / "nets" / "net.py").exists()
    assert (project / ".git" / "index").read_bytes() == before


def test_an_interrupted_stage_of_the_user_stays(project: Path) -> None:
    git(project, "add", "nets")
    before = git(project, "diff", "--cached")
    with checked_out("v1", project):
        pass
    assert "WIDTH = 3" in before
    assert git(project, "diff", "--cached") == before


def test_a_subfolder_is_a_place_to_work_in(project: Path) -> None:
    with checked_out("v1", project / "nets") as base:
        assert base.project == project
        assert base.place_of(str(project / "nets")) == str(base.folder / "nets")


def test_files_outside_the_project_and_of_the_environment_stay(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Checkout("v1", "abc", project, tmp_path / "base")
    assert base.place_of(str(project)) == str(tmp_path / "base")
    assert base.place_of(str(project / "nets/net.py")) == str(tmp_path / "base/nets/net.py")
    for stranger in (str(tmp_path / "elsewhere"), f"{project}-2/net.py", os.__file__):
        assert base.place_of(stranger) == stranger
    # An environment inside the project is not in git.
    monkeypatch.setattr(sys, "prefix", str(project / ".venv"))
    inside = str(project / ".venv" / "lib" / "site-packages")
    assert base.place_of(inside) == inside
    monkeypatch.chdir(project)
    assert base.place_of("nets") == str(tmp_path / "base/nets")


def test_a_project_behind_a_symbolic_link_is_the_same_project(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "link"
    link.symlink_to(project)
    with checked_out("v1", link) as base:
        assert base.place_of(str(link / "nets")) == str(base.folder / "nets")
        monkeypatch.setattr(sys, "prefix", str(link / ".venv"))
        for inside in (link / ".venv" / "lib", project / ".venv" / "lib"):
            assert base.place_of(str(inside)) == str(inside)


def test_no_repository_is_named(tmp_path: Path) -> None:
    shown = refusal("main", tmp_path)
    assert shown.startswith(f"{tmp_path} is in no git repository, so 'main' cannot be checked out")
    assert "not a git repository" in shown


@pytest.mark.parametrize("revision", ["v2", "", "--help", "-q", "HEAD:nets", "v1 v1", "a\nb"])
def test_an_unknown_revision_is_named(project: Path, revision: str) -> None:
    shown = refusal(revision, project)
    assert shown.startswith(f"revision {revision!r} is not in {project}; ")


def test_a_shallow_clone_says_how_to_get_more(project: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{project}", str(clone))
    assert "`git fetch --unshallow`" in refusal("HEAD~1", clone)
    with checked_out("HEAD", clone) as base:
        assert (base.folder / "nets" / "net.py").read_text() == "WIDTH = 2\n"


def test_a_folder_that_the_revision_lacks_is_named(project: Path) -> None:
    shown = refusal("v1", project / "later")
    assert shown.startswith(f"revision 'v1' does not have the folder {project / 'later'}")


def test_a_checkout_that_fails_is_one_line(project: Path) -> None:
    for path in (project / ".git" / "objects").glob("??/*"):
        if git(project, "cat-file", "-t", path.parent.name + path.name) == "blob":
            path.unlink()
    expected = r"^revision 'v1' cannot be checked out: .+$"
    with pytest.raises(GateError, match=expected), checked_out("v1", project):
        pass


def test_a_machine_without_git_is_one_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GateError, match=r"^git cannot be run: "), checked_out("v1", project):
        pass


@pytest.fixture
def parent(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose first commit, v1, has a submodule in which there is another one."""
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file")
    middle = tmp_path / "middle"
    middle.mkdir()
    git(middle, "init", "--quiet")
    git(middle, "submodule", "--quiet", "add", str(project), "deep/inner")
    git(middle / "deep" / "inner", "checkout", "--quiet", "v1")
    git(middle, "add", ".")
    git(middle, "commit", "--quiet", "--message", "first")
    folder = tmp_path / "parent"
    folder.mkdir()
    git(folder, "init", "--quiet")
    git(folder, "submodule", "--quiet", "add", "--name", "other name", str(middle), "lib")
    git(folder, "submodule", "--quiet", "update", "--init", "--recursive")
    git(folder, "commit", "--quiet", "--message", "first")
    git(folder, "tag", "v1")
    (folder / "lib" / "more.py").touch()
    git(folder / "lib", "add", ".")
    git(folder / "lib", "commit", "--quiet", "--message", "second")
    git(folder, "commit", "--quiet", "--all", "--message", "second")
    monkeypatch.delenv("GIT_ALLOW_PROTOCOL")
    return folder


def test_submodules_are_those_of_the_revision_and_never_fetched(parent: Path) -> None:
    hook = parent / ".git" / "modules" / "other name" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)
    (parent / ".git" / "config").write_text(
        (parent / ".git" / "config").read_text() + "[protocol]\n\tallow = always\n"
    )
    with checked_out("v1", parent) as base:
        assert (base.folder / "lib" / "deep" / "inner" / "nets" / "net.py").read_text() == (
            "WIDTH = 1\n"
        )
        assert not (base.folder / "lib" / "more.py").exists()
        assert not list(base.folder.rglob("hooked"))
        assert base.lacking == ()
    with checked_out("HEAD", parent) as base:
        assert (base.folder / "lib" / "more.py").exists()
    assert git(parent, "status", "--porcelain") == ""


def test_submodule_that_the_clone_lacks_is_named_where_its_code_is_used(
    parent: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(parent), str(clone))
    with checked_out("v1", clone) as base:
        assert [each.path for each in base.lacking] == ["lib"]
        base.check_submodules([clone / "library.py"])
        with pytest.raises(ConfigurationError, match="of the submodule 'lib', whose commit"):
            base.check_submodules([clone / "library.py", clone / "lib" / "more.py"])


@pytest.mark.parametrize("name", ["../../../other", "..", "."])
def test_name_of_a_submodule_leads_nowhere_else(parent: Path, tmp_path: Path, name: str) -> None:
    (parent / ".git" / "modules" / "other name").rename(tmp_path / "other")
    git(parent, "rm", "--quiet", "--cached", ".gitmodules")
    modules = (parent / ".gitmodules").read_text().replace("other name", name)
    (parent / ".gitmodules").write_text(modules)
    git(parent, "add", ".gitmodules")
    git(parent, "commit", "--quiet", "--message", "third")
    with checked_out("HEAD", parent) as base:
        assert [each.path for each in base.lacking] == ["lib"]
