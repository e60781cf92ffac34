"""The folder of a run: when it is taken up again, when not, and what is said then."""

import importlib.metadata
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench import registry
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity, carbon_intensity
from greenbench.errors import JournalError
from greenbench.results.journal import Journal
from greenbench.running.conditions import (
    Conditions,
    changes,
    conditions_here,
    conditions_of,
    listed,
)
from greenbench.running.run_folder import Request, RunFolder, changed_data, make, take_up
from greenbench.settings import Settings
from tests.builders import STARTED_AT, make_result

CASES = [Case(strategy=name, repeats=2) for name in ("random", "grid", "sobol")]
NOW: Conditions = {"the code of net.py": "aa", "threads": 1, "meter": "codecarbon", "torch": "2.0"}
EARLIER = "ci-20250101-120000-1"


class Notices(list[str]):
    def __call__(self, message: str) -> None:
        self.append(message)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def request_for(
    conditions: Conditions = NOW, cases: Sequence[Case] = CASES, may_mix: bool | None = False
) -> Request:
    return Request("ci", cases, conditions, may_mix)


def interrupt(root: Path, request: Request | None = None, name: str = EARLIER) -> RunFolder:
    """Leave a folder as an interrupted run does."""
    folder = RunFolder(root / name, request or request_for())
    folder.path.mkdir()
    folder.begin()
    return folder


def take(root: Path, request: Request) -> tuple[RunFolder | None, list[str]]:
    notices = Notices()
    with ExitStack() as stack:
        return take_up(root, request, stack, notices), notices


def test_equal_run_is_taken_up(tmp_path: Path) -> None:
    interrupt(tmp_path)
    found, (notice,) = take(tmp_path, request_for())
    assert found is not None
    assert (found.path.name, found.is_resumed, found.mixed) == (EARLIER, True, ())
    assert notice.startswith(f"resuming {EARLIER}: 0 of 6 repeats are finished")


@pytest.mark.parametrize(
    "what", ["the folder", "a journal", "the lock", "a link as the lock", "a pipe"]
)
def test_run_that_may_not_be_written_is_left_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    older = interrupt(tmp_path, name="ci-20240101-120000-1")
    folder = interrupt(tmp_path)
    journal = Journal.of(folder.path, CASES[0], 0)
    journal.start(at=STARTED_AT)
    lock, precious = folder.path / ".lock", tmp_path / "precious"
    precious.write_text("kept")
    if what == "a link as the lock":
        lock.symlink_to(precious)
    elif what == "a pipe":
        os.mkfifo(lock)
    else:
        lock.touch()
        refused = {"the folder": folder.path, "a journal": journal.path, "the lock": lock}[what]
        may = os.access
        # Root, who often runs tests, may do everything.
        monkeypatch.setattr(os, "access", lambda path, mode: path != refused and may(path, mode))

    found, notices = take(tmp_path, request_for())

    # Those of whoever asks are gone on with.
    assert found is not None
    assert found.path == older.path
    folder_only = take(tmp_path, request_for(cases=CASES[:1]))
    assert folder_only == (None, [])
    found.finish()
    found, notices = take(tmp_path, request_for())
    assert found is None
    (notice,) = notices
    assert notice.startswith(
        f"the interrupted run {EARLIER} is not gone on with: not all of it may"
    )
    assert precious.read_text() == "kept"


def test_run_of_another_user_that_goes_on_is_left_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack
) -> None:
    folder = make(tmp_path, request_for(), stack)
    folder.begin()
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder.path and may(path, mode))
    assert take(tmp_path, request_for()) == (None, [])


