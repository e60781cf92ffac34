"""Counters that stand still, tick slowly, are empty or were reset: no false figure is measured."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient

from greenbench.energy.guard import GuardedMeter
from greenbench.energy.idle import measure_idle
from greenbench.energy.ledger import Ledger
from greenbench.energy.meter import Meter
from greenbench.energy.paired import PairedMeter
from greenbench.results.account import Account
from greenbench.results.quality import net_j
from greenbench.results.readings import MARGIN, Component, Provenance, Reading
from greenbench.results.table import to_row, to_trial_rows
from greenbench.testing import FakeClock, FakeMeter
from tests.builders import make_reading, make_result, make_trial
from tests.conftest import Greenbench

LIMIT_W = 300.0
TICK_S = 0.1
WRAPS_AT_J = 262_143.3
ROWS = [f"{step / 10}" for step in range(3000)]


class Counter(FakeMeter):
    """A counter that ticks, and may stand still or be reset."""

    def __init__(self, clock: FakeClock, power_w: float, *, stuck_s: float, reset_s: float):
        super().__init__(clock)
        self._power_w, self._stuck_s, self._reset_s = power_w, stuck_s, reset_s
        self._component = Component(None, Provenance.COUNTER, "chip", None, TICK_S, LIMIT_W)
        self._began_j = 0.0

    def begin_window(self) -> None:
        super().begin_window()
        self._began_j = self.now_j()

    def end_window(self) -> Reading:
        seconds = super().end_window().duration_s
        step_j = self.now_j() - self._began_j
        energy_j = step_j if step_j >= 0 else step_j + WRAPS_AT_J
        return Reading(seconds, {"gpu": replace(self._component, energy_j=energy_j)})

    def describe(self) -> dict[str, Component]:
        return {"gpu": self._component}

    def now_j(self) -> float:
        now_s = self._clock()
        counted_s = min(now_s, self._stuck_s) // TICK_S * TICK_S
        before_s = self._reset_s // TICK_S * TICK_S if now_s >= self._reset_s else 0.0
        return (
            1000.0 + self._power_w * counted_s
            if not before_s
            else self._power_w * max(counted_s - before_s, 0.0)
        )


def guarded(meter: Meter, clock: FakeClock) -> GuardedMeter:
    return GuardedMeter(meter, monotonic=clock, wall=clock)


def run(meter: Meter, clock: FakeClock, windows: list[tuple[str, float]]) -> Account:
    ledger = Ledger(meter)
    ledger.open()
    for phase, seconds in windows:
        with ledger.phase(phase):
            clock.advance(seconds)
    ledger.close()
    return ledger.take()


def figures(account: Account) -> list[tuple[float, float]]:
    """Return joules and seconds of everything that a reader is shown as measured."""
    shown = [account.total, *account.phases.values()]
    return [
        (reading.energy_j, reading.duration_s)
        for reading in shown
        if reading.energy_j is not None and reading.duration_s
    ]


windows = st.lists(
    st.tuples(st.sampled_from(["train", "evaluate", "search"]), st.floats(0.0, 3.0)), max_size=12
)


@given(
    windows=windows,
    power_w=st.floats(1.0, LIMIT_W),
    stuck_s=st.floats(0.0, 10.0),
    reset_s=st.floats(0.2, 10.0),
)
def test_no_counter_measures_nothing_or_more_than_its_device_can_use(
    windows: list[tuple[str, float]], power_w: float, stuck_s: float, reset_s: float
) -> None:
    clock = FakeClock()
    account = run(
        guarded(Counter(clock, power_w, stuck_s=stuck_s, reset_s=reset_s), clock), clock, windows
    )
    for energy_j, seconds in figures(account):
        assert energy_j > 0
        assert seconds >= TICK_S
        assert energy_j <= MARGIN * LIMIT_W * (seconds + TICK_S)


@given(windows=windows, power_w=st.floats(1.0, LIMIT_W))
def test_a_sum_of_short_windows_is_what_the_counter_counted(
    windows: list[tuple[str, float]], power_w: float
) -> None:
    clock = FakeClock()
    counter = Counter(clock, power_w, stuck_s=1e9, reset_s=1e9)
    account = run(guarded(counter, clock), clock, windows)
    total = account.total.judged
    counted_j = counter.now_j() - 1000.0
    if total.duration_s and (total.duration_s < TICK_S or not counted_j):
        assert total.energy_j is None
        assert total.components["gpu"].reason
    elif total.duration_s:
        assert total.energy_j == pytest.approx(counted_j)


@given(windows=windows)
def test_a_counter_that_never_advanced_measured_nothing(windows: list[tuple[str, float]]) -> None:
    clock = FakeClock()
    account = run(guarded(Counter(clock, 100.0, stuck_s=0.0, reset_s=1e9), clock), clock, windows)
    assert figures(account) == []
    for reading in (account.total, *account.phases.values()):
        assert all(part.reason for part in reading.judged.components.values() if clock.now())


def still_account(seconds: float = 0.4) -> Account:
    clock = FakeClock()
    still = guarded(Counter(clock, 100.0, stuck_s=0.0, reset_s=1e9), clock)
    return run(still, clock, [("search", seconds), ("train", seconds)])


@pytest.mark.parametrize("provenance", [Provenance.SAMPLED, Provenance.COUNTER])
def test_nothing_is_no_figure_of_what_measures(provenance: Provenance) -> None:
    reading = make_reading(0.0, provenance=provenance)
    assert reading.judged.energy_j is None
    assert "read 0 J" in " ".join(str(part.reason) for part in reading.judged.components.values())


def test_rows_of_a_counter_that_stood_still_hold_no_energy() -> None:
    trial = replace(make_trial(), account=still_account())
    result = replace(make_result(trials=[trial]), account=trial.account, idle_w={"gpu": 50.0})
    row = to_row(result)
    (trial_row,) = to_trial_rows(result)
    unknown = ("energy_wh", "train_wh", "search_wh", "gpu_wh", "net_wh", "gpu_net_wh")
    assert {row[name] for name in unknown} == {None}
    assert (trial_row["energy_wh"], trial_row["search_wh"]) == (None, None)
    assert (row["energy_provenance"], row["gpu_provenance"]) == ("none", "none")
    assert "it stands still" in row["energy_reason"]
    assert row["proposal_share"] is None


def test_a_phase_below_a_tick_is_unknown_in_a_total_that_is_known() -> None:
    clock = FakeClock()
    meter = guarded(Counter(clock, 100.0, stuck_s=1e9, reset_s=1e9), clock)
    account = run(meter, clock, [("search", 0.05), ("train", 2.0)])
    trial = replace(make_trial(), account=account)
    row = to_row(replace(make_result(trials=[trial]), account=account))
    (trial_row,) = to_trial_rows(make_result(trials=[trial]))
    assert row["energy_wh"] == pytest.approx(200.0 / 3600)
    assert row["search_wh"] is None
    assert trial_row["search_wh"] is None
    reason = account.phases["search"].judged.components["gpu"].reason
    assert reason == "chip read 0 J in 0.05 s, less than the 0.1 s between two ticks of its counter"


def test_short_proposals_have_a_share_together() -> None:
    clock = FakeClock()
    meter = guarded(Counter(clock, 100.0, stuck_s=1e9, reset_s=1e9), clock)
    accounts = [run(meter, clock, [("search", 0.06), ("train", 1.0)]) for _ in range(10)]
    trials = [
        replace(make_trial(index=index), account=account) for index, account in enumerate(accounts)
    ]
    share = to_row(make_result(trials=trials))["proposal_share"]
    assert share == pytest.approx(0.06 / 1.06, abs=0.02)


def test_many_passes_in_a_long_window_are_each_a_figure() -> None:
    clock = FakeClock()
    ledger = Ledger(guarded(Counter(clock, 100.0, stuck_s=1e9, reset_s=1e9), clock))
    ledger.open()
    with ledger.phase("train") as window:
        clock.advance(10.0)
        window.passes = 500
    ledger.close()
    assert ledger.take().energy_j("train") == pytest.approx(2.0, rel=0.02)


def test_a_counter_that_stops_for_a_second_of_short_windows_costs_the_sum() -> None:
    clock = FakeClock()
    meter = guarded(Counter(clock, 100.0, stuck_s=3.0, reset_s=1e9), clock)
    account = run(meter, clock, [("train", 0.3)] * 20)
    train = account.phases["train"]
    assert train.energy_j is None
    assert "it stands still" in str(train.components["gpu"].reason)


def test_idle_power_and_net_of_a_counter_that_stands_still_are_unknown() -> None:
    clock = FakeClock()
    still = guarded(Counter(clock, 100.0, stuck_s=0.0, reset_s=1e9), clock)
    assert measure_idle(still, 0.5, clock.advance).power_w == {}
    assert net_j(still_account().total, {"gpu": 50.0}) is None


def test_a_witness_that_stands_still_shows_no_energy() -> None:
    clock = FakeClock()
    first = guarded(FakeMeter(clock, 100.0), clock)
    still = guarded(Counter(clock, 100.0, stuck_s=0.0, reset_s=1e9), clock)
    account = run(PairedMeter(first, [still]), clock, [("train", 0.5)])
    total = account.total.judged
    assert total.energy_j == pytest.approx(50.0)
    assert total.witnesses["fake"]["gpu"].energy_j is None
    assert total.witnesses["fake"]["gpu"].reason


def test_a_reset_inside_a_window_names_the_figure_and_the_limit() -> None:
    clock = FakeClock()
    meter = guarded(Counter(clock, 100.0, stuck_s=1e9, reset_s=2.0), clock)
    account = run(meter, clock, [("train", 3.0)])
    assert account.phases["train"].components["gpu"].reason == (
        "chip read 261243 J in 3 s, above the 450 W that it can use: "
        "its counter was reset, or is wrong"
    )


def result_of(greenbench: Greenbench) -> Any:
    client = MlflowClient(f"sqlite:///{greenbench.folder}/mlruns/mlflow.db")
    experiments = [each.experiment_id for each in client.search_experiments()]
    (run,) = client.search_runs(experiments, "tags.kind = 'case'")
    return run.data


def counter_j(name: str, step: int) -> str:
    time_s = step / 10
    readings = {
        "still": "500",
        "empty": "",
        # Too little for anybody to see before it, then as from the start of the machine.
        "reset": f"{40 * time_s % 20}",
    }
    return readings[name]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("still", "it stands still"),
        ("empty", "the trace holds no reading of it"),
        ("reset", "a counter that was reset"),
    ],
)
def test_a_run_with_a_broken_counter_has_no_measured_energy(
    greenbench: Greenbench, name: str, reason: str
) -> None:
    lines = [f"{time_s},{counter_j(name, step)}" for step, time_s in enumerate(ROWS)]
    path = greenbench.folder / "trace.csv"
    head = ["# provenance: counter", f"# cpu_j wraps at: {WRAPS_AT_J}", "time_s,cpu_j"]
    path.write_text("\n".join([*head, *lines]) + "\n")
    greenbench.environment["GREENBENCH_IDLE_S"] = "0.2"
    case = ("-a", "dense.xs", "--epochs", "40", "--repeats", "1")
    done = greenbench("run", *case, "--meter", f"replay:{path}")

    assert done.returncode == 0, done.stderr
    data = result_of(greenbench)
    unknown = {"energy/total_wh", "energy/cpu_wh", "energy/net_wh", "emissions/g_co2e"}
    assert not unknown & set(data.metrics)
    shown = {name: x for name, x in data.metrics.items() if name.endswith(("_wh", "idle_w"))}
    # What a reset did not touch is known, and what stood still is nowhere.
    assert all(x > 0 for x in shown.values()) if name == "reset" else shown == {}
    assert reason in data.tags["energy_reason"]
    assert data.tags["energy_provenance"] == "none"
    assert "measured" not in done.stderr
    (journal,) = greenbench.journals
    (trial,) = [
        json.loads(line)["values"]
        for line in journal.read_text().splitlines()
        if json.loads(line)["event"] == "trial"
    ]
    assert trial["val_score"] > 0
