import csv
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f_oneway, kruskal, mannwhitneyu
from statsmodels.stats.multitest import multipletests

from greenbench.compare.factors import Effect, Factors, compare_factors
from greenbench.compare.replicates import unequal_variances
from greenbench.errors import ConfigurationError, NotComparableError, UnknownNameError
from greenbench.results.table import to_trial_rows
from tests.builders import make_result, make_row, make_trial

Table = list[dict[str, Any]]

NAMES = ("conv", "linear", "relu", "width")

designs = st.lists(st.integers(2, 3), min_size=1, max_size=3)


def table(*cells: tuple[Sequence[Any], Sequence[float]]) -> Table:
    """Return rows of a foreign table from levels and what was measured with them."""
    return [
        {**dict(zip(NAMES, levels, strict=False)), "energy_j": energy_j}
        for levels, energies_j in cells
        for energy_j in energies_j
    ]


def noisy_table(sizes: Sequence[int], seed: int, *, least: int = 2, most: int = 4) -> Table:
    """Return an unbalanced table in which every factor and interaction may matter."""
    generator = np.random.default_rng(seed)
    keys = itertools.product(*map(range, sizes))
    return table(
        *(
            (
                key,
                generator.normal(50 + 5 * sum(key), 3.0, generator.integers(least, most + 1)),
            )
            for key in keys
        )
    )


def compare(rows: Iterable[Mapping[str, Any]], factors: int = 2, **options: Any) -> Factors:
    return compare_factors(rows, NAMES[:factors], "energy_j", **options)


def effects(found: Factors) -> dict[str, Effect]:
    return {effect.name: effect for effect in found.effects}


def stored(conv: int, energy_wh: float | None, **changed: Any) -> dict[str, Any]:
    return make_row(energy_wh=energy_wh, changed={"conv": conv, **changed})


def stored_rows(**changed: Any) -> Table:
    return [stored(conv, 1.0 + conv + i / 10, **changed) for conv in (1, 2) for i in range(3)]


TWO_BY_TWO = table(
    ((1, "no"), [10.0, 12.0, 11.0]),
    ((1, "yes"), [20.0, 21.0, 19.0]),
    ((2, "no"), [30.0, 33.0, 30.0]),
    ((2, "yes"), [60.0, 61.0, 59.0]),
)


# --- The paper's table


@pytest.fixture
def paper(reference_dir: Path) -> Factors:
    path = reference_dir / "yarally2023" / "rq2_fashionmnist.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            {name: text if name == "dataset" else float(text) for name, text in row.items()}
            for row in csv.DictReader(file)
        ]
    return compare_factors(rows, ["conv_layers", "linear_layers", "relu"], "energy_j")


# The table has joules to 4 digits after the point. The published figures come from all digits,
# which moves the residual, and every F through it, by 1e-7.
ROUNDED = 2e-7


def test_analysis_of_variance_is_that_of_the_paper_to_all_digits_that_its_table_gives(
    paper: Factors,
) -> None:
    f = {name: effect.f for name, effect in effects(paper).items()}
    eta_sq = {name: effect.eta_sq for name, effect in effects(paper).items()}
    conv, linear, relu = "conv_layers", "linear_layers", "relu"
    assert paper.n == 3072
    assert paper.residual.df == 3064
    assert paper.residual.sum_sq == pytest.approx(401718.241, rel=ROUNDED)
    assert f"{f[conv]:.3e}" == "3.908e+06"
    assert f[linear] == pytest.approx(21841.658, rel=ROUNDED)
    assert f[relu] == pytest.approx(6853.152, rel=ROUNDED)
    assert f[f"{conv} × {linear}"] == pytest.approx(7758.395, rel=ROUNDED)
    assert f"{f[f'{linear} × {relu}']:.3f}" == "1.511"
    assert f"{f[f'{conv} × {relu}']:.3f}" == "931.172"
    assert f"{f[f'{conv} × {linear} × {relu}']:.3f}" == "24.224"
    assert f"{effects(paper)[f'{linear} × {relu}'].p:.3f}" == "0.219"
    for name in (conv, linear, relu, f"{conv} × {linear}"):
        printed = {conv: "0.990", linear: "0.006"}.get(name, "0.002")
        assert f"{eta_sq[name]:.3f}" == printed
    assert f"{eta_sq[f'{linear} × {relu}']:.3e}" == "3.827e-07"
    assert f"{eta_sq[f'{conv} × {relu}']:.3e}" == "2.358e-04"
    assert f"{eta_sq[f'{conv} × {linear} × {relu}']:.3e}" == "6.134e-06"