@given(cases=st.permutations(CASES))
def test_order_of_cases_does_not_matter(
    cases: list[Case], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("runs", numbered=True)
    interrupt(root)
    found, _ = take(root, request_for(cases=cases))
    assert found is not None


@pytest.mark.parametrize(
    "request_",
    [
        request_for(cases=CASES[:2]),
        request_for(cases=[replace(CASES[0], epochs=3), *CASES[1:]]),
        request_for(cases=[replace(CASES[0], repeats=3), *CASES[1:]]),
        replace(request_for(), suite="scaling"),
    ],
    ids=["fewer", "another", "more repeats", "suite"],
)
def test_another_run_is_another_run(tmp_path: Path, request_: Request) -> None:
    interrupt(tmp_path)
    assert take(tmp_path, request_) == (None, [])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"the code of net.py": "bb"}, "the code of net.py changed"),
        ({"threads": 2}, "threads (1, now 2) changed"),
        ({"meter": "zeus"}, "meter (codecarbon, now zeus) changed"),
        ({"torch": None}, "torch (2.0, now none) changed"),
        ({"keras": "3.0"}, "keras (none, now 3.0) changed"),
        ({"threads": 2, "torch": "2.1"}, "threads (1, now 2) and torch (2.0, now 2.1) changed"),
    ],
)
def test_run_under_other_conditions_is_named_and_not_taken_up(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    interrupt(tmp_path)
    found, (notice,) = take(tmp_path, request_for({**NOW, **changed}))
    assert found is None
    assert notice == (
        f"the interrupted run {EARLIER} is not gone on with: {words}; starting over "
        "(`--resume-anyway` goes on with it)"
    )


def test_what_nobody_can_ask_for_is_not_advised(tmp_path: Path) -> None:
    interrupt(tmp_path)
    _, (notice,) = take(tmp_path, request_for({}, may_mix=None))
    assert "--resume-anyway" not in notice


def test_run_that_does_not_say_its_conditions_is_not_taken_up(tmp_path: Path) -> None:
    folder = interrupt(tmp_path)
    manifest = json.loads((folder.path / "run.json").read_text())
    del manifest["conditions"]
    (folder.path / "run.json").write_text(json.dumps(manifest))
    found, (notice,) = take(tmp_path, request_for())
    assert found is None
    assert "an older greenbench began it" in notice


def test_older_run_under_the_same_conditions_comes_before_a_newer_one(tmp_path: Path) -> None:
    interrupt(tmp_path)
    interrupt(tmp_path, request_for({**NOW, "threads": 2}), "ci-20250102-120000-1")
    found, (notice,) = take(tmp_path, request_for())
    assert found is not None
    assert found.path.name == EARLIER
    assert "not gone on with" not in notice


def test_nothing_is_said_of_a_run_once_a_later_one_is_finished(tmp_path: Path) -> None:
    interrupt(tmp_path)
    now = request_for({**NOW, "threads": 2})
    interrupt(tmp_path, now, "ci-20250102-120000-1").finish()
    assert take(tmp_path, now) == (None, [])


def test_run_that_is_still_running_is_left_alone(tmp_path: Path, stack: ExitStack) -> None:
    running = make(tmp_path, request_for(), stack)
    running.begin()
    assert take(tmp_path, request_for()) == (None, [])
    assert take(tmp_path, request_for({**NOW, "threads": 2}, may_mix=True)) == (None, [])


def with_values(manifest: Path, **values: object) -> str:
    return json.dumps(json.loads(manifest.read_text()) | values)


@pytest.mark.parametrize("may_mix", [False, True])
@pytest.mark.parametrize(
    "damage",
    [
        *(lambda _, text=text: text for text in ("", "{", "[]", "{}", '{"cases": 3}')),
        lambda manifest: manifest.read_text()[:50],
        lambda manifest: with_values(manifest, conditions=["threads"]),
        lambda manifest: with_values(manifest, conditions="threads"),
        lambda manifest: with_values(manifest, mixed=[1, None]),
        lambda manifest: with_values(manifest, mixed=7),
        lambda manifest: with_values(manifest, cases=None),
    ],
)
def test_damaged_manifest_is_said_and_no_run(
    tmp_path: Path, damage: Callable[[Path], str], may_mix: bool
) -> None:
    manifest = interrupt(tmp_path).path / "run.json"
    manifest.write_text(damage(manifest))
    found, (notice,) = take(tmp_path, request_for(may_mix=may_mix))
    assert found is None
    assert f"{EARLIER} is not gone on with: its run.json cannot be read" in notice


def test_manifest_that_is_no_file_is_said(tmp_path: Path) -> None:
    manifest = interrupt(tmp_path).path / "run.json"
    manifest.unlink()
    manifest.mkdir()
    _, (notice,) = take(tmp_path, request_for())
    assert "its run.json cannot be read" in notice


def test_damaged_manifest_stops_no_other_run_and_is_not_said_for_ever(tmp_path: Path) -> None:
    (interrupt(tmp_path).path / "run.json").write_text("{")
    other = interrupt(tmp_path, name="ci-20250102-120000-1")
    found, (notice,) = take(tmp_path, request_for())
    assert found is not None
    assert notice.startswith(f"resuming {other.path.name}")
    other.finish()
    assert take(tmp_path, request_for()) == (None, [])


def test_run_that_goes_on_all_the_same_marks_what_it_had_finished(tmp_path: Path) -> None:
    folder = interrupt(tmp_path)
    case = CASES[0]
    journal = Journal.of(folder.path, case, 0)
    journal.start(STARTED_AT)
    journal.finish(make_result(case))
    journal.mark_delivered()
    later = {**NOW, "threads": 2}

    found, (notice,) = take(tmp_path, request_for(later, may_mix=True))

    assert found is not None
    assert found.mixed == ("threads (1, now 2)",)
    assert "all are marked as mixed: threads (1, now 2) changed" in notice
    state = journal.read()
    assert state.result is not None
    assert state.result.mixed == found.mixed
    assert not state.is_delivered

    # From then on the later conditions are those of the run.
    journal.mark_delivered()
    lines = journal.path.read_text()
    again, _ = take(tmp_path, request_for(later))
    assert again is not None
    assert again.mixed == found.mixed
    assert journal.path.read_text() == lines
    assert take(tmp_path, request_for(NOW))[0] is None


def test_run_that_was_killed_while_it_marked_marks_again(tmp_path: Path) -> None:
    folder = interrupt(tmp_path).mix(["threads (1, now 2)"])
    journal = Journal.of(folder.path, CASES[0], 0)
    journal.start(STARTED_AT)
    journal.finish(make_result(CASES[0]))
    take(tmp_path, request_for())
    result = journal.read().result
    assert result is not None
    assert result.mixed == ("threads (1, now 2)",)


@pytest.fixture
def settings() -> Settings:
    return Settings.from_environment(os.environ)


def conditions(settings: Settings, case: Case | None = None, **intensity: Any) -> Conditions:
    given = CarbonIntensity(**{"g_per_kwh": 100.0, "source": "a test", **intensity})
    return conditions_of(settings, [case or Case()], given)


def test_conditions_survive_the_file_that_they_are_kept_in(settings: Settings) -> None:
    found = conditions(settings)
    assert json.loads(json.dumps(found)) == found
    assert changes(found, conditions(settings)) == ()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"threads": 7}, "threads (1, now 7)"),
        ({"meter": "codecarbon,zeus"}, "meter (codecarbon, now codecarbon,zeus)"),
        ({"min_window_s": 1.5}, "shortest window in s (0, now 1.5)"),
        ({"idle_s": 0.0}, "idle measurement in s (3, now 0)"),
        ({"trial_timeout_s": 60.0}, "trial timeout in s (3600, now 60)"),
    ],
)
def test_settings_that_results_depend_on_are_conditions(
    settings: Settings, changed: dict[str, Any], words: str
) -> None:
    assert changes(conditions(settings), conditions(replace(settings, **changed))) == (words,)


