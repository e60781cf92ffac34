"""Streams that know few letters, are full, closed or left: nothing that was measured is lost."""

import json
import os
import pty
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from greenbench.tracking import Store

pytestmark = pytest.mark.integration

PROGRAM = f"{sys.executable} -m greenbench"
RUN = f"{PROGRAM} run -s default -a dense.s -d digits --epochs 1 --repeats 1"
SIZES = """net,used_kj,acc
s,3.6,0.80
m,7.2,0.90
大é,9.9,0.91
"""
COMPARE = f"{PROGRAM} compare sizes.csv --energy-column used_kj --size-column net --group ''"
PLUGIN = """
from greenbench import register_architecture, register_suite
from greenbench.architectures import Flatten, Linear, Spec
from greenbench.cases import Case

@register_architecture("loud")
def loud(image_shape, classes):
    print("± 大 →")
    return Spec("loud", image_shape, [Flatten(), Linear(classes)])

@register_suite("own")
def own():
    return [Case("default", "loud", epochs=1, repeats=1)]

def test_cost(greenbench_case, greenbench_run):
    greenbench_run(greenbench_case)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sizes.csv").write_text(SIZES, encoding="utf-8")
    (tmp_path / "trace.csv").write_text("time_s,cpu_w\n0,10\n1000,10\n")
    monkeypatch.setenv("GREENBENCH_METER", f"replay:{tmp_path / 'trace.csv'}")
    monkeypatch.setenv("GREENBENCH_COUNTRY", "NLD")
    return tmp_path


def shell(command: str, folder: Path, **variables: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        timeout=400,
        check=False,
    )


def stored(folder: Path) -> int:
    return len(Store(f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}").read_rows())


def test_no_locale_is_too_small_for_any_command(folder: Path) -> None:
    # The last one empty, because programs that run tests may set it.
    small = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    for command, code in ((COMPARE, 0), (f"{PROGRAM} doctor", 0), (f"{PROGRAM} run 大", 2)):
        done = shell(command, folder, **small)
        assert done.returncode == code, done.stderr
        assert b"Traceback" not in done.stderr
        assert (done.stdout + done.stderr).isascii()
        assert command != COMPARE or rb"| \u5927\xe9" in done.stdout


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (f"{COMPARE} > /dev/full", 2, ["cannot be written (No space left on device)"]),
        (f"{PROGRAM} list --json >&-", 2, ["cannot be written (Bad file descriptor)"]),
        (f"{PROGRAM} list --json > /dev/full 2> /dev/full", 2, []),
        (f"{PROGRAM} compare nothing.csv 2> /dev/full", 2, []),
        (f"{PROGRAM} compare nothing.csv >&- 2>&-", 2, []),
        (f"{PROGRAM} --help > /dev/full", 2, ["cannot be written (No space left on device)"]),
        (f"set -o pipefail; {PROGRAM} list --json | true", 0, ["Broken pipe; the rest is not"]),
    ],
)
def test_what_cannot_be_printed_is_one_line_and_a_defined_code(
    folder: Path, command: str, code: int, said: list[str]
) -> None:
    done = shell(command, folder)

    assert done.returncode == code
    lines = done.stderr.decode().splitlines()
    assert len(lines) == len(said)
    assert all(expected in line for line, expected in zip(lines, said, strict=True))


@pytest.mark.parametrize(
    ("streams", "variables", "code"),
    [
        (">&- 2>&- <&-", {}, 2),
        ("2>&1 | head -1", {"PYTHONIOENCODING": "ascii"}, 0),
    ],
)
def test_what_was_measured_is_delivered_whatever_becomes_of_the_streams(
    folder: Path, streams: str, variables: dict[str, str], code: int
) -> None:
    done = shell(f"set -o pipefail; {RUN} {streams}", folder, **variables)

    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert stored(folder) == 1


def test_a_dumb_terminal_gets_plain_lines(folder: Path) -> None:
    parent, child = pty.openpty()
    with subprocess.Popen(
        RUN.split(),
        cwd=folder,
        env={**os.environ, "TERM": "dumb", "PYTHONIOENCODING": "ascii"},
        stdin=subprocess.DEVNULL,
        stdout=child,
        stderr=child,
    ) as running:
        os.close(child)
        shown = b""
        try:
            while part := os.read(parent, 4096):
                shown += part
        except OSError:
            pass  # Whoever reads a terminal that all others have left gets an error.
        code = running.wait(timeout=400)
    os.close(parent)

    text = shown.decode("ascii").replace("\r\n", "\n")
    assert code == 0, text
    assert "[1/1] default-dense.s-torch-digits" in text
    assert not {c for c in text if unicodedata.category(c) == "Cc"} - {"\n"}


def test_pytest_shows_its_summary_in_ascii_and_code_may_print_what_it_likes(
    folder: Path,
) -> None:
    (folder / "test_own.py").write_text(PLUGIN, encoding="utf-8")
    command = f"{sys.executable} -m pytest -q --greenbench-suite own --benchmark-json out.json"

    done = shell(command, folder, PYTHONIOENCODING="ascii", LC_ALL="C")

    shown = done.stdout.decode("ascii")
    assert done.returncode == 0, shown
    assert "| default-loud-torch-digits" in shown
    assert r"\u" not in shown
    found = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    assert found["benchmarks"][0]["extra_info"]["architecture"] == "loud"