def test_rank_tests_and_means_are_those_of_the_paper(paper: Factors) -> None:
    assert [f"{factor.h:.3f}" for factor in paper.factors] == ["2303.250", "481.799", "176.545"]
    means = {cell.levels: f"{cell.mean:.1f}" for cell in paper.cells}
    assert means["1", "3", "0"] == "834.9"
    assert means["4", "7", "1"] == "1745.0"
    assert paper.sentence == (
        "conv_layers explains 99.0% of the variance of energy_j (F = 3.91e+06, p < 0.001), "
        "linear_layers 0.6%, relu 0.2%; "
        "the largest cell mean, 1,745 J (conv_layers 4, linear_layers 7, relu 1), "
        "is 2.09 times the smallest, 834.9 J (conv_layers 1, linear_layers 3, relu 0)."
    )


# --- What the tests take for granted


def seeds(*, sessions: int, spread: float = 5.0) -> Table:
    """Return two levels of six seeds each, which differ by seed, and each run in some sessions."""
    generator = np.random.default_rng(8)
    return [
        {"conv": conv, "seed": seed, "session": f"s{session}", "energy_j": float(energy_j)}
        for conv in (1, 2)
        for seed, own in enumerate(generator.normal(50, spread, 6))
        for session, energy_j in enumerate(generator.normal(own, 0.5, sessions))
    ]


def test_samples_of_one_unit_are_one_sample() -> None:
    rows = seeds(sessions=4)
    found = compare(rows, 1, unit="seed")
    means = [
        [
            np.mean([row["energy_j"] for row in rows if (row["conv"], row["seed"]) == (conv, seed)])
            for seed in range(6)
        ]
        for conv in (1, 2)
    ]
    assert (found.n, found.averaged, found.left_out, found.warnings) == (12, 36, 0, ())
    assert found.effects[0].p == pytest.approx(f_oneway(*means).pvalue)
    # As independent samples, chance alone looks like an effect.
    each = compare(rows, 1)
    assert each.effects[0].p < 0.05 < found.effects[0].p
    warning, *_ = each.warnings
    assert warning == (
        "48 of 48 samples share their seed with another of the same levels, in other sessions too: "
        "they are not independent, and p may be far too small; `--unit seed` tests their means"
    )


def test_independent_samples_bring_no_warning() -> None:
    assert compare(seeds(sessions=1), 1).warnings == ()
    assert compare_factors(stored_rows(), ["conv"], "energy_wh", unit="repeat").averaged == 0


def test_repeat_that_a_store_has_of_several_sessions_is_warned_of() -> None:
    rows = [
        stored(conv, 1.0 + conv + repeat / 10, repeat=repeat, session=session)
        for conv in (1, 2)
        for repeat in range(3)
        for session in ("s1", "s2")
    ]
    found = compare_factors(rows, ["conv"], "energy_wh")
    assert found.warnings[0].startswith("12 of 12 samples share their repeat with another")


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        ("sead", "unknown column 'sead'; did you mean seed"),
        ("conv", "unit 'conv' is a factor"),
        ("energy_j", "unit 'energy_j' is the response"),
        ("host", "unit 'host' is 'h' in each of 12 samples that count"),
        ("note", "a sample that counts has no 'note'"),
    ],
)
def test_unit_that_cannot_be_is_refused_in_one_line(unit: str, words: str) -> None:
    rows: Table = [
        {**row, "host": "h", "note": "x" if i else None} for i, row in enumerate(seeds(sessions=1))
    ]
    with pytest.raises(ConfigurationError, match=words) as refused:
        compare(rows, 1, unit=unit)
    assert len(str(refused.value).splitlines()) == 1


def test_unequal_variances_are_warned_of() -> None:
    generator = np.random.default_rng(0)
    rows = table(
        *(((conv,), generator.normal(50, spread, 12)) for conv, spread in ((1, 1.0), (2, 8.0)))
    )
    (warning,) = compare(rows, 1).warnings
    assert warning.startswith("samples of some levels vary by more than others (Brown-Forsythe, p ")
    assert warning.endswith("so its p is rough")
    (unbalanced,) = compare(rows[2:], 1).warnings
    assert unbalanced.endswith("so its p may be far off, the more since cells have unequal numbers")


@pytest.mark.parametrize("n", [2, 3, 4, 5, 10])
def test_equal_variances_are_hardly_ever_warned_of(n: int) -> None:
    cells = np.random.default_rng(n).normal(size=(400, 4, n)).tolist()
    warned = [unequal_variances(each, is_balanced=True) is not None for each in cells]
    # Measured, of 20,000: 0.2% to 6.6%.
    assert np.mean(warned) < 0.09


