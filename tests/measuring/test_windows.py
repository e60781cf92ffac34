"""Windows of one process: nested, repeated, in threads, tasks and forks; and their budgets."""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import greenbench
from greenbench.energy.hostlock import HOLDER
from greenbench.errors import (
    ConfigurationError,
    EnergyError,
    OverBudgetError,
    UndecidedBudgetError,
)
from greenbench.machine.locks import Lock
from greenbench.measuring import Measurement
from greenbench.measuring.logbook import KEPT
from tests.step_meter import STEP_J, StepMeter

STEP_WH = STEP_J / 3600

pytestmark = pytest.mark.usefixtures("steps")


def test_emissions_at_a_world_average_have_one_digit_for_people_and_all_for_programs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GREENBENCH_COUNTRY", raising=False)
    monkeypatch.delenv("GREENBENCH_CARBON_INTENSITY", raising=False)
    with greenbench.measure("preprocess", log=False) as window:
        pass
    found = window.measurement
    assert ", ~5 mg CO2e at a world average" in found.sentence
    assert found.to_dict()["emissions_g"] == pytest.approx(STEP_WH * 0.475)


def test_variable_that_nothing_reads_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GREENBENCH_COUNTRIE", "FRA")
    for _ in range(2):
        with greenbench.measure("preprocess", log=False):
            pass
    told = [line for line in caplog.messages if "GREENBENCH_COUNTRIE" in line]
    assert len(told) == 1
    assert "did you mean GREENBENCH_COUNTRY?" in told[0]


