"""Readings: what is known of a sum, of a share, and of what an older journal says."""

import dataclasses
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench.results import CaseResult, Reconciliation, Trial
from greenbench.results.account import Account
from greenbench.results.readings import Component, Provenance, Reading
from tests.builders import make_reading, make_result, make_trial

# Quarters add, and are multiplied by powers of two, without rounding.
quarters = st.integers(0, 4000).map(lambda count: count / 4)
shares = st.integers(0, 6).map(lambda power: 2.0**-power)
known = st.builds(
    Component,
    quarters,
    st.sampled_from([Provenance.COUNTER, Provenance.SAMPLED, Provenance.MODEL]),
    st.sampled_from(["one", "two", "three"]),
)
unknown = st.builds(
    lambda source, reason: Component(None, Provenance.NONE, source, reason),
    st.sampled_from(["one", "two", "three"]),
    st.none() | st.sampled_from(["it broke", "the clock jumped"]),
)
components = st.dictionaries(st.sampled_from(["cpu", "gpu", "ram"]), known | unknown)
seconds = st.none() | quarters
# A window of no length holds nothing.
readings = st.just(Reading(0.0)) | st.builds(
    Reading,
    quarters.map(lambda length: length + 1.0),
    components,
    st.dictionaries(st.sampled_from(["zeus", "other"]), components),
    seconds,
    seconds,
)


def reading_of(**changed: Any) -> Reading:
    return replace(make_reading(8.0), **changed)


def counted(energy_j: float | None, source: str = "zeus") -> Component:
    provenance = Provenance.NONE if energy_j is None else Provenance.COUNTER
    return Component(energy_j, provenance, source)


@given(readings, readings, readings)
def test_adding_readings_does_not_depend_on_grouping(a: Reading, b: Reading, c: Reading) -> None:
    assert (a + b) + c == a + (b + c)


@given(readings, readings, shares)
def test_a_share_of_a_sum_is_the_sum_of_shares(a: Reading, b: Reading, share: float) -> None:
    assert (a + b) * share == a * share + b * share


@given(readings)
def test_the_whole_of_a_reading_is_itself(reading: Reading) -> None:
    assert reading * 1.0 == reading == reading + Reading(0.0) == Reading(0.0) + reading


@given(st.lists(readings, min_size=1, max_size=5), shares)
def test_a_sum_with_an_unknown_part_is_unknown(parts: list[Reading], share: float) -> None:
    total = sum(parts, Reading(0.0)) * share
    for name, component in total.components.items():
        each = [part.components.get(name) for part in parts if part.duration_s]
        is_known = all(part is not None and part.energy_j is not None for part in each)
        assert (component.energy_j is not None) == is_known
        assert (component.provenance is not Provenance.NONE) == is_known
    if any(part.cpu_s is None for part in parts):
        assert total.cpu_s is None


@given(readings, readings)
def test_a_sum_that_is_known_needs_no_reason(a: Reading, b: Reading) -> None:
    total = a + b
    everything = [*total.components.values()]
    everything += [part for parts in total.witnesses.values() for part in parts.values()]
    assert all(part.reason is None for part in everything if part.energy_j is not None)


@given(readings, st.floats(0.01, 1.0))
def test_a_share_keeps_what_is_unknown_and_how_figures_came_about(
    reading: Reading, share: float
) -> None:
    part = reading * share
    assert part.duration_s == pytest.approx(reading.duration_s * share)
    for name, component in reading.components.items():
        assert replace(part.components[name], energy_j=None) == replace(component, energy_j=None)
        assert (part.components[name].energy_j is None) == (component.energy_j is None)


def test_witnesses_are_added_and_shared_out_like_the_first_meter() -> None:
    one = reading_of(witnesses={"zeus": {"gpu": counted(3.0)}})
    other = reading_of(witnesses={"zeus": {"gpu": counted(5.0)}})
    assert (one + other).witnesses["zeus"]["gpu"].energy_j == 8.0
    assert (one * 0.5).witnesses["zeus"]["gpu"].energy_j == 1.5


def test_witness_that_saw_only_a_part_knows_no_sum() -> None:
    total = reading_of(witnesses={"zeus": {"gpu": counted(3.0)}}) + reading_of()
    assert total.witnesses["zeus"]["gpu"].energy_j is None
    assert total.witnesses["zeus"]["gpu"].reason == "not read in every window"
    assert total.energy_j == 16.0


def test_witnesses_are_in_no_headline() -> None:
    reading = reading_of(witnesses={"zeus": {"cpu": counted(None)}})
    assert (reading.energy_j, reading.provenance) == (8.0, Provenance.MODEL)


def test_cpu_seconds_are_added_and_shared_out() -> None:
    total = reading_of(cpu_s=2.0, other_cpu_s=1.0) + reading_of(cpu_s=4.0, other_cpu_s=0.5)
    assert (total.cpu_s, total.other_cpu_s) == (6.0, 1.5)
    assert ((total * 0.5).cpu_s, (total * 0.5).other_cpu_s) == (3.0, 0.75)


@pytest.mark.parametrize("name", ["cpu_s", "other_cpu_s"])
def test_unknown_cpu_seconds_make_the_sum_unknown(name: str) -> None:
    lost = reading_of(**{name: None})
    assert getattr(lost + reading_of(), name) is None
    assert getattr(reading_of() + lost, name) is None
    assert getattr(lost * 0.5, name) is None