def test_shares_of_an_unbalanced_table_are_of_the_effects_sum_of_squares() -> None:
    balanced, unbalanced = compare(TWO_BY_TWO), compare(TWO_BY_TWO[1:])
    assert "% of the variance of energy_j" in balanced.sentence
    assert "% of the effects' sum of squares of energy_j" in unbalanced.sentence
    assert (balanced.is_balanced, unbalanced.is_balanced) == (True, False)


# --- Analysis of variance


def sum_contrasts(codes: np.ndarray[Any, Any], levels: int) -> np.ndarray[Any, Any]:
    return np.vstack([np.eye(levels - 1), -np.ones(levels - 1)])[codes]


def squares_by_comparing_models(rows: Table, sizes: Sequence[int]) -> list[float]:
    """Return what the residual grows by without each effect, and the residual, by plain algebra."""
    values = np.array([row["energy_j"] for row in rows])
    coded = [
        sum_contrasts(np.array([row[name] for row in rows]), size)
        for name, size in zip(NAMES, sizes, strict=False)
    ]
    blocks = []
    for number in range(1, len(sizes) + 1):
        for term in itertools.combinations(coded, number):
            block = np.ones((len(rows), 1))
            for factor in term:
                block = np.einsum("ni,nj->nij", block, factor).reshape(len(rows), -1)
            blocks.append(block)

    def rest(used: list[np.ndarray[Any, Any]]) -> float:
        columns = np.hstack([np.ones((len(rows), 1)), *used])
        fitted = columns @ np.linalg.lstsq(columns, values, rcond=None)[0]
        return float(((values - fitted) ** 2).sum())

    full = rest(blocks)
    return [rest(blocks[:i] + blocks[i + 1 :]) - full for i in range(len(blocks))] + [full]


@settings(deadline=None, max_examples=12)
@given(designs, st.integers(0, 2**32 - 1))
def test_sums_of_squares_are_what_models_without_an_effect_leave_unexplained(
    sizes: list[int], seed: int
) -> None:
    rows = noisy_table(sizes, seed)
    found = compare(rows, len(sizes))
    expected = squares_by_comparing_models(rows, sizes)
    squares = [effect.sum_sq for effect in (*found.effects, found.residual)]
    assert squares == pytest.approx(expected, rel=1e-6, abs=1e-8 * sum(expected))


@settings(deadline=None, max_examples=12)
@given(designs, st.integers(0, 2**32 - 1))
def test_figures_of_an_effect_follow_from_sums_of_squares(sizes: list[int], seed: int) -> None:
    found = compare(noisy_table(sizes, seed), len(sizes))
    everything = [*found.effects, found.residual]
    total = sum(effect.sum_sq or 0.0 for effect in everything)
    rest = found.residual.sum_sq or 0.0
    for effect in found.effects:
        own = effect.sum_sq or 0.0
        mean_squares = own / effect.df, rest / found.residual.df
        assert effect.f == pytest.approx(mean_squares[0] / mean_squares[1])
        assert effect.partial_eta_sq == pytest.approx(own / (own + rest))
        assert effect.p is not None
        assert 0 <= effect.p <= 1
    assert [effect.eta_sq for effect in everything] == pytest.approx(
        [(effect.sum_sq or 0.0) / total for effect in everything]
    )
    assert sum(effect.df for effect in everything) == found.n - 1


@settings(deadline=None, max_examples=12)
@given(
    designs,
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-200, 1e-3, 3.6e6, 1e60]),
    st.randoms(use_true_random=False),
)
def test_neither_units_nor_the_order_of_rows_matter(
    sizes: list[int], seed: int, unit: float, shuffler: Any
) -> None:
    rows = noisy_table(sizes, seed)
    others = [{**row, "energy_j": unit * row["energy_j"]} for row in rows]
    shuffler.shuffle(others)
    one, other = compare(rows, len(sizes)), compare(others, len(sizes))
    for figure in ("name", "df", "f", "p", "eta_sq", "partial_eta_sq"):
        expected = [getattr(effect, figure) for effect in one.effects]
        found = [getattr(effect, figure) for effect in other.effects]
        assert found == (expected if figure == "name" else pytest.approx(expected, rel=1e-6))
    assert [cell.levels for cell in other.cells] == [cell.levels for cell in one.cells]