def kept(folder: Path) -> list[dict[str, Any]]:
    """Return what went to the file, as where there is no store."""
    path = folder / "mlruns" / KEPT
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let the store be a database of something else, so that what is logged is kept in a file."""
    (tmp_path / "other.db").write_text("no database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
    return tmp_path


def test_block_has_its_energy_with_provenance_scope_and_emissions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GREENBENCH_CARBON_INTENSITY", "100")
    with greenbench.measure("preprocess", log=False) as window:
        pass
    found = window.measurement
    assert found.energy_wh == pytest.approx(STEP_WH)
    assert (found.provenance.value, found.scope, found.meter) == ("counter", "cpu", "steps")
    assert found.emissions_g == pytest.approx(STEP_WH / 10)
    assert found.cpu_s == 1.0
    assert found.net_wh is None
    assert found.sentence.startswith("preprocess: 10 mWh (cpu, measured by steps) in ")
    assert ", 1 mg CO2e (" in found.sentence
    assert json.loads(json.dumps(found.to_dict()))["components"]["cpu"]["provenance"] == "counter"


def test_inner_window_is_a_part_of_the_outer_one() -> None:
    with greenbench.measure("outer", log=False) as outer:
        with greenbench.measure("inner", log=False) as first:
            pass
        with greenbench.measure("inner", log=False) as second:
            pass
    assert [w.measurement.energy_wh for w in (first, second)] == pytest.approx([STEP_WH] * 2)
    # Before, between and after them, too.
    assert outer.measurement.energy_wh == pytest.approx(5 * STEP_WH)


def test_windows_of_two_threads_overlap_as_they_like() -> None:
    begun, ended = threading.Event(), threading.Event()
    found: list[Measurement] = []

    def other() -> None:
        with greenbench.measure("other", log=False) as window:
            begun.set()
            ended.wait(400)
        found.append(window.measurement)

    thread = threading.Thread(target=other)
    with greenbench.measure("first", log=False) as first:
        thread.start()
        begun.wait(400)
    ended.set()
    thread.join(400)
    # Either has what both were open in.
    assert first.measurement.energy_wh == pytest.approx(2 * STEP_WH)
    assert found[0].energy_wh == pytest.approx(2 * STEP_WH)


def test_window_of_the_same_name_inside_is_not_logged(away: Path) -> None:
    with greenbench.measure("x"), greenbench.measure("x") as inner:
        pass
    assert inner.measurement.energy_wh == pytest.approx(STEP_WH)
    assert [row["energy_wh"] for row in kept(away)] == pytest.approx([3 * STEP_WH])


def test_nothing_is_logged_while_a_window_is_open(away: Path) -> None:
    with greenbench.measure("outer"):
        with greenbench.measure("inner"):
            pass
        assert kept(away) == []
    assert [row["name"] for row in kept(away)] == ["inner", "outer"]


def test_store_that_is_away_is_said_once_and_loses_nothing(
    away: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        with greenbench.measure("x"):
            pass
    assert len(kept(away)) == 2
    (record,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert "the measurement is kept in" in record.message


def test_machine_is_held_while_a_window_is_open_and_free_afterwards() -> None:
    path = Path(os.environ["GREENBENCH_HOST_LOCK"])
    with greenbench.measure("x", log=False):
        assert not Lock(path).acquire()
        assert os.environ[HOLDER].startswith(f"{os.getpid()} ")
    lock = Lock(path)
    assert lock.acquire()
    lock.release()
    assert HOLDER not in os.environ


def test_error_inside_is_raised_and_its_block_is_measured_and_not_judged() -> None:
    with (
        pytest.raises(ZeroDivisionError),
        greenbench.measure("x", max_wh=1e-9, log=False) as window,
    ):
        raise ZeroDivisionError
    assert window.measurement.status == "failed"
    assert window.measurement.energy_wh == pytest.approx(STEP_WH)


def test_budget_that_is_kept_says_nothing_and_one_that_is_not_raises() -> None:
    with greenbench.measure("x", max_wh=0.02, log=False):
        pass
    with (
        pytest.raises(OverBudgetError, match=r"^x: energy_wh is 10 mWh; the budget is 5 mWh"),
        greenbench.measure("x", max_wh=0.005, log=False),
    ):
        pass


def test_unknown_energy_is_no_pass(steps: type[StepMeter]) -> None:
    steps.joules = None
    with (
        pytest.raises(UndecidedBudgetError, match=r"its energy is unknown \(the step meter is off"),
        greenbench.measure("x", max_wh=1.0, log=False) as window,
    ):
        pass
    assert window.measurement.energy_wh is None
    assert window.measurement.emissions_g is None
    assert "unknown energy (the step meter is off)" in str(window.measurement)


def test_forked_child_leaves_its_parents_window_alone(tmp_path: Path) -> None:
    with greenbench.measure("x", log=False) as window:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                window.__exit__(None, None, None)
                # It has none of its own, and need not wait for its parent's.
                with greenbench.measure("child", log=False) as own:
                    pass
                code = 0 if own.measurement.energy_wh else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert window.measurement.energy_wh == pytest.approx(STEP_WH)


def test_measurement_is_not_there_before_the_end_and_a_window_is_used_once() -> None:
    window = greenbench.measure("x", log=False)
    with window, pytest.raises(EnergyError, match="ask for it after its block"):
        window.measurement  # noqa: B018
    with pytest.raises(EnergyError, match="is measured once"), window:
        pass


@pytest.mark.parametrize("name", ["", " x", "a<b>", "../x", "/x", "a//b", "x" * 101, 7, None])
def test_name_that_mlflow_would_not_take_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="name of a measurement is"):
        greenbench.measure(name)


@pytest.mark.parametrize("max_wh", [0, -1.0, float("nan"), float("inf"), 1e308, 10**400, "1", True])
def test_budget_that_is_none_is_refused(max_wh: Any) -> None:
    with pytest.raises(ConfigurationError, match="expected a number of Wh above 0"):
        greenbench.measure("x", max_wh=max_wh)
    with pytest.raises(ConfigurationError, match="expected a number of Wh above 0"):
        greenbench.measured(max_wh=max_wh)


def test_decorated_function_is_measured_at_each_call_and_stays_what_it_is() -> None:
    @greenbench.measured("data/load", log=False)
    def load(count: int, *, step: int = 1) -> int:
        """Load."""
        return count * step

    assert load.measurement is None  # type: ignore[attr-defined]
    assert load(3, step=2) == 6
    assert load.measurement.name == "data/load"  # type: ignore[attr-defined]
    assert (load.__name__, load.__doc__) == ("load", "Load.")


def test_function_that_calls_itself_is_measured_once(away: Path) -> None:
    @greenbench.measured
    def countdown(count: int) -> int:
        return countdown(count - 1) if count else 0

    assert countdown(5) == 0
    assert [row["name"] for row in kept(away)] == ["countdown"]
    assert countdown.measurement.energy_wh == pytest.approx(STEP_WH)  # type: ignore[attr-defined]


def test_coroutine_function_is_measured_until_it_is_awaited() -> None:
    @greenbench.measured(log=False)
    async def fetch() -> int:
        with greenbench.measure("inside", log=False):
            await asyncio.sleep(0)
        return 1

    assert asyncio.run(fetch()) == 1
    assert fetch.measurement.energy_wh == pytest.approx(3 * STEP_WH)  # type: ignore[attr-defined]


def test_what_works_later_is_refused_where_it_is_decorated() -> None:
    def batches() -> Iterator[int]:
        yield 1

    with pytest.raises(ConfigurationError, match="batches is a generator function"):
        greenbench.measured(batches)
    with pytest.raises(ConfigurationError, match="is no function"):
        greenbench.measured(StepMeter)


def test_meter_that_is_unknown_leaves_the_machine_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENBENCH_METER", "stepz")
    with pytest.raises(ConfigurationError, match="unknown meter"), greenbench.measure("x"):
        pass
    lock = Lock(Path(os.environ["GREENBENCH_HOST_LOCK"]))
    assert lock.acquire()
    lock.release()
