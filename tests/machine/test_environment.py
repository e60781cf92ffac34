"""What is known of the user's working folder."""

import subprocess
from pathlib import Path

import pytest

from greenbench.machine.environment import git_revision


@pytest.mark.parametrize(
    ("branch", "shown"),
    [(b"caf\xe9", r"caf\xe9"), ("grün".encode(), "grün"), ("a\u202eb".encode(), r"a\u202eb")],
)
def test_a_branch_may_have_any_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, branch: bytes, shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    Path(".git/HEAD").write_bytes(b"ref: refs/heads/" + branch + b"\n")

    assert git_revision() == {"branch": shown}


def test_a_branch_that_the_environment_names_is_cleaned_too(tmp_path: Path) -> None:
    assert git_revision("x\ny\udcff")["branch"] == r"x\ny\udcff"
