"""`greenbench run --until-decided`: what contradicts it, and what cannot be decided."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from greenbench.cases import Case
from greenbench.cli import cli
from greenbench.cli.until import warn_of_seen
from greenbench.results.looks import UNTIL_DECIDED
from greenbench.running.run_folder import Request, RunFolder


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


@pytest.mark.parametrize(
    ("design", "has_ended", "lines"),
    [(None, True, 1), (None, False, 0), (UNTIL_DECIDED, True, 0)],
)
def test_seeds_that_were_seen_with_fixed_repeats_are_told_in_a_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    design: str | None,
    has_ended: bool,
    lines: int,
) -> None:
    cases = [Case(size=size, repeats=60) for size in ("s", "m")]
    folder = tmp_path / "20260101-run"
    folder.mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    earlier = RunFolder(folder, Request("ci", [Case(size="s", repeats=3)], {}, design=design))
    earlier.begin()
    if has_ended:
        earlier.finish()
    warn_of_seen(tmp_path, cases)
    said = capsys.readouterr().err
    assert said.count("\n") == lines
    assert ("1 of 2 cases" in said and "`--seed 1` draws others" in said) == bool(lines)
    # Other seeds are another case.
    warn_of_seen(tmp_path, [Case(size="s", repeats=60, seed=1)])
    assert not capsys.readouterr().err
