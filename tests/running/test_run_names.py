"""Names of runs' folders: later runs have later names, however clocks are set."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from greenbench.running import run_names
from greenbench.running.run_names import FORMAT, make_folder

NOW = datetime(2025, 10, 26, 2, 30)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """What the clock shows: the last of these."""
    shown = [NOW]
    clock = SimpleNamespace(strftime=lambda form: shown[-1].strftime(form))  # noqa: PLW0108
    monkeypatch.setattr(run_names, "time", clock)
    return shown


def test_name_says_suite_time_and_process(tmp_path: Path) -> None:
    assert re.fullmatch(r"ci-20251026-023000-\d+", make_folder(tmp_path, "ci").name)


def test_root_that_another_run_removes_as_it_needs_it_no_more_is_made_again(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "journal", "ci").is_dir()


@pytest.mark.parametrize("back", [0, 1, 3600, 10**8])
def test_clock_that_was_set_back_gives_no_earlier_name(
    tmp_path: Path, clock: list[datetime], back: int
) -> None:
    made = [make_folder(tmp_path, "ci")]
    clock.append(NOW - timedelta(seconds=back))
    made += [make_folder(tmp_path, "ci") for _ in range(3)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_clock_is_right_again_once_it_is_ahead(tmp_path: Path, clock: list[datetime]) -> None:
    make_folder(tmp_path, "ci")
    clock.append(NOW + timedelta(hours=1))
    assert clock[-1].strftime(FORMAT) in make_folder(tmp_path, "ci").name


@pytest.mark.parametrize(
    "name", ["ci-20990101-000000-1-more", "big-ci-20990101-000000-1", "ci-20991399-000000-1", "ci"]
)
def test_what_is_no_run_of_the_suite_is_of_no_account(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert "-2025" in make_folder(tmp_path, "ci").name


@pytest.mark.parametrize("name", ["ci-20990101-000000-1", "ci-20990101-000000-1-2"])
def test_run_of_a_machine_whose_clock_is_ahead_is_earlier(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert make_folder(tmp_path, "ci").name.startswith("ci-20990101-000001-")


def test_folder_that_another_machine_makes_in_that_second_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_names.os, "getpid", lambda: 7)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    first = make_folder(tmp_path, "ci")
    second = make_folder(tmp_path, "ci")
    assert (first.name, second.name) == ("ci-20251026-023000-7", "ci-20251026-023001-7")
