"""Marks: what a reader must know of a sample, at both sides of each limit."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench.compare.samples import describe_samples, is_left_out
from greenbench.results import CaseResult, Reconciliation
from greenbench.results.account import Account
from greenbench.results.gpus import Gpu, GpuState, TrainedGpu
from greenbench.results.heat import mark_hot
from greenbench.results.marks import (
    DELAYED,
    DRIFTED,
    MEANINGS,
    UNTOLD,
    add_mark,
    is_drifted,
    join,
    mark_drift,
    marks_of,
)
from greenbench.results.readings import Component, Provenance, Reading
from tests.builders import make_reading, make_result, make_row

COUNTER, SAMPLED = Provenance.COUNTER, Provenance.SAMPLED
MODEL, NONE = Provenance.MODEL, Provenance.NONE
TEN_S = 10.0
TWO_CORES = {"host": "h", "cores": "2"}


def result_of(reading: Reading | None = None, **changed: Any) -> CaseResult:
    """Return a result without marks, unless `reading` or `changed` give it one."""
    reading = reading or make_reading(100.0, duration_s=TEN_S, provenance=COUNTER)
    return make_result(account=Account({"train": reading}), **changed)


def disturbed_by(other_cpu_s: float | None, duration_s: float = TEN_S) -> CaseResult:
    reading = make_reading(100.0, duration_s=duration_s)
    environment = {**make_result().environment, **TWO_CORES}
    return result_of(replace(reading, other_cpu_s=other_cpu_s), environment=environment)


def witnessed_by(
    energy_j: float | None, provenance: Provenance = COUNTER, part: str = "cpu"
) -> CaseResult:
    witness = Component(energy_j, provenance, "zeus")
    reading = make_reading(100.0, duration_s=TEN_S, provenance=COUNTER)
    return result_of(replace(reading, witnesses={"zeus": {part: witness}}))


def of_meter(meter: str) -> CaseResult:
    return result_of(environment={**make_result().environment, "meter": meter})


def part(
    energy_j: float,
    uncertainty_j: float | None = None,
    tick_s: float | None = None,
    provenance: Provenance = COUNTER,
) -> Component:
    return Component(energy_j, provenance, "fake", tick_s=tick_s, uncertainty_j=uncertainty_j)


def measured(
    train: Component,
    seconds: float = TEN_S,
    evaluate: Component | None = None,
    total_j: float | None = None,
) -> CaseResult:
    """Return a result of a GPU beside a modelled CPU, which is no counter's business."""
    phases = {"train": Reading(seconds, {"gpu": train, "cpu": part(1.0, provenance=MODEL)})}
    if evaluate is not None:
        parts = {"gpu": evaluate, "cpu": part(1.0, provenance=MODEL)}
        phases["evaluate"] = Reading(1.0, parts)
    account = Account(phases, {} if total_j is None else {"gpu": total_j})
    return make_result(account=account, wall_s=1.0)


def reconciled(
    booked_j: float | None,
    whole_j: float | None,
    limit: float = 0.02,
    uncertainty_j: float = 0.0,
) -> CaseResult:
    return result_of(reconciliation=Reconciliation(booked_j, whole_j, limit, uncertainty_j))


def test_an_ordinary_result_has_no_mark() -> None:
    assert marks_of(result_of()) == ()
    assert marks_of(make_result()) == ()


@pytest.mark.parametrize(
    ("result", "marks"),
    [
        (of_meter("codecarbon"), ()),
        (of_meter("replay"), ("replayed",)),
        (of_meter("replay,codecarbon"), ("replayed",)),
        (of_meter("codecarbon,replay"), ()),
        (of_meter("my_replayer"), ()),
    ],
    ids=["another", "replay", "replay first", "replay second", "name that holds it"],
)
def test_replayed_energy_is_marked(result: CaseResult, marks: tuple[str, ...]) -> None:
    assert marks_of(result) == marks


@pytest.mark.parametrize(
    ("result", "marks"),
    [
        # 5% of 20 s, and a tick of 20 ms for each of two cores.
        (disturbed_by(1.0 + 0.03), ()),
        (disturbed_by(1.0 + 0.05), ("disturbed",)),
        (disturbed_by(20.0), ("disturbed",)),
        (disturbed_by(0.0), ()),
        (disturbed_by(None), ()),
        (disturbed_by(0.03, duration_s=0.1), ()),
    ],
    ids=["below", "above", "far above", "quiet", "unknown", "less than ticks resolve"],
)
def test_sample_that_others_disturbed_is_marked(result: CaseResult, marks: tuple[str, ...]) -> None:
    assert marks_of(result) == marks


