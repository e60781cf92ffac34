import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenbench.compare.agreement import LEAST_AGREEMENT
from greenbench.compare.returns import Returns, Size, compare_returns
from greenbench.compare.saving import saving_of
from greenbench.errors import NotComparableError
from greenbench.results.readings import Provenance
from greenbench.results.table import to_row
from tests.builders import make_result, make_row

SIZES = ("xs", "s", "m", "l", "xl")

points = st.lists(
    # A coarse grid, so that equal energies and equal accuracies come up.
    st.tuples(st.integers(1, 8), st.integers(0, 8)),
    min_size=2,
    max_size=len(SIZES),
)


def compare_points(*energy_and_accuracy: tuple[float, float]) -> Returns:
    rows = [
        make_row(f"dense.{size}", energy_wh=energy_wh, accuracy=accuracy)
        for size, (energy_wh, accuracy) in zip(SIZES, energy_and_accuracy, strict=False)
    ]
    (found,) = compare_returns(rows)
    return found


def by_network(found: Returns) -> dict[str, Size]:
    return {size.network: size for size in found.sizes}


def dominates(one: Size, other: Size) -> bool:
    at_least = (
        one.score.median >= other.score.median and one.energy_wh.median <= other.energy_wh.median
    )
    return at_least and (
        one.score.median != other.score.median or one.energy_wh.median != other.energy_wh.median
    )


@settings(deadline=None)
@given(points)
def test_size_is_on_the_front_unless_another_is_at_least_as_good_in_both(
    grid: list[tuple[int, int]],
) -> None:
    found = compare_points(*((float(energy), accuracy / 8) for energy, accuracy in grid))
    for size in found.sizes:
        assert size.is_on_front != any(dominates(other, size) for other in found.sizes)
    assert any(size.is_on_front for size in found.sizes)


@settings(deadline=None)
@given(points)
def test_sizes_are_ordered_by_energy(grid: list[tuple[int, int]]) -> None:
    found = compare_points(*((float(energy), accuracy / 8) for energy, accuracy in grid))
    energies = [size.energy_wh.median for size in found.sizes]
    assert energies == sorted(energies)
    assert len(energies) == len(grid)


@settings(deadline=None)
@given(points)
def test_choice_has_the_least_energy_of_all_within_one_point_of_the_best(
    grid: list[tuple[int, int]],
) -> None:
    found = compare_points(*((float(energy), accuracy / 200) for energy, accuracy in grid))
    best = max(size.score.median for size in found.sizes)
    eligible = [s for s in found.sizes if s.score.median >= best - 0.01 - 1e-9]
    assert found.choice in eligible
    assert found.choice.energy_wh.median == min(s.energy_wh.median for s in eligible)


@pytest.mark.parametrize(
    ("smaller", "choice"), [(0.89, "dense.xs"), (0.8899, "dense.s"), (0.95, "dense.xs")]
)
def test_exactly_one_point_less_is_still_good_enough(smaller: float, choice: str) -> None:
    assert compare_points((1.0, smaller), (2.0, 0.9)).choice.network == choice


@pytest.mark.parametrize(("uncertainty_wh", "saved"), [(None, 0.0476), (0.01, 0.0476), (0.1, None)])
def test_energies_that_ticks_cannot_tell_apart_save_nothing_and_say_so(
    uncertainty_wh: float | None, saved: float | None
) -> None:
    rows = [
        make_row(
            f"dense.{size}",
            energy_wh=energy_wh,
            accuracy=accuracy,
            changed={"uncertainty_wh": uncertainty_wh},
        )
        for size, energy_wh, accuracy in (("s", 1.0, 0.9), ("m", 1.05, 0.905))
    ]
    (found,) = compare_returns(rows)
    assert found.saved == (None if saved is None else pytest.approx(saved, abs=1e-4))
    price = "1.1 times the energy" if saved else "as far as its counter's ticks tell"
    assert price in found.sentence
    assert found.sizes[0].uncertainty_wh == uncertainty_wh