def test_large_offset_costs_no_digits() -> None:
    moved = [{**row, "energy_j": row["energy_j"] + 2.0**30} for row in TWO_BY_TWO]
    expected = [effect.f for effect in compare(TWO_BY_TWO).effects]
    assert [effect.f for effect in compare(moved).effects] == pytest.approx(expected, rel=1e-9)


def test_one_factor_is_a_one_way_analysis() -> None:
    groups = [[1.0, 2.0, 4.0], [3.0, 5.0, 6.0, 7.0], [2.0, 9.0]]
    found = compare(table(*(((i,), group) for i, group in enumerate(groups))), 1)
    expected = f_oneway(*groups)
    (effect,) = found.effects
    assert (effect.f, effect.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert (effect.df, found.residual.df) == (2, 6)


def test_balanced_table_gives_the_textbook_figures() -> None:
    found = compare(
        table(
            ((0, 0), [1.0, 3.0]), ((0, 1), [5.0, 7.0]), ((1, 0), [2.0, 4.0]), ((1, 1), [10.0] * 2)
        )
    )
    # Cell means 2, 6, 3, 10 about a grand mean of 5.25, two samples each.
    assert [effect.sum_sq for effect in found.effects] == pytest.approx([12.5, 60.5, 4.5])
    assert found.residual.sum_sq == pytest.approx(6.0)
    assert effects(found)["linear"].eta_sq == pytest.approx(60.5 / 83.5)
    assert effects(found)["linear"].partial_eta_sq == pytest.approx(60.5 / 66.5)
    assert effects(found)["linear"].f == pytest.approx(60.5 / 1.5)
    assert found.residual.eta_sq == pytest.approx(6.0 / 83.5)


def test_effects_come_in_the_order_of_factors_and_by_how_many_interact() -> None:
    rows = noisy_table([2, 3, 2, 2], seed=1)
    found = compare_factors(rows, ["relu", "conv", "width", "linear"], "energy_j")
    names = [effect.name for effect in found.effects]
    assert names[:6] == ["relu", "conv", "width", "linear", "relu × conv", "relu × width"]
    assert names[-1] == "relu × conv × width × linear"
    assert len(names) == 15
    assert effects(found)["conv × linear"].df == 2
    assert effects(compare(rows, 4))["conv × linear"].f == pytest.approx(
        effects(found)["conv × linear"].f
    )


@pytest.mark.parametrize(
    "name",
    [
        "learning rate",
        "class",
        "lambda",
        "Residual",
        "residual",
        "y",
        "f1",
        "C(conv, Sum)",
        "conv:linear",
        "1 + conv",
        "`a` × 'b'",
        "__import__('pathlib').Path('evaluated').touch()",
        "",
    ],
)
def test_names_of_columns_are_never_taken_for_code(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"f0": r["conv"], name: r["linear"], "Sum": r["energy_j"]} for r in TWO_BY_TWO]
    found = compare_factors(rows, ["f0", name], "Sum")
    plain = compare(TWO_BY_TWO)
    assert [effect.name for effect in found.effects] == ["f0", name, f"f0 × {name}"]
    assert [effect.f for effect in found.effects] == [effect.f for effect in plain.effects]
    assert [r["kruskal_h"] for r in found.records()] == [r["kruskal_h"] for r in plain.records()]
    assert list(tmp_path.iterdir()) == []


# --- Levels and cells


def test_levels_are_categories_with_numbers_by_size_before_texts() -> None:
    levels = [10, 9.5, "s", "nan", 2, "m", "inf", -1.0]
    found = compare(table(*(((level,), [1.0, 2.0]) for level in levels)), 1)
    assert found.factors[0].levels == ("-1", "2", "9.5", "10", "inf", "m", "nan", "s")
    assert [cell.levels for cell in found.cells] == [(x,) for x in found.factors[0].levels]
    assert found.effects[0].df == 7


def test_equal_numbers_are_one_level_however_they_are_written() -> None:
    found = compare(table(((1,), [1.0]), ((1.0,), [2.0]), ((2,), [5.0, 6.0])), 1)
    assert found.factors[0].levels == ("1", "2")


def test_cells_have_mean_and_median_of_their_samples() -> None:
    found = compare(table(((2, "b"), [5.0]), ((1, "a"), [1.0, 2.0, 6.0]), ((1, "b"), [4.0, 5.0])))
    assert [(c.levels, c.n, c.mean, c.median) for c in found.cells] == [
        (("1", "a"), 3, 3.0, 2.0),
        (("1", "b"), 2, 4.5, 4.5),
        (("2", "b"), 1, 5.0, 5.0),
    ]


