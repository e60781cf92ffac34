from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from greenbench.cases import Case
from greenbench.compare.anytime import MOST_POINTS, Anytime, band, best_so_far
from greenbench.compare.csvs import CsvRow
from greenbench.compare.searches import read_searches
from greenbench.errors import ConfigurationError, NotComparableError
from greenbench.results import TrialStatus
from greenbench.results.table import to_trial_rows
from tests.builders import make_result, make_segmented, make_trial

# A coarse grid, so that ties and trials without energy come up.
energies = st.integers(0, 8).map(float)
accuracies = st.none() | st.integers(0, 8).map(lambda eighths: eighths / 8)
trials = st.lists(st.tuples(energies, accuracies), min_size=1, max_size=8)


def trace(found: Sequence[tuple[float, float | None]]) -> Anytime:
    energies_wh, found_accuracies = zip(*found, strict=True)
    return Anytime(np.cumsum(energies_wh, dtype=float), best_so_far(found_accuracies))


def row(**changed: Any) -> dict[str, Any]:
    return {"strategy": "random", "energy_wh": 1.0, "val_score": 0.5, **changed}


@given(st.lists(accuracies, min_size=1))
def test_best_so_far_is_the_best_completed_trial_and_never_falls(
    found: list[float | None],
) -> None:
    best = best_so_far(found).tolist()
    assert best == sorted(best)
    assert best[-1] == max((accuracy for accuracy in found if accuracy is not None), default=0.0)


def test_nothing_is_found_before_a_trial_completes() -> None:
    assert best_so_far([None, None, 0.4, None, 0.3, 0.5]).tolist() == [0, 0, 0.4, 0.4, 0.4, 0.5]


def test_accuracy_rises_at_the_end_of_a_trial_and_is_held_after_the_last() -> None:
    curve = trace([(2.0, 0.5), (1.0, 0.4), (3.0, 0.8)])
    found = curve.gain_at([0.0, 1.99, 2.0, 5.99, 6.0, 1e9])
    assert found.tolist() == [0, 0, 0.5, 0.5, 0.8, 0.8]
    assert curve.total_wh == 6.0


def test_sums_that_differ_in_their_last_digits_are_the_same_energy() -> None:
    assert 0.1 + 0.2 + 0.3 > 0.3 + 0.2 + 0.1
    curve = trace([(0.1, 0.1), (0.2, 0.2), (0.3, 0.9)])
    assert curve.gain_at(0.3 + 0.2 + 0.1) == 0.9


@given(trials, st.integers(1, 8))
def test_energy_to_a_target_is_the_least_for_which_it_is_found(
    found: list[tuple[float, float | None]], eighths: int
) -> None:
    curve, target = trace(found), eighths / 8
    energy_wh = curve.energy_to(target)
    if energy_wh is None:
        assert curve.gain_at(curve.total_wh) < target
    else:
        assert curve.gain_at(energy_wh) >= target
        before = curve.energy_wh[curve.energy_wh < energy_wh]
        assert all(curve.gain_at(before) < target)


def test_failed_trial_reaches_no_target_however_low() -> None:
    assert trace([(1.0, None), (1.0, 0.004)]).energy_to(-0.006) == 2.0
    assert trace([(1.0, None)]).energy_to(-0.006) is None


def test_accuracy_at_the_very_target_reaches_it() -> None:
    target = 0.113 - 0.01
    assert target > 0.103
    assert trace([(1.0, 0.103)]).energy_to(target) == 1.0


def test_normalised_area_is_the_mean_over_energy() -> None:
    curve = trace([(1.0, 0.2), (2.0, 0.6), (1.0, 0.4)])
    # 2 Wh at 0.2, then 1 Wh at 0.6, and 4 Wh more that hold it.
    assert curve.mean_gain(1.0, 4.0) == pytest.approx((2 * 0.2 + 1 * 0.6) / 3)
    assert curve.mean_gain(1.0, 8.0) == pytest.approx((2 * 0.2 + 5 * 0.6) / 7)
    assert curve.mean_gain(3.5, 4.0) == pytest.approx(0.6)


@pytest.mark.parametrize("end_wh", [1.0, 0.5])
def test_empty_interval_has_no_area(end_wh: float) -> None:
    assert trace([(1.0, 0.2)]).mean_gain(1.0, end_wh) is None