def test_threads_of_the_setting_do_not_matter_to_cases_that_say_theirs(settings: Settings) -> None:
    case = Case(threads=3)
    other = replace(settings, threads=7)
    assert changes(conditions(settings, case), conditions(other, case)) == ()


def test_where_results_go_does_not_matter(settings: Settings, tmp_path: Path) -> None:
    other = replace(settings, tracking_uri="http://127.0.0.1:9", data_dir=tmp_path, branch="main")
    assert changes(conditions(settings), conditions(other)) == ()


def test_country_is_a_condition(settings: Settings) -> None:
    before, now = (
        conditions_of(settings, [Case()], carbon_intensity(None, country))
        for country in ("NLD", "FRA")
    )
    assert {text.partition(" (")[0] for text in changes(before, now)} == {
        "carbon intensity in g/kWh",
        "source of the carbon intensity",
    }


def declare(folder: Path, name: str, version: str) -> None:
    """Install what gives ``my_vision`` to import, and is called otherwise."""
    info = folder / f"{name}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    (info / "top_level.txt").write_text("my_vision\n")


def test_package_has_its_version_under_the_name_that_it_is_imported_by(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)

    def with_version(version: str) -> Conditions:
        declare(tmp_path, "vision_of_mine", version)
        return conditions_here(settings, [Case()], ["my_vision", "yaml", "nowhere"])

    before = with_version("1.0")
    assert (before["my_vision"], before["nowhere"]) == ("1.0", None)
    assert before["yaml"] == importlib.metadata.version("PyYAML")
    after = with_version("1.1")
    assert changes(before, after) == ("my_vision (1.0, now 1.1)",)