def test_marginal_gain_is_points_for_each_further_watt_hour() -> None:
    found = compare_points((1.0, 0.80), (3.0, 0.90), (4.0, 0.88))
    assert [size.gain_per_wh for size in found.sizes] == [
        None,
        pytest.approx(5.0),
        pytest.approx(-2.0),
    ]


def test_marginal_gain_for_no_further_energy_is_not_divided_by_zero() -> None:
    found = compare_points((1.0, 0.8), (1.0, 0.9))
    assert [size.gain_per_wh for size in found.sizes] == [None, None]


def test_figures_are_medians_over_repeats() -> None:
    rows = [
        make_row("dense.s", energy_wh=energy_wh, accuracy=accuracy)
        for energy_wh, accuracy in [(1.0, 0.7), (9.0, 0.9), (2.0, 0.8)]
    ]
    (found,) = compare_returns([*rows, make_row("dense.m", energy_wh=100.0)])
    small = by_network(found)["dense.s"]
    assert (small.energy_wh.median, small.score.median, small.energy_wh.n) == (2.0, 0.8, 3)
    assert (small.energy_wh.low, small.energy_wh.high) == (1.0, 9.0)


def test_sentence_says_what_the_best_buys_over_the_choice() -> None:
    found = compare_points((0.02, 0.85), (0.5, 0.955), (2.0, 0.964))
    assert found.sentence == (
        f"{UNPROVEN}dense.s reaches 95.5% for 0.5 Wh; "
        "dense.m buys 0.9 points for 4.0 times the energy."
    )


def test_sentence_says_that_no_smaller_size_will_do() -> None:
    assert compare_points((0.02, 0.85), (0.05, 0.955)).sentence == (
        f"{UNPROVEN}dense.s reaches 95.5% for 50 mWh, the best of its family; "
        "no smaller size comes within 1 point."
    )


def test_energy_that_a_counter_read_as_zero_is_no_divisor() -> None:
    assert compare_points((0.0, 0.885), (1.0, 0.9), (2.0, 0.905)).sentence == (
        f"{UNPROVEN}dense.s reaches 90.0% for 1 Wh; "
        "dense.m buys 0.5 points for 2.0 times the energy."
    )
    assert compare_points((0.0, 0.9), (1.0, 0.905)).sentence == (
        f"{UNPROVEN}dense.xs reaches 90.0% for 0 mWh; dense.s buys 0.5 points for 1 Wh."
    )


@pytest.mark.parametrize(
    ("column", "other", "words"),
    [
        ("energy_provenance", "counter", r"energy provenance \(counter, model\)"),
        ("energy_scope", "gpu", r"energy scope \(cpu, gpu\)"),
        ("host", "ffffffffffff", r"host \(0123456789ab, ffffffffffff\)"),
        ("meter", "zeus", r"meter \(codecarbon, zeus\)"),
        ("cpu_tdp_w", "65", r"TDP of the CPU in W \(GREENBENCH_CPU_TDP_W\) \(65, None\)"),
    ],
)
def test_figures_that_differ_in_kind_are_refused_by_what_differs_and_how_to_select(
    column: str, other: str, words: str
) -> None:
    rows = [
        make_row("dense.s", changed={"meter": "codecarbon"}),
        make_row("dense.m", changed={"meter": "codecarbon", column: other}),
    ]
    with pytest.raises(NotComparableError, match=words) as refused:
        compare_returns(rows)
    assert f"`--where {column}=" in str(refused.value)
    assert "dense (default, torch, digits)" in str(refused.value)


def test_one_size_with_two_definitions_is_refused() -> None:
    rows = [make_row("dense.s"), make_row("dense.s", changed={"case_hash": "beef"})]
    with pytest.raises(NotComparableError, match=r"dense\.s: figures differ in definition"):
        compare_returns([*rows, make_row("dense.m")])


