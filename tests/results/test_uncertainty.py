"""Uncertainty of energies: how it adds up, scales, travels, and what readers are told of it."""

from dataclasses import asdict, replace

import pytest

from greenbench.energy.reconcile import reconcile
from greenbench.results import CaseResult
from greenbench.results.account import Account
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.results.table import METRICS, to_row
from tests.builders import make_reading, make_result

COUNTER = Provenance.COUNTER


def gpu(
    energy_j: float | None, uncertainty_j: float | None, booked_with: str | None = None
) -> Component:
    known = Provenance.NONE if energy_j is None else COUNTER
    return Component(
        energy_j, known, "ticks", tick_s=0.1, uncertainty_j=uncertainty_j, booked_with=booked_with
    )


def reading(part: Component, seconds: float = 10.0) -> Reading:
    return Reading(seconds, {"gpu": part})


def test_uncertainties_add_in_quadrature() -> None:
    assert (gpu(10.0, 3.0) + gpu(20.0, 4.0)).uncertainty_j == pytest.approx(5.0)


def test_what_is_unknown_of_one_is_unknown_of_the_sum() -> None:
    assert (gpu(10.0, 3.0) + gpu(20.0, None)).uncertainty_j is None
    assert (gpu(10.0, 3.0) + gpu(None, None)).uncertainty_j is None
    assert gpu(10.0, 3.0).unknown("lost").uncertainty_j is None


def test_a_share_is_as_uncertain_as_the_whole() -> None:
    share = gpu(12.0, 3.0) * 0.25
    assert (share.energy_j, share.uncertainty_j) == (3.0, 0.75)


def test_a_headline_that_holds_a_model_has_no_known_uncertainty() -> None:
    parts = {"gpu": gpu(10.0, 3.0), "cpu": Component(1.0, Provenance.MODEL, "load")}
    assert Reading(1.0, parts).uncertainty_j is None
    assert reading(gpu(10.0, 3.0)).uncertainty_j == 3.0
    assert Reading(1.0).uncertainty_j is None


def test_a_total_has_its_own_uncertainty_where_it_is_known() -> None:
    phases = {"train": reading(gpu(60.0, 3.0)), "other": reading(gpu(40.0, 4.0))}
    assert Account(phases).total.uncertainty_j == pytest.approx(5.0)
    assert Account(phases, {"gpu": 1.0}).total.uncertainty_j == 1.0


def test_totals_of_several_processes_add_in_quadrature() -> None:
    one = Account({"train": reading(gpu(60.0, 9.0))}, {"gpu": 3.0})
    other = Account({"train": reading(gpu(60.0, 4.0))})
    assert (one + other).total.uncertainty_j == pytest.approx(5.0)
    assert (one + other).phases["train"].uncertainty_j == pytest.approx(97**0.5)
    assert (Account() + one).total.uncertainty_j == 3.0
    assert (one * 0.5).total.uncertainty_j == 1.5


def test_a_total_that_lost_its_energy_has_no_uncertainty() -> None:
    lost = Account({"train": reading(gpu(None, None))})
    whole = Account({"train": reading(gpu(60.0, 9.0))}, {"gpu": 3.0}) + lost
    assert (whole.total.energy_j, whole.total.uncertainty_j) == (None, None)


def test_a_phase_without_a_figure_costs_the_total_nothing() -> None:
    account = Account(
        {
            "search": reading(gpu(0.0, 0.0, booked_with="train"), seconds=0.02),
            "train": reading(gpu(60.0, 1.0)),
        }
    )
    assert account.energy_j("search") is None
    found = account.phases["search"].judged.components["gpu"]
    assert found.reason == "it lasts less than a tick of ticks, and is in 'train'"
    assert account.energy_j("train") == 60.0
    assert account.total.energy_j == 60.0
    row = to_row(make_result(account=account))
    assert row["search_wh"] is None
    assert row["energy_wh"] == row["train_wh"] == pytest.approx(60.0 / 3600)


def test_such_phases_of_several_trials_have_none_together() -> None:
    part = gpu(0.0, 0.0, booked_with="train")
    both = reading(part, 0.02) + reading(part, 0.02)
    assert both.energy_j is None


def test_accounts_survive_their_journal() -> None:
    account = Account(
        {
            "search": reading(gpu(0.0, 0.0, booked_with="train"), seconds=0.02),
            "train": reading(gpu(60.0, 1.0)),
        },
        {"gpu": 0.5},
    )
    assert Account.from_dict(asdict(account)) == account
    result = make_result(account=account)
    assert CaseResult.from_dict(result.to_dict()).account == account


def test_older_journals_know_of_no_uncertainty() -> None:
    values = asdict(Account({"train": reading(gpu(60.0, 1.0))}))
    del values["uncertainty_j"]
    part = values["phases"]["train"]["components"]["gpu"]
    del part["uncertainty_j"], part["booked_with"]
    old = Account.from_dict(values)
    assert (old.total.energy_j, old.total.uncertainty_j) == (60.0, None)


def test_a_row_says_it_in_watt_hours() -> None:
    account = Account({"train": reading(gpu(3600.0, 72.0))}, {"gpu": 36.0})
    assert to_row(make_result(account=account))["uncertainty_wh"] == pytest.approx(0.01)
    assert to_row(make_result())["uncertainty_wh"] is None
    assert METRICS["uncertainty_wh"] == "energy/uncertainty_wh"


def test_phases_may_deviate_from_their_window_by_what_ticks_leave_open() -> None:
    # 100 W for 10 s, and a raw edge is wrong by up to a tick of 0.1 s.
    booked = reading(gpu(1000.0, 24.0))
    whole = reading(replace(gpu(1030.0, None), uncertainty_j=None))
    found = reconcile(booked, whole)
    assert found.deviation == pytest.approx(30 / 1030)
    assert found.uncertainty_j == pytest.approx((24.0**2 + 10.3**2) ** 0.5)
    assert found.excess == pytest.approx((30 - found.uncertainty_j) / 1030)


def test_without_ticks_a_deviation_is_judged_as_it_is() -> None:
    booked = make_reading(103.0, provenance=COUNTER)
    found = reconcile(booked, make_reading(100.0, provenance=COUNTER))
    assert (found.uncertainty_j, found.excess) == (0.0, found.deviation)
