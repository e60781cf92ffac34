"""Results of trainings of one's own, which are taken over where it is known what these read."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import greenbench
from greenbench.cases import Case
from greenbench.errors import ConfigurationError
from greenbench.running.conditions import changes
from greenbench.settings import Settings
from greenbench.trainings.reading import digest_of_data
from tests.running.reusing import CASES, known, ran, reused

pytestmark = pytest.mark.usefixtures("pool")

NAME = "reader_of_a_test"
BASIS: dict[str, str | None] = {"content": None, "digest": None, "device": "cpu"}


@dataclass
class Reader:
    """A training that has run, in a folder of its own."""

    settings: Settings
    case: Case

    def again(self) -> tuple[bool, list[str]]:
        said: list[str] = []
        return bool(reused(self.settings, [self.case], said=said)), said


def reader(settings: Settings, reads: Sequence[str] | None) -> Reader:
    greenbench.register_training(NAME, reads=reads)(lambda run: 0.5)
    case = Case(architecture=NAME, size=None, backend="own", dataset="own", repeats=1)
    ran(settings, [case], basis=BASIS)
    return Reader(settings, case)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images" / "cats").mkdir(parents=True)
    (tmp_path / "images" / "cats" / "1.png").write_bytes(b"cat")
    (tmp_path / "table.csv").write_text("1,2\n")
    return tmp_path


def test_training_that_says_what_it_reads_is_reused(settings: Settings, data: Path) -> None:
    is_reused, said = reader(settings, ["table.csv", "images"]).again()
    assert is_reused
    assert said == ["starting workers to see whether data are what they were: own"]


def test_training_that_reads_nothing_is_reused(settings: Settings, data: Path) -> None:
    assert reader(settings, ()).again()[0]


def test_training_that_does_not_say_is_measured_anew(settings: Settings, data: Path) -> None:
    is_reused, said = reader(settings, None).again()
    assert not is_reused
    assert said == [
        f"1 repeat is measured anew: nobody knows whether the data of {NAME} changed, which it "
        "loads itself; `register_training(…, reads=[…])` tells"
    ]


def renamed(data: Path) -> None:
    (data / "images" / "cats" / "1.png").rename(data / "images" / "cats" / "2.png")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda data: (data / "table.csv").write_text("1,3\n"), "table.csv"),
        (lambda data: (data / "images" / "cats" / "1.png").write_bytes(b"dog"), "images"),
        (lambda data: (data / "images" / "cats" / "2.png").write_bytes(b"cat"), "images"),
        (renamed, "images"),
        (lambda data: (data / "table.csv").unlink(), "table.csv (it is not there)"),
    ],
    ids=["file", "file in a folder", "another file", "name", "gone"],
)
def test_what_it_reads_is_a_condition(
    settings: Settings, data: Path, change: Any, name: str
) -> None:
    of_test = reader(settings, ["table.csv", "images"])
    change(data)
    is_reused, said = of_test.again()
    assert not is_reused
    assert said == [f"1 repeat is measured anew: since their results, the file {name} changed"]


def test_what_never_was_there_is_nothing_that_is_known(settings: Settings, data: Path) -> None:
    is_reused, said = reader(settings, ["tabel.csv"]).again()
    assert not is_reused
    assert said == [
        "1 repeat is measured anew: since their results, the file tabel.csv (it is not there) "
        "changed"
    ]


def test_folder_that_is_linked_is_read(settings: Settings, data: Path) -> None:
    (data / "elsewhere").mkdir()
    for name in ("first", "second"):
        (data / "images" / name).symlink_to(data / "elsewhere")
    (data / "images" / "cats" / "up").symlink_to(data / "images")
    of_test = reader(settings, ["images"])
    (data / "elsewhere" / "1.png").write_bytes(b"dog")
    is_reused, said = of_test.again()
    assert not is_reused
    assert said == ["1 repeat is measured anew: since their results, the file images changed"]


def test_folders_that_are_linked_the_other_way_are_others(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_text(name)
    (tmp_path / "link").symlink_to("a")
    before = digest_of_data(tmp_path)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("b")
    assert before != digest_of_data(tmp_path) is not None


def pipe(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(data / "images" / "odd")


def unreadable(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.scandir

    def scandir(path: str) -> Any:
        if Path(path).name == "odd":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return whole(path)

    (data / "images" / "odd").mkdir()
    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.parametrize(
    ("make", "why"), [(pipe, "it is no plain file"), (unreadable, "Permission denied")]
)
def test_data_that_nobody_can_read_are_named_and_no_run_goes_on_with_them(
    settings: Settings, data: Path, monkeypatch: pytest.MonkeyPatch, make: Any, why: str
) -> None:
    make(data, monkeypatch)
    of_test = reader(settings, ["images"])
    is_reused, said = of_test.again()
    odd = f"the file images (images/odd cannot be read: {why})"
    assert not is_reused
    assert said == [f"1 repeat is measured anew: since their results, {odd} changed"]
    before = known(settings, [of_test.case])
    assert changes(before, known(settings, [of_test.case])) == (odd,)


def test_what_one_case_reads_is_no_condition_of_others(settings: Settings, data: Path) -> None:
    of_test = reader(settings, ["table.csv"])
    ran(settings, [of_test.case, CASES[1]], "ci-20250101-130000-1")
    assert "the file table.csv" in known(settings, [of_test.case])
    (data / "table.csv").write_text("1,3\n")
    assert [*reused(settings, [CASES[1]])] == [("m", 0)]


@pytest.mark.parametrize("reads", ["data.csv", [1], 3])
def test_what_is_no_list_of_paths_is_refused_in_one_line(reads: Any) -> None:
    with pytest.raises(ConfigurationError, match="expected a list of files and folders") as raised:
        greenbench.register_training("reads_wrongly", reads=reads)
    assert "\n" not in str(raised.value)
