from dataclasses import replace
from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.results import Reconciliation, TrialStatus
from greenbench.results.account import Account
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.results.table import ENDED_WELL, METRICS, TAGS, to_row, to_trial_rows
from tests.builders import make_reading, make_result, make_trial


def row_of(**fields: Any) -> dict[str, Any]:
    return to_row(make_result(**fields))


def test_row_has_every_column_and_no_other() -> None:
    assert set(row_of()) == {*METRICS, *TAGS, "repeat"}


def test_metrics_have_names_of_their_own_in_prefixed_groups() -> None:
    names = list(METRICS.values())
    assert len(set(names)) == len(names)
    groups = {name.partition("/")[0] for name in names}
    assert groups == {
        "energy",
        "power",
        "control",
        "emissions",
        "accuracy",
        "score",
        "cost",
        "time",
        "search",
        "quality",
        "design",
        "gpu",
    }


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
    assert (row["val_score"], row["test_score"]) == (0.95, 0.5)


def test_notes_on_data_are_one_text_and_older_results_have_none() -> None:
    dataset = make_result().dataset
    assert row_of()["data_notes"] is None
    assert row_of(dataset={**dataset, "notes": []})["data_notes"] is None
    notes = ["9 images read", "2 files skipped (2 .svg)"]
    row = row_of(dataset={**dataset, "source": "image folder x", "notes": notes})
    assert row["data_notes"] == "image folder x: 9 images read; 2 files skipped (2 .svg)"


@pytest.mark.parametrize("status", [s for s in TrialStatus if s not in ENDED_WELL])
def test_trials_that_did_not_complete_are_counted(status: TrialStatus) -> None:
    failed = make_trial(1, accuracy=None, status=status)
    row = row_of(trials=[make_trial(0), failed])
    assert (row["trials"], row["failed_trials"], row["status"]) == (2, 1, "finished")


def test_result_without_a_completed_trial_has_failed() -> None:
    row = row_of(trials=[make_trial(accuracy=None)])
    assert (row["status"], row["val_score"], row["test_score"]) == ("failed", None, None)
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


def test_trials_say_how_many_shared_their_windows() -> None:
    trials = [replace(make_trial(i), lanes=lanes) for i, lanes in enumerate([2, 2, 1])]
    assert [row["lanes"] for row in to_trial_rows(make_result(trials=trials))] == [2, 2, 1]


COUNTER = Provenance.COUNTER
CPU = Component(7200.0, COUNTER, "CPU counter")
GPU = Component(3600.0, COUNTER, "GPU counter")
RAM = Component(1800.0, Provenance.MODEL, "RAM model")
NET = ("net_wh", "cpu_net_wh", "gpu_net_wh", "ram_net_wh")


def row_over_100_s(idle_w: dict[str, float], **components: Component) -> dict[str, Any]:
    return row_of(account=Account({"train": Reading(100.0, components)}), idle_w=idle_w)


def test_net_energy_is_what_was_used_above_idle_power() -> None:
    row = row_over_100_s({"cpu": 18.0, "gpu": 9.0}, cpu=CPU, gpu=GPU)
    assert (row["energy_wh"], row["idle_w"]) == (3.0, 27.0)
    assert [row[name] for name in NET] == pytest.approx([2.25, 1.5, 0.75, None])


def test_net_energy_may_be_below_zero() -> None:
    # The machine was quieter than before the suite; a figure cut off at 0 would hide that.
    assert row_over_100_s({"cpu": 108.0}, cpu=CPU)["net_wh"] == pytest.approx(-1.0)


def test_without_idle_power_there_is_no_net_energy() -> None:
    row = row_over_100_s({}, cpu=CPU, gpu=GPU)
    assert [row[name] for name in (*NET, "idle_w")] == [None] * 5
    assert row["energy_wh"] == 3.0


def test_idle_power_of_one_part_gives_net_energy_of_that_part_alone() -> None:
    row = row_over_100_s({"gpu": 9.0}, cpu=CPU, gpu=GPU)
    assert [row[name] for name in NET] == [None, None, pytest.approx(0.75), None]


