"""Ratios to a baseline: what is paired, what counts, and what is said of it."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench.cases import Case
from greenbench.compare.ratios import Ratio, Ratios, compare_ratios
from greenbench.errors import NotComparableError, UnknownNameError
from greenbench.results.table import to_row
from tests.builders import make_result

Row = dict[str, Any]


def sample(variant: str, repeat: Any, energy_wh: float | None, **changed: Any) -> Row:
    return {
        "practice": variant,
        "repeat": repeat,
        "energy_wh": energy_wh,
        "duration_s": 10.0,
        "test_score": 0.9,
        **changed,
    }


def samples(variant: str, energies_wh: Sequence[float | None], **changed: Any) -> list[Row]:
    return [sample(variant, repeat, wh, **changed) for repeat, wh in enumerate(energies_wh)]


def compare(rows: Sequence[Row], **options: Any) -> Ratios:
    return compare_ratios(rows, "practice", **{"group": ("network",), **options})


def only(found: Ratios) -> Ratio:
    (ratio,) = found.ratios
    return ratio


def median(ratio: Ratio) -> float:
    assert ratio.energy is not None
    return ratio.energy.median


BASE = samples("none", [1.0, 2.0, 4.0])
HALF = samples("early", [0.5, 1.0, 2.0])


# Pairs


def test_repeats_are_paired_by_their_number_whatever_the_order() -> None:
    ratio = only(compare([*reversed(BASE), *HALF]))
    assert ratio.energy is not None
    assert (ratio.variant, ratio.baseline, ratio.pairs) == ("early", "none", 3)
    assert (ratio.energy.median, ratio.energy.low, ratio.energy.high) == (0.5, 0.5, 0.5)


def test_a_repeat_without_a_partner_is_left_out() -> None:
    ratio = only(compare([*BASE, *samples("early", [0.5, 1.0, 2.0, 400.0])]))
    assert (ratio.pairs, median(ratio)) == (3, 0.5)
    assert ratio.energy is not None
    assert ratio.energy.high == 0.5


def test_repeats_of_two_sessions_are_not_paired() -> None:
    rows = [{**row, "session": "a"} for row in BASE] + [{**row, "session": "b"} for row in HALF]
    ratio = only(compare(rows))
    assert (ratio.pairs, ratio.energy) == (0, None)
    assert ratio.reason == "no repeat has a partner"
    assert compare(rows).sentence == (
        "early: no ratio of energies to none (no repeat has a partner)."
    )


def test_a_repeat_that_comes_twice_is_refused_by_name() -> None:
    with pytest.raises(NotComparableError, match=r"^early in cnn: repeat 1 comes twice"):
        compare([{**row, "network": "cnn"} for row in [*BASE, *HALF, HALF[1]]])


def test_groups_are_compared_each_by_itself_and_then_together() -> None:
    rows = [
        {**row, "network": network, "energy_wh": row["energy_wh"] * times}
        for network, times in (("a", 1), ("b", 2), ("c", 3))
        for row in [*BASE, *samples("early", [times * wh for wh in (1.0, 2.0, 4.0)])]
    ]
    found = compare(rows)
    assert [(r.group, median(r)) for r in found.ratios] == [("a", 1.0), ("b", 2.0), ("c", 3.0)]
    (overall,) = found.overall
    assert overall.energy is not None
    # Each group is one sample: Student's on the logarithms of 1, 2 and 3.
    assert (overall.group, overall.pairs, overall.energy.n) == ("all", 3, 3)
    assert overall.energy.mean == pytest.approx(6 ** (1 / 3))
    assert (overall.energy.low, overall.energy.high) == pytest.approx((0.457, 7.223), rel=1e-3)
    assert found.sentence == (
        "No common difference in energy is shown: early takes 1.82 [0.457, 7.22] times the energy "
        "of none over all groups (p = 0.41), at the same accuracy; it differs in 2 of 3 groups. "
        "p is corrected for 4 comparisons (Holm)."
    )


def test_one_group_is_not_summed_up() -> None:
    found = compare([*BASE, *HALF])
    assert found.overall == ()
    assert found.sentence == (
        "early takes 0.5 [0.5, 0.5] times the energy of none (it differs, p < 0.0001), "
        "at the same accuracy."
    )


def test_groups_without_a_pair_are_named() -> None:
    rows = [*BASE, *HALF, *samples("none", [1.0], network="alone")]
    rows += samples("early", [1.0], network="bare") + samples("late", [1.0], network="bare")
    assert compare(rows).unpaired == ("alone", "bare")


def test_all_other_variants_are_compared_by_name() -> None:
    found = compare([*samples("zeta", [1.0]), *samples("alpha", [3.0]), *samples("none", [2.0])])
    assert [(r.variant, median(r)) for r in found.ratios] == [("alpha", 1.5), ("zeta", 0.5)]


# The baseline


@pytest.mark.parametrize(
    ("variants", "expected"),
    [
        (("keras", "torch", "none"), "torch"),
        (("early", "none"), "none"),
        (("zeta", "alpha"), "alpha"),
        (("zeta", "baseline"), "baseline"),
    ],
)
def test_the_usual_baseline_is_taken_or_else_the_first_by_name(
    variants: Sequence[str], expected: str
) -> None:
    assert compare([row for name in variants for row in samples(name, [1.0])]).baseline == expected


def test_a_named_baseline_is_taken() -> None:
    found = compare([*BASE, *HALF], baseline="early")
    assert (found.baseline, median(only(found))) == ("early", 2.0)


def test_an_unknown_baseline_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown practice 'non'; did you mean none"):
        compare([*BASE, *HALF], baseline="non")


# Which samples count


def test_disturbed_samples_count_for_accuracy_alone_unless_they_are_asked_for() -> None:
    noisy = [sample("early", 0, 50.0, marks="short disturbed", test_score=0.45), *HALF[1:]]
    quiet, counted = (
        only(compare([*BASE, *noisy], include_disturbed=each)) for each in (False, True)
    )
    assert quiet.energy is not None
    assert quiet.duration is not None
    assert quiet.score is not None
    assert counted.energy is not None
    assert (quiet.pairs, quiet.energy.n, quiet.duration.n, quiet.score.n) == (3, 2, 2, 3)
    assert quiet.score.median == 1.0
    assert quiet.score.mean == pytest.approx(0.5 ** (1 / 3))
    assert (counted.energy.n, counted.energy.mean) == (3, pytest.approx((50 / 4) ** (1 / 3)))


def test_delayed_samples_count_for_energy_alone_unless_they_are_asked_for() -> None:
    late = [sample("early", 0, 0.5, marks="delayed", duration_s=90.0), *HALF[1:]]
    quiet, counted = (
        only(compare([*BASE, *late], include_disturbed=each)) for each in (False, True)
    )
    for found, timed, mean in ((quiet, 2, 1.0), (counted, 3, 9 ** (1 / 3))):
        assert found.energy is not None
        assert found.duration is not None
        assert (found.energy.n, found.duration.n) == (3, timed)
        assert found.duration.mean == pytest.approx(mean)


def test_unknown_energies_leave_accuracy_and_time() -> None:
    found = compare([*BASE, *samples("early", [None] * 3)])
    ratio = only(found)
    assert ratio.score is not None
    assert ratio.duration is not None
    assert (ratio.energy, ratio.duration.n, ratio.score.n) == (None, 3, 3)
    assert ratio.reason == "no pair of repeats has two energies that count"
    assert ratio.reason in found.sentence


def test_a_repeat_that_failed_does_not_look_cheap() -> None:
    failed = sample("early", 0, 0.001, status="failed", test_score=None)
    ratio = only(compare([*BASE, failed, *HALF[1:]]))
    assert (ratio.pairs, median(ratio)) == (2, 0.5)


@pytest.mark.parametrize("energy_wh", [0.0, 1e-310])
def test_nothing_is_divided_by_nothing(energy_wh: float) -> None:
    ratio = only(compare([*samples("none", [energy_wh] * 3), *samples("early", [1e90] * 3)]))
    assert ratio.energy is None
    assert ratio.reason == "in no pair are both energies above 0"
    only_one = only(compare([*samples("none", [energy_wh, 2.0, 2.0]), *HALF]))
    assert only_one.energy is not None
    assert only_one.energy.n == 2


def test_a_pair_in_which_nothing_was_read_has_no_ratio_either_way_round() -> None:
    assert only(compare([*BASE, *samples("early", [0.0] * 3)])).energy is None
    some = only(compare([*BASE, *samples("early", [0.0, 1.0, 2.0])])).energy
    assert some is not None
    assert (some.n, some.mean) == (2, 0.5)


def test_two_pairs_have_an_interval_and_one_has_none() -> None:
    two = only(compare([*BASE[:2], *samples("early", [0.5, 1.1])])).energy
    assert two is not None
    assert two.low is not None
    assert two.high is not None
    assert (two.low < 0.5, two.high > 0.55, two.confidence) == (True, True, 0.95)
    found = compare([BASE[0], HALF[0]])
    one = only(found).energy
    assert one is not None
    assert (one.mean, one.low, one.high, one.confidence, one.p) == (0.5, None, None, None, None)
    assert only(found).reason == "1 of 2 pairs that an interval needs"
    assert found.sentence == (
        "early takes 0.5 times the energy of none, at the same accuracy; no interval from 1 pair."
    )


def test_what_is_not_shown_comes_first() -> None:
    found = compare([*BASE, *samples("early", [0.5, 2.2, 8.0])])
    assert found.sentence.startswith("No difference in energy is shown: early takes 1.03 [0.18")
    assert "differs" not in found.sentence
    assert "No difference" not in compare([*BASE, *HALF]).sentence


def test_several_comparisons_are_one_family() -> None:
    # By itself early has p = 0.02; of four comparisons the least counts four times.
    early = samples("early", [1.1, 2.3, 4.7])
    others = [row for name in "xyz" for row in samples(name, [1.01, 1.98, 4.03])]
    alone, together = compare([*BASE, *early]), compare([*BASE, *early, *others])
    assert "(it differs, p = 0.021)" in alone.sentence
    assert "differs" not in together.sentence
    assert together.sentence.endswith("p is corrected for 4 comparisons (Holm).")
    p = {ratio.variant: ratio.energy.p for ratio in together.ratios if ratio.energy}
    (by_itself,) = (ratio.energy.p for ratio in alone.ratios if ratio.energy)
    assert by_itself is not None
    assert p["early"] == pytest.approx(4 * by_itself)


def test_of_scores_that_are_0_somewhere_the_difference_is_told() -> None:
    rows = [*BASE, *samples("early", [0.5, 1.0, 2.0], test_score=0.0)]
    ratio = only(compare(rows))
    assert ratio.score is None
    assert ratio.score_difference is not None
    assert ratio.score_difference.mean == pytest.approx(-0.9)
    assert ", at -90.0 [-90.0, -90.0] points of accuracy (" in compare(rows).sentence


def test_a_score_counts_once_however_often_its_seed_ran() -> None:
    rows = [
        {**row, "session": session, "test_score": 0.9 + 0.01 * (row["practice"] == "early")}
        for session in "abcd"
        for row in [*BASE[:2], *HALF[:2]]
    ]
    ratio = only(compare(rows))
    assert ratio.energy is not None
    assert ratio.score is not None
    assert (ratio.energy.n, ratio.score.n, ratio.score.p) == (8, 2, 0.5)


# Refusals


@pytest.mark.parametrize("rows", [BASE, [], [{**row, "practice": None} for row in BASE]])
def test_a_single_variant_is_refused(rows: list[Row]) -> None:
    with pytest.raises(NotComparableError, match="a ratio needs two of them, and there is "):
        compare(rows)


def test_variants_that_never_ran_on_the_same_are_refused() -> None:
    rows = [{**row, "network": "a"} for row in BASE] + [{**row, "network": "b"} for row in HALF]
    with pytest.raises(NotComparableError, match=r"nothing was run both with 'none' .*: network$"):
        compare(rows)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("host", "host"),
        ("meter", "meter"),
        ("energy_provenance", "energy provenance"),
        ("energy_scope", "energy scope"),
        ("case_hash", "definition"),
    ],
)
def test_figures_that_came_about_differently_are_refused(column: str, words: str) -> None:
    rows = [{**row, column: "a"} for row in [*BASE, *HALF]]
    rows[-1][column] = "b"
    with pytest.raises(NotComparableError, match=rf"differ in {words} \(a, b\) .*{column}=a`$"):
        compare(rows)


def test_hosts_of_unknown_energies_do_not_matter() -> None:
    rows = [{**row, "host": "a"} for row in [*BASE, *HALF]]
    rows.append(sample("early", 9, None, host="b"))
    assert median(only(compare(rows))) == 0.5


def test_definitions_may_differ_between_variants() -> None:
    rows = [{**row, "case_hash": row["practice"]} for row in [*BASE, *HALF]]
    assert median(only(compare(rows))) == 0.5


def test_our_own_results_need_no_columns_to_be_named() -> None:
    rows = [
        to_row(make_result(Case(backend=backend), repeat=repeat, energy_j=energy_j))
        for backend, energy_j in (("torch", 36.0), ("keras", 72.0))
        for repeat in range(3)
    ]
    found = compare_ratios(rows, "backend")
    assert (found.baseline, found.provenance) == ("torch", "model")
    assert (only(found).group, median(only(found))) == ("default, simple_cnn, digits", 2.0)
    assert [record["energy_provenance"] for record in found.records()] == ["model"]


# What goes out


def test_an_answer_is_json_and_a_flat_table() -> None:
    found = compare([*BASE, *samples("early", [0.5, None, 2.0]), *samples("late", [None] * 3)])
    assert json.loads(json.dumps(asdict(found), allow_nan=False))["baseline"] == "none"
    early, late = found.records()
    assert (early["group"], early["variant"], early["pairs"]) == ("", "early", 3)
    assert (early["energy_ratio"], early["energy_low"], early["energy_p"]) == (0.5, 0.5, 0.0)
    assert early["energy_confidence"] == 0.95
    assert late["energy_ratio"] is None
    assert early.keys() == late.keys()
    assert early["energy_provenance"] is None


# Properties

energies = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=9)


def pair_up(numbers: Sequence[tuple[float, float]]) -> list[Row]:
    return [
        row
        for repeat, (one, other) in enumerate(numbers)
        for row in (sample("none", repeat, one), sample("early", repeat, other))
    ]


couples = st.lists(st.tuples(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6)), min_size=1, max_size=9)


@given(energies)
def test_a_table_against_itself_is_1(energies_wh: list[float]) -> None:
    ratio = only(compare(pair_up([(wh, wh) for wh in energies_wh])))
    assert ratio.energy is not None
    assert {ratio.energy.mean, ratio.energy.low, ratio.energy.high} <= {1.0, None}
    assert ratio.energy.p in (1.0, None)


@given(couples, st.sampled_from([1 / 3600, 1000.0, 0.3]))
def test_ratios_do_not_depend_on_the_unit(numbers: list[tuple[float, float]], scale: float) -> None:
    one = only(compare(pair_up(numbers)))
    other = only(compare(pair_up([(a * scale, b * scale) for a, b in numbers])))
    assert one.energy is not None
    assert other.energy is not None
    assert other.energy.mean == pytest.approx(one.energy.mean, rel=1e-9)
    if one.energy.low is not None:
        assert other.energy.low == pytest.approx(one.energy.low, rel=1e-6)
        assert other.energy.high == pytest.approx(one.energy.high, rel=1e-6)


@given(couples)
def test_the_other_baseline_inverts_mean_and_interval(numbers: list[tuple[float, float]]) -> None:
    rows = pair_up(numbers)
    there, back = (only(compare(rows, baseline=name)).energy for name in ("none", "early"))
    assert there is not None
    assert back is not None
    assert there.mean * back.mean == pytest.approx(1.0, rel=1e-9)
    if there.low is not None and there.high is not None and 1e-90 < there.low < there.high < 1e90:
        assert (1 / there.low, 1 / there.high) == pytest.approx((back.high, back.low), rel=1e-6)
    assert there.p == pytest.approx(back.p, abs=1e-9)


@given(couples, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(numbers: list[tuple[float, float]], random: Any) -> None:
    rows = pair_up(numbers)
    shuffled = random.sample(rows, len(rows))
    assert compare(rows) == compare(shuffled)


@given(st.lists(st.tuples(*[st.none() | st.floats(0, 1e100)] * 2), min_size=1, max_size=6))
def test_whatever_the_energies_are_no_figure_is_nan_or_infinite(
    numbers: list[tuple[float, float]],
) -> None:
    (record,) = compare(pair_up(numbers)).records()
    figures = [value for value in record.values() if isinstance(value, float)]
    assert all(map(math.isfinite, figures))


@pytest.mark.parametrize(
    ("strategy", "spaces", "is_said"),
    [
        ("random", ("adam", "sgd"), True),
        ("random", ("rate", "rate"), False),
        ("random", (None, "sgd"), False),
        ("default", ("adam", "sgd"), False),
    ],
)
def test_optimisers_that_were_searched_in_spaces_of_their_own_are_paired_and_it_is_said(
    strategy: str, spaces: tuple[str | None, str], is_said: bool
) -> None:
    rows = [
        sample(name, repeat, 1.0, strategy=strategy, space=space)
        for name, space in zip(("none", "early"), spaces, strict=True)
        for repeat in range(2)
    ]
    assert compare(rows).ratios[0].pairs == 2
    said = compare(rows).sentence.endswith("each was searched in a space of its own.")
    assert said is is_said