# --- Ranks


def test_ranks_are_tested_by_factor() -> None:
    rows = noisy_table([2, 3], seed=3, least=3)
    for factor, name in zip(compare(rows).factors, NAMES, strict=False):
        groups = [
            [row["energy_j"] for row in rows if str(row[name]) == level] for level in factor.levels
        ]
        expected = kruskal(*groups)
        assert (factor.h, factor.p) == pytest.approx((expected.statistic, expected.pvalue))
        assert factor.df == len(groups) - 1
        assert factor.epsilon_sq == pytest.approx(expected.statistic / (len(rows) - 1))


@pytest.mark.parametrize(
    ("sizes", "has_p"),
    # The least p that any order gives is 0.1, 0.029, 0.067 and 0.0036.
    [((3, 3), False), ((4, 4), True), ((2, 2, 2), False), ((3, 3, 3), True)],
)
def test_ranks_of_too_few_samples_are_not_tested(sizes: Sequence[int], has_p: bool) -> None:
    found = compare(
        table(*(((i,), [10.0 * i + j for j in range(size)]) for i, size in enumerate(sizes))), 1
    )
    (factor,) = found.factors
    assert factor.h is not None
    assert (factor.p is not None, factor.reason is None) == (has_p, has_p)
    if not has_p:
        assert factor.reason == f"{sum(sizes)} samples of {len(sizes)} levels cannot reach 5%"


def test_levels_are_paired_inside_factors_and_corrected_over_all_factors() -> None:
    rows = noisy_table([2, 3], seed=4, least=4, most=5)
    found = compare(rows)
    names = [
        (factor.name, pair.one, pair.other) for factor in found.factors for pair in factor.pairs
    ]
    assert names == [
        ("conv", "0", "1"),
        ("linear", "0", "1"),
        ("linear", "0", "2"),
        ("linear", "1", "2"),
    ]
    raw = [
        mannwhitneyu(
            *([row["energy_j"] for row in rows if str(row[name]) == level] for level in levels)
        ).pvalue
        for name, *levels in names
    ]
    ps = [pair.p for factor in found.factors for pair in factor.pairs]
    assert ps == pytest.approx(multipletests(raw, method="holm")[1])


def test_pairs_of_other_factors_count_in_what_few_samples_can_reach() -> None:
    one = compare(TWO_BY_TWO[:2] + TWO_BY_TWO[3:5] + TWO_BY_TWO[6:8] + TWO_BY_TWO[9:11])
    reasons = [pair.reason for factor in one.factors for pair in factor.pairs]
    assert reasons == ["4 and 4 samples cannot reach 5% over 2 pairs"] * 2


# --- What the data cannot give


def has_only_finite_figures(found: Factors) -> bool:
    json.dumps([asdict(found), found.records()], allow_nan=False)
    return "nan" not in found.sentence and "inf" not in found.sentence


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 1), st.sampled_from([0.0, 1.0, 1e-9, 7e40])),
        min_size=4,
        max_size=14,
    ).filter(lambda rows: len({r[0] for r in rows}) > 1 and len({r[1] for r in rows}) > 1)
)
def test_no_table_gives_a_figure_that_is_not_finite_nor_hides_why_it_lacks_one(
    cells: list[tuple[int, int, float]],
) -> None:
    found = compare(table(*(((conv, linear), [value]) for conv, linear, value in cells)))
    assert has_only_finite_figures(found)
    assert all((effect.f is None) == (found.reason is not None) for effect in found.effects)
    assert all((f.p is None) == (f.reason is not None) for f in found.factors)
    assert sum(cell.n for cell in found.cells) == found.n == len(cells)


