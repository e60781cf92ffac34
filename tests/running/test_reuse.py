"""Results that are taken over from earlier runs: of which, when not, and with which figures."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.energy.carbon import carbon_intensity
from greenbench.errors import TakenOverError
from greenbench.machine.environment import describe_environment
from greenbench.results.account import Account
from greenbench.results.journal import Journal
from greenbench.results.table import to_row
from greenbench.running.conditions import conditions_of_each, digest_of
from greenbench.running.manifest import MANIFEST
from greenbench.running.reuse import take_over
from greenbench.running.run_folder import Request, RunFolder, own
from greenbench.running.session import Session
from greenbench.settings import Settings
from greenbench.terminal.progress import Progress
from tests.builders import STARTED_AT, make_reading
from tests.running.reusing import (
    BASIS,
    CASES,
    NEW,
    OLD,
    Pool,
    known,
    ran,
    reused,
)

pytestmark = pytest.mark.usefixtures("pool")


def test_machine_is_looked_at_once_however_many_repeats_there_are(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(settings)
    looks: list[int] = []

    def look(threads: int, device: dict[str, str]) -> dict[str, str]:
        looks.append(threads)
        return describe_environment(threads, device)

    monkeypatch.setattr("greenbench.running.reuse.describe_environment", look)
    assert len(reused(settings)) == 3
    assert len(looks) == 1


def test_equal_conditions_give_the_identical_figures(settings: Settings) -> None:
    run = ran(settings)
    said: list[str] = []
    found = reused(settings, said=said)

    assert [*found] == [("s", 0), ("s", 1), ("m", 0)]
    assert said == ["starting workers to see whether data are what they were: torch"]
    for case, repeat, journal in run.repeats():
        original, result = journal.read().result, found[case.size, repeat]
        assert original is not None
        before, now = to_row(original), to_row(result)
        told = {name for name in now if now[name] != before[name]}
        assert told == {"suite", "marks", "reused_from"}
        assert (now["suite"], now["marks"], now["reused_from"]) == ("ci", "reused", OLD)
        assert result.account == original.account
        later_s = result.started_at - original.started_at
        assert [each.started_at - later_s for each in result.trials] == pytest.approx(
            [each.started_at for each in original.trials]
        )
    assert len({result.started_at for result in found.values()}) == len(found)


def test_change_of_any_condition_prevents_reuse(settings: Settings) -> None:
    run = ran(settings, CASES[:1])
    manifest = run.path / MANIFEST
    whole = json.loads(manifest.read_text())
    names = [*whole["conditions"]]
    assert {"the code of greenbench", "torch", "meter", "threads", "host", "python"} <= {*names}
    now = known(settings, CASES[:1])
    for name in names:
        said: list[str] = []
        changed = {**whole["conditions"], name: "another"}
        manifest.write_text(json.dumps({**whole, "conditions": changed}))
        assert not reused(settings, CASES[:1], now, said), name
        assert len(said) == 1
        assert said[0].startswith("2 repeats are measured anew: since their results, ")
        assert name in said[0]
        manifest.write_text(json.dumps(whole))
        assert not reused(settings, CASES[:1], {**now, name: "another"}), name
    assert reused(settings, CASES[:1], now)


def test_file_of_a_run_that_was_altered_to_fit_is_found_out(settings: Settings) -> None:
    run = ran(settings, CASES[:1])
    manifest = run.path / MANIFEST
    whole = json.loads(manifest.read_text())
    now = {**known(settings, CASES[:1]), "meter": "another"}
    manifest.write_text(json.dumps({**whole, "conditions": now}))
    said: list[str] = []
    assert not reused(settings, CASES[:1], now, said)
    assert "do not say that they were measured under these conditions" in said[0]


def test_what_the_runs_other_cases_depend_on_does_not_matter(settings: Settings) -> None:
    run = ran(settings, CASES)
    manifest = run.path / MANIFEST
    whole = json.loads(manifest.read_text())
    more = {**whole["conditions"], "the code of parts_of_others.py": "1", "a_package": "2"}
    manifest.write_text(json.dumps({**whole, "conditions": more}))
    assert [*reused(settings, CASES[1:])] == [("m", 0)]


def test_threads_of_the_setting_do_not_matter_to_a_case_that_says_its_own(
    settings: Settings,
) -> None:
    case = Case(threads=3, repeats=1)
    ran(settings, [case, Case(repeats=1)])
    assert reused(replace(settings, threads=7), [case])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"conditions": None}, "do not say that they were measured under these conditions"),
        ({"mixed": ("torch (1, now 2)",)}, "marked as mixed"),
        ({"design": "until-decided"}, "went on until it knew"),
        ({"accuracy": None}, "no trial of their results completed"),
        (
            {"environment": {**describe_environment(1, {}), "cpu": "another"}},
            "of a machine with another cpu",
        ),
        (
            {"account": Account({"train": replace(make_reading(), stopped_s=60.0)})},
            "marked as suspended",
        ),
    ],
    ids=["older", "mixed", "until-decided", "failed", "machine", "suspended"],
)
def test_doubtful_result_is_measured_anew(
    settings: Settings, changed: dict[str, Any], said: str
) -> None:
    ran(settings, CASES[:1], **changed)
    lines: list[str] = []
    assert not reused(settings, CASES[:1], said=lines)
    assert len(lines) == 1
    assert lines[0].startswith("2 repeats are measured anew: ")
    assert said in lines[0]


def test_run_that_drifted_or_has_not_ended_gives_nothing(settings: Settings) -> None:
    ran(settings, CASES[:1], is_done=False)
    lines: list[str] = []
    assert not reused(settings, CASES[:1], said=lines)
    ran(settings, CASES[:1], "ci-20250101-130000-1").mark_drifted()
    assert not reused(settings, CASES[:1], said=lines)
    assert "no complete run has their results" in lines[0]
    assert "idle power changed too much" in lines[1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data": {**BASIS, "content": "another"}}, "the data set digits changed"),
        ({"data": {**BASIS, "digest": "another"}}, "the data set digits changed"),
        ({"data": {}}, "the data set digits changed"),
        ({"data": None}, "the data set digits changed"),
        ({"device": "H100"}, "device (cpu, now H100) changed"),
    ],
)
def test_data_or_a_device_that_may_have_changed_prevent_reuse(
    settings: Settings, pool: type[Pool], changed: dict[str, Any], said: str
) -> None:
    ran(settings, CASES[:1])
    for name, value in changed.items():
        setattr(pool, name, value)
    lines: list[str] = []
    assert not reused(settings, CASES[:1], said=lines)
    assert said in lines[-1]


def test_data_that_nobody_knows_prevent_reuse(settings: Settings) -> None:
    ran(settings, CASES[:1], basis={**BASIS, "content": None, "digest": None})
    assert not reused(settings, CASES[:1])


def test_equal_data_are_loaded_once_and_drawn_ones_for_each_repeat(
    settings: Settings, pool: type[Pool]
) -> None:
    ran(settings)
    assert len(reused(settings)) == 3
    assert pool.loaded == ["s0"]
    drawn = [Case(size="l", repeats=2)]
    ran(settings, drawn, "ci-20250101-130000-1", basis={**BASIS, "content": None})
    assert len(reused(settings, drawn)) == 2
    assert pool.loaded == ["s0", "l0", "l1"]


def test_without_a_result_no_worker_is_started(settings: Settings, pool: type[Pool]) -> None:
    settings.journal_dir.mkdir(parents=True)
    assert not reused(settings)
    assert not pool.launched


def test_newest_result_that_nothing_speaks_against_is_taken(settings: Settings) -> None:
    first = ran(settings, CASES[:1])
    ran(settings, CASES[:1], "ci-20250101-130000-1", mixed=("python",))
    found = reused(settings, CASES[:1])
    assert {result.reused_from for result in found.values()} == {first.path.name}


def test_reused_result_names_the_session_that_measured_it(settings: Settings) -> None:
    ran(settings, CASES[:1], reused_from="ci-20240101-120000-1")
    found = reused(settings, CASES[:1])
    assert {result.reused_from for result in found.values()} == {"ci-20240101-120000-1"}


def test_run_that_was_taken_over_meanwhile_gets_nothing(settings: Settings) -> None:
    ran(settings, CASES[:1])
    of_run = known(settings, CASES[:1])
    folder = RunFolder(settings.journal_dir / NEW, Request("ci", CASES[:1], of_run))
    folder.path.mkdir()
    of_each = conditions_of_each(settings, CASES[:1], of_run)
    intensity = carbon_intensity(settings.carbon_g_per_kwh, settings.country)
    with ExitStack() as stack:
        lost = replace(folder, claim=own(folder.path, stack))
        (folder.path / ".lock.owner").write_text("theirs")
        with pytest.raises(TakenOverError):
            take_over(lost, of_each, settings, intensity, lambda _: None)
    assert not any(path.read_bytes() for path in folder.path.glob("*.jsonl"))


def test_repeat_that_has_begun_goes_on(settings: Settings) -> None:
    ran(settings, CASES[:1])
    folder = settings.journal_dir / NEW
    folder.mkdir()
    Journal.of(folder, CASES[0], 1).start(STARTED_AT, BASIS)
    assert [*reused(settings, CASES[:1])] == [("s", 0)]


class Host:
    """The lock of a host: who asked for it, and whether it is held."""

    def __init__(self) -> None:
        self.asked, self.is_held, self.is_shared = 0, False, False

    @contextmanager
    def hold(self, *_: object) -> Iterator["Host"]:
        self.asked, self.is_held = self.asked + 1, True
        yield self
        self.is_held = False


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host()
    monkeypatch.setattr("greenbench.running.session.measuring_lock", found.hold)
    return found


def test_data_are_compared_while_nobody_measures(
    settings: Settings, pool: type[Pool], host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(settings)
    seen: list[bool] = []
    monkeypatch.setattr(pool, "launch", lambda *_: seen.append(host.is_held))
    with Session(settings, "ci", CASES, Progress(CASES, StringIO()), True, reuses=True):
        assert not host.is_held
    # The second launch, of a session that has nothing to measure, starts no worker.
    assert seen == [True, False]
    assert host.asked == 1


def test_of_results_that_all_are_there_nothing_is_measured(
    settings: Settings, pool: type[Pool]
) -> None:
    ran(settings)
    shown = StringIO()
    with Session(settings, "ci", CASES, Progress(CASES, shown), True, reuses=True) as session:
        results = [session.run_repeat(case, repeat) for case, repeat in session.repeats()]
        rows = [to_row(result) for result in results]
    assert {row["reused_from"] for row in rows} == {OLD}
    assert [session.drift_of(row) for row in rows] == [None] * 3
    # The first looked at data; the session's own had no case.
    assert [len(cases) for cases in pool.launched] == [3, 0]
    assert "idle power" not in shown.getvalue()


def test_only_what_is_missing_is_left_to_run(settings: Settings, pool: type[Pool]) -> None:
    ran(settings, CASES[:1])
    more = [replace(CASES[0], repeats=3)]
    with Session(settings, "ci", more, Progress(more, StringIO()), True, reuses=True) as session:
        left = [
            repeat
            for case, repeat in session.repeats()
            if Journal.of(session.folder, case, repeat).read().result is None
        ]
    assert left == [2]
    assert [len(cases) for cases in pool.launched] == [2, 1]


def test_without_the_option_nothing_is_reused(settings: Settings) -> None:
    ran(settings)
    with Session(settings, "ci", CASES, Progress(CASES, StringIO()), True) as session:
        assert not list(session.folder.glob("*.jsonl"))


def test_session_says_with_each_repeat_under_which_conditions_it_runs(settings: Settings) -> None:
    of_each = conditions_of_each(settings, CASES, known(settings, CASES))
    with Session(settings, "ci", CASES, Progress(CASES, StringIO()), True) as session:
        told = session._job(CASES[0], 1, session.folder).to_dict()["conditions"]
    assert told == digest_of(of_each[CASES[0]], CASES[0], 1)
    assert told != digest_of(of_each[CASES[0]], CASES[0], 0)
