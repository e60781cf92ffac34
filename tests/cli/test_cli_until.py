"""`greenbench run --until-decided`: what contradicts it, and what cannot be decided."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from greenbench.cli import cli


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--max-wh", "1"), "--max-wh limits a run that goes on until it knows; add --until"),
        (("--max-minutes", "1"), "--max-minutes limits a run"),
        (("--until-decided", "--max-wh", "-1"), "--max-wh is -1; expected a finite number above 0"),
        (("--until-decided", "--max-minutes", "0"), "--max-minutes is 0; expected"),
        (("--until-decided", "--max-wh", "nan"), "--max-wh is nan; expected"),
        (("--until-decided", "--repeats", "5"), "--repeats and --until-decided contradict"),
        (("--until-decided", "--continue-repeats", "5"), "--continue-repeats and --until-decided"),
        (("backends", "--until-decided", "--case", "*linear-keras*"), "neither two sizes of a"),
    ],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GREENBENCH_COUNTRY", "NLD")
    done = CliRunner().invoke(cli, ("run", *arguments))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
