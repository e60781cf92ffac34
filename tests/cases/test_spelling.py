"""One folder is one case, however it is spelled."""

from pathlib import Path

import pytest

from greenbench.cases import Case
from greenbench.cases.spelling import folder_name, spelled_once
from greenbench.errors import ConfigurationError


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "alpha" / "beta").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    return folder


def of(path: object) -> Case:
    return Case(dataset="image_folder", dataset_options={"path": path, "side": 8})  # type: ignore[arg-type]


@pytest.mark.parametrize("dataset", ["tabular", "text"])
def test_file_is_spelled_once_too(data_dir: Path, dataset: str) -> None:
    case = Case(dataset=dataset, dataset_options={"path": "./alpha/x.csv"})  # type: ignore[arg-type]
    assert spelled_once(case, data_dir).dataset_options == (("path", "alpha/x.csv"),)


@pytest.mark.parametrize(
    "typed",
    [
        "alpha",
        "alpha/",
        "./alpha",
        ".//alpha/.",
        "alpha/../alpha",
        "alpha/beta/..",
        "../data/alpha",
        "{data}/alpha",
        "{data}//alpha/",
        "{data}/../data/alpha",
    ],
)
def test_spellings_of_one_folder_are_one_case(data_dir: Path, typed: str) -> None:
    case = spelled_once(of(typed.format(data=data_dir)), data_dir)
    assert (case.id, case.hash) == (of("alpha").id, of("alpha").hash)


@pytest.mark.parametrize("typed", ["", ".", "./", "alpha/..", "{data}", "{data}/"])
def test_data_folder_itself(data_dir: Path, typed: str) -> None:
    assert folder_name(typed.format(data=data_dir), data_dir) == "."


@pytest.mark.parametrize("typed", ["../elsewhere", "{data}/../elsewhere", "alpha/../../elsewhere"])
def test_folder_outside_is_named_absolutely(data_dir: Path, typed: str) -> None:
    outside = str(data_dir.parent / "elsewhere")
    assert folder_name(typed.format(data=data_dir), data_dir) == outside
    assert folder_name(outside, data_dir) == outside


def test_relative_data_folder(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data_dir.parent)
    for typed in ("alpha", str(data_dir / "alpha")):
        assert folder_name(typed, Path("data")) == "alpha"
        assert folder_name(typed, Path("./elsewhere/../data")) == "alpha"


def test_folder_that_is_not_there_keeps_its_name(data_dir: Path) -> None:
    assert folder_name("gone/", data_dir / "gone_too") == "gone"
    assert folder_name(str(data_dir / "gone_too" / "gone"), data_dir / "gone_too") == "gone"


def test_home_folder_is_written_out(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(data_dir.parent))
    assert folder_name("~/data/alpha", data_dir) == "alpha"
    assert folder_name("~/elsewhere", data_dir) == str(data_dir.parent / "elsewhere")


def test_home_folder_of_nobody_is_refused(data_dir: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"whom nobody knows; write \./~nobody_at_all"):
        folder_name("~nobody_at_all/x", data_dir)


def test_data_folder_that_is_a_link(data_dir: Path) -> None:
    link = data_dir.parent / "link"
    link.symlink_to(data_dir)
    for typed in ("alpha", str(link / "alpha"), str(data_dir / "alpha")):
        assert {folder_name(typed, link), folder_name(typed, data_dir)} == {"alpha"}


def test_link_keeps_its_name(data_dir: Path) -> None:
    (data_dir / "newest").symlink_to("alpha")
    (data_dir / "afar").symlink_to(data_dir.parent / "elsewhere")
    assert folder_name("newest/", data_dir) == "newest"
    assert folder_name(str(data_dir / "afar"), data_dir) == "afar"


def test_folder_above_a_link_is_where_the_link_leads(data_dir: Path) -> None:
    (data_dir / "link").symlink_to("alpha/beta")
    assert folder_name("link/..", data_dir) == "alpha"


def test_name_that_is_normal_keeps_id_and_hash(data_dir: Path) -> None:
    for path in ("alpha", "alpha/beta", "gone", "/somewhere/else"):
        assert spelled_once(of(path), data_dir) == of(path)
    for case in (Case(), Case(dataset="synthetic", dataset_options={"side": 8}), of(5)):
        assert spelled_once(case, data_dir) is case
