"""Batch scripts: whatever a command or a folder is called, bash gets it as it is."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenbench.cli import cli
from greenbench.cluster.scripts import BatchScript
from greenbench.errors import ConfigurationError

SIGNS = st.characters(
    codec="utf-8", exclude_categories=("C", "Z"), include_characters=" '\"$`\\#;&|*~"
)
NAMES = st.text(SIGNS, min_size=1, max_size=20)
WRITE = ["cluster-script", "slurm"]


def script(*command: str, **asked: object) -> BatchScript:
    return BatchScript(command, Path("/here"), Path("/here/mlruns"), "python", **asked)  # type: ignore[arg-type]


def words_of(text: str, start: str) -> list[str]:
    """Return the words of the line of a script that begins so, as a shell reads them."""
    (line,) = (line for line in text.splitlines() if line.startswith(start))
    return shlex.split(line)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    words=st.lists(NAMES.filter(lambda word: not word.startswith("--")), max_size=4), folder=NAMES
)
def test_any_name_reaches_the_command_as_it_is(words: list[str], folder: str) -> None:
    place = Path("/") / folder
    text = BatchScript(("run", *words), place, place / "mlruns", f"/{folder}/python").text()
    checked = subprocess.run(["bash", "-n"], input=os.fsencode(text), check=False)
    assert checked.returncode == 0
    python = shlex.quote(f"/{folder}/python")
    line = words_of(text, f"{python} -m greenbench run")
    assert line[:-3] == [f"/{folder}/python", "-m", "greenbench", "run", *words]
    assert line[-3:] == ["--scheduler", "$at", "&"]
    assert words_of(text, "cd --")[2] == str(place)


def test_all_that_is_asked_for_is_a_directive() -> None:
    text = script(
        "run", nodes=4, gpus=8, time="1-12", partition="gpu", account="me", cores=6, grace_s=60
    ).text()
    directives = [line for line in text.splitlines() if line.startswith("#SBATCH")]
    assert [line.removeprefix("#SBATCH --") for line in directives] == [
        "job-name=greenbench", "nodes=4", "ntasks-per-node=8", "time=1-12", "partition=gpu",
        "account=me", "cpus-per-task=6", "gpus-per-task=1", "exclusive", "mem=0",
        "signal=B:TERM@60", "requeue", "open-mode=append",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "nothing is given; say what to run behind --"),
        (["--", "gate"], "a batch script is for `greenbench run`, and gate is given"),
        (["--", "run", "--scheduler", "tcp://a:1"], "--scheduler names a cluster"),
        (["--", "run", "--cluster=slurm"], "--cluster names a cluster"),
        (["--", "run", "a\nb"], "signs that cannot be read"),
        (["--time", "soon", "--", "run"], "--time is 'soon'; expected minutes, or hours"),
        (["--partition", "a b", "--", "run"], "--partition is 'a b'; expected the name of a queue"),
        (["--account", "a\n#SBATCH -x", "--", "run"], "expected the name of an account"),
    ],
)
def test_what_cannot_be_written_is_one_line(arguments: list[str], told: str) -> None:
    written = CliRunner().invoke(cli, [*WRITE, *arguments])
    assert written.exit_code == 2
    assert told in written.stderr
    assert written.stderr.count("\n") == 1
    assert not written.stdout


def test_another_queue_is_told_what_to_do_there() -> None:
    written = CliRunner().invoke(cli, ["cluster-script", "pbs", "--", "run"])
    assert written.exit_code == 2
    assert "no batch script is known for 'pbs'" in written.stderr
    assert "greenbench run --cluster" in written.stderr


def test_a_script_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "job.sh"
    path.write_text("mine")
    line = [*WRITE, "--output", str(path)]
    refused = CliRunner().invoke(cli, [*line, "--", "run", "ci"])
    assert (refused.exit_code, path.read_text()) == (2, "mine")
    assert "replace it with --force" in refused.stderr
    broken = CliRunner().invoke(cli, [*line, "--force", "--", "gate"])
    assert (broken.exit_code, path.read_text()) == (2, "mine")
    written = CliRunner().invoke(cli, [*line, "--force", "--", "greenbench", "run", "ci"])
    assert written.exit_code == 0
    assert " -m greenbench run ci --scheduler " in path.read_text()
    assert os.listdir(tmp_path) == ["job.sh"]  # noqa: PTH208


def test_a_script_in_no_folder_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "job.sh"
    written = CliRunner().invoke(cli, [*WRITE, "--output", str(path), "--", "run"])
    assert written.exit_code == 2
    assert "cannot be written (No such file or directory)" in written.stderr


def test_a_script_is_checked_wherever_it_is_made() -> None:
    with pytest.raises(ConfigurationError, match="leave it out"):
        script("run", "--cluster", "local:1")