def test_one_sample_a_cell_has_sums_of_squares_but_no_test() -> None:
    found = compare(TWO_BY_TWO[::3])
    assert found.residual == Effect("residual", 0, sum_sq=0.0, eta_sq=0.0)
    # Means 10, 20, 30, 60.
    assert [effect.sum_sq for effect in found.effects] == pytest.approx([900.0, 400.0, 100.0])
    assert sum(effect.eta_sq or 0.0 for effect in found.effects) == pytest.approx(1.0)
    assert all(e.f is e.p is e.partial_eta_sq is None for e in found.effects)
    reason = "one sample for each combination of levels leaves no residual to test against"
    assert found.reason == reason
    assert found.sentence == (
        "conv makes up 64.3% of the variance of energy_j, linear 28.6%, conv × linear 7.1% "
        f"(untested: {reason}); the largest cell mean, 60 J (conv 2, linear yes), "
        "is 6 times the smallest, 10 J (conv 1, linear no)."
    )


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("value", [1.0, 0.1, 1234567.0])
def test_samples_without_noise_have_sums_of_squares_but_no_test(n: int, value: float) -> None:
    rows = table(*(((i, j), [value * (1 + i)] * n) for i in (0, 1) for j in (0, 1)))
    found = compare(rows)
    assert found.reason is not None
    assert "samples of equal levels are equal" in found.reason
    assert found.residual == Effect("residual", 4 * n - 4, sum_sq=0.0, eta_sq=0.0)
    conv, linear, both = found.effects
    assert conv.sum_sq == pytest.approx(n * value**2)
    assert conv.eta_sq == pytest.approx(1.0)
    assert (linear.eta_sq, both.eta_sq) == pytest.approx((0.0, 0.0))
    assert ", linear under 0.1% (untested" in found.sentence
    assert all(e.f is e.p is e.partial_eta_sq is None for e in found.effects)
    assert has_only_finite_figures(found)


def test_noise_that_only_arithmetic_made_is_none() -> None:
    rows = table(((0,), [0.3, 0.1 + 0.2, 0.3]), ((1,), [0.7, 0.7, 0.1 * 7]))
    reason = compare(rows, 1).reason
    assert reason is not None
    assert "samples of equal levels are equal" in reason


def test_little_noise_is_tested() -> None:
    rows = table(((0,), [1.0, 1.0 + 1e-9]), ((1,), [2.0, 2.0 + 1e-9]))
    (effect,) = compare(rows, 1).effects
    assert effect.f == pytest.approx(2e18, rel=1e-6)


def test_combination_without_samples_leaves_what_the_others_are() -> None:
    found = compare([row for row in TWO_BY_TWO if (row["conv"], row["linear"]) != (1, "yes")])
    assert found.reason == (
        "only 3 of 4 combinations of levels have samples, so that interactions are not defined"
    )
    assert {(e.sum_sq, e.f, e.eta_sq) for e in found.effects} == {(None, None, None)}
    assert [cell.mean for cell in found.cells] == [11.0, 31.0, 60.0]
    assert all(factor.h is not None for factor in found.factors)
    assert found.sentence.startswith("effects on energy_j are not analysed: only 3 of 4")


def test_response_that_is_the_same_everywhere_has_no_variance() -> None:
    found = compare([{**row, "energy_j": 0.1} for row in TWO_BY_TWO])
    assert found.reason == "all 12 samples are equal: there is no variance to explain"
    assert {factor.reason for factor in found.factors} == {"all 12 samples are equal"}
    assert found.sentence.endswith(
        "cell means run from 0.1 J (conv 1, linear no) to 0.1 J (conv 2, linear yes)."
    )


def test_more_combinations_than_can_be_analysed_are_no_reason_to_wait() -> None:
    rows = table(*(((i, j), [float(i * j)]) for i in range(30) for j in range(30)))
    reason = compare(rows).reason
    assert reason is not None
    assert "900 combinations of levels are more than the 512" in reason


# --- Sentences and records


def test_sentence_says_that_nothing_is_significant() -> None:
    found = compare(table(((1,), [1.0, 9.0, 5.0]), ((2,), [2.0, 9.0, 5.0])), 1)
    (effect,) = found.effects
    assert f"{effect.p:.3f}" == "0.919"
    assert found.sentence == (
        "no effect is significant at 5%: conv explains 0.3% of the variance of energy_j "
        "(F = 0.0118, p = 0.919); cell means run from 5 J (conv 1) to 5.333 J (conv 2)."
    )


def test_sentence_names_interactions_that_matter() -> None:
    assert compare(TWO_BY_TWO).sentence == (
        "conv explains 65.9% of the variance of energy_j (F = 1,800, p < 0.001), linear 26.4%, "
        "conv × linear 7.3%; the largest cell mean, 60 J (conv 2, linear yes), "
        "is 5.45 times the smallest, 11 J (conv 1, linear no)."
    )


def test_means_below_zero_are_no_divisors() -> None:
    found = compare(table(((1,), [-2.0, -1.0]), ((2,), [3.0, 4.0])), 1)
    assert "cell means run from -1.5 J (conv 1) to 3.5 J (conv 2)" in found.sentence


