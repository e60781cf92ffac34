"""Scope: which components a headline covers, on machines that are made up."""

from dataclasses import asdict
from typing import Any

import pytest

from greenbench.errors import ConfigurationError
from greenbench.results.account import Account
from greenbench.results.marks import marks_of
from greenbench.results.quality import net_j
from greenbench.results.readings import Component, Components, Provenance, Reading
from greenbench.results.scope import Names, names_in, scope_of
from greenbench.results.table import to_row, to_trial_rows
from tests.builders import make_result, make_trial

COUNTER, SAMPLED, MODEL = Provenance.COUNTER, Provenance.SAMPLED, Provenance.MODEL
NONE = Provenance.NONE
H200 = "NVIDIA H200"
JOULES = {"cpu": 20.0, "gpu": 300.0, "ram": 5.0}


def machine(**parts: Provenance) -> Components:
    return {name: Component(JOULES[name], how, f"its {name}") for name, how in parts.items()}


VIRTUAL = machine(cpu=MODEL, gpu=COUNTER, ram=MODEL)
BARE = machine(cpu=COUNTER, gpu=COUNTER, ram=COUNTER)
RAPL = machine(cpu=COUNTER, ram=COUNTER)
BLIND = machine(cpu=MODEL, ram=MODEL)
SAMPLING = machine(cpu=MODEL, gpu=SAMPLED, ram=MODEL)


def reading(parts: Components, scope: Names | None, duration_s: float = 10.0) -> Reading:
    return Reading(duration_s, parts, scope=scope)


@pytest.mark.parametrize(
    ("parts", "device", "scope"),
    [
        (VIRTUAL, H200, ("gpu",)),
        (BARE, H200, ("cpu", "gpu", "ram")),
        (BARE, "cpu", ("cpu", "ram")),
        (RAPL, "cpu", ("cpu", "ram")),
        (machine(cpu=COUNTER, ram=MODEL), "cpu", ("cpu",)),
        (VIRTUAL, "cpu", None),
        (BLIND, "cpu", None),
        (SAMPLING, H200, None),
        (machine(cpu=COUNTER, gpu=NONE), H200, None),
        (BARE, None, None),
        ({}, "cpu", None),
    ],
    ids=[
        *("GPU alone measured", "both measured", "idle GPU", "RAPL", "RAPL without RAM"),
        *("CPU modelled beside an idle GPU", "nothing measured", "GPU sampled"),
        *("GPU that trains unread", "device unknown", "nothing read"),
    ],
)
def test_by_default_what_is_measured_counts_where_the_device_has_a_counter(
    parts: Components, device: str | None, scope: Names | None
) -> None:
    assert names_in(None, parts, device) == scope


@pytest.mark.parametrize(
    ("asked", "parts", "device", "scope"),
    [
        ("total", VIRTUAL, H200, None),
        ("gpu", BARE, H200, ("gpu",)),
        ("cpu", VIRTUAL, H200, ("cpu",)),
        ("measured", SAMPLING, H200, ("gpu",)),
        ("measured", BARE, None, ("cpu", "gpu", "ram")),
    ],
)
def test_who_asks_gets_what_is_there(
    asked: str, parts: Components, device: str | None, scope: Names | None
) -> None:
    assert names_in(asked, parts, device) == scope


