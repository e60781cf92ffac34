import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenbench.cases import Case
from greenbench.results import CaseResult, Trial, TrialStatus, find_incumbent
from greenbench.results.account import PHASES, Account
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.results.table import to_row
from tests.builders import make_reading, make_result, make_trial

# Quarter joules add without rounding, so that sums can be compared exactly.
joules = st.integers(0, 4000).map(lambda quarters: quarters / 4)
components = st.builds(
    lambda energy_j, provenance, source: Component(
        energy_j, Provenance.NONE if energy_j is None else provenance, source
    ),
    st.none() | joules,
    st.sampled_from([Provenance.COUNTER, Provenance.SAMPLED, Provenance.MODEL]),
    st.sampled_from(["one", "two", "three"]),
)
readings = st.builds(
    Reading,
    joules.map(lambda value: value + 1.0),
    st.dictionaries(st.sampled_from(["cpu", "gpu"]), components),
)
accounts = st.dictionaries(st.sampled_from(PHASES), readings).map(Account)
known_readings = st.builds(make_reading, joules, duration_s=joules)


def test_provenances_are_ordered_from_counter_to_none() -> None:
    assert [str(each) for each in Provenance] == ["counter", "sampled", "model", "constant", "none"]


@pytest.mark.parametrize(
    ("provenance", "label"),
    [
        ("counter", "measured"),
        ("sampled", "measured"),
        ("model", "estimated"),
        ("constant", "estimated"),
        ("none", "none"),
    ],
)
def test_people_read_measured_estimated_or_none(provenance: str, label: str) -> None:
    assert Provenance(provenance).label == label
    assert Provenance(provenance).is_measured == (label == "measured")


@settings(deadline=None)
@given(st.lists(st.sampled_from(list(Provenance)), min_size=1))
def test_sum_is_no_better_than_its_worst_part(parts: list[Provenance]) -> None:
    order = list(Provenance)
    assert order.index(Provenance.worst(parts)) == max(map(order.index, parts))


def test_nothing_has_no_provenance() -> None:
    assert Provenance.worst([]) is Provenance.NONE


@pytest.mark.parametrize("known_j", [0.0, 5.0])
def test_unknown_energy_makes_a_sum_unknown(known_j: float) -> None:
    total = Component(known_j, Provenance.COUNTER, "a") + Component(None, Provenance.NONE, "a")
    assert total == Component(None, Provenance.NONE, "a")


def test_unknown_phase_makes_the_total_unknown_and_no_zero() -> None:
    account = Account({"train": make_reading(5.0), "evaluate": make_reading(None)})
    assert account.energy_j("train") == 5.0
    assert account.energy_j("evaluate") is None
    assert account.total.energy_j is None
    assert account.total.provenance is Provenance.NONE


def test_component_that_a_window_lacks_is_unknown_in_the_sum() -> None:
    whole = Reading(1.0, {"gpu": Component(5.0, Provenance.COUNTER, "a")}) + Reading(1.0)
    assert whole.components["gpu"].energy_j is None


def test_window_of_no_length_leaves_no_gap() -> None:
    whole = make_reading(5.0) + Reading(0.0)
    assert whole.energy_j == 5.0


def test_phase_that_never_ran_used_nothing() -> None:
    assert Account({"train": make_reading(5.0)}).energy_j("search") == 0.0


def test_account_without_readings_knows_no_energy() -> None:
    assert Account().total.energy_j is None


def test_modelled_ram_stays_out_of_the_headline() -> None:
    reading = make_reading(5.0, ram_j=3.0, ram_provenance=Provenance.MODEL)
    assert reading.energy_j == 5.0
    assert reading.components["ram"].energy_j == 3.0


@pytest.mark.parametrize("measured", [Provenance.COUNTER, Provenance.SAMPLED])
def test_measured_ram_is_part_of_the_headline(measured: Provenance) -> None:
    assert make_reading(5.0, ram_j=3.0, ram_provenance=measured).energy_j == 8.0