@pytest.mark.parametrize("provenance", [Provenance.MODEL, Provenance.CONSTANT])
def test_idle_power_is_never_taken_from_a_modelled_figure(provenance: Provenance) -> None:
    cpu = replace(CPU, provenance=provenance)
    row = row_over_100_s({"cpu": 18.0, "gpu": 9.0}, cpu=cpu, gpu=GPU)
    assert [row[name] for name in NET] == [None, None, pytest.approx(0.75), None]


def test_modelled_ram_does_not_keep_the_rest_from_having_net_energy() -> None:
    row = row_over_100_s({"cpu": 18.0}, cpu=CPU, ram=RAM)
    assert [row[name] for name in NET] == [1.5, 1.5, None, None]


def test_unknown_energy_has_no_net_energy() -> None:
    row = row_over_100_s({"cpu": 18.0, "gpu": 9.0}, cpu=CPU.unknown("it broke"), gpu=GPU)
    assert [row[name] for name in NET] == [None, None, pytest.approx(0.75), None]


def test_each_part_has_a_provenance_of_its_own() -> None:
    row = row_over_100_s({}, cpu=replace(CPU, provenance=Provenance.SAMPLED), ram=RAM)
    assert (row["cpu_provenance"], row["gpu_provenance"]) == ("sampled", None)
    assert row["ram_provenance"] == "model"


def test_reason_says_why_the_headline_is_unknown() -> None:
    row = row_over_100_s({}, cpu=CPU, gpu=GPU.unknown("it broke"))
    assert (row["energy_wh"], row["energy_reason"]) == (None, "it broke")
    assert (row["cpu_provenance"], row["gpu_provenance"]) == ("counter", "none")


def test_what_does_not_count_is_no_reason() -> None:
    reading = Reading(100.0, {"cpu": CPU}, {"zeus": {"cpu": CPU.unknown("it broke")}})
    assert row_of(account=Account({"train": reading}))["energy_reason"] is None
    assert row_of()["energy_reason"] is None


def test_cpu_share_of_others_is_of_all_cores() -> None:
    reading = replace(make_reading(duration_s=10.0), cpu_s=9.0, other_cpu_s=2.0)
    environment = {"host": "h", "cores": "4"}
    row = row_of(account=Account({"train": reading}), environment=environment)
    assert (row["cpu_s"], row["other_cpu_share"]) == (9.0, pytest.approx(0.05))


def test_unknown_cpu_seconds_are_no_share_of_zero() -> None:
    reading = replace(make_reading(), cpu_s=None, other_cpu_s=None)
    row = row_of(account=Account({"train": reading}))
    assert (row["cpu_s"], row["other_cpu_share"]) == (None, None)


def test_quality_columns_are_empty_where_nothing_was_checked() -> None:
    row = row_of(peak_memory_bytes=None)
    unchecked = ("unreconciled_share", "meter_disagreement", "idle_drift", "peak_memory_mib")
    assert [row[name] for name in unchecked] == [None] * len(unchecked)
    assert (row["marks"], row["meter"], row["passes"]) == (None, None, 1)


def test_quality_columns_say_what_the_checks_found() -> None:
    witness = {"zeus": {"cpu": replace(CPU, energy_j=7920.0)}}
    reading = Reading(10.0, {"cpu": CPU}, witness)
    trials = [replace(make_trial(i), passes=passes) for i, passes in enumerate([3, 5])]
    row = row_of(
        trials=trials,
        account=Account({"train": reading}),
        reconciliation=Reconciliation(7128.0, 7200.0, 0.02),
        peak_memory_bytes=3 * 2**20,
        environment={"host": "h", "meter": "codecarbon,zeus"},
    )
    assert row["unreconciled_share"] == pytest.approx(0.01)
    assert row["meter_disagreement"] == pytest.approx(0.1)
    assert (row["passes"], row["peak_memory_mib"]) == (5, 3.0)
    assert (row["meter"], row["marks"]) == ("codecarbon,zeus", "disagreeing")