def test_records_are_flat_rows_of_the_same_columns_with_the_residual_last() -> None:
    records = compare(TWO_BY_TWO).records()
    assert [record["name"] for record in records] == ["conv", "linear", "conv × linear", "residual"]
    assert len({tuple(record) for record in records}) == 1
    assert [record["kruskal_h"] is None for record in records] == [False, False, True, True]
    assert records[-1]["f"] is None


# --- Which rows count


def stored_factors(rows: Table, response: str = "energy_wh", **options: Any) -> Factors:
    return compare_factors(rows, ["conv"], response, **options)


def test_rows_of_a_store_that_failed_or_have_no_energy_are_left_out_and_counted() -> None:
    failed = stored(1, 500.0, status="failed")
    found = stored_factors([*stored_rows(), stored(2, None), failed])
    assert (found.n, found.left_out) == (6, 2)
    assert [cell.n for cell in found.cells] == [3, 3]


def test_only_completed_trials_count() -> None:
    rows = [
        {**row, "conv": conv}
        for conv in (1, 2)
        for row in to_trial_rows(
            make_result(
                trials=[
                    make_trial(0, energy_j=10.0 * conv),
                    make_trial(1, energy_j=12.0 * conv),
                    make_trial(2, energy_j=99.0, accuracy=None),
                ]
            )
        )
    ]
    found = stored_factors(rows)
    assert (found.n, found.left_out) == (4, 2)


@pytest.mark.parametrize(
    ("response", "include", "n"),
    [
        ("energy_wh", False, 6),
        ("net_wh", False, 6),
        ("energy_wh", True, 7),
        ("emissions_g", False, 6),
        ("duration_s", False, 6),
        ("train_s", True, 7),
        ("test_score", False, 7),
    ],
)
def test_disturbed_samples_count_where_energy_is_not_the_question_or_when_asked_for(
    response: str, include: bool, n: int
) -> None:
    known = {"net_wh": 0.5, "emissions_g": 0.5, "duration_s": 9.0, "train_s": 8.0}
    rows = [*stored_rows(**known), stored(2, 9.0, marks="short disturbed", **known)]
    found = stored_factors(rows, response, include_disturbed=include)
    assert (found.n, found.left_out) == (n, 7 - n)


@pytest.mark.parametrize(("response", "n"), [("duration_s", 6), ("energy_wh", 7)])
def test_delayed_samples_count_for_energy_and_not_for_time(response: str, n: int) -> None:
    delayed = stored(2, 9.0, marks="delayed", duration_s=99.0)
    assert stored_factors([*stored_rows(duration_s=9.0), delayed], response).n == n


def test_refusal_says_that_every_sample_was_disturbed() -> None:
    with pytest.raises(NotComparableError, match=r"energy_wh.*disturbed.*--include-disturbed"):
        stored_factors(stored_rows(marks="disturbed"))


def test_refusal_says_that_no_sample_has_the_figure() -> None:
    with pytest.raises(NotComparableError, match="energy_wh: each of 2 samples failed or has no"):
        stored_factors([stored(1, None), stored(2, None)])


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("host", "host"),
        ("meter", "meter"),
        ("energy_provenance", "energy provenance"),
        ("energy_scope", "energy scope"),
        ("dataset", "data set"),
        ("setting", "setting"),
        ("backend", "backend"),
        ("strategy", "strategy"),
    ],
)
def test_energies_that_differ_in_what_is_no_factor_are_refused(column: str, words: str) -> None:
    rows = [{**row, column: str(i % 2)} for i, row in enumerate(stored_rows())]
    with pytest.raises(NotComparableError, match=rf"differ in {words} \(0, 1\).*--where {column}="):
        stored_factors(rows)
    assert compare_factors(rows, ["conv", column], "energy_wh").n == 6


@pytest.mark.parametrize(
    ("response", "column"),
    [("emissions_g", "energy_provenance"), ("emissions_g", "host"), ("duration_s", "host")],
)
def test_emissions_are_refused_as_energies_are_and_times_of_several_hosts(
    response: str, column: str
) -> None:
    rows = [{**row, response: 1.0, column: str(i % 2)} for i, row in enumerate(stored_rows())]
    with pytest.raises(NotComparableError, match=rf"differ in .*\(0, 1\).*--where {column}="):
        stored_factors(rows, response)


@pytest.mark.parametrize("column", ["host", "meter", "energy_provenance"])
def test_accuracies_may_come_from_any_host_and_meter(column: str) -> None:
    rows = [{**row, column: str(i % 2)} for i, row in enumerate(stored_rows())]
    assert stored_factors(rows, "test_score").n == 6