@pytest.mark.parametrize(
    "changed",
    [
        {"strategy": "grid"},
        {"backend": "keras"},
        {"dataset": "synthetic"},
        {"epochs": 3},
    ],
    ids=str,
)
def test_sizes_of_other_settings_are_answered_separately(changed: dict[str, Any]) -> None:
    rows = [make_row(f"dense.{size}", **fields) for fields in ({}, changed) for size in ("s", "m")]
    first, second = compare_returns(rows)
    assert len(first.sizes) == len(second.sizes) == 2
    assert first != second


def test_other_provenance_in_another_family_is_no_obstacle() -> None:
    measured = [
        make_row(f"simple_cnn.{size}", changed={"energy_provenance": "counter"}) for size in "sm"
    ]
    found = compare_returns([make_row("dense.s"), make_row("dense.m"), *measured])
    assert {each.family: each.provenance for each in found} == {
        "dense": "model",
        "simple_cnn": "counter",
    }


def test_failed_repeats_are_left_out() -> None:
    failed = make_row("dense.s", energy_wh=50.0, accuracy=None)
    (found,) = compare_returns([make_row("dense.s"), failed, make_row("dense.m")])
    assert by_network(found)["dense.s"].energy_wh.n == 1


def test_size_that_always_failed_is_no_size() -> None:
    assert compare_returns([make_row("dense.s"), make_row("dense.m", accuracy=None)]) == []


def disturbed(network: str, **fields: Any) -> dict[str, Any]:
    return make_row(network, **fields, changed={"marks": "disturbed"})


@pytest.mark.parametrize("include_disturbed", [False, True])
def test_energy_that_nobody_knows_is_said_so_and_not_taken_for_zero(
    include_disturbed: bool,
) -> None:
    rows = [make_row(f"dense.{size}", energy_wh=None) for size in "sm"]
    with pytest.raises(NotComparableError, match=r"no sample has an energy.*greenbench doctor"):
        compare_returns(rows, include_disturbed=include_disturbed)


def test_family_all_of_whose_samples_were_disturbed_is_refused_with_the_way_out() -> None:
    rows = [disturbed("dense.s"), disturbed("dense.m"), make_row("dense.m", energy_wh=None)]
    with pytest.raises(NotComparableError, match="every sample was disturbed") as refused:
        compare_returns(rows)
    assert "dense (default, torch, digits)" in str(refused.value)
    assert "`--include-disturbed`" in str(refused.value)
    (found,) = compare_returns(rows, include_disturbed=True)
    assert [size.energy_wh.n for size in found.sizes] == [1, 1]


def test_samples_of_unknown_energy_are_left_out_and_the_rest_is_compared() -> None:
    rows = [
        make_row("dense.s", energy_wh=1.0),
        make_row("dense.s", energy_wh=None),
        make_row("dense.m", energy_wh=2.0),
    ]
    (found,) = compare_returns(rows)
    energy_wh = by_network(found)["dense.s"].energy_wh
    assert (energy_wh.median, energy_wh.n) == (1.0, 1)
    assert (found.provenance, found.left_out) == ("model", ())


def test_disturbed_samples_are_left_out_unless_asked_for() -> None:
    rows = [
        make_row("dense.s", energy_wh=1.0),
        disturbed("dense.s", energy_wh=9.0),
        make_row("dense.m", energy_wh=2.0),
    ]
    (quiet,), (all_of_them,) = (
        compare_returns(rows, include_disturbed=include) for include in (False, True)
    )
    assert by_network(quiet)["dense.s"].energy_wh.median == 1.0
    assert by_network(all_of_them)["dense.s"].energy_wh.median == 5.0


