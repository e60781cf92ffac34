from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.errors import ConfigurationError
from greenbench.results import TrialStatus
from greenbench.results.chronology import chronology, read_segments, spending, to_text
from greenbench.results.table import to_row, to_trial_rows
from tests.builders import make_result, make_segmented, make_trial


def row(accuracy: float | None = 0.5, energy_wh: float | None = 1.0, **changed: Any) -> Any:
    return {"energy_wh": energy_wh, "val_score": accuracy, **changed}


def segmented(accuracy: float | None, *segments: tuple[int, float | None, float | None]) -> Any:
    """Return a trial of segments, each a position, an energy and an accuracy."""
    energies = [energy_wh for _, energy_wh, _ in segments]
    total_wh = None if None in energies else sum(wh or 0.0 for wh in energies)
    text = to_text([(place, 1, wh, found) for place, wh, found in segments])
    return row(accuracy, total_wh, segments=text)


def order(rows: list[Any]) -> list[tuple[int, float | None, float | None]]:
    return [(step.trial, step.energy_wh, step.val_score) for step in chronology(rows)]


def test_without_segments_a_step_is_a_trial() -> None:
    assert order([row(0.5, 1.0), row(None, 2.0)]) == [(0, 1.0, 0.5), (1, 2.0, None)]


def test_segments_of_trials_are_in_the_order_of_time() -> None:
    first = segmented(0.9, (0, 1.0, 0.4), (3, 5.0, 0.9))
    second = segmented(0.6, (1, 2.0, 0.5), (2, 3.0, 0.6))
    expected = [(0, 1.0, None), (1, 2.0, None), (1, 3.0, 0.6), (0, 5.0, 0.9)]
    assert order([first, second]) == expected


def test_trial_without_segments_stands_where_it_started() -> None:
    crashed = row(None, 7.0)
    first, third = segmented(0.9, (0, 1.0, 0.4), (2, 5.0, 0.9)), segmented(0.6, (1, 2.0, 0.6))
    assert [step[0] for step in order([first, crashed, third])] == [0, 1, 2, 0]
    assert [step[0] for step in order([first, third, crashed])] == [0, 1, 0, 2]


def test_reevaluations_come_last_and_find_nothing() -> None:
    again = row(1.0, 2.0, reevaluates=0)
    assert order([again, row(0.5, 1.0)]) == [(1, 1.0, 0.5), (0, 2.0, None)]


def test_trial_that_was_stopped_is_no_candidate() -> None:
    stopped = {**segmented(0.9, (0, 1.0, 0.9)), "status": "stopped"}
    assert order([stopped]) == [(0, 1.0, None)]


def test_what_a_trial_found_before_it_failed_does_not_count() -> None:
    assert order([segmented(None, (0, 1.0, 0.9), (1, 1.0, None))]) == [(0, 1.0, None)] * 2


@pytest.mark.parametrize("energies", [(1.0, 3.0), (None, 3.0), (9.0, 9.0), (1.0, 1.0)])
def test_steps_take_together_what_the_trial_took(energies: tuple[float | None, ...]) -> None:
    trial = segmented(0.9, *((place, wh, 0.9) for place, wh in enumerate(energies)))
    steps = order([{**trial, "energy_wh": 18.0}])
    assert sum(wh or 0.0 for _, wh, _ in steps) == 18.0


def test_unknown_energy_is_unknown_in_the_last_step() -> None:
    assert order([segmented(0.9, (0, 1.0, 0.5), (1, None, 0.9))])[-1] == (0, None, 0.9)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "null", "no JSON", 3, '{"position":[0],"epochs":[1],"energy_wh":[1]}',
        '{"position":[],"epochs":[],"energy_wh":[],"val_score":[]}',
        '{"position":[0],"epochs":[1],"energy_wh":[1.0],"val_score":[7]}',
        '{"position":[null],"epochs":[1],"energy_wh":[1.0],"val_score":[0.7]}',
        '{"position":[0,1],"epochs":[1],"energy_wh":[1.0],"val_score":[0.7]}',
    ],
)  # fmt: skip
def test_damaged_segments_are_refused(text: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"segments of trial 4 are .*run the search again"):
        read_segments({"trial": 4, "segments": text})


def test_waste_is_what_trials_took_that_were_never_the_incumbent() -> None:
    rows = [row(0.5, 1.0), row(0.5, 2.0), row(None, 3.0), row(0.6, 4.0)]
    assert spending(rows).wasted_share == pytest.approx(5 / 10)


def test_trial_that_led_for_a_while_was_no_waste() -> None:
    led = segmented(0.5, (0, 2.0, 0.5))
    never = segmented(0.55, (1, 1.0, 0.45), (4, 3.0, 0.55))
    best = segmented(0.9, (2, 1.0, 0.4), (3, 3.0, 0.9))
    assert spending([led, never, best]).wasted_share == pytest.approx(4 / 10)


def test_reevaluations_are_no_waste_but_energy_of_the_search() -> None:
    rows = [row(0.5, 1.0), row(0.4, 1.0), row(0.9, 2.0, reevaluates=0)]
    assert spending(rows).wasted_share == pytest.approx(1 / 4)


def test_proposals_are_a_share_of_all_where_they_are_known() -> None:
    assert spending([row(search_wh=0.1), row(search_wh=0.3)]).proposal_share == pytest.approx(0.2)
    assert spending([row(search_wh=0.1), row()]).proposal_share is None


def test_shares_of_unknown_or_no_energy_are_unknown() -> None:
    for energy_wh in (None, 0.0):
        found = spending([row(energy_wh=energy_wh, search_wh=0.0)])
        assert (found.proposal_share, found.wasted_share) == (None, None)


def test_row_of_a_result_says_what_its_energy_went_into() -> None:
    trials = [
        make_segmented(0, (0, 90.0, 0.5), status=TrialStatus.STOPPED, proposal_j=10.0),
        make_segmented(1, (1, 90.0, 0.4), (2, 200.0, 0.9), proposal_j=10.0),
        make_trial(2, accuracy=None, energy_j=100.0),
    ]
    found = make_result(Case("random+asha"), trials=trials, accuracy=0.85, prior="uniform")
    result = to_row(found)
    assert result["proposal_share"] == pytest.approx(20 / 500)
    assert result["wasted_share"] == pytest.approx(200 / 500)
    assert result["optimism"] == pytest.approx(0.05)
    assert (result["stopped_trials"], result["failed_trials"]) == (1, 1)
    names = ("strategy", "proposer", "scheduler", "prior")
    assert [result[name] for name in names] == ["random+asha", "random", "asha", "uniform"]
    steps = order(to_trial_rows(found))
    assert [step[0] for step in steps] == [0, 1, 1, 2]
    assert sum(wh or 0.0 for _, wh, _ in steps) == pytest.approx(500 / 3600)