def test_others_work_that_is_not_in_the_energy_delays_a_sample() -> None:
    busy = disturbed_by(20.0)
    total = busy.account.total
    own = {n: replace(p, is_affected_by_others=False) for n, p in total.components.items()}
    alone = replace(busy, account=Account({"train": replace(total, components=own)}))
    assert marks_of(alone) == ("delayed",)
    assert CaseResult.from_dict(alone.to_dict()) == alone
    beside = {**own, "gpu": part(1.0, provenance=MODEL)}
    mixed = replace(busy, account=Account({"train": replace(total, components=beside)}))
    assert marks_of(mixed) == ("disturbed",)


def test_a_delayed_sample_counts_as_an_energy_and_not_as_a_time() -> None:
    row = make_row(changed={"marks": "delayed"})
    assert not is_left_out(row)
    assert not is_left_out(row, "cpu_s")
    assert is_left_out(row, "duration_s")
    assert describe_samples([row]).counted == (row,)


@pytest.mark.parametrize(
    ("result", "marks"),
    [
        (measured(part(100.0, 5.1)), ("short",)),
        (measured(part(100.0, 4.9)), ()),
        (measured(part(100.0, 4.9), seconds=0.2), ()),
        (measured(part(100.0), seconds=1.9), ("short",)),
        (measured(part(100.0), seconds=2.1), ()),
        (measured(part(100.0, tick_s=0.001), seconds=0.1), ()),
        (measured(part(100.0, provenance=SAMPLED), seconds=1.9), ("short",)),
        (measured(part(100.0, provenance=MODEL), seconds=0.1), ()),
        (measured(part(100.0, provenance=NONE), seconds=0.1), ()),
        (measured(part(100.0, 5.5), total_j=0.1), ("short",)),
        (measured(part(95.0, 1.0), evaluate=part(5.5, 0.3)), ("short",)),
        (measured(part(97.0, 1.0), evaluate=part(3.0, 1.0)), ()),
        (measured(part(97.0, 1.0), evaluate=part(3.0, 5.2)), ("short",)),
    ],
    ids=[
        *("uncertain", "certain", "certain though it took a moment"),
        *("few ticks", "many ticks", "many short ticks"),
        *("sampled", "modelled", "unknown"),
        *("a phase of a certain total", "another phase", "a part that is lost in the total"),
        "an uncertain total",
    ],
)
def test_figure_of_too_few_ticks_is_marked(result: CaseResult, marks: tuple[str, ...]) -> None:
    assert marks_of(result) == marks


@pytest.mark.parametrize(
    ("result", "marks"),
    [
        (reconciled(98.1, 100.0), ()),
        (reconciled(97.9, 100.0), ("unreconciled",)),
        (reconciled(101.9, 100.0), ()),
        (reconciled(102.1, 100.0), ("unreconciled",)),
        (reconciled(95.1, 100.0, limit=0.05), ()),
        (reconciled(94.9, 100.0, limit=0.05), ("unreconciled",)),
        (reconciled(98.0, None), ("unreconciled",)),
        (reconciled(98.0, 0.0), ("unreconciled",)),
        (reconciled(None, 100.0), ()),
        (result_of(reconciliation=None), ()),
        (reconciled(95.0, 100.0, uncertainty_j=3.1), ()),
        (reconciled(95.0, 100.0, uncertainty_j=2.9), ("unreconciled",)),
    ],
    ids=[
        "little less",
        "less",
        "little more",
        "more",
        "little less of a model",
        "less of a model",
        "control unknown",
        "control zero",
        "phases unknown",
        "not reconciled",
        "less as ticks explain",
        "less than ticks explain",
    ],
)
def test_phases_that_do_not_add_up_are_marked(result: CaseResult, marks: tuple[str, ...]) -> None:
    assert marks_of(result) == marks


@pytest.mark.parametrize(
    ("result", "marks"),
    [
        (witnessed_by(104.9), ()),
        (witnessed_by(105.1), ("disagreeing",)),
        (witnessed_by(95.1), ()),
        (witnessed_by(94.9), ("disagreeing",)),
        (witnessed_by(0.0), ()),
        (witnessed_by(200.0, MODEL), ()),
        (witnessed_by(None, NONE), ()),
        (witnessed_by(200.0, part="gpu"), ()),
    ],
    ids=["little more", "more", "little less", "less", "still", "model", "unknown", "other part"],
)
def test_meters_that_disagree_are_marked(result: CaseResult, marks: tuple[str, ...]) -> None:
    assert marks_of(result) == marks