def test_accuracy_is_that_of_all_samples() -> None:
    rows = [
        make_row("dense.s", accuracy=0.7),
        disturbed("dense.s", accuracy=0.8),
        make_row("dense.s", energy_wh=None, accuracy=0.9),
        make_row("dense.m", energy_wh=2.0),
    ]
    (found,) = compare_returns(rows)
    accuracy = by_network(found)["dense.s"].score
    assert (accuracy.median, accuracy.n) == (0.8, 3)


@pytest.mark.parametrize(
    "row",
    [make_row("dense.l", energy_wh=None), disturbed("dense.l")],
    ids=["unknown", "disturbed"],
)
def test_size_without_a_sample_that_counts_is_named_and_not_compared(row: dict[str, Any]) -> None:
    rows = [make_row("dense.s", energy_wh=1.0), make_row("dense.m", energy_wh=2.0), row]
    (found,) = compare_returns(rows)
    assert set(by_network(found)) == {"dense.s", "dense.m"}
    assert found.left_out == ("dense.l",)


def test_best_of_those_compared_is_not_called_the_best_of_its_family() -> None:
    rows = [
        make_row("dense.s", accuracy=0.8),
        make_row("dense.m", energy_wh=2.0, accuracy=0.9),
        disturbed("dense.l", accuracy=0.99),
    ]
    (found,) = compare_returns(rows)
    assert found.choice.network == "dense.m"
    assert "the best of the sizes compared" in found.sentence
    assert "of its family" not in found.sentence


def test_what_is_unknown_is_no_difference_in_kind() -> None:
    elsewhere = {"host": "elsewhere", "meter": "another", "energy_provenance": "none"}
    rows = [
        make_row("dense.s"),
        make_row("dense.m"),
        make_row("dense.m", energy_wh=None, changed=elsewhere),
    ]
    (found,) = compare_returns(rows)
    assert found.provenance == "model"


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [make_row("dense.s")],
        [make_row("dense.s"), make_row("simple_cnn.m")],
        [make_row("dense"), make_row("dense.m")],
        [make_row("dense.s"), make_row("dense.m", architecture_options=(("layers", 2),))],
    ],
    ids=["nothing", "one size", "two families", "without a size", "a variant"],
)
def test_fewer_than_two_sizes_of_a_family_answer_nothing(rows: list[dict[str, Any]]) -> None:
    assert compare_returns(rows) == []


def test_provenance_of_a_result_reaches_the_answer() -> None:
    rows = [
        to_row(make_result(provenance=Provenance.COUNTER))
        | {"architecture": f"simple_cnn.{size}"}
        | {"size": size}
        for size in "sm"
    ]
    assert compare_returns(rows)[0].provenance == "counter"


def family_of(**repeats: tuple[float, Sequence[float]]) -> Returns:
    """Return the comparison of sizes, each with an energy and the accuracies of its repeats."""
    rows = [
        make_row(
            f"dense.{size}", energy_wh=energy_wh, accuracy=accuracy, changed={"repeat": repeat}
        )
        for size, (energy_wh, accuracies) in repeats.items()
        for repeat, accuracy in enumerate(accuracies)
    ]
    (found,) = compare_returns(rows)
    return found


CLOSE = (0.960, 0.961, 0.959, 0.960, 0.962)
UNPROVEN = "Not proven: by the medians alone, "
BEST = (0.963, 0.964, 0.962, 0.963, 0.965)
NOISY = (0.950, 0.962, 0.951, 0.961, 0.953)
FAR = (0.90, 0.901, 0.899, 0.90, 0.902)


def test_smaller_size_is_chosen_when_repeats_prove_it() -> None:
    found = family_of(s=(1.0, FAR), m=(2.0, CLOSE), l=(8.0, BEST))
    assert found.choice.network == "dense.m"
    assert found.saved == pytest.approx(0.75)
    assert found.sentence == (
        "dense.m reaches 96.0% for 2 Wh; dense.l buys 0.3 points for 4.0 times the energy."
    )
    assert found.proof == (
        "Within 1 point of the best at 95% confidence; it saves 75% [75, 75] of the energy."
    )


