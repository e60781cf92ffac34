"""Repeats that are added to a run: to which one, and when it is refused and left as it is."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from greenbench.cases import Case
from greenbench.energy.carbon import carbon_intensity
from greenbench.errors import ChangedError, ConfigurationError
from greenbench.results.journal import Journal
from greenbench.running.conditions import conditions_of
from greenbench.running.continuing import Continuation, find
from greenbench.running.manifest import Manifest, state_of
from greenbench.running.run_folder import Request, RunFolder, take_up
from greenbench.settings import Settings
from tests.builders import STARTED_AT, make_result

CASES = [Case(size="s", repeats=2), Case(size="m", repeats=1)]
OLD, NEW = "ci-20250101-120000-1", "ci-20250102-120000-1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_environment(
        {"GREENBENCH_RUNS_DIR": str(tmp_path), "GREENBENCH_COUNTRY": "NLD"}
    )


def run_of(settings: Settings, name: str = OLD, **changed: float) -> RunFolder:
    """Leave a folder as a run does that has all its results, and is not finished yet."""
    intensity = carbon_intensity(settings.carbon_g_per_kwh, settings.country)
    conditions = {**conditions_of(settings, CASES, intensity), **changed}
    folder = RunFolder(settings.journal_dir / name, Request("ci", CASES, conditions))
    folder.path.mkdir(parents=True)
    folder.begin()
    for case, repeat, journal in folder.repeats():
        journal.start(at=STARTED_AT + repeat)
        journal.finish(make_result(case, repeat=repeat))
    return folder


def added(settings: Settings, more: int = 3, *, may_mix: bool = False) -> Continuation:
    # Whatever number of repeats is asked for.
    cases = [replace(case, repeats=7) for case in CASES]
    return find(settings, "ci", cases, more, may_mix=may_mix)


def begun(settings: Settings, more: int = 3, *, may_mix: bool = False) -> RunFolder:
    """Add repeats as far as a run that is killed at once."""
    found = added(settings, more, may_mix=may_mix)
    with ExitStack() as stack:
        folder = found.take_up(stack, lambda _: None)
        return found.begin(folder, (), may_mix=may_mix)


def test_each_case_gets_so_many_more_and_nothing_is_written_yet(settings: Settings) -> None:
    run = run_of(settings)
    run.finish()
    found = added(settings)
    assert [case.repeats for case in found.cases] == [5, 4]
    assert found.folder.path == run.path
    assert state_of(run.path) == "complete"


def test_killed_addition_is_gone_on_with_and_adds_no_more(settings: Settings) -> None:
    run_of(settings).finish()
    folder = begun(settings)
    assert state_of(folder.path) == "interrupted"
    again = added(settings)
    assert again.is_begun
    assert [case.repeats for case in again.cases] == [5, 4]
    folder.finish()
    assert state_of(folder.path) == "complete"
    assert [case.repeats for case in added(settings).cases] == [8, 7]


def test_killed_addition_is_what_a_run_of_as_many_repeats_takes_up(settings: Settings) -> None:
    run_of(settings).finish()
    folder = begun(settings)
    with ExitStack() as stack:
        found = take_up(settings.journal_dir, folder.request, stack, lambda _: None)
    assert found is not None
    found.finish()
    assert state_of(folder.path) == "complete"


def test_another_number_waits_until_the_first_is_added(settings: Settings) -> None:
    run_of(settings).finish()
    begun(settings)
    with pytest.raises(ConfigurationError, match=f"adding 3 repeats to {OLD} was interrupted"):
        added(settings, 2)


def test_newest_under_the_same_conditions_is_added_to(settings: Settings) -> None:
    run_of(settings, OLD).finish()
    run_of(settings, NEW, threads=99).finish()
    assert added(settings).folder.path.name == OLD


def test_what_changed_is_said_and_the_run_stays_as_it_is(settings: Settings) -> None:
    run = run_of(settings, threads=99)
    run.finish()
    before = {path: path.read_bytes() for path in run.path.iterdir()}
    with pytest.raises(ChangedError, match=r"cannot be added to, since threads \(99, now \d+\) ch"):
        added(settings)
    assert {path: path.read_bytes() for path in run.path.iterdir()} == before


def test_changed_run_is_added_to_with_marks_if_asked(settings: Settings) -> None:
    run_of(settings, threads=99).finish()
    folder = begun(settings, may_mix=True)
    (changed,) = Manifest.read(folder.path).mixed
    assert changed.startswith("threads (99")
    result = Journal.of(folder.path, CASES[0], 1).read().result
    assert result is not None
    assert result.mixed == (changed,)


def test_data_that_changed_are_said_when_workers_know(settings: Settings) -> None:
    run_of(settings).finish()
    found = added(settings)
    with pytest.raises(ChangedError, match="since the data set digits changed"):
        found.begin(found.folder, ["the data set digits"], may_mix=False)
    assert state_of(found.folder.path) == "complete"


def test_run_that_has_not_ended_is_named(settings: Settings) -> None:
    run_of(settings)
    with pytest.raises(ConfigurationError, match=rf"has ended in .* \({OLD} was interrupted: end"):
        added(settings)


def test_two_at_once_do_not_both_add(settings: Settings) -> None:
    run_of(settings).finish()
    first, second = added(settings), added(settings)
    with ExitStack() as stack:
        folder = first.take_up(stack, lambda _: None)
        with pytest.raises(ConfigurationError, match="another greenbench is at the run"):
            second.take_up(stack, lambda _: None)
        first.begin(folder, (), may_mix=False).finish()
    with (
        ExitStack() as stack,
        pytest.raises(ConfigurationError, match=r"has added to the run .* just now"),
    ):
        second.take_up(stack, lambda _: None)


def test_idle_power_of_now_says_nothing_of_earlier_repeats(settings: Settings) -> None:
    run = run_of(settings)
    assert run.first_added == {}
    run.finish()
    # Whenever they start: the clock may be set back.
    more = begun(settings)
    assert more.first_added == {CASES[0].hash: 2, CASES[1].hash: 1}
    # Asked for each row of a summary, it does not go through all cases again.
    assert more.first_added is more.first_added
