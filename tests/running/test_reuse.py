"""Results that are taken over from earlier runs: of which, when not, and with which figures."""

import json
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import pytest

from greenbench.cases import Case
from greenbench.energy.carbon import carbon_intensity
from greenbench.errors import TakenOverError, WorkerError
from greenbench.machine.environment import describe_environment
from greenbench.results import CaseResult
from greenbench.results.account import Account
from greenbench.results.journal import Journal
from greenbench.results.table import to_row
from greenbench.running.conditions import Conditions, conditions_of, conditions_of_each, digest_of
from greenbench.running.manifest import MANIFEST
from greenbench.running.reuse import take_over
from greenbench.running.run_folder import Request, RunFolder, own
from greenbench.running.session import Session
from greenbench.settings import Settings
from greenbench.terminal.progress import Progress
from tests.builders import STARTED_AT, make_reading, make_result

CASES = [Case(size="s", repeats=2), Case(size="m", repeats=1)]
OLD, NEW = "ci-20250101-120000-1", "ci-20250102-120000-1"
BASIS = {"content": "c" * 12, "digest": "d" * 12, "device": "cpu"}


class Pool:
    """Workers that load data, and nothing else."""

    data: ClassVar[dict[str, str] | None] = BASIS
    device: ClassVar[str] = "cpu"
    loaded: ClassVar[list[str]] = []
    launched: ClassVar[list[list[Case]]] = []
    gpus: ClassVar[list[Any]] = []
    measures = False

    def __init__(self, *_: object) -> None:
        pass

    def launch(self, cases: Iterable[Case]) -> None:
        self.launched.append(list(cases))

    def wait_until_ready(self) -> None:
        pass

    def data_of(self, case: Case, repeat: int) -> dict[str, str]:
        self.loaded.append(f"{case.size}{repeat}")
        if self.data is None:
            raise WorkerError("the worker died")
        return self.data

    def device_of(self, case: Case) -> str:
        return self.device

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def pool(monkeypatch: pytest.MonkeyPatch) -> type[Pool]:
    for module in ("reuse", "session"):
        monkeypatch.setattr(f"greenbench.running.{module}.WorkerPool", Pool)
    for name, value in {"data": BASIS, "device": "cpu", "loaded": [], "launched": []}.items():
        monkeypatch.setattr(Pool, name, value)
    return Pool


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_environment(
        {
            "GREENBENCH_RUNS_DIR": str(tmp_path / "runs"),
            "GREENBENCH_COUNTRY": "NLD",
            "GREENBENCH_HOST_LOCK": str(tmp_path / "lock"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        }
    )


def known(settings: Settings, cases: list[Case]) -> Conditions:
    intensity = carbon_intensity(settings.carbon_g_per_kwh, settings.country)
    return conditions_of(settings, cases, intensity)


def ran(
    settings: Settings,
    cases: list[Case] = CASES,
    name: str = OLD,
    *,
    is_done: bool = True,
    basis: dict[str, str | None] | None = None,
    **changed: Any,
) -> RunFolder:
    """Leave a folder as a run does that has all its results."""
    of_run = known(settings, cases)
    of_each = conditions_of_each(settings, cases, of_run)
    folder = RunFolder(settings.journal_dir / name, Request("other", cases, of_run))
    folder.path.mkdir(parents=True)
    folder.begin()
    for case, repeat, journal in folder.repeats():
        fields = {
            "environment": describe_environment(1, {}),
            "conditions": digest_of(of_each[case], case, repeat),
            "started_at": STARTED_AT + repeat,
            "suite": "other",
            **changed,
        }
        journal.start(STARTED_AT + repeat, BASIS if basis is None else basis)
        journal.finish(make_result(case, repeat=repeat, energy_j=36.0 + repeat, **fields))
    if is_done:
        folder.finish()
    return folder


def reused(
    settings: Settings,
    cases: list[Case] = CASES,
    conditions: Conditions | None = None,
    said: list[str] | None = None,
) -> dict[tuple[str | None, int], CaseResult]:
    """Take over what can be; return the results by size and repeat."""
    of_run = known(settings, cases) if conditions is None else conditions
    intensity = carbon_intensity(settings.carbon_g_per_kwh, settings.country)
    folder = RunFolder(settings.journal_dir / NEW, Request("ci", cases, of_run))
    folder.path.mkdir(parents=True, exist_ok=True)
    of_each = conditions_of_each(settings, cases, of_run)
    notice = (lambda _: None) if said is None else said.append
    take_over(folder, of_each, settings, intensity, notice)
    found = {}
    for case, repeat, journal in folder.repeats():
        if result := journal.read().result:
            found[case.size, repeat] = result
    return found


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


def test_of_results_that_all_are_there_nothing_is_measured_and_nobody_waited_for(
    settings: Settings, pool: type[Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(settings)
    monkeypatch.setattr("greenbench.running.session.measuring_lock", None)
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
