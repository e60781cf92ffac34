"""What ticks of counters leave open of energies is heeded by whoever puts them side by side."""

from typing import Any

import pytest

from greenbench.compare.factors import compare_factors
from greenbench.compare.ratios import compare_ratios
from greenbench.compare.strategies import Strategies, compare_strategies
from greenbench.results.table import to_trial_rows
from greenbench.results.uncertainty import left_open
from tests.builders import make_result, make_row

AS_FAR = "as far as its counter's ticks tell"
DOUBTS = pytest.mark.parametrize(
    ("uncertainty_wh", "is_same"), [(None, False), (0.01, False), (0.1, True)]
)


def row(energy_wh: float, uncertainty_wh: float | None, **changed: Any) -> dict[str, Any]:
    return make_row(
        energy_wh=energy_wh,
        changed={"session": "s", "uncertainty_wh": uncertainty_wh, **changed},
    )


@DOUBTS
def test_ratio_of_energies_that_ticks_cannot_tell_apart_is_no_difference(
    uncertainty_wh: float | None, is_same: bool
) -> None:
    rows = [
        row(energy_wh + 0.001 * repeat, uncertainty_wh, backend=backend, repeat=repeat)
        for backend, energy_wh in (("torch", 1.0), ("keras", 1.05))
        for repeat in range(4)
    ]
    found = compare_ratios(rows, "backend")
    (ratio,) = found.ratios
    assert (f"; it is the same energy, {AS_FAR}." in found.sentence) is is_same
    expected = None if uncertainty_wh is None else pytest.approx(1.38 * uncertainty_wh, rel=0.01)
    assert ratio.energy_uncertainty == expected
    assert found.records()[0]["energy_uncertainty"] == ratio.energy_uncertainty


@DOUBTS
def test_cells_that_ticks_cannot_tell_apart_are_said_to_be_the_same(
    uncertainty_wh: float | None, is_same: bool
) -> None:
    rows = [
        row(energy_wh + 0.001 * repeat, uncertainty_wh, architecture=name)
        for name, energy_wh in (("a", 1.0), ("b", 1.12))
        for repeat in range(3)
    ]
    found = compare_factors(rows, ["architecture"], "energy_wh")
    assert found.sentence.endswith(f"which is the same {AS_FAR}.") is is_same
    assert ("times the smallest" in found.sentence) is not is_same
    assert [cell.uncertainty for cell in found.cells] == [uncertainty_wh] * 2


def strategies_of(uncertainty_wh: float | None, **energies_wh: float) -> Strategies:
    """Return searches of two trials, of which the second one finds the most."""
    rows = [
        {
            "strategy": name,
            "repeat": repeat,
            "trial": trial,
            "energy_wh": energy_wh,
            "val_score": found,
            "repeat_uncertainty_wh": uncertainty_wh,
        }
        for name, energy_wh in energies_wh.items()
        for repeat in range(3)
        for trial, found in enumerate((0.5, 0.9))
    ]
    (answer,) = compare_strategies(rows, group=())
    return answer


@DOUBTS
def test_energies_to_a_target_that_ticks_cannot_tell_apart_are_said_to_be_the_same(
    uncertainty_wh: float | None, is_same: bool
) -> None:
    found = strategies_of(uncertainty_wh, grid=1.02, random=1.0)
    assert (f"the same as grid, {AS_FAR}" in found.sentence) is is_same
    assert ("98% of grid's" in found.sentence) is not is_same
    assert [each.uncertainty_wh for each in found.strategies] == [uncertainty_wh] * 2


@DOUBTS
def test_ranking_at_equal_energy_that_ticks_may_turn_is_open(
    uncertainty_wh: float | None, is_same: bool
) -> None:
    found = strategies_of(uncertainty_wh, grid=1.02, random=1.0)
    assert found.equal_energy is not None
    assert found.equal_energy.best == ("random",)
    assert found.equal_energy.is_open is is_same
    assert ("an order that ticks of counters leave open" in found.sentence) is is_same


@DOUBTS
def test_energies_of_control_and_search_that_ticks_cannot_tell_apart_are_the_same(
    uncertainty_wh: float | None, is_same: bool
) -> None:
    rows = [
        {
            "strategy": name,
            "repeat": repeat,
            "energy_wh": energy_wh,
            "val_score": found,
            "repeat_uncertainty_wh": uncertainty_wh,
        }
        for name, energy_wh, found in (("default", 1.0, 0.5), ("random", 1.05, 0.9))
        for repeat in range(3)
    ]
    (answer,) = compare_strategies(rows, group=())
    assert (f"(the same energy, {AS_FAR})" in answer.sentence) is is_same
    assert ("(1.05 times the energy)" in answer.sentence) is not is_same


def test_emissions_are_open_by_the_share_of_their_energy_and_net_energy_by_as_much() -> None:
    found = row(2.0, 0.1, emissions_g=0.8, net_wh=1.5)
    assert left_open(found) == left_open(found, "net_wh") == 0.1
    assert left_open(found, "emissions_g") == pytest.approx(0.04)
    assert left_open(found, "duration_s") is None
    assert left_open(row(2.0, None, emissions_g=0.8), "emissions_g") is None


@pytest.mark.parametrize("response", ["net_wh", "emissions_g"])
def test_factors_heed_what_ticks_leave_open_of_figures_that_follow(response: str) -> None:
    rows = [
        row(energy_wh, 0.1, architecture=name, emissions_g=energy_wh + n, net_wh=energy_wh + n)
        for name, energy_wh in (("a", 1.0), ("b", 1.12))
        for n in (0.0, 0.001, 0.002)
    ]
    assert AS_FAR in compare_factors(rows, ["architecture"], response).sentence


def test_trials_know_what_ticks_leave_open_of_their_repeat() -> None:
    assert to_trial_rows(make_result())[0]["repeat_uncertainty_wh"] is None