@pytest.mark.parametrize(
    ("asked", "parts", "device", "words"),
    [
        ("gpu", BLIND, "cpu", "headline is 'gpu', but the meter finds no GPU (here: cpu estimated"),
        ("cpu", machine(gpu=COUNTER), H200, "but the meter finds no CPU"),
        ("measured", BLIND, "cpu", "but the meter measures nothing"),
        ("measured", {}, "cpu", "but the meter measures nothing (here: nothing)"),
        ("measured", machine(cpu=COUNTER, gpu=NONE), H200, "what trains (NVIDIA H200) is not"),
        ("measured", VIRTUAL, "cpu", "what trains (cpu) is not measured"),
    ],
)
def test_what_has_nothing_to_count_is_refused_in_one_line(
    asked: str, parts: Components, device: str, words: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        names_in(asked, parts, device)
    assert words in str(refused.value)
    assert "--headline" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_modelled_cpu_beside_a_measured_gpu_is_in_no_figure_of_the_headline() -> None:
    found = reading(VIRTUAL, ("gpu",))
    assert (found.energy_j, found.provenance, found.covers) == (300.0, COUNTER, "gpu")
    assert found.components["cpu"].energy_j == 20.0


def test_total_is_no_better_than_its_worst_part() -> None:
    found = reading(VIRTUAL, None)
    assert (found.energy_j, found.provenance, found.covers) == (320.0, MODEL, "cpu+gpu")


def test_net_energy_is_known_though_a_cpu_is_modelled_beside() -> None:
    assert net_j(reading(VIRTUAL, ("gpu",)), {"gpu": 12.0}) == 180.0
    assert net_j(reading(VIRTUAL, None), {"gpu": 12.0}) is None


def test_no_sum_or_share_of_readings_forgets_what_counts() -> None:
    found = reading(VIRTUAL, ("gpu",))
    total = (Account({"train": found}) + Account({"train": found, "other": found * 0.5})).total
    assert (total.scope, total.energy_j) == (("gpu",), 750.0)
    assert (Reading(0.0) + found).scope == ("gpu",)
    assert Account.from_dict(asdict(Account({"train": found}))).total.scope == ("gpu",)
    assert found.judged.scope == ("gpu",)


def test_sum_over_two_scopes_has_but_its_total() -> None:
    assert (reading(VIRTUAL, ("gpu",)) + reading(VIRTUAL, ("cpu",))).covers == "cpu+gpu"


def test_counter_that_is_lost_makes_the_headline_unknown_and_not_smaller() -> None:
    lost = {**VIRTUAL, "gpu": VIRTUAL["gpu"].unknown("it fell off the bus")}
    assert reading(lost, ("gpu",)).energy_j is None
    both = {**BARE, "gpu": BARE["gpu"].unknown("it fell off the bus")}
    assert reading(both, ("cpu", "gpu", "ram")).energy_j is None


def test_component_that_counts_and_was_not_read_is_unknown() -> None:
    found = reading({"cpu": VIRTUAL["cpu"]}, ("gpu",))
    assert (found.energy_j, found.covers) == (None, "gpu")
    assert [part.reason for part in found.headline] == ["no reading of the GPU"]


def test_older_results_count_in_total() -> None:
    stored = asdict(reading(VIRTUAL, ("gpu",)))
    del stored["scope"]
    assert Reading.from_dict(stored).covers == "cpu+gpu"


def row_of(found: Reading, **changed: Any) -> dict[str, Any]:
    account = Account({"train": found})
    return to_row(make_result(account=account, **changed))


def test_row_says_what_counts_and_keeps_the_rest_beside() -> None:
    row = row_of(reading(VIRTUAL, ("gpu",)), idle_w={"gpu": 12.0})
    assert (row["energy_scope"], row["energy_provenance"]) == ("gpu", "counter")
    assert row["energy_wh"] == row["train_wh"] == row["gpu_wh"] == 300.0 / 3600
    assert (row["cpu_wh"], row["cpu_provenance"]) == (20.0 / 3600, "model")
    assert row["net_wh"] == row["gpu_net_wh"] == 180.0 / 3600
    assert row["energy_source"] == "its gpu"


def test_rows_of_trials_say_it_too() -> None:
    result = make_result(trials=[make_trial()], account=Account({"train": reading(BARE, ("gpu",))}))
    assert [row["energy_scope"] for row in to_trial_rows(result)] == ["gpu"]


@pytest.mark.parametrize("scope", [("gpu",), None], ids=["of the GPU", "in total"])
def test_short_counter_is_marked_whatever_is_modelled_beside_it(scope: Names | None) -> None:
    account = Account({"train": reading(VIRTUAL, scope, duration_s=1.0)})
    assert "short" in marks_of(make_result(account=account, wall_s=1.0))
    modelled = Account({"train": reading(BLIND, None, duration_s=1.0)})
    assert "short" not in marks_of(make_result(account=modelled, wall_s=1.0))


@pytest.mark.parametrize(
    ("row", "scope"),
    [
        ({"energy_scope": "gpu", "cpu_provenance": "model"}, "gpu"),
        ({"cpu_provenance": "model", "ram_provenance": "model"}, "cpu"),
        ({"cpu_provenance": "counter", "ram_provenance": "counter"}, "cpu+ram"),
        ({"cpu_provenance": "model", "gpu_provenance": "counter"}, "cpu+gpu"),
        ({"energy_scope": None}, None),
    ],
)
def test_older_rows_cover_all_but_modelled_ram(row: dict[str, Any], scope: str | None) -> None:
    assert scope_of(row) == scope
