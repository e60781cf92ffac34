from collections.abc import Sequence
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench.gate.bounds import mean_bounds, ratio_bounds, session_bounds
from greenbench.gate.rules import (
    Finding,
    hopeless,
    judge_cost,
    judge_count,
    judge_drop,
    judge_growth,
    judge_increase,
    judge_least,
    judge_turns,
)
from greenbench.gate.sequential import is_new_first

BIG = 2**53
STEADY = (1.0, 1.02, 0.99, 1.01, 0.98)
NOISY = (0.9, 1.3, 1.05, 1.2, 0.85)

costs = st.lists(st.floats(0.01, 100.0), min_size=5, max_size=6)


def times(factor: float, samples: tuple[float, ...] = STEADY) -> list[float]:
    return [factor * value for value in samples]


@pytest.mark.parametrize(
    ("values", "most", "is_violated"),
    [
        ([60_000], 60_000.0, False),
        ([60_001], 60_000.0, True),
        ([59_000, 60_001, 59_000], 60_000.0, True),
        ([0], 0.0, False),
        ([BIG + 1], BIG + 1, False),
        ([BIG + 1], BIG, True),
        # A budget is read as a float, which is the next even number here.
        ([BIG + 3], float(BIG + 3), False),
    ],
)
def test_count_is_judged_exactly_by_its_largest_value(
    values: list[float], most: float, is_violated: bool
) -> None:
    found = judge_count(values, most)
    assert found.is_violated is is_violated
    assert found.compared == found.low == found.high == max(values)


@pytest.mark.parametrize(
    ("value", "known", "most", "is_violated"),
    [
        (1_000, 1_000, 1.0, False),
        (1_001, 1_000, 1.0, True),
        (999, 1_000, 1.0, False),
        (110, 100, 1.1, False),
        (111, 100, 1.1, True),
        (BIG + 1, BIG + 1, 1.0, False),
        (BIG + 1, BIG, 1.0, True),
        (0, 0, 1.0, False),
        (1, 0, 1.0, True),
        (1, 0, 1.5, True),
    ],
)
def test_growth_is_judged_exactly(
    value: float, known: float, most: float, is_violated: bool
) -> None:
    assert judge_growth([value], [known], most).is_violated is is_violated


@pytest.mark.parametrize(("value", "known"), [(float(BIG + 3), BIG + 3), (BIG + 3, float(BIG + 3))])
def test_whole_number_equals_what_a_store_made_of_it(value: float, known: float) -> None:
    assert judge_growth([value], [known], 1.0).is_violated is False


@given(st.integers(1, 10**17), st.integers(0, 100))
def test_growth_by_just_what_is_allowed_is_allowed(hundredth: int, percent: int) -> None:
    value, known = hundredth * (100 + percent), hundredth * 100
    most = 1 + percent / 100
    assert judge_growth([value], [known], most).is_violated is False
    assert judge_growth([value + 1], [known], most).is_violated is True


def test_growth_is_that_of_the_repeat_that_grew_most() -> None:
    found = judge_growth([100, 130, 90], [100, 100, 100], 1.2)
    assert found == Finding(True, 1.3, 1.3, 1.3, "the limit is exceeded")


def test_growth_from_nothing_has_no_ratio() -> None:
    found = judge_growth([5], [0], 1.0)
    assert (found.compared, found.low, found.high) == (None, None, None)
    assert judge_growth([0], [0], 1.0).compared == 1.0


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.96, 0.961, 0.962], False),
        ([0.90, 0.901, 0.902], True),
        ([0.93, 0.96, 0.95], None),
        ([0.95, 0.95, 0.95], False),
        ([0.95] * 7, False),
        ([0.949] * 3, True),
        ([0.99], None),
        ([0.10], None),
    ],
)
def test_least_accuracy_is_kept_missed_or_unclear(
    values: list[float], verdict: bool | None
) -> None:
    assert judge_least(values, 0.95).is_violated is verdict