def three_sizes(*ratios: float) -> Returns:
    """Return sizes of which `m` is proven; `l` takes `ratios` times its energy, by repeats."""
    noise = (1.0, 2.0, 4.0, 3.0, 1.5)
    rows = [
        make_row(
            f"dense.{size}",
            energy_wh=energy_wh * noise[repeat] * (ratios[repeat] if size == "l" else 1.0),
            accuracy=accuracies[repeat],
            changed={"repeat": repeat},
        )
        for size, energy_wh, accuracies in (("s", 0.1, FAR), ("m", 1.0, CLOSE), ("l", 1.0, BEST))
        for repeat in range(5)
    ]
    (found,) = compare_returns(rows)
    return found


def test_saving_is_that_of_pairs_of_a_round_whatever_drifts_between_rounds() -> None:
    found = three_sizes(2.0, 2.1, 1.9, 2.0, 2.0)
    assert found.saved == pytest.approx(0.4995, abs=0.001)
    assert found.proof == (
        "Within 1 point of the best at 95% confidence; it saves 50% [48, 52] of the energy."
    )
    assert (found.saved_low, found.saved_high) == (
        pytest.approx(0.477, abs=0.001),
        pytest.approx(0.521, abs=0.001),
    )


def test_saving_that_pairs_do_not_show_is_not_called_one() -> None:
    found = three_sizes(1.3, 1.1, 1.2, 0.7, 1.2)
    assert found.saved_low is not None
    assert found.saved_low < 0 < (found.saved or 0)
    assert "saves" not in found.proof
    assert "; that it needs less energy is not shown: 7% [-26, 32] less." in found.proof


def test_saving_without_pairs_has_no_interval_and_says_so() -> None:
    rows = [
        make_row(f"dense.{size}", energy_wh=energy_wh, accuracy=accuracy)
        for size, energy_wh, accuracies in (("s", 1.0, FAR), ("m", 2.0, CLOSE), ("l", 8.0, BEST))
        for accuracy in accuracies
    ]
    (found,) = compare_returns(rows)
    assert (found.saved, found.saved_low, found.saved_high) == (0.75, None, None)
    assert "by the medians 75% less energy, without an interval: too few pairs" in found.proof


@pytest.mark.simulated
@pytest.mark.parametrize("n", [2, 5])
def test_interval_of_a_saving_holds_the_truth_as_often_as_it_says(n: int) -> None:
    drawn = np.exp(np.random.default_rng(n).normal(0, 0.05, (2000, 2, n)))

    def rows(energies: Any) -> list[dict[str, Any]]:
        return [{"repeat": i, "energy_wh": energy} for i, energy in enumerate(energies)]

    found = [saving_of(rows(one), rows(2.0 * other)) for one, other in drawn]
    assert np.mean([s is not None and s.low <= 0.5 <= s.high for s in found]) > 0.935


def noisy_family(noise: float, seed: int) -> list[dict[str, Any]]:
    generator = np.random.default_rng(seed)
    return [
        make_row(
            f"dense.{size}",
            energy_wh=4.0**power,
            accuracy=float(accuracy + generator.normal(0, noise)),
            changed={"repeat": repeat},
        )
        for power, (size, accuracy) in enumerate(
            zip(SIZES, (0.90, 0.95, 0.97, 0.975, 0.978), strict=True)
        )
        for repeat in range(3)
    ]


def test_knee_is_named_only_where_most_resamples_have_it() -> None:
    (sure,) = compare_returns(noisy_family(0.001, 0))
    assert (sure.knee, sure.knee_agreement) == ("dense.m", 1.0)
    (unsure,) = compare_returns(noisy_family(0.02, 1))
    assert unsure.knee is None
    assert unsure.knee_agreement is not None
    assert unsure.knee_agreement < LEAST_AGREEMENT
    assert not any(record["is_knee"] for record in unsure.records())