@pytest.mark.parametrize(
    ("uncertainty_j", "tick_s", "marks"),
    [
        (None, 0.1, ("disagreeing",)),
        (1.0, 0.1, ()),
        (1.0, None, ("disagreeing",)),
        (0.0, 0.05, ("disagreeing",)),
    ],
    ids=["no ticks read", "a tick too many", "nothing known of its ticks", "more than a tick"],
)
def test_meters_may_differ_by_what_ticks_explain(
    uncertainty_j: float | None, tick_s: float | None, marks: tuple[str, ...]
) -> None:
    # A second meter reads its window's edges raw, so that a tick more or less is no surprise.
    reading = Reading(
        TEN_S / 5,
        {"gpu": part(100.0, uncertainty_j)},
        {"zeus": {"gpu": part(109.0, tick_s=tick_s)}},
    )
    assert marks_of(result_of(reading)) == marks


def test_costs_that_a_training_does_not_tell_are_told_from_those_that_nobody_can_count() -> None:
    costs = replace(witnessed_by(0.0).costs, train_flops=None)
    own = replace(witnessed_by(0.0).case, backend="own")
    untold = result_of(costs=costs, case=own)
    assert "untold" in marks_of(untold)
    assert "incomplete" not in marks_of(untold)
    uncounted = replace(untold, costs=replace(costs, uncounted=("aten::hidden",)))
    assert "incomplete" in marks_of(uncounted)


def test_several_marks_stand_side_by_side() -> None:
    result = replace(of_meter("replay"), account=measured(part(100.0, 6.0)).account)
    assert marks_of(result) == ("replayed", "short")
    assert join(marks_of(result)) == "replayed short"


def test_no_marks_are_no_text() -> None:
    assert join(()) is None


@pytest.mark.parametrize(
    ("drift", "marked"), [(None, False), (0.0, False), (0.05, False), (0.051, True)]
)
def test_drift_of_over_five_percent_is_marked(drift: float | None, marked: bool) -> None:
    row = make_row()
    mark_drift(row, drift)
    assert is_drifted(drift) == marked
    assert (row["idle_drift"], row["marks"]) == (drift, DRIFTED if marked else None)


def test_drift_is_added_to_the_marks_that_are_there() -> None:
    row = make_row(changed={"marks": "disturbed short"})
    mark_drift(row, 0.2)
    assert row["marks"] == "disturbed short drifted"


@given(st.lists(st.sampled_from(list(MEANINGS)), unique=True), st.sampled_from(list(MEANINGS)))
def test_adding_a_mark_twice_is_adding_it_once(marks: list[str], mark: str) -> None:
    once = add_mark(join(marks), mark)
    assert add_mark(once, mark) == once
    assert once.split() == [*marks, *([] if mark in marks else [mark])]


def test_marking_drift_twice_is_marking_it_once() -> None:
    row = make_row()
    mark_drift(row, 0.2)
    once = dict(row)
    mark_drift(row, 0.2)
    assert row == once


def test_every_mark_that_can_occur_has_a_meaning() -> None:
    everything = replace(
        witnessed_by(200.0),
        environment={"host": "h", "cores": "1", "meter": "replay"},
        reconciliation=Reconciliation(1.0, 2.0, 0.02),
        costs=replace(witnessed_by(200.0).costs, train_flops=None),
        mixed=("threads (1, now 2)",),
        reused_from="ci-1",
        gpus=(
            TrainedGpu(
                Gpu(0, "GPU-a", "some GPU", is_slice=True),
                GpuState(temperature_c=40.0),
                GpuState(throttled_by=("power_brake",)),
                has_neighbours=True,
            ),
        ),
    )
    total = everything.account.total
    parts = {"cpu": replace(total.components["cpu"], uncertainty_j=6.0)}
    train = replace(total, components=parts, other_cpu_s=9.0, stopped_s=1.0)
    disturbed = replace(everything, account=Account({"train": train}))
    row = make_row(energy_wh=1.0, changed={"marks": join(marks_of(disturbed))})
    mark_drift(row, 1.0)
    warm = {"gpu_temperature_before_c": 40.0}
    unstable = [{**row, **warm}, {**row, "energy_wh": 2.0, "gpu_temperature_before_c": 60.0}]
    mark_hot(unstable)
    found = set(describe_samples(unstable, include_disturbed=True).marks)
    # One or the other.
    assert found | {DELAYED, UNTOLD} == set(MEANINGS)


@pytest.mark.parametrize("mark", list(MEANINGS))
def test_meaning_is_one_line_and_a_mark_is_one_word(mark: str) -> None:
    assert len(MEANINGS[mark].splitlines()) == 1
    assert MEANINGS[mark] == MEANINGS[mark].strip() != ""
    assert mark.split() == [mark]