def test_least_accuracy_shows_the_bounds_of_the_mean() -> None:
    values = [0.93, 0.96, 0.95]
    found = judge_least(values, 0.95)
    assert found.compared == pytest.approx(sum(values) / 3)
    assert (found.low, found.high) == mean_bounds(values, 0.98)
    assert found.reason == "the interval straddles the limit"


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ([0.001, 0.0, -0.001], False),
        ([-0.05, -0.051, -0.049], True),
        ([-0.02, 0.01, 0.0], None),
        ([-0.01] * 3, False),
        ([-0.011] * 3, True),
        ([0.05, 0.051, 0.049], False),
        ([-0.5], None),
    ],
)
def test_drop_is_within_the_margin_beyond_it_or_unclear(
    changes: list[float], verdict: bool | None
) -> None:
    assert judge_drop(changes, 0.01).is_violated is verdict


@pytest.mark.parametrize(("factor", "verdict"), [(0.7, False), (1.0, None), (1.4, True)])
def test_cost_is_below_the_budget_above_it_or_unclear(factor: float, verdict: bool | None) -> None:
    found = judge_cost(times(factor), 1.0, 0.1)
    assert found.is_violated is verdict
    assert found.compared == factor


def test_cost_beyond_the_budget_by_less_than_sessions_differ_is_unclear() -> None:
    assert judge_cost(times(1.1), 1.0, 0.0).is_violated is True
    assert judge_cost(times(1.1), 1.0, 0.1).is_violated is None


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_cost_nearer_to_the_budget_than_its_uncertainty_is_unclear_and_says_so(
    factor: float,
) -> None:
    samples = [factor] * 9
    assert judge_cost(samples, 1.0, 0.0, 0.05).is_violated is (factor > 1)
    found = judge_cost(samples, 1.0, 0.0, 0.12)
    assert found.is_violated is None
    assert found.compared == factor
    assert found.reason == (
        "the limit is within the 12.0% that a sample is uncertain by: train for longer"
    )


@pytest.mark.parametrize(
    ("factor", "verdict"), [(0.5, False), (1.0, False), (1.1, None), (1.3, True)]
)
def test_increase_in_one_session_is_kept_unclear_or_violated(
    factor: float, verdict: bool | None
) -> None:
    found = judge_increase(times(factor), {"s": STEADY}, 1.1, 0.0)
    assert found.is_violated is verdict
    assert found.compared == pytest.approx(factor)


def test_increase_in_one_session_shows_the_bounds_of_ranks() -> None:
    found = judge_increase(NOISY, {"s": STEADY}, 1.1, 0.0)
    assert (found.low, found.high) == ratio_bounds(NOISY, STEADY, 0.95)


def test_increase_over_a_stored_session_is_judged_with_the_noise_between_them() -> None:
    found = judge_increase(times(1.3), {"s": STEADY}, 1.1, 0.1)
    assert found.is_violated is None
    assert (found.low, found.high) == ratio_bounds(times(1.3), STEADY, 0.95, 0.1)


def test_five_stored_sessions_say_their_noise_themselves() -> None:
    levels = (1.0, 1.01, 0.99, 1.005, 1.02)
    sessions = {str(level): times(level) for level in levels[:4]}
    assert judge_increase(times(1.3), sessions, 1.1, 0.1).is_violated is None
    sessions["fifth"] = times(levels[4])
    found = judge_increase(times(1.3), sessions, 1.1, 0.1)
    assert found.is_violated is True
    assert (found.low, found.high) == session_bounds(times(1.3), list(sessions.values()), 0.95)


def test_sessions_without_noise_between_them_are_one() -> None:
    known = [value for level in (0.9, 1.0, 1.1) for value in times(level)]
    sessions = {str(number): [value] for number, value in enumerate(known)}
    found = judge_increase(times(1.3), sessions, 1.1, 0.0)
    assert (found.low, found.high) == ratio_bounds(times(1.3), known, 0.95)


