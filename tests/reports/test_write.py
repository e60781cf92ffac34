import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from greenbench.errors import ReportError
from greenbench.reports import Findings, find, write_report
from tests.reports.tables import everything, family, table_of

ROOT = Path(__file__).parents[2]
AGAIN = """
import sys
from pathlib import Path
from greenbench.reports import find, write_report
from tests.reports.tables import everything
write_report(find(*everything(), {"host": {"cpu": "a CPU"}}), Path(sys.argv[1]), ["note"])
"""


@pytest.fixture(scope="module")
def findings() -> Findings:
    return find(*table_of(family()), {})


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_page_figures_and_tables_are_written(findings: Findings, tmp_path: Path) -> None:
    written = write_report(findings, tmp_path / "new" / "report", ["note"])
    assert written[0] == Path("report.html")
    found = files_in(tmp_path / "new" / "report")
    assert sorted(found) == sorted(path.as_posix() for path in written)
    assert {
        "figures/front-1.svg", "figures/front-1.png", "figures/returns-1.svg",
        "tables/cases.csv", "tables/samples.csv", "tables/returns.csv", "tables/ratios-1.csv",
    } <= set(found)  # fmt: skip


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_any_new_file(
    findings: Findings, tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        written = write_report(findings, tmp_path / "report", ["note"])
    finally:
        os.umask(before)
    assert {(tmp_path / "report" / path).stat().st_mode & 0o777 for path in written} == {mode}


@pytest.mark.slow
def test_equal_input_gives_equal_bytes_in_another_process(tmp_path: Path) -> None:
    write_report(find(*everything(), {"host": {"cpu": "a CPU"}}), tmp_path / "one", ["note"])
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-c", AGAIN, str(tmp_path / "two")], env=environment, check=True
    )
    assert files_in(tmp_path / "one") == files_in(tmp_path / "two")


def test_a_report_is_written_over_an_earlier_one(findings: Findings, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    write_report(findings, tmp_path, [])
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_file_where_the_folder_belongs_is_named(findings: Findings, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(ReportError, match=f"^report folder {taken} cannot be written: .*--output"):
        write_report(findings, taken, [])
    assert taken.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(findings: Findings, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ReportError, match="Permission denied"):
        write_report(findings, tmp_path / "report", [])


def test_a_full_disk_leaves_no_half_written_file(
    findings: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(findings, tmp_path, ["old"])
    before = files_in(tmp_path)
    written: list[Path] = []
    replace = Path.replace

    def fill_up(source: Path, target: Path) -> Path:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(Path(target))
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", fill_up)
    with pytest.raises(ReportError, match="No space left on device") as raised:
        write_report(findings, tmp_path, ["new"])
    assert "\n" not in str(raised.value)
    after = files_in(tmp_path)
    assert sorted(after) == sorted(before)
    changed = {name for name in after if after[name] != before[name]}
    assert changed <= {"report.html"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_a_write_that_fails_leaves_nothing(
    findings: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def on_full_disk(path: Path, *arguments: Any, **options: Any) -> Any:
        stream = opened(path, *arguments, **options)
        if path.is_relative_to(tmp_path):
            os.dup2(os.open("/dev/full", os.O_WRONLY), stream.fileno())
        return stream

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", on_full_disk)
        with pytest.raises(ReportError, match="No space left on device"):
            write_report(findings, tmp_path, [])
    assert files_in(tmp_path) == {}