@given(trials, st.integers(0, 20), st.integers(1, 20))
def test_area_is_that_under_the_steps(
    found: list[tuple[float, float | None]], start: int, width: int
) -> None:
    curve = trace(found)
    # All steps are at whole Wh, so that samples between them sum up exactly.
    between = np.arange(start, start + width) + 0.5
    assert curve.mean_gain(start, start + width) == pytest.approx(
        float(np.mean(curve.gain_at(between)))
    )


@given(trials)
def test_band_of_one_search_is_its_curve(found: list[tuple[float, float | None]]) -> None:
    curve = trace(found)
    summed = band([curve])
    assert summed.median == summed.low == summed.high
    assert list(summed.median) == curve.gain_at(summed.energy_wh).tolist()
    # It begins with what was found first; where nothing ever was, with the first trial.
    assert summed.energy_wh[0] == (curve.energy_to(1e-12) or curve.energy_wh[0])
    assert summed.energy_wh[-1] == curve.total_wh


@settings(deadline=None)
@given(st.lists(trials, min_size=1, max_size=5))
def test_band_tells_all_between_its_points(
    searches: list[list[tuple[float, float | None]]],
) -> None:
    curves = [trace(found) for found in searches]
    summed = band(curves)
    dense = np.arange(summed.energy_wh[0], summed.energy_wh[-1] + 0.5, 0.5)
    steps = np.searchsorted(summed.energy_wh, dense, side="right") - 1
    assert summed.energy_wh[-1] == max(curve.total_wh for curve in curves)
    for quantile, values in ((0.25, summed.low), (0.5, summed.median), (0.75, summed.high)):
        expected = np.quantile([curve.gain_at(dense) for curve in curves], quantile, axis=0)
        assert np.asarray(values)[steps] == pytest.approx(expected)


def test_band_begins_where_every_search_has_something_and_holds_those_that_ended() -> None:
    summed = band([trace([(1.0, 0.2), (1.0, 0.8)]), trace([(1.5, 0.4), (4.5, 0.6)])])
    assert summed.energy_wh == (1.5, 2.0, 6.0)
    assert summed.median == pytest.approx((0.3, 0.6, 0.7))
    assert summed.low == pytest.approx((0.25, 0.5, 0.65))
    assert summed.high == pytest.approx((0.35, 0.7, 0.75))


def test_band_of_many_rises_is_thinned_and_keeps_both_ends() -> None:
    curve = trace([(1.0, index / 500) for index in range(1, 401)])
    summed = band([curve])
    assert len(summed.energy_wh) == MOST_POINTS
    assert (summed.energy_wh[0], summed.energy_wh[-1]) == (1.0, 400.0)
    assert list(summed.median) == curve.gain_at(summed.energy_wh).tolist()


def sessions(*sessions: str, **changed: Any) -> list[dict[str, Any]]:
    return [
        row(strategy=strategy, session=session, repeat=repeat, **changed)
        for session in sessions
        for repeat in (0, 1)
        for strategy in ("random", "grid")
    ]


def test_searches_are_told_apart_by_session_and_repeat() -> None:
    found = read_searches(sessions("s1", case_hash="a") + sessions("s2", case_hash="b"))
    assert {name: len(searches) for name, searches in found.items()} == {"grid": 4, "random": 4}
    assert found["grid"][2].name == "grid, session s2, repeat 0"


def test_a_search_that_is_run_again_with_its_seed_counts_once_by_the_latest_energy() -> None:
    found = read_searches(sessions("s1", "s2", case_hash="a"))
    assert [search.name for search in found["grid"]] == [
        "grid, session s2, repeat 0",
        "grid, session s2, repeat 1",
    ]
    unknown = sessions("s3", case_hash="a", energy_wh=None)
    found = read_searches(sessions("s2", case_hash="a") + unknown)
    assert {search.rows[0]["session"] for search in found["grid"]} == {"s2"}


def test_rows_without_session_and_repeat_are_one_search() -> None:
    (search,) = read_searches([row(), row(), row()])["random"]
    assert len(search.rows) == 3
    assert search.name == "random"


def test_trials_are_put_in_order() -> None:
    accuracy_of = {2: 0.9, 10: 0.95, 1: 0.5}
    (search,) = read_searches([row(trial=i, val_score=a) for i, a in accuracy_of.items()])["random"]
    assert search.best.tolist() == [0.5, 0.9, 0.95]


