"""Which files the code of registered parts lies in."""

import sys
from pathlib import Path

import pytest

from greenbench.machine.sources import Sources, sources_of


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that modules are imported from, and one that pip installs into."""
    for folder in (tmp_path / "project", tmp_path / "site-packages"):
        folder.mkdir()
        monkeypatch.syspath_prepend(str(folder))
    return tmp_path / "project"


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / (name.replace("__", "/").replace("/init", "/__init__") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def found(root: Path, name: str) -> Sources:
    package = root.joinpath(*name.split("."))
    file = package / "__init__.py" if package.is_dir() else package.with_suffix(".py")
    return sources_of([{"name": name, "file": str(file)}])


def test_what_is_imported_anywhere_belongs_to_it(project: Path) -> None:
    write(
        project,
        parts="import widths\ndef net():\n    from blocks.conv import Conv\n",
        widths="import deeper",
        deeper="import parts",
        blocks__init="",
        blocks__conv="from . import norm\nfrom .norm import scale\nfrom .. import beyond",
        blocks__norm="raise RuntimeError('nobody runs this')",
        blocks__unused="",
        unused="",
    )
    assert set(found(project, "parts").files) == {
        "parts.py",
        "widths.py",
        "deeper.py",
        "blocks/__init__.py",
        "blocks/conv.py",
        "blocks/norm.py",
    }
    assert "blocks" not in sys.modules


def test_packages_around_a_module_belong_to_it(project: Path) -> None:
    write(project, outer__init="import widths", outer__inner__init="", widths="")
    write(project, outer__inner__parts="")
    names = set(found(project, "outer.inner.parts").files)
    assert names == {"outer/__init__.py", "outer/inner/__init__.py", "outer/inner/parts.py"} | {
        "widths.py"
    }


def test_what_is_installed_or_pythons_own_does_not_but_is_named(project: Path) -> None:
    write(project, parts="import json, somebodys, greenbench, torch.nn, absent\nimport os.path")
    write(project.parent / "site-packages", somebodys="")
    sources = found(project, "parts")
    assert set(sources.files) == {"parts.py"}
    assert sources.packages == {"somebodys", "torch"}


def test_installed_part_brings_its_own_package(project: Path) -> None:
    site = project.parent / "site-packages"
    write(site, plug__init="", plug__parts="from plug import blocks\nimport somebodys")
    write(site, plug__blocks="", somebodys="")
    assert set(found(site, "plug.parts").files) == {
        "plug/__init__.py",
        "plug/parts.py",
        "plug/blocks.py",
    }


def test_digest_changes_with_the_code_and_with_nothing_else(project: Path) -> None:
    write(project, parts="import widths", widths="WIDTH = 400")
    before = found(project, "parts").digests()
    (project / "widths.py").touch()
    assert found(project, "parts").digests() == before
    write(project, widths="WIDTH = 8")
    after = found(project, "parts").digests()
    assert [name for name in before if before[name] != after[name]] == ["widths.py"]


@pytest.mark.parametrize("text", ["def (", "\0", "import .", "# coding: nothing\n"])
def test_code_that_cannot_be_read_counts_as_it_is(project: Path, text: str) -> None:
    write(project, parts=text)
    assert set(found(project, "parts").files) == {"parts.py"}