@pytest.mark.parametrize(
    ("response", "expected"),
    [("energy_wh", "counter"), ("net_wh", "counter"), ("test_score", None)],
)
def test_provenance_is_that_of_an_energy_that_counts(response: str, expected: str | None) -> None:
    rows = [
        *stored_rows(net_wh=0.5, energy_provenance="counter"),
        stored(1, None, energy_provenance="none", test_score=None, net_wh=None),
    ]
    found = stored_factors(rows, response)
    assert found.provenance == expected
    assert {record["energy_provenance"] for record in found.records()} == {expected}


def test_provenance_is_unknown_where_a_table_does_not_say_or_it_is_a_factor() -> None:
    assert compare(TWO_BY_TWO).provenance is None
    rows = [
        {**row, "energy_provenance": name} for row in stored_rows() for name in ("counter", "model")
    ]
    assert compare_factors(rows, ["conv", "energy_provenance"], "energy_wh").provenance is None


def test_settings_may_differ_as_far_as_data_set_or_budget_is_a_factor() -> None:
    rows = [
        {**row, "dataset": name, "setting": f"{name}+epochs3"}
        for name in ("digits", "synthetic")
        for row in stored_rows()
    ]
    assert compare_factors(rows, ["conv", "dataset"], "energy_wh").n == 12
    rows[0]["setting"] = "digits"
    with pytest.raises(NotComparableError, match=r"differ in setting \(digits, digits\+epochs3\)"):
        compare_factors(rows, ["conv", "dataset"], "energy_wh")


# --- Mistakes


@pytest.mark.parametrize(
    ("factors", "response", "words"),
    [
        (["conf"], "energy_j", "unknown column 'conf'; did you mean conv"),
        (["conv"], "energyj", "unknown column 'energyj'; did you mean energy_j"),
    ],
)
def test_unknown_column_offers_the_nearest(factors: list[str], response: str, words: str) -> None:
    with pytest.raises(UnknownNameError, match=words):
        compare_factors(TWO_BY_TWO, factors, response)


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        ([], "0 factors are given, expected 1 to 6"),
        (list("abcdefg"), "7 factors are given, expected 1 to 6"),
        (["conv", "linear", "conv"], "factor 'conv' is given twice"),
        (["conv", "energy_j"], "'energy_j' is both the response and a factor"),
    ],
)
def test_factors_that_cannot_be_are_refused(factors: list[str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        compare_factors(TWO_BY_TWO, factors, "energy_j")


def test_table_without_rows_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="there are no rows"):
        compare([])


@pytest.mark.parametrize("value", [None, "", "12 J", math.nan, math.inf, -math.inf, 1e300, True])
def test_response_that_is_no_number_is_named_with_its_row(value: Any) -> None:
    rows = [*TWO_BY_TWO[:4], {**TWO_BY_TWO[4], "energy_j": value}, *TWO_BY_TWO[5:]]
    with pytest.raises(ConfigurationError) as refused:
        compare(rows)
    assert f"energy_j is {value!r} in row 5, expected a number" in str(refused.value)


@pytest.mark.parametrize("value", [None, "", math.nan, "absent"])
def test_row_without_a_level_is_named(value: Any) -> None:
    row = {**TWO_BY_TWO[2], "linear": value}
    if value == "absent":
        del row["linear"]
    with pytest.raises(ConfigurationError, match="row 3 has no level of factor 'linear'"):
        compare([*TWO_BY_TWO[:2], row, *TWO_BY_TWO[3:]])


def test_rows_are_numbered_as_they_were_given() -> None:
    rows = [*stored_rows(), stored(2, None), {**stored(2, 1.0), "energy_wh": "much"}]
    with pytest.raises(ConfigurationError, match="'much' in row 8"):
        stored_factors(rows)


def test_factor_with_one_level_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="factor 'linear' has the level 'no' in each of 6"):
        compare([row for row in TWO_BY_TWO if row["linear"] == "no"])


def test_measured_quantity_is_no_factor() -> None:
    rows = [{**row, "loss": 0.1 * i} for i, row in enumerate(TWO_BY_TWO)]
    with pytest.raises(
        ConfigurationError, match=r"factor 'loss' has 12 levels in 12 samples.*an id"
    ):
        compare_factors(rows, ["conv", "loss"], "energy_j")


def test_so_many_levels_are_no_factor_even_if_some_are_repeated() -> None:
    rows = [{"loss": i // 2, "energy_j": float(i)} for i in range(200)]
    with pytest.raises(ConfigurationError, match="factor 'loss' has 100 levels in 200 samples"):
        compare_factors(rows, ["loss"], "energy_j")
