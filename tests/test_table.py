from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.readings import Account, Component, Provenance, Reading
from greenbench.results import TrialStatus
from greenbench.table import METRICS, TAGS, to_row
from tests.builders import make_reading, make_result, make_trial


def row_of(**fields: Any) -> dict[str, Any]:
    return to_row(make_result(**fields))


def test_row_has_every_column_and_no_other() -> None:
    assert set(row_of()) == {*METRICS, *TAGS, "repeat"}


def test_metrics_have_names_of_their_own_in_prefixed_groups() -> None:
    names = list(METRICS.values())
    assert len(set(names)) == len(names)
    groups = {name.partition("/")[0] for name in names}
    assert groups == {"energy", "emissions", "accuracy", "cost", "time"}


def test_joules_become_watt_hours() -> None:
    row = row_of(energy_j=7200.0)
    assert (row["energy_wh"], row["train_wh"], row["cpu_wh"]) == (2.0, 2.0, 2.0)


def test_phases_that_never_ran_and_parts_that_do_not_exist_have_no_figure() -> None:
    row = row_of()
    assert (row["idle_wh"], row["search_wh"]) == (None, None)
    assert (row["gpu_wh"], row["ram_wh"]) == (None, None)


def test_unknown_energy_stays_unknown_in_every_column() -> None:
    row = row_of(energy_j=None)
    unknown = ("energy_wh", "train_wh", "cpu_wh", "emissions_g")
    assert [row[name] for name in unknown] == [None] * len(unknown)
    assert row["energy_provenance"] == "none"


def test_modelled_ram_has_a_column_of_its_own_and_is_in_no_total() -> None:
    account = Account({"train": make_reading(3600.0, ram_j=1800.0)})
    row = row_of(account=account)
    assert (row["energy_wh"], row["train_wh"], row["ram_wh"]) == (1.0, 1.0, 0.5)


def test_source_names_each_meter_that_counts_once() -> None:
    gpu = Component(5.0, Provenance.COUNTER, "GPU counter")
    ram = Component(5.0, Provenance.MODEL, "RAM model")
    cpu = Component(5.0, Provenance.MODEL, "CPU model")
    reading = Reading(1.0, {"cpu": cpu, "gpu": gpu, "ram": ram})
    row = row_of(account=Account({"train": reading, "search": reading}))
    assert row["energy_source"] == "CPU model; GPU counter"


def test_validation_accuracy_is_the_incumbents() -> None:
    trials = [make_trial(i, accuracy=a) for i, a in enumerate([0.7, 0.95, 0.8])]
    row = row_of(trials=trials, accuracy=0.5)
    assert (row["val_accuracy"], row["test_accuracy"]) == (0.95, 0.5)


@pytest.mark.parametrize("status", [s for s in TrialStatus if s is not TrialStatus.COMPLETED])
def test_trials_that_did_not_complete_are_counted(status: TrialStatus) -> None:
    failed = make_trial(1, accuracy=None, status=status)
    row = row_of(trials=[make_trial(0), failed])
    assert (row["trials"], row["failed_trials"], row["status"]) == (2, 1, "finished")


def test_result_without_a_completed_trial_has_failed() -> None:
    row = row_of(trials=[make_trial(accuracy=None)])
    assert (row["status"], row["val_accuracy"], row["test_accuracy"]) == ("failed", None, None)
    assert row["energy_wh"] is not None


def test_what_people_filter_on_is_text() -> None:
    case = Case(strategy="grid", size="m", backend="keras", epochs=3)
    row = row_of(case=case, suite="scaling", host="abc", repeat=2)
    expected = {
        "case_id": "grid-simple_cnn.m-keras-digits+epochs3",
        "case_hash": case.hash,
        "suite": "scaling",
        "strategy": "grid",
        "architecture": "simple_cnn.m",
        "family": "simple_cnn",
        "size": "m",
        "backend": "keras",
        "dataset": "digits",
        "setting": "digits+epochs3",
        "energy_provenance": "model",
        "host": "abc",
        "repeat": 2,
    }
    assert {name: row[name] for name in expected} == expected


def test_training_time_is_the_training_windows_alone() -> None:
    phases = {"train": make_reading(duration_s=3.0), "evaluate": make_reading(duration_s=1.0)}
    row = row_of(account=Account(phases))
    assert (row["train_s"], row["duration_s"]) == (3.0, 4.0)
    assert row_of(account=Account({"other": make_reading()}))["train_s"] == 0.0
