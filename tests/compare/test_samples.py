from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import variation

from greenbench.compare.samples import (
    Row,
    Samples,
    again_note,
    block_of,
    describe_samples,
    marks_in,
    once_each,
)
from greenbench.compare.spread import in_percent, interval_of_cv
from greenbench.results.marks import UNSTABLE_CV
from tests.builders import make_row

watt_hours = st.floats(1e-6, 1e6)


def sample(energy_wh: float | None = 1.0, marks: str | None = None) -> Row:
    return make_row(energy_wh=energy_wh, changed={"marks": marks})


def describe(*energies_wh: float | None) -> Samples:
    return describe_samples([sample(energy_wh) for energy_wh in energies_wh])


def energies(samples: Samples) -> list[float]:
    return [row["energy_wh"] for row in samples.counted]


def test_repeat_that_an_older_version_ran_with_another_split_is_no_part_of_the_mean() -> None:
    older, newer = again(0.5), [{**again(0.9)[0], "split_seed": seed} for seed in (7, 7)]
    for rows in ([*older, *newer], [*newer, *older]):
        assert [row["test_score"] for row in once_each(rows)] == [0.9]


def test_only_samples_that_met_the_same_data_share_a_block() -> None:
    row = {"split_seed": 7, "dataset": "digits", "repeat": 0}
    assert block_of(row) == block_of({**row, "architecture": "dense.m"}) != None  # noqa: E711
    for name, value in (("split_seed", 8), ("dataset", "mnist"), ("repeat", 1)):
        assert block_of({**row, name: value}) != block_of(row)
    assert block_of({**row, "split_seed": None}) is block_of({}) is None


def test_samples_count_unless_disturbed_or_of_unknown_energy() -> None:
    rows = [sample(1.0), sample(2.0, "disturbed"), sample(None), sample(4.0, "short unreconciled")]
    found = describe_samples(rows)
    assert energies(found) == [1.0, 4.0]
    assert found.rows == tuple(rows)


def test_disturbed_samples_count_where_that_is_asked_for() -> None:
    rows = [sample(1.0), sample(2.0, "short disturbed"), sample(None, "disturbed")]
    found = describe_samples(rows, include_disturbed=True)
    assert energies(found) == [1.0, 2.0]
    assert "disturbed" in found.marks


def test_mark_that_only_contains_the_word_is_no_disturbance() -> None:
    assert energies(describe_samples([sample(1.0, "undisturbed")])) == [1.0]


def test_energy_of_zero_is_a_known_one() -> None:
    assert energies(describe(0.0, 1.0)) == [0.0, 1.0]


@pytest.mark.parametrize(
    ("energies_wh", "cv"),
    [
        ((2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0), 2.13809 / 5),
        ((1.0, 3.0), 2**0.5 / 2),
        ((7.0, 7.0, 7.0), 0.0),
    ],
    ids=["textbook", "two", "equal"],
)
def test_cv_is_that_of_known_examples(energies_wh: Sequence[float], cv: float) -> None:
    assert describe(*energies_wh).cv == pytest.approx(cv, rel=1e-5)


@given(st.lists(watt_hours, min_size=2, max_size=6))
def test_cv_is_the_standard_deviation_of_a_sample_over_its_mean(values: list[float]) -> None:
    expected = np.std(values, ddof=1) / np.mean(values)
    found = describe_samples([{"energy_wh": value} for value in values])
    assert found.cv == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(st.lists(watt_hours, min_size=2, max_size=6), st.sampled_from([1e-3, 3600.0]))
def test_cv_depends_on_no_unit(values: list[float], scale: float) -> None:
    one, other = (
        describe_samples([{"energy_wh": value * by} for value in values]) for by in (1.0, scale)
    )
    assert one.cv == pytest.approx(other.cv, rel=1e-6, abs=1e-9)


def test_cv_is_that_of_the_samples_that_count() -> None:
    rows = [sample(1.0), sample(3.0), sample(100.0, "disturbed"), sample(None)]
    assert describe_samples(rows).cv == pytest.approx(2**0.5 / 2)
    everything = np.array([1.0, 3.0, 100.0])
    assert describe_samples(rows, include_disturbed=True).cv == pytest.approx(
        everything.std(ddof=1) / everything.mean()
    )


@pytest.mark.parametrize(
    "energies_wh", [(), (1.0,), (1.0, None), (0.0, 0.0)], ids=["no", "one", "one known", "zeros"]
)
def test_there_is_no_cv_of(energies_wh: Sequence[float | None]) -> None:
    found = describe(*energies_wh)
    assert found.cv is None
    assert "unstable" not in found.marks