def test_modelled_ram_does_not_spoil_a_measured_figure() -> None:
    reading = make_reading(5.0, provenance=Provenance.COUNTER, ram_j=3.0)
    assert reading.provenance is Provenance.COUNTER


def test_modelled_cpu_makes_the_whole_an_estimate() -> None:
    gpu = Component(9.0, Provenance.COUNTER, "gpu")
    reading = Reading(1.0, {**make_reading(5.0).components, "gpu": gpu})
    assert (reading.energy_j, reading.provenance) == (14.0, Provenance.MODEL)


@settings(deadline=None)
@given(accounts, accounts, accounts)
def test_adding_accounts_does_not_depend_on_grouping(a: Account, b: Account, c: Account) -> None:
    assert (a + b) + c == a + (b + c)


@settings(deadline=None)
@given(accounts)
def test_adding_an_empty_account_changes_nothing(account: Account) -> None:
    assert account + Account() == account == Account() + account


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(PHASES), known_readings, min_size=1))
def test_total_is_the_sum_of_the_phases(phases: dict[str, Reading]) -> None:
    account = Account(phases)
    assert account.total.energy_j == sum(account.energy_j(phase) or 0.0 for phase in PHASES)
    assert account.total.duration_s == sum(reading.duration_s for reading in phases.values())


def test_sources_of_a_sum_are_each_named_once() -> None:
    one, other = make_reading(1.0, source="meter 1"), make_reading(1.0, source="meter 2")
    total = sum([one, other, one, other], Reading(0.0))
    assert total.components["cpu"].source == "meter 1 + meter 2"


def test_incumbent_has_the_best_validation_accuracy() -> None:
    trials = [make_trial(i, accuracy=a) for i, a in enumerate([0.5, 0.9, 0.7])]
    assert find_incumbent(trials) is trials[1]


def test_first_of_equals_stays_incumbent() -> None:
    trials = [make_trial(i, accuracy=0.9) for i in range(3)]
    assert find_incumbent(trials) is trials[0]


def test_trial_that_scored_zero_is_still_an_incumbent() -> None:
    trials = [make_trial(0, accuracy=None), make_trial(1, accuracy=0.0)]
    assert find_incumbent(trials) is trials[1]


def test_failed_trials_have_no_incumbent() -> None:
    failed = make_trial(accuracy=None, status=TrialStatus.DIVERGED)
    assert find_incumbent([failed]) is None
    assert find_incumbent([]) is None


@pytest.mark.parametrize(
    "trial",
    [
        make_trial(3, accuracy=0.25),
        make_trial(accuracy=None, status=TrialStatus.DIVERGED, error='loss is "NaN" \n <b>'),
        make_trial(energy_j=None, epochs=0),
    ],
    ids=["completed", "diverged", "without energy"],
)
def test_trial_survives_json(trial: Trial) -> None:
    text = json.dumps(dataclasses.asdict(trial), allow_nan=False)
    assert Trial.from_dict(json.loads(text)) == trial


def test_result_survives_json() -> None:
    case = Case(strategy="grid", size="m", dataset_options=(("samples", 5), ("noise", 0.5)))
    trials = [make_trial(0), make_trial(1, accuracy=None, error="boom")]
    result = make_result(case, repeat=2, trials=trials, interruptions=1)
    restored = CaseResult.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False)))
    assert restored == result
    assert restored.case.hash == case.hash


def test_results_of_before_have_no_notes_on_how_was_computed() -> None:
    values = json.loads(json.dumps(make_result().to_dict()))
    del values["compute_notes"]
    assert CaseResult.from_dict(values) == make_result()
    noted = dataclasses.replace(make_result(), compute_notes=("one", "two"))
    assert CaseResult.from_dict(json.loads(json.dumps(noted.to_dict()))) == noted
    assert (to_row(make_result())["compute_notes"], to_row(noted)["compute_notes"]) == (
        None,
        "one; two",
    )
