"""Which files some code reads, and whether that is all."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from greenbench.machine.reads import Reads, reads_watched

LARGE = bytes(1 << 20)


def reading(what: Callable[[], object]) -> Reads:
    with reads_watched() as reads:
        what()
    return reads


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    path.write_bytes(LARGE)
    return path


def test_a_file_that_is_as_it_was_has_not_changed(file: Path) -> None:
    reads = reading(file.read_bytes)
    assert list(reads.states) == [str(file)]
    assert reads.are_unchanged()


@pytest.mark.parametrize("change", ["written", "replaced", "gone"])
def test_a_file_that_is_not_has(file: Path, change: str) -> None:
    reads = reading(file.read_bytes)
    if change == "written":
        file.write_bytes(LARGE[1:])
    elif change == "replaced":
        other = file.with_name("other")
        other.write_bytes(LARGE)
        times = file.stat()
        os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
        other.replace(file)
    else:
        file.unlink()
    assert not reads.are_unchanged()


def test_a_file_that_comes_to_a_folder_that_was_listed_is_a_change(file: Path) -> None:
    # Clocks of file systems are coarse: what changes twice within a tick shows once.
    os.utime(file.parent, (0, 0))
    reads = reading(lambda: list(file.parent.iterdir()))
    assert reads.are_unchanged()
    (file.parent / "another").touch()
    assert not reads.are_unchanged()


def test_a_file_that_was_looked_for_and_comes_is_a_change(tmp_path: Path) -> None:
    def look() -> None:
        with pytest.raises(FileNotFoundError):
            (tmp_path / "file").read_bytes()

    reads = reading(look)
    assert reads.are_unchanged()
    (tmp_path / "file").touch()
    assert not reads.are_unchanged()


def test_what_is_only_written_was_not_read(file: Path, tmp_path: Path) -> None:
    def note() -> None:
        with file.open("ab") as log:
            log.write(b"a line")
        (tmp_path / "new").touch()
        (tmp_path / "other").write_text("anew")

    reads = reading(note)
    assert reads.states == {}
    assert reads.are_unchanged()


def test_what_a_program_reads_is_not_known(file: Path) -> None:
    assert not reading(lambda: subprocess.run([sys.executable, "-c", ""], check=True)).is_all


def test_what_is_read_past_python_shows(file: Path) -> None:
    with file.open("rb", buffering=0) as opened:
        # As somebody who opened it before.
        assert not reading(lambda: opened.read(len(LARGE))).is_all


def test_nothing_is_noted_once_it_is_over(file: Path) -> None:
    reads = reading(lambda: None)
    file.read_bytes()
    assert reads == Reads()


def test_code_is_no_data(file: Path) -> None:
    def load() -> None:
        (file.parent / "code.py").read_bytes()
        Path(pytest.__file__).with_name("py.typed").read_bytes()
        for _ in range(2):
            file.read_bytes()

    (file.parent / "code.py").write_text("1")
    assert reading(load).data_bytes == len(LARGE)