@pytest.mark.parametrize(
    ("cv", "is_unstable"), [(0.0501, False), (0.096, False), (0.097, True)], ids=str
)
def test_case_is_unstable_where_the_whole_interval_of_its_cv_is_above_five_percent(
    cv: float, is_unstable: bool
) -> None:
    # The interval of three samples begins at 0.52 times their CV.
    found = describe(1 - cv, 1.0, 1 + cv)
    assert found.cv == pytest.approx(cv)
    assert ("unstable" in found.marks) == is_unstable


def test_interval_of_a_cv_is_that_of_a_standard_deviation_where_it_is_small() -> None:
    low, high = interval_of_cv(0.01, 3)
    assert (low, high) == (pytest.approx(0.0052, rel=0.01), pytest.approx(0.063, rel=0.01))
    assert interval_of_cv(0.5, 3)[1] is None
    assert interval_of_cv(0.0, 3) == (0.0, 0.0)


@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize(("cv", "most"), [(0.03, 0.005), (0.05, 0.035)])
def test_steady_case_is_hardly_ever_called_unstable(n: int, cv: float, most: float) -> None:
    drawn = np.random.default_rng(0).normal(1.0, cv, (2000, n))
    cvs = variation(drawn, axis=1, ddof=1)
    marked = np.mean([interval_of_cv(float(each), n)[0] > UNSTABLE_CV for each in cvs])
    assert marked <= most
    held = [low <= cv <= (high or np.inf) for low, high in (interval_of_cv(c, n) for c in cvs)]
    assert np.mean(held) > 0.935


@pytest.mark.parametrize(("number", "is_few"), [(1, True), (4, True), (5, False), (6, False)])
def test_fewer_than_five_samples_are_few(number: int, is_few: bool) -> None:
    assert ("few" in describe(*[1.0] * number).marks) == is_few


@pytest.mark.parametrize("left_out", [sample(None), sample(1.0, "disturbed")], ids=["?", "noise"])
def test_samples_that_do_not_count_do_not_make_them_many(left_out: Row) -> None:
    rows = [sample()] * 4 + [left_out]
    assert "few" in describe_samples(rows).marks
    assert "few" not in describe_samples([*rows, sample()]).marks


def test_case_without_samples_has_few() -> None:
    assert describe() == Samples((), (), None, ("few",))


def test_marks_of_samples_come_once_and_before_those_of_the_case() -> None:
    rows = [sample(1.0, "short"), sample(2.0, "disturbed short"), sample(3.0)]
    assert describe_samples(rows).marks == ("short", "disturbed", "unstable", "few")


@pytest.mark.parametrize(
    ("row", "marks"),
    [
        ({"marks": "short disturbed"}, ["short", "disturbed"]),
        ({"marks": None}, []),
        ({}, []),
        ({"marks": ""}, []),
    ],
    ids=["two", "none", "older", "empty"],
)
def test_marks_are_words(row: Row, marks: list[str]) -> None:
    assert marks_in(row) == marks


def again(*accuracies: float | None, repeat: int | None = 0) -> list[Row]:
    return [make_row(accuracy=a, changed={"repeat": repeat}) for a in accuracies]


def test_a_repeat_that_runs_again_is_no_further_sample_of_its_accuracy() -> None:
    rows = again(0.9, 0.9, 0.9) + again(0.8, repeat=1)
    assert [row["test_score"] for row in once_each(rows)] == [0.9, 0.8]


def test_of_a_repeat_that_differs_each_time_the_mean_counts_once() -> None:
    assert [row["test_score"] for row in once_each(again(0.75, None, 0.25))] == [0.5]


def test_rows_without_a_repeat_are_samples_of_their_own() -> None:
    assert len(once_each(again(0.9, 0.9, repeat=None))) == 2


def test_the_same_repeat_of_another_case_is_another_sample() -> None:
    rows = [make_row(network, changed={"repeat": 0}) for network in ("dense.s", "dense.m")]
    assert len(once_each(rows)) == 2


def test_repeats_that_ran_again_are_said() -> None:
    assert again_note(again(0.9) + again(0.9, repeat=1)) is None
    assert again_note(again(0.9, 0.9, 0.9) + again(0.8, repeat=1)) == (
        "2 of 4 results run a repeat again, with the same seeds: their energies count, their "
        "accuracies once (2 repeats)"
    )


@pytest.mark.parametrize(
    ("cv", "words"), [(0.0, "0"), (0.00012, "0.012"), (0.068, "6.8"), (0.996, "100"), (2.2, "220")]
)
def test_a_cv_has_two_digits_and_no_exponent(cv: float, words: str) -> None:
    assert in_percent(cv) == words