def test_sessions_that_vary_hide_an_increase() -> None:
    sessions = {str(level): times(level) for level in (0.7, 1.3, 0.9, 1.1, 1.0)}
    assert judge_increase(times(1.3), sessions, 1.1, 0.1).is_violated is None


@given(costs, st.lists(costs, min_size=1, max_size=6), st.floats(0.5, 1.0), st.floats(1.0, 2.0))
def test_cost_that_is_unchanged_or_lower_never_violates(
    samples: list[float], others: list[list[float]], factor: float, most: float
) -> None:
    known = [value for each in others for value in each]
    lower = [factor * min(known)] * len(samples)
    sessions = {str(number): each for number, each in enumerate(others)}
    for noise in (0.0, 0.1):
        assert judge_increase(lower, sessions, most, noise).is_violated is not True
        assert judge_increase(samples, {"s": samples}, most, noise).is_violated is not True


def test_unchanged_cost_does_not_violate_where_nothing_is_allowed() -> None:
    assert judge_increase(STEADY, {"s": STEADY}, 1.0, 0.0).is_violated is None
    assert judge_increase([1.0] * 5, {"s": [1.0] * 5}, 1.0, 0.0).is_violated is False


def test_growth_that_is_likely_but_not_sure_is_unclear_and_says_so() -> None:
    # Three and three samples reach 95%, never 98%.
    found = judge_increase([1.5, 1.51, 1.52], {"s": [1.0, 1.01, 1.02]}, 1.1, 0.0)
    assert found.is_violated is None
    assert found.low is not None
    assert found.low > 1.1
    assert found.reason == "that it grew at all is less certain than 98%: run more repeats"


def test_too_few_samples_for_an_interval_are_unclear_and_say_so() -> None:
    expected = Finding(None, 2.0, None, None, "there are too few samples for an interval")
    assert judge_increase([2.0], {"s": [1.0]}, 1.1, 0.0) == replace(expected, is_open=True)
    assert judge_cost([2.0], 1.0, 0.1) == replace(expected, is_open=True)
    assert judge_least([2.0], 3.0) == expected
    assert judge_drop([2.0], 0.01) == expected


@pytest.mark.parametrize("samples", [(0.0, 1.0, 1.0, 1.0, 1.0), (0.0,) * 5])
def test_cost_that_the_meter_did_not_resolve_is_unclear(samples: tuple[float, ...]) -> None:
    reason = "a sample is 0: the meter did not resolve it"
    assert judge_cost(samples, 0.5, 0.1).is_violated is None
    assert judge_cost(samples, 0.5, 0.1).reason == reason
    # There is no ratio, and a median of energies is none.
    unknown = Finding(None, None, None, None, reason)
    assert judge_increase(samples, {"s": STEADY}, 1.1, 0.0) == unknown
    assert judge_increase(STEADY, {"s": samples}, 1.1, 0.0) == unknown
    assert judge_increase(STEADY, {"s": STEADY, "t": samples}, 1.1, 0.1) == unknown


def test_no_finding_has_a_bound_that_is_infinite() -> None:
    found = judge_increase([1.0, 2.0], {"s": [1.0, 2.0]}, 1.1, 0.0)
    assert inf not in (found.low, found.high)


def turns(here: Sequence[float], base: Sequence[float], most: float = 1.1, **how: int) -> Finding:
    first = [is_new_first(number) for number in range(len(here))]
    return judge_turns(list(zip(here, base, strict=True)), first, most, **how)


@pytest.mark.parametrize(
    ("factor", "verdict", "reason"),
    [
        (0.5, False, "the limit is kept; decided after 3 pairs"),
        (1.0, False, "the limit is kept; decided after 3 pairs"),
        (1.09, None, "the interval straddles the limit after 5 pairs"),
        (1.3, True, "the limit is exceeded; decided after 3 pairs"),
    ],
)
def test_turns_are_kept_open_or_violated_after_as_many_pairs_as_it_takes(
    factor: float, verdict: bool | None, reason: str
) -> None:
    found = turns(times(factor), STEADY[::-1])
    assert (found.is_violated, found.reason) == (verdict, reason)
    assert found.is_open is (verdict is None)
    assert found.low is not None
    assert found.high is not None
    assert (found.low > 1.1) is (verdict is True)
    assert (found.high <= 1.1) is (verdict is False)