def test_package_of_two_distributions_has_the_versions_of_both(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    declare(tmp_path, "vision_gui", "1.0")
    declare(tmp_path, "vision_headless", "2.0")
    here = conditions_here(settings, [Case()], ["my_vision"])
    assert here["my_vision"] == "vision_gui 1.0, vision_headless 2.0"


def test_versions_and_variables_are_conditions(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = conditions(settings)
    monkeypatch.setattr("greenbench.running.conditions.version", lambda package: f"{package} 99")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    found = changes(before, conditions(settings))
    assert f"torch ({before['torch']}, now torch 99)" in found
    assert "CUDA_VISIBLE_DEVICES (none, now 3)" in found
    assert "CUDA_DEVICE_ORDER (none, now PCI_BUS_ID)" in found


def test_trace_that_is_replayed_is_a_condition(settings: Settings, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("a")
    replaying = replace(settings, meter=f"replay:{trace}")
    before = conditions(replaying)
    trace.write_text("b")
    assert changes(before, conditions(replaying)) == (f"the file {trace}",)


def test_code_of_a_registered_part_is_a_condition(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "folder_widths.py").write_text("WIDTH = 400\n")
    (tmp_path / "folder_net.py").write_text(
        "from greenbench import register_architecture\n"
        "@register_architecture('folder_net')\n"
        "def net(image_shape, classes):\n"
        "    from folder_widths import WIDTH\n"
    )
    __import__("folder_net")
    assert registry.architectures.origin("folder_net") is not None
    case = Case(architecture="folder_net")
    before = conditions(settings, case)
    assert changes(conditions(settings), before) != ()
    (tmp_path / "folder_widths.py").write_text("WIDTH = 8\n")
    assert changes(before, conditions(settings, case)) == ("the code of folder_widths.py",)


def test_many_differences_are_counted() -> None:
    assert listed(["a"]) == "a"
    assert listed(list("abcdefgh")) == "a, b, c, d, e and 3 more"


class DataOfNow:
    """Workers that find the data set as it is now."""

    def device_of(self, case: Case) -> str:
        return "cpu"

    def data_of(self, case: Case, repeat: int) -> dict[str, Any]:
        return {"content": "new", "digest": "new"}


@pytest.mark.parametrize("clock", [-3600, 0, 3600], ids=["back", "same", "ahead"])
@pytest.mark.parametrize(("last", "changed"), [("new", ()), ("old", ("the data set mnist",))])
def test_data_are_compared_with_what_was_started_last_whatever_the_clock_says(
    tmp_path: Path, clock: float, last: str, changed: tuple[str, ...]
) -> None:
    folder = interrupt(tmp_path, request_for(cases=[Case(dataset="mnist", repeats=3)]))
    starts = [(1, "old"), (2, "old" if last == "new" else "new"), (0, last)]
    for turn, (repeat, content) in enumerate(starts):
        journal = Journal.of(folder.path, folder.request.cases[0], repeat)
        journal.start(STARTED_AT + clock * turn, {"content": content, "digest": content})
    assert changed_data(folder, DataOfNow()) == changed  # type: ignore[arg-type]


def test_run_is_complete_once_all_repeats_have_their_result(tmp_path: Path) -> None:
    folder = interrupt(tmp_path, request_for(cases=[Case(repeats=2)]))
    (case, first, one), (_, second, other) = folder.repeats()
    assert not folder.is_complete()
    one.finish(make_result(case, repeat=first))
    assert not folder.is_complete()
    other.finish(make_result(case, repeat=second))
    assert folder.is_complete()
    found, (notice,) = take(tmp_path, folder.request)
    assert found is not None
    assert notice == (
        f"resuming {EARLIER}: all 2 repeats are finished, so nothing is trained; `--fresh` "
        "measures anew"
    )


def test_damaged_journal_leaves_a_run_incomplete(tmp_path: Path) -> None:
    folder = interrupt(tmp_path, request_for(cases=[Case(repeats=1)]))
    ((_, _, journal),) = folder.repeats()
    journal.path.write_text("damaged\n")
    assert not folder.is_complete()


def test_what_a_kill_left_half_written_is_dropped(tmp_path: Path) -> None:
    folder = interrupt(tmp_path)
    (folder.path / "done.0123abcd.tmp").touch()
    take(tmp_path, request_for())
    assert sorted(path.suffix for path in folder.path.iterdir()) == ["", ".json"]


@pytest.mark.parametrize("verb", ["begin", "finish"])
def test_folder_that_cannot_be_written_is_one_line(tmp_path: Path, verb: str) -> None:
    folder = RunFolder(tmp_path / "gone", request_for())
    with pytest.raises(JournalError, match=r"cannot be written .* removed its folder"):
        getattr(folder, verb)()