def test_several_searches_that_look_like_one_are_refused() -> None:
    rows = [row(trial=trial, place=f"a.csv:{trial}") for trial in (0, 1, 0)]
    with pytest.raises(NotComparableError, match=r"random: trial 0 occurs 2 times.*`repeat`"):
        read_searches(rows)


@pytest.mark.parametrize(
    ("figures", "is_counted", "is_counted_if_disturbed"),
    [
        ({}, True, True),
        ({"energy_wh": None}, False, False),
        ({"marks": "short disturbed"}, False, True),
        ({"marks": "undisturbed"}, True, True),
        ({"marks": "disturbed", "energy_wh": None}, False, False),
        ({"energy_wh": 0.0}, True, True),
        ({"val_score": None}, True, True),
    ],
    ids=str,
)
def test_energy_counts_if_it_is_known_of_every_trial_and_undisturbed(
    figures: dict[str, Any], is_counted: bool, is_counted_if_disturbed: bool
) -> None:
    rows = [row(), row(**figures)]
    (search,) = read_searches(rows)["random"]
    assert (search.curve is not None) == is_counted == (search.reason is None)
    (search,) = read_searches(rows, include_disturbed=True)["random"]
    assert (search.curve is not None) == is_counted_if_disturbed
    assert len(search.best) == 2


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"val_score": 98.1}, "val_score is 98.1; expected a share from 0 to 1"),
        ({"val_score": "n/a"}, "val_score is 'n/a'"),
        ({"val_score": float("nan")}, "val_score is nan"),
        ({"energy_wh": -0.1}, "energy_wh is -0.1; expected a finite number of at least 0"),
        ({"energy_wh": float("inf")}, "energy_wh is inf"),
    ],
    ids=str,
)
def test_what_is_no_figure_is_refused_by_its_place(figures: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^mine\.csv:7: {words}"):
        read_searches([row(), CsvRow("mine.csv:7", row(**figures).items())])


def asha_rows(**changed: Any) -> list[dict[str, Any]]:
    """Return a search whose best trial pauses while another one runs, and is trained again."""
    found = [
        make_segmented(0, (0, 3600.0, 0.5), (2, 7200.0, 0.9), status=TrialStatus.COMPLETED),
        make_segmented(1, (1, 3600.0, 0.6), status=TrialStatus.STOPPED),
        replace(make_trial(2, accuracy=1.0, energy_j=3600.0), reevaluates=0),
    ]
    result = make_result(Case("random+asha"), trials=found, **changed)
    return to_trial_rows(result)


def test_curve_of_a_scheduler_follows_time() -> None:
    (search,) = read_searches(asha_rows())["random+asha"]
    assert search.curve is not None
    assert search.curve.energy_wh.tolist() == [1.0, 2.0, 4.0, 5.0]
    assert search.curve.gain.tolist() == [0.0, 0.0, 0.9, 0.9]


def test_first_trials_of_a_scheduler_count_as_they_ended() -> None:
    (search,) = read_searches(asha_rows())["random+asha"]
    assert search.best.tolist() == [0.9, 0.9]
    assert len(search.rows) == 3


@pytest.mark.parametrize(
    ("changed", "has_block"),
    [({"prior": "log"}, True), ({"prior": None}, False), ({"prior": "log", "repeat": 3}, True)],
    ids=str,
)
def test_searches_share_seeds_if_results_name_their_prior(
    changed: dict[str, Any], has_block: bool
) -> None:
    (search,) = read_searches(asha_rows(**changed))["random+asha"]
    assert search.block == (f"repeat {changed.get('repeat', 0)}" if has_block else None)


@example([(1.0, 0.5)])
@given(trials)
def test_unit_of_energy_changes_no_accuracy(found: list[tuple[float, float | None]]) -> None:
    curve = trace(found)
    other = trace([(energy * 3600, accuracy) for energy, accuracy in found])
    points = np.linspace(0, curve.total_wh, 7)
    assert curve.gain_at(points).tolist() == other.gain_at(points * 3600).tolist()
    assert band([curve]).median == band([other]).median


def test_band_begins_where_each_search_has_found_something() -> None:
    early = Anytime(np.array([1.0, 2.0]), np.array([0.5, 0.6]))
    late = Anytime(np.array([0.5, 1.5, 3.0]), np.array([0.0, 0.7, 0.8]))
    assert band([early, late]).energy_wh[0] == 1.5