def test_agreement_does_not_depend_on_the_order_of_rows() -> None:
    rows = noisy_family(0.02, 1)
    one, other = (compare_returns(each)[0] for each in (rows, rows[::-1]))
    assert one.knee_agreement == other.knee_agreement


def test_blocks_that_all_sizes_share_are_drawn_for_all_at_once() -> None:
    # What blocks have in common moves all sizes alike, and no knee.
    rows = [
        {**row, "energy_wh": row["energy_wh"], "test_score": row["test_score"] + shift}
        for row in noisy_family(0.0, 0)
        for shift in [(0.0, 0.02, -0.02)[row["repeat"]]]
    ]
    (apart,) = compare_returns(rows)
    (together,) = compare_returns([{**row, "split_seed": row["repeat"]} for row in rows])
    assert apart.knee_agreement is not None
    assert apart.knee_agreement < 1.0 == together.knee_agreement


def test_smaller_size_that_repeats_do_not_prove_is_named_beside_the_choice() -> None:
    found = family_of(s=(1.0, FAR), m=(2.0, NOISY), l=(8.0, BEST), xl=(9.0, CLOSE))
    assert found.choice.network == "dense.l"
    assert found.sentence == "dense.l reaches 96.3% for 8 Wh, the best of its family."
    assert found.proof.startswith(
        "Within 1 point of the best at 95% confidence. "
        "dense.m reaches 95.3% for 2 Wh, and may do as well: 5 repeats don't prove it (p = 0."
    )


def test_nothing_is_said_to_be_proven_with_a_single_repeat() -> None:
    found = family_of(s=(1.0, [0.955]), m=(2.0, [0.96]))
    assert found.choice.network == "dense.s"
    assert found.proof == (
        "Not proven to be within 1 point of the best: 1 repeat of dense.s: a test needs 2 or more."
    )


def test_tolerance_moves_the_choice_and_is_said() -> None:
    rows = [
        make_row(f"dense.{size}", energy_wh=energy_wh, accuracy=accuracy)
        for size, energy_wh, accuracies in (("s", 1.0, FAR), ("m", 2.0, CLOSE), ("l", 8.0, BEST))
        for accuracy in accuracies
    ]
    (generous,) = compare_returns(rows, tolerance=0.1)
    assert generous.choice.network == "dense.s"
    assert "Within 10 points of the best" in generous.proof
    (strict,) = compare_returns(rows, tolerance=0.0005)
    assert strict.choice.network == "dense.l"
    assert strict.sentence.endswith("no smaller size comes within 0.05 points.")


def test_knee_and_saturation_are_those_of_the_sizes() -> None:
    noise = (-0.001, -0.0005, 0.0, 0.0005, 0.001)
    energies = {"xs": 0.25, "s": 1.0, "m": 4.0, "l": 16.0, "xl": 64.0}
    found = family_of(
        **{
            size: (energy_wh, [0.95 - 0.05 * energy_wh**-0.7 + e for e in noise])
            for size, energy_wh in energies.items()
        }
    )
    assert found.knee in {size.network for size in found.sizes}
    assert found.knee_agreement == 1.0
    assert found.saturation.a is not None
    assert found.saturation.a.value == pytest.approx(0.95, abs=0.003)


def test_records_hold_the_figures_of_every_size() -> None:
    found = family_of(s=(1.0, FAR), m=(2.0, CLOSE), l=(8.0, BEST))
    records = found.records()
    assert [record["size"] for record in records] == ["dense.s", "dense.m", "dense.l"]
    assert [record["is_choice"] for record in records] == [False, True, False]
    assert [record["energy_wh"] for record in records] == [1.0, 2.0, 8.0]
    assert records[1]["p"] < 0.05 < records[0]["p"]
    assert {record["energy_provenance"] for record in records} == {"model"}


