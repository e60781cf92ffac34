"""What a counter that ticks says of the phases between its ticks."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.bench_counter import Job, alone, interpolation, make, raw_edges, session, summary
from greenbench.energy.counter_values import Ticks
from greenbench.energy.habits import Apportioner
from greenbench.energy.ticks import Apportioned, Segments, apportion
from greenbench.errors import EnergyError

Floats = NDArray[np.float64]

POWER_W = {"other": 123.0, "train": 670.0, "evaluate": 400.0, "search": 150.0}
LENGTHS = st.lists(
    st.tuples(st.sampled_from(sorted(POWER_W)), st.floats(0.0, 1.5)), min_size=1, max_size=9
).filter(lambda parts: sum(length for _, length in parts) > 0.05)


def ticking(
    parts: Sequence[tuple[str, float]],
    lag_s: float = 0.0,
    *,
    start_s: float = 0.0,
    late_s: float = 0.0,
    seed: int = 0,
    power_w: dict[str, float] = POWER_W,
) -> tuple[Ticks, Segments, Floats]:
    """Return ticks of about 0.1 s, segments, and the joules that each truly used."""
    rng = np.random.default_rng(seed)
    edges = np.concatenate(([0.0], np.cumsum([length for _, length in parts])))
    phases = [phase for phase, _ in parts]
    power = np.array([power_w[phase] for phase in phases])
    outer = np.concatenate(([-9.0], edges[1:-1], [edges[-1] + 9.0]))
    summed = np.concatenate(([0.0], np.cumsum(power * np.diff(outer))))
    times = -0.15 + np.cumsum(rng.uniform(0.0978, 0.1025, int(edges[-1] / 0.0978) + 6))
    values = np.interp(times - lag_s, outer, summed)
    seen = times + rng.uniform(0, late_s, times.size)
    used = power * np.diff(edges)
    return Ticks(seen + start_s, values), Segments(edges + start_s, phases), used


def trials(window_s: float, count: int = 12) -> list[tuple[str, float]]:
    """Return the parts of a repeat that has so many trials."""
    each = [("search", 0.031), ("train", window_s), ("other", 0.008), ("evaluate", 0.083)]
    return [("other", 0.7), *(each * count), ("other", 0.63)]


@settings(deadline=None, max_examples=12)
@given(parts=LENGTHS, lag_s=st.floats(0, 0.05), seed=st.integers(0, 99))
def test_segments_and_phases_sum_to_the_total_and_none_is_negative(
    parts: list[tuple[str, float]], lag_s: float, seed: int
) -> None:
    ticks, segments, used = ticking(parts, lag_s, seed=seed, late_s=0.003)
    found = apportion(ticks, segments)
    assert found.energy_j.shape == used.shape
    assert found.energy_j.sum() == pytest.approx(found.total_j)
    assert sum(found.phase_j.values()) == pytest.approx(found.total_j)
    assert (found.energy_j >= 0).all()
    assert (found.segment_uncertainty_j >= 0).all()
    assert found.total_uncertainty_j >= 0
    assert set(found.phase_j) == set(found.phase_uncertainty_j)
    assert set(found.phase_j) | set(found.booked_with) == set(segments.phases)
    assert not set(found.phase_j) & set(found.booked_with)


@settings(deadline=None, max_examples=12)
@given(parts=LENGTHS, seed=st.integers(0, 99))
def test_constant_power_gives_power_times_seconds(
    parts: list[tuple[str, float]], seed: int
) -> None:
    constant = dict.fromkeys(POWER_W, 300.0)
    ticks, segments, used = ticking(parts, seed=seed, power_w=constant)
    assert apportion(ticks, segments).energy_j == pytest.approx(used, rel=1e-6, abs=1e-6)


@settings(deadline=None, max_examples=4)
@given(start_s=st.floats(-1e4, 1e5), seed=st.integers(0, 9))
def test_it_does_not_matter_when_a_clock_began(start_s: float, seed: int) -> None:
    here = apportion(*ticking(trials(0.2), 0.012, seed=seed, late_s=0.003)[:2])
    there = apportion(*ticking(trials(0.2), 0.012, start_s=start_s, seed=seed, late_s=0.003)[:2])
    assert there.phase_j == pytest.approx(here.phase_j, rel=1e-3)
    assert there.lag_s == pytest.approx(here.lag_s, abs=1e-3)


def test_a_segment_cut_in_two_keeps_its_joules() -> None:
    whole = trials(0.21)
    cut = [
        part
        for phase, length in whole
        for part in (
            [(phase, length / 3), (phase, 2 * length / 3)]
            if phase == "train"
            else [(phase, length)]
        )
    ]
    one = apportion(*ticking(whole, 0.01, late_s=0.003)[:2])
    two = apportion(*ticking(cut, 0.01, late_s=0.003)[:2])
    assert two.phase_j == pytest.approx(one.phase_j, rel=2e-3)


def test_a_total_heeds_that_neighbouring_ticks_may_be_off_alike() -> None:
    ticks, segments, used = ticking(trials(0.21), lag_s=0.01)
    off_s = np.linspace(-0.003, 0.003, ticks.times_s.size)
    seen = Ticks(ticks.times_s + off_s, ticks.energy_j)
    found = apportion(seen, segments)
    off_j = abs(found.total_j - used.sum())
    assert found.total_uncertainty_j < off_j

    def stated(within_s: float) -> Apportioned:
        return apportion(replace(seen, within_s=np.full_like(off_s, within_s)), segments)

    told, sharp = stated(0.004), stated(1e-4)
    assert off_j < told.total_uncertainty_j < 2 * off_j
    assert told.phase_uncertainty_j["train"] > found.phase_uncertainty_j["train"]
    assert sharp.total_uncertainty_j == pytest.approx(found.total_uncertainty_j, rel=0.2)
    assert told.phase_j == pytest.approx(found.phase_j)


def test_lag_is_found_and_phases_are_exact_without_noise() -> None:
    ticks, segments, used = ticking(trials(0.21), lag_s=0.017)
    found = apportion(ticks, segments)
    assert found.lag_s == pytest.approx(0.017, abs=5e-4)
    assert found.energy_j == pytest.approx(used, rel=0.01, abs=0.1)
    assert found.tick_s == pytest.approx(0.1, abs=0.003)


@pytest.mark.simulated
@pytest.mark.parametrize("window_s", [1.04, 0.21])
def test_windows_of_a_few_ticks_are_right_where_raw_edges_are_not(window_s: float) -> None:
    raw, between, ours = [], [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        parts = [
            ("other", rng.uniform(0.5, 1.5)),
            ("train", window_s),
            ("evaluate", 0.2),
            ("other", 0.8),
        ]
        ticks, segments, used = ticking(parts, 0.008, seed=seed, late_s=0.003)
        times, edges = ticks.times_s, segments.edges_s
        at = np.searchsorted(times, edges, "right") - 1
        raw.append(np.diff(ticks.energy_j[at])[1] / used[1] - 1)
        between.append(np.diff(np.interp(edges, times, ticks.energy_j))[1] / used[1] - 1)
        ours.append(apportion(ticks, segments).phase_j["train"] / used[1] - 1)
    spread = 0.2 / window_s
    assert np.mean(raw) < -0.15 * spread
    assert np.abs(raw).max() > 0.3 * spread
    assert np.mean(between) < -0.03 * spread
    assert abs(np.mean(ours)) < 0.025 * spread
    assert np.quantile(np.abs(ours), 0.9) < 0.1 * spread


def test_trials_of_one_phase_may_use_different_power() -> None:
    power = {"other": 123.0, "a": 670.0, "b": 250.0}
    parts = [("other", 0.6), ("a", 1.5), ("other", 0.31), ("b", 1.5), ("other", 0.6)]
    ticks, segments, used = ticking(parts, 0.01, power_w=power, late_s=0.003)
    same = Segments(segments.edges_s, ["other", "train", "other", "train", "other"])
    found = apportion(ticks, same).energy_j
    assert found[1] == pytest.approx(used[1], rel=0.02)
    assert found[3] == pytest.approx(used[3], rel=0.02)


def booked(parts: Sequence[tuple[str, float]]) -> tuple[Apportioned, Floats]:
    ticks, segments, used = ticking(parts)
    return apportion(ticks, segments), used


def test_a_phase_of_less_than_a_tick_in_all_is_booked_with_its_neighbour() -> None:
    found, used = booked(
        [
            ("other", 0.8),
            ("search", 0.03),
            ("train", 1.2),
            ("search", 0.03),
            ("train", 1.0),
            ("other", 0.5),
        ]
    )
    assert found.booked_with == {"search": "train"}
    assert set(found.phase_j) == {"other", "train"}
    assert found.phase_j["train"] == pytest.approx(used[1:5].sum(), rel=0.02)
    assert sum(found.phase_j.values()) == pytest.approx(found.total_j)


def test_a_phase_that_lasts_long_enough_in_many_short_segments_has_a_figure() -> None:
    found, used = booked(trials(0.2, count=20))
    assert found.booked_with == {}
    assert found.phase_j["search"] == pytest.approx(used[1::4][:20].sum(), rel=0.05)


def test_short_phases_that_only_touch_each_other_end_with_a_long_one() -> None:
    found, _ = booked([("other", 0.9), ("search", 0.02), ("evaluate", 0.03)])
    assert found.booked_with == {"search": "other", "evaluate": "other"}


def test_all_in_less_than_a_tick_is_one_figure() -> None:
    found, _ = booked([("search", 0.03), ("train", 0.04)])
    assert found.booked_with == {"search": "train"}
    assert found.phase_j["train"] == pytest.approx(found.total_j)


def test_no_power_at_all_is_shared_out_as_nothing() -> None:
    found = apportion(Ticks(np.arange(9) / 10, np.zeros(9)), Segments(np.array([0.05, 0.7]), ["a"]))
    assert found.total_j == 0.0
    assert found.energy_j.tolist() == [0.0]


def test_phases_are_right_while_ticks_grow_and_few_fits_are_made() -> None:
    ticks, segments, used = ticking(trials(0.21, count=30), 0.012)
    trained = np.array(segments.phases) == "train"
    share, lags = Apportioner(), []
    for ended in range(5, len(segments.phases), 4):
        count = int(np.searchsorted(ticks.times_s, segments.edges_s[ended])) + 1
        now = Ticks(ticks.times_s[:count], ticks.energy_j[:count])
        found = share(now, Segments(segments.edges_s[: ended + 1], segments.phases[:ended]))
        lags.append(tuple(each.lag_s for each in found.explanations))
        if ended > 60:
            own = used[:ended][trained[:ended]].sum()
            assert found.phase_j["train"] == pytest.approx(own, rel=0.04)
    # From 14 ticks to 130: each time that there were a quarter more of them.
    assert 6 <= len(set(lags)) <= 12


TIMES = np.arange(10) / 10
VALUES = np.arange(10) * 12.0


@pytest.mark.parametrize(
    ("times", "values", "edges", "reason"),
    [
        (TIMES, VALUES, [0.05, 1.3], "do not cover"),
        (TIMES, VALUES, [-0.05, 0.5], "do not cover"),
        (TIMES, np.where(TIMES == 0.5, 3.0, VALUES), [0.05, 0.7], "never fall"),
        (TIMES, np.where(TIMES == 0.5, np.nan, VALUES), [0.05, 0.7], "no number"),
        (np.where(TIMES == 0.5, np.inf, TIMES), VALUES, [0.05, 0.7], "no number"),
        (np.where(TIMES == 0.5, 0.4, TIMES), VALUES, [0.05, 0.7], "must rise"),
        (TIMES[:1], VALUES[:1], [0.0, 0.0], "at least two"),
        (TIMES, VALUES[:-1], [0.05, 0.7], "at least two"),
        (TIMES, VALUES, [0.7, 0.05], "never fall"),
        (TIMES, VALUES, [0.2, 0.2], "nothing to share"),
        (TIMES, VALUES, [0.05, 0.2, 0.7], "one edge more"),
    ],
)
def test_refuses_in_one_line(
    times: Floats, values: Floats, edges: list[float], reason: str
) -> None:
    with pytest.raises(EnergyError, match=reason) as caught:
        apportion(Ticks(times, values), Segments(np.array(edges), ["train"]))
    assert "\n" not in str(caught.value)


def test_a_long_repeat_is_fitted_from_some_of_its_ticks_alike() -> None:
    ticks, segments, used = ticking(trials(1.9, count=110), 0.011, late_s=0.003)
    assert ticks.times_s.size > 2000
    found = apportion(ticks, segments)
    train = used[np.array(segments.phases) == "train"].sum()
    assert found.phase_j["train"] == pytest.approx(train, rel=2e-3)
    assert found.lag_s == pytest.approx(0.0125, abs=1e-3)


@pytest.mark.parametrize(
    ("window", "p95_error"), [("40 × 0.05 s", 0.02), ("0.2 s", 0.10), ("1 s", 0.02), ("3 s", 0.01)]
)
def test_simulated_sessions_keep_within_the_bars(window: str, p95_error: float) -> None:
    kinds = ("none", "decay of 60 ms", "ramp of 150 ms")
    rows = [row for kind in kinds for row in session(Job(window, kind, 3, 0), {})]
    found = summary(rows)
    assert found["p95_error"] <= p95_error
    assert abs(found["bias"]) <= 0.005
    assert found["total_held"] >= 0.8


@pytest.mark.simulated
@pytest.mark.parametrize("transient", ["decay of 20 ms", "ramp of 50 ms"])
def test_a_session_tells_lag_from_transient_where_one_repeat_does_not(transient: str) -> None:
    sessions = [session(Job("0.2 s", transient, 3, run), {"alone": alone}) for run in range(3)]
    rows = [row for each in sessions for row in each]
    ours, single = summary(rows), summary(rows, "alone")
    assert abs(ours["bias"]) < 0.005
    assert ours["p95_error"] < 0.012 < single["p95_error"]


@pytest.mark.simulated
def test_simulated_raw_edges_and_interpolation_are_worse() -> None:
    repeats = [make("0.2 s", "none", np.random.default_rng(run)) for run in range(15)]
    for method, least in ((raw_edges, 0.1), (interpolation, 0.04)):
        errors = [method(each) / each.of("train", each.used_j) - 1 for each in repeats]
        assert np.mean(errors) < -least