def test_certain_growth_that_is_likely_too_much_is_violated_and_says_how_sure_that_is() -> None:
    found = turns(times(1.13), STEADY[::-1])
    assert found.is_violated
    assert found.low is not None
    assert found.low < 1.1
    assert found.reason == (
        "the limit is exceeded; decided after 3 pairs: that it grew is certain, that it did by "
        "more than is allowed likely (75%)"
    )


def test_pairs_after_the_decision_change_nothing() -> None:
    few = turns(times(1.3)[:3], STEADY[::-1][:3])
    assert turns([*times(1.3), 0.1, 0.1], [*STEADY[::-1], 5.0, 5.0]) == few


def test_no_look_is_earlier_than_the_first() -> None:
    assert turns(times(1.3), STEADY[::-1], fewest=4).reason.endswith("after 4 pairs")


def test_growth_that_is_sure_enough_for_one_limit_is_not_for_many() -> None:
    alone, many = (turns(times(1.06), STEADY[::-1], 1.0, family=each) for each in (1, 200))
    assert (alone.is_violated, many.is_violated) == (True, None)
    assert many.reason.startswith("that it grew at all is less certain than 98%")


def test_turns_of_a_machine_that_drifts_are_compared_round_by_round() -> None:
    base = [pace * value for pace, value in zip((1.0, 1.5, 2.1, 3.0, 4.2), STEADY, strict=True)]
    here = [1.3 * pace for pace in (1.0, 1.5, 2.1, 3.0, 4.2)]

    found = turns(here, base, fewest=5)

    assert found.is_violated
    assert found.compared == pytest.approx(1.3, rel=0.01)
    assert found.low is not None
    assert found.high is not None
    assert 1.25 < found.low < found.high < 1.35
    assert found.reason.startswith("the limit is exceeded; pairs of a round are compared")
    assert judge_increase(here, {"s": base}, 1.1, 0.0).is_violated is None


def test_no_number_of_repeats_lessens_the_noise_between_sessions() -> None:
    found = judge_cost(times(1.0), 1.1, 0.1)
    assert (found.is_violated, found.is_open) == (None, False)
    assert found.reason == (
        "the interval straddles the limit; more repeats cannot decide it: noise between sessions "
        "is 10%; measure in turn: --baseline interleaved:auto"
    )
    assert judge_cost(NOISY, 1.3, 0.01).is_open
    assert judge_increase(times(1.1), {"s": STEADY}, 1.1, 0.1).is_open is False
    assert judge_increase(NOISY, {"s": STEADY}, 1.1, 0.01).is_open is True


@pytest.mark.parametrize(
    ("compared", "is_hopeless"), [(0.7, False), (1.0, True), (1.2, True), (1.4, False)]
)
def test_more_repeats_decide_what_noise_between_sessions_does_not_straddle(
    compared: float, is_hopeless: bool
) -> None:
    assert (hopeless(compared, 1.1, 0.1, 0.2) is not None) is is_hopeless


def test_noise_that_was_learned_of_few_sessions_is_less_sure_than_what_is_said() -> None:
    said, learned = (judge_cost(times(1.0), 1.2, 0.05, 0.0, each) for each in (inf, 4))
    assert (said.is_violated, learned.is_violated) == (False, False)
    assert said.high is not None
    assert learned.high is not None
    assert said.high < learned.high


def test_a_sample_of_zero_has_no_pair() -> None:
    found = turns([1.0, 0.0], [1.0, 1.0])
    assert (found.is_violated, found.compared) == (None, None)