def test_first_reason_is_kept() -> None:
    lost = make_reading(None).components["cpu"]
    first, second = lost.unknown("it broke"), lost.unknown("the clock jumped")
    whole = make_reading(8.0).components["cpu"]
    assert (whole + first + whole + second).reason == "it broke"


def test_component_that_vanishes_after_a_fault_keeps_the_faults_reason() -> None:
    lost = make_reading(None).components["cpu"].unknown("it broke")
    assert (Reading(1.0, {"cpu": lost}) + Reading(1.0)).components["cpu"].reason == "it broke"


def test_component_made_unknown_says_by_whom_and_why() -> None:
    lost = counted(5.0).unknown("it broke")
    assert lost == Component(None, Provenance.NONE, "zeus", "it broke")


@given(readings)
def test_reading_survives_json(reading: Reading) -> None:
    text = json.dumps(dataclasses.asdict(reading), allow_nan=False)
    assert Reading.from_dict(json.loads(text)) == reading


def test_result_with_everything_known_survives_json() -> None:
    reading = reading_of(
        witnesses={"zeus": {"cpu": counted(3.0), "gpu": counted(None).unknown("no GPU")}},
        cpu_s=1.5,
        other_cpu_s=None,
    )
    result = make_result(
        trials=[replace(make_trial(), account=Account({"train": reading}), passes=7)],
        reconciliation=Reconciliation(36.0, None, 0.02),
        idle_w={"cpu": 4.5},
        peak_memory_bytes=2**30,
        wall_s=12.0,
    )
    restored = CaseResult.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False)))
    assert restored == result
    assert restored.trials[0].passes == 7


def without_new_keys(values: Any) -> Any:
    """Return what version 1 of the journal held before these keys were added."""
    new = {"witnesses", "cpu_s", "other_cpu_s", "reason", "passes"}
    new |= {"stopped_s", "tick_s", "limit_w"}
    new |= {"reconciliation", "idle_w", "peak_memory_bytes"}
    if isinstance(values, dict):
        return {key: without_new_keys(value) for key, value in values.items() if key not in new}
    return [without_new_keys(value) for value in values] if isinstance(values, list) else values


def test_trial_of_an_older_journal_can_be_read() -> None:
    trial = make_trial()
    old = without_new_keys(json.loads(json.dumps(dataclasses.asdict(trial))))
    read = Trial.from_dict(old)
    train = read.account.phases["train"]
    assert (train.cpu_s, train.other_cpu_s, train.witnesses) == (None, None, {})
    assert train.components == trial.account.phases["train"].components
    assert (read.passes, read.epochs, read.val_score) == (1, trial.epochs, trial.val_score)


def test_result_of_an_older_journal_can_be_read() -> None:
    result = make_result(energy_j=36.0)
    read = CaseResult.from_dict(without_new_keys(json.loads(json.dumps(result.to_dict()))))
    assert (read.reconciliation, read.idle_w, read.peak_memory_bytes) == (None, {}, None)
    assert read.account.total.energy_j == 36.0
    assert read.account.total.cpu_s is None
    assert (read.case, read.costs, read.wall_s) == (result.case, result.costs, result.wall_s)


def test_resumed_account_does_not_know_cpu_seconds_of_before() -> None:
    old = Reading.from_dict(without_new_keys(dataclasses.asdict(make_reading(5.0))))
    resumed = Account({"train": old}) + Account({"train": reading_of(cpu_s=2.0)})
    assert resumed.total.energy_j == 13.0
    assert resumed.total.cpu_s is None


@pytest.mark.parametrize(
    ("booked_j", "whole_j", "deviation"),
    [
        (98.0, 100.0, 0.02),
        (102.0, 100.0, 0.02),
        (0.0, 100.0, 1.0),
        (None, 100.0, None),
        (98.0, None, None),
        (98.0, 0.0, None),
    ],
)
def test_deviation_is_a_share_of_the_whole(
    booked_j: float | None, whole_j: float | None, deviation: float | None
) -> None:
    found = Reconciliation(booked_j, whole_j, 0.02).deviation
    assert found == (None if deviation is None else pytest.approx(deviation))


def test_measured_ram_that_was_lost_makes_the_headline_unknown_instead_of_smaller() -> None:
    cpu = Component(10.0, Provenance.COUNTER, "counter")
    ram = Component(5.0, Provenance.COUNTER, "DRAM counter")
    whole = Reading(1.0, {"cpu": cpu, "ram": ram})
    lost = Reading(1.0, {"cpu": cpu, "ram": ram.unknown("its counter is gone")})
    assert whole.energy_j == 15.0
    assert (whole + lost).energy_j is None


def test_a_sum_is_affected_by_others_if_a_part_of_it_is() -> None:
    own = Component(1.0, Provenance.MODEL, "own", is_affected_by_others=False)
    all_of_it = Component(1.0, Provenance.MODEL, "all")
    assert not (own + own).is_affected_by_others
    assert (own + all_of_it).is_affected_by_others
    assert not (own * 0.5).is_affected_by_others
    assert not Reading(1.0, {"cpu": own, "ram": all_of_it}).is_affected_by_others
    assert Reading(1.0, {"cpu": own, "gpu": all_of_it}).is_affected_by_others
    assert Reading(1.0).is_affected_by_others