def test_what_is_saved_and_proven_is_json_as_all_that_is_found() -> None:
    found = family_of(s=(1.0, FAR), m=(2.0, CLOSE), l=(8.0, BEST))
    answer = json.loads(json.dumps(asdict(found), allow_nan=False))
    for name in ("saved", "saved_low", "saved_high"):
        assert answer[name] == pytest.approx(0.75)
    assert answer["proof"].startswith("Within 1 point of the best at 95% confidence; it saves 75%")


@given(st.integers(2, 6))
def test_more_repeats_without_noise_narrow_the_interval_of_energy(times: int) -> None:
    def width(copies: int) -> float:
        rows = [
            make_row("dense.s", energy_wh=energy_wh)
            for energy_wh in [1.0, 2.0, 3.0, *[2.0] * 3 * copies]
        ]
        (found,) = compare_returns([*rows, make_row("dense.m", energy_wh=9.0)])
        interval = by_network(found)["dense.s"].energy_wh
        assert interval.low is not None
        assert interval.high is not None
        return interval.high - interval.low

    assert width(times) <= width(0)


REACHED = {"s": (0.941, 0.957, 0.949, 0.961, 0.952), "m": (0.946, 0.958, 0.953, 0.966, 0.955)}


def session_of(name: str = "s1", seeds: Sequence[int | None] = range(5)) -> list[dict[str, Any]]:
    """Return a session of two sizes, of each a row a repeat."""
    return [
        make_row(
            f"dense.{size}",
            accuracy=accuracy,
            energy_wh=energy_wh,
            changed={"repeat": repeat, "session": name, "split_seed": seeds[repeat]},
        )
        for (size, reached), energy_wh in zip(REACHED.items(), (1.0, 2.0), strict=True)
        for repeat, accuracy in enumerate(reached)
    ]


def test_sizes_that_met_the_same_splits_are_compared_in_pairs_and_older_ones_are_not() -> None:
    (paired,) = compare_returns(session_of())
    assert paired.decision.is_paired
    assert paired.proof.startswith("Within 1 point of the best at 95% confidence (paired)")
    (older,) = compare_returns(session_of(seeds=[None] * 5))
    assert not older.decision.is_paired
    assert older.decision.choice != paired.decision.choice == "dense.s"


def test_seeds_that_ran_in_several_sessions_prove_no_more_and_their_energies_all_count() -> None:
    (once,) = compare_returns(session_of())
    (again,) = compare_returns([row for name in "abcd" for row in session_of(name)])
    assert [size.p for size in again.sizes] == [size.p for size in once.sizes]
    assert [(size.score.n, size.energy_wh.n) for size in again.sizes] == [(5, 20)] * 2


def test_what_an_older_version_ran_with_other_splits_is_no_further_sample() -> None:
    (now,) = compare_returns(session_of())
    older = [{**row, "test_score": 0.5} for row in session_of("s0", [None] * 5)]
    (both,) = compare_returns([*older, *session_of()])
    assert [size.p for size in both.sizes] == [size.p for size in now.sizes]


@pytest.mark.parametrize(
    ("n", "told", "choice"),
    # Of an unknown number, a sign test alone says how sure it is: p = 1/32, and 1/8.
    [
        (5, 18, None), (5, None, "dense.s"), (5, "18 or so", "dense.s"),
        (3, 1000, "dense.s"), (3, None, None),
    ],
)  # fmt: skip
def test_scores_that_are_all_the_same_prove_what_the_number_of_test_samples_allows(
    n: int, told: object, choice: str | None
) -> None:
    rows = [
        make_row(f"dense.{size}", energy_wh=energy_wh, accuracy=1.0, changed={"repeat": repeat})
        for size, energy_wh in (("s", 1.0), ("l", 8.0))
        for repeat in range(n)
    ]
    (found,) = compare_returns([{**row, "test_samples": told} for row in rows])
    assert found.decision.choice == choice
