"""What starts slowly, since nobody keeps its bytecode, is told with a command that mends it."""

import subprocess
import sys
from pathlib import Path

import pytest

from greenbench.doctor import start
from greenbench.doctor.start import compiled


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of packages, of which none is compiled."""
    folder = tmp_path / "their packages"
    for name in ("heavy_one", "heavy_other"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("ANSWER = 42\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(start, "HEAVY", ("heavy_one", "heavy_other", "absent_package"))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return folder


def test_packages_that_no_process_keeps_compiled_are_told_with_what_mends_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    told = compiled()
    assert told == (
        "slow: each process compiles heavy_one and heavy_other anew, because "
        f"PYTHONDONTWRITEBYTECODE is set; once is enough: `python -m compileall -q '{place}'`"
    )
    # As told, but with this interpreter.
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(place)], check=True)
    assert compiled().startswith("packages are compiled")


def test_packages_that_the_first_process_compiles_are_no_matter(place: Path) -> None:
    assert compiled().startswith("packages are compiled")


def test_folder_that_nobody_may_write_to_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start.os, "access", lambda path, mode: False)
    assert f"because {place} is not writable" in compiled()


def test_nothing_is_imported_to_look(place: Path) -> None:
    compiled()
    assert "heavy_one" not in sys.modules
