from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ttest_ind, ttest_rel

from greenbench.compare.decision import Decision, decide
from greenbench.compare.noninferiority import p_values

Floats = NDArray[np.float64]
Family = Mapping[str, Sequence[float] | Floats]
Shape = tuple[int, ...]

NAMES = ("xs", "s", "m", "l", "xl")
QUIET = np.array([-0.001, 0.0, 0.001])
LOUD = 10 * QUIET

# In 360ths, as accuracies on a small test set are, so that ties come up.
families = st.lists(
    st.lists(st.integers(330, 360).map(lambda right: right / 360), min_size=2, max_size=6),
    min_size=2,
    max_size=len(NAMES),
).map(lambda accuracies: dict(zip(NAMES, accuracies, strict=False)))


def with_energies(family: Family) -> list[tuple[str, float, Sequence[float]]]:
    return [(name, 2.0**i, list(accuracies)) for i, (name, accuracies) in enumerate(family.items())]


def decide_family(family: Family, tolerance: float = 0.01, confidence: float = 0.95) -> Decision:
    return decide(with_energies(family), tolerance=tolerance, confidence=confidence)


def ps(decision: Decision) -> dict[str, float | None]:
    return {candidate.name: candidate.p for candidate in decision.candidates}


def test_least_energy_that_is_proven_to_be_within_the_tolerance_is_chosen() -> None:
    found = decide_family({"s": 0.95 + QUIET, "m": 0.985 + QUIET, "l": 0.99 + QUIET})
    assert (found.choice, found.descriptive) == ("m", "m")
    assert found.is_proven
    assert found.reason is None
    assert found.p == ps(found)["m"]
    assert (found.tolerance, found.confidence) == (0.01, 0.95)


def test_noise_leaves_it_undecided_and_says_why() -> None:
    found = decide_family({"s": 0.95 + LOUD, "m": 0.985 + LOUD, "l": 0.99 + LOUD})
    assert (found.choice, found.p, found.descriptive) == (None, None, "m")
    assert not found.is_proven
    # Of Welch's test of 0.985 + 0.01 against 0.99, as deviations are all alike.
    assert found.reason == "3 repeats don't prove it (p = 0.287)"
    assert ps(found)["m"] == pytest.approx(
        ttest_ind(0.995 + LOUD, 0.99 + LOUD, equal_var=False, alternative="greater").pvalue
    )


def test_less_confidence_is_enough_to_choose() -> None:
    family = {"s": 0.95 + LOUD, "m": 0.985 + LOUD, "l": 0.99 + LOUD}
    assert decide_family(family, confidence=0.7).choice == "m"


def test_size_that_only_looks_sufficient_is_passed_over_and_the_reason_is_said() -> None:
    found = decide_family({"s": 0.9805 + QUIET, "m": 0.989 + QUIET, "l": 0.99 + QUIET})
    assert (found.choice, found.descriptive) == ("m", "s")
    assert found.reason == f"3 repeats don't prove it (p = {ps(found)['s']:.3g})"


def test_variances_and_repeats_may_differ() -> None:
    one, other = [0.98, 0.985, 0.99], [0.985, 0.986, 0.987, 0.985, 0.986, 0.987]
    found = decide_family({"s": 0.5 + QUIET / 10, "m": one, "l": other})
    beyond = np.array(one) + 0.01
    welch = ttest_ind(beyond, other, equal_var=False, alternative="greater")
    assert ps(found)["m"] == pytest.approx(welch.pvalue, rel=1e-4)


def test_smaller_size_than_medians_suggest_may_be_proven_by_means() -> None:
    # A median takes no notice of the fifth of the repeats in which l does badly.
    found = decide_family({"s": [0.978, 0.979, 0.980] * 33, "l": [0.99] * 80 + [0.965] * 20})
    assert (found.choice, found.descriptive) == ("s", "l")
    assert found.reason is None


def test_sizes_behind_one_that_fails_are_not_chosen() -> None:
    found = decide_family({"s": 0.985 + QUIET, "m": 0.95 + QUIET, "l": 0.99 + QUIET})
    assert (found.choice, found.descriptive) == ("l", "s")


def test_larger_sizes_that_are_worse_do_not_stand_in_the_way() -> None:
    found = decide_family(
        {"s": 0.95 + QUIET, "m": 0.989 + QUIET, "l": 0.99 + QUIET, "xl": 0.5 + QUIET}
    )
    assert found.choice == "m"
    assert ps(found)["xl"] == 1.0


def test_figures_are_corrected_for_the_number_of_sizes() -> None:
    def pair(one: float, other: float) -> float:
        test = ttest_ind(one + 0.01 + QUIET, other + QUIET, equal_var=False, alternative="greater")
        return float(test.pvalue)

    means = {"s": 0.985, "m": 0.988, "l": 0.989, "xl": 0.99}
    found = decide_family({name: mean + QUIET for name, mean in means.items()})
    # By the size that is supposed to be the best: s, m, l, xl.
    expected = {
        "s": max(2 * pair(0.985, 0.989), pair(0.985, 0.99)),
        "m": max(3 * pair(0.988, 0.985), 2 * pair(0.988, 0.989), pair(0.988, 0.99)),
        "l": max(3 * pair(0.989, 0.985), 4 * pair(0.989, 0.988), pair(0.989, 0.99)),
        "xl": max(3 * pair(0.99, 0.985), 4 * pair(0.99, 0.988), 2 * pair(0.99, 0.989)),
    }
    assert ps(found) == pytest.approx(expected, rel=1e-4)


def test_size_must_be_proven_against_a_noisy_one_that_may_be_the_best() -> None:
    noisy = 0.98 + 3 * LOUD
    found = decide_family({"s": 0.985 + QUIET, "m": 0.99 + QUIET, "l": noisy})
    assert found.choice is None
    assert found.descriptive == "s"


def test_repeats_that_agree_by_chance_are_not_taken_to_be_without_noise() -> None:
    alike = np.zeros(3)
    noisy = 5 * QUIET
    assert decide_family({"s": 0.981 + alike, "m": 0.99 + alike}).choice == "s"
    found = decide_family(
        {"xs": 0.9 + noisy, "s": 0.981 + alike, "m": 0.99 + alike, "l": 0.95 + noisy}
    )
    assert found.choice == "m"


@pytest.mark.parametrize(
    ("n", "p", "choice"), [(2, 0.25, None), (4, 1 / 16, None), (5, 1 / 32, "s")]
)
def test_scores_that_are_all_the_same_prove_no_more_than_a_sign_test(
    n: int, p: float, choice: str | None
) -> None:
    found = decide_family({"s": [1.0] * n, "l": [1.0] * n})
    assert (found.choice, found.descriptive) == (choice, "s")
    assert ps(found) == {"s": p, "l": p}


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("images", [18, 36])
def test_choice_among_sizes_that_are_nearly_always_right_is_not_wrong_too_often(
    n: int, images: int
) -> None:
    means = np.array([0.985, 1.0])
    drawn = np.random.default_rng(0).binomial(images, means[:, None], (2000, 2, n)) / images
    assert wrongly_chosen(p_values(drawn, 0.01), means) <= most_wrong(2000)


ALMOST_ALWAYS_RIGHT = ([0.985, 1.0], [0.9899, 1.0], [0.985, 0.985, 1.0], [0.98, 0.995])


@pytest.mark.parametrize("means", ALMOST_ALWAYS_RIGHT)
@pytest.mark.parametrize("n", [3, 5, 8, 12])
@pytest.mark.parametrize("images", [18, 36])
@pytest.mark.parametrize("is_paired", [True, False])
def test_few_test_images_that_are_nearly_all_right_prove_no_more_than_their_number_allows(
    is_paired: bool, images: int, n: int, means: Sequence[float]
) -> None:
    p = p_values(drawn_right(means, images, n), 0.01, in_blocks=is_paired, test_samples=images)
    assert wrongly_chosen(p, np.array(means)) <= most_wrong(2000)


def drawn_right(means: Sequence[float], images: int, n: int) -> Floats:
    """Return shares of independent images that 2,000 families get right."""
    truth = np.array(means)[:, None]
    return np.random.default_rng(0).binomial(images, truth, (2000, len(means), n)) / images


@pytest.mark.parametrize("means", [[0.985, 0.985], [0.955, 0.96], [0.9, 0.96, 0.96]])
@pytest.mark.parametrize("n", [3, 5, 12])
@pytest.mark.parametrize("is_paired", [True, False])
def test_thousand_test_images_prove_as_much_as_if_their_number_was_not_known(
    is_paired: bool, n: int, means: Sequence[float]
) -> None:
    drawn = drawn_right(means, 1000, n)
    known, unknown = (
        (p_values(drawn, 0.01, in_blocks=is_paired, test_samples=images) <= 0.05).mean(axis=0)
        for images in (1000, None)
    )
    assert known == pytest.approx(unknown, abs=0.02)
    assert max(known) > 0.2


@pytest.mark.parametrize(
    ("images", "wrong", "p"),
    # That a size which is right on 99% errs on so few of 5 x images, where the other never does.
    [(36, 0, 0.99**180), (100, 0, 0.99**500), (100, 1, 0.99**500 + 500 * 0.01 * 0.99**499)],
)
def test_proof_is_no_surer_than_the_share_of_test_images_that_were_right(
    images: int, wrong: int, p: float
) -> None:
    repeats = [*[1.0] * 4, 1 - wrong / images]
    found = decide(with_energies({"s": repeats, "l": [1.0] * 5}), test_samples=images)
    assert ps(found)["s"] == pytest.approx(p)


@pytest.mark.parametrize("deviations", [(1.0, 1.0), (1.0, 0.3), (1.0, 0.01), (0.01, 1.0)])
def test_two_repeats_without_pairs_prove_no_more_than_two_can(
    deviations: tuple[float, float],
) -> None:
    means = np.array([-1.001, 0.0])
    noise = np.random.default_rng(0).normal(size=(2000, 2, 2))
    drawn = means[:, None] + np.array(deviations)[:, None] * noise
    assert wrongly_chosen(p_values(0.01 * drawn, 0.01, in_blocks=False), means / 100) <= 0.05


@pytest.mark.parametrize("means", ALMOST_ALWAYS_RIGHT)
@pytest.mark.parametrize("images", [18, 100, 360, 1000])
def test_two_repeats_without_pairs_are_no_surer_where_scores_are_coarse(
    images: int, means: Sequence[float]
) -> None:
    p = p_values(drawn_right(means, images, 2), 0.01, in_blocks=False)
    assert wrongly_chosen(p, np.array(means)) <= most_wrong(2000)


@pytest.mark.parametrize(("smaller", "choice"), [(0.89, "s"), (0.8899, "l"), (0.95, "s")])
def test_without_noise_means_decide_and_exactly_the_tolerance_less_is_within(
    smaller: float, choice: str
) -> None:
    found = decide_family({"s": [smaller] * 3, "l": [0.9] * 3})
    assert (found.choice, found.descriptive) == (choice, choice)


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ({"s": [0.9], "l": [0.9, 0.95]}, "1 repeat of s: a test needs 2 or more"),
        ({"s": [0.9, 0.9]}, "s is the only size: there is none to compare it with"),
    ],
)
def test_too_little_data_gives_the_descriptive_choice_alone(family: Family, reason: str) -> None:
    found = decide_family(family)
    assert (found.choice, found.descriptive, found.reason) == (
        None,
        "s" if len(family) == 1 else "l",
        reason,
    )
    assert set(ps(found).values()) == {None}


def test_uneven_repeats_are_counted() -> None:
    found = decide_family({"s": [0.95, 0.99], "l": [0.95, 0.96, 0.97, 0.99]})
    assert str(found.reason).startswith("2 to 4 repeats don't prove it (p = ")
    assert [candidate.n for candidate in found.candidates] == [2, 4]


def in_blocks(family: Family, blocks: Mapping[str, Sequence[int | None]]) -> Decision:
    return decide(with_energies(family), blocks=blocks)


# What the split gives to all sizes, and what is left of each.
SPLITS = np.array([-0.006, 0.004, 0.0, 0.006, -0.004])
LEFT = np.array([0.0015, -0.0028, 0.0023, -0.0017, 0.0007])


def test_repeats_that_met_the_same_data_are_compared_in_pairs() -> None:
    family = {"s": 0.955 + SPLITS + LEFT, "l": 0.96 + SPLITS - LEFT}
    found = in_blocks(family, {"s": range(5), "l": range(5)})
    # Correlated by less than what counts at most.
    test = ttest_rel(family["s"] + 0.01, family["l"], alternative="greater")
    assert ps(found)["s"] == pytest.approx(test.pvalue, rel=1e-4)
    assert (found.choice, found.is_paired) == ("s", True)
    alone = decide_family(family)
    assert (alone.choice, alone.is_paired) == ("l", False)


def test_order_of_repeats_is_no_pairing_and_the_block_decides() -> None:
    family = {"s": 0.955 + SPLITS + LEFT, "l": 0.96 + SPLITS - LEFT}
    turned = {"s": family["s"], "l": family["l"][::-1]}
    blocks = {"s": [*range(5)], "l": [*range(5)][::-1]}
    assert ps(in_blocks(turned, blocks)) == pytest.approx(
        ps(in_blocks(family, {"s": range(5), "l": range(5)}))
    )


@pytest.mark.parametrize(
    ("blocks", "is_paired"),
    [
        ({"s": [0, 1, 2, None, None], "l": [0, 1, 2, 3, 4]}, True),
        ({"s": [0, 1, None, None, None], "l": [0, 1, 2, 3, 4]}, False),
        ({"s": [None] * 5, "l": [None] * 5}, False),
        ({"s": [0, 0, 0, 0, 0], "l": [0, 0, 0, 0, 0]}, False),
        ({"s": range(5), "l": range(5, 10)}, False),
        ({}, False),
    ],
)
def test_sizes_are_paired_where_most_of_their_samples_share_a_block(
    blocks: Mapping[str, Sequence[int | None]], is_paired: bool
) -> None:
    family = {"s": 0.955 + SPLITS + LEFT, "l": 0.96 + SPLITS - LEFT}
    found = in_blocks(family, blocks)
    assert found.is_paired == is_paired
    if not is_paired:
        assert ps(found) == pytest.approx(ps(decide_family(family)))


def test_reason_says_that_repeats_were_paired() -> None:
    family = {"s": 0.95 + SPLITS, "l": 0.96 + SPLITS[::-1]}
    reason = in_blocks(family, {"s": range(5), "l": range(5)}).reason
    assert str(reason).startswith("5 repeats, paired, don't prove it (p = ")


def test_differences_of_coarse_scores_that_are_equal_by_chance_are_no_proof() -> None:
    steps = {"s": np.array([340, 343]) / 360, "l": np.array([341, 344]) / 360}
    found = in_blocks(steps, {"s": range(2), "l": range(2)})
    assert found.choice is None


def test_many_experiments_at_once_are_judged_as_each_alone() -> None:
    generator = np.random.default_rng(0)
    drawn = generator.normal(0.95, 0.01, (20, 3, 6))
    drawn[5:, 1, 2], drawn[10:, 2, :3] = np.nan, np.nan
    at_once = p_values(drawn, 0.01)
    for gains, expected in zip(drawn, at_once, strict=True):
        there = [np.flatnonzero(~np.isnan(row)) for row in gains]
        family = {n: row[of] for n, row, of in zip("abc", gains, there, strict=True)}
        found = in_blocks(family, {n: list(of) for n, of in zip("abc", there, strict=True)})
        assert list(ps(found).values()) == pytest.approx(list(expected))


@given(families)
def test_choice_has_the_least_energy_of_all_that_are_proven(family: Family) -> None:
    found = decide_family(family)
    assert list(ps(found)) == list(family)
    figures = [p for p in ps(found).values() if p is not None]
    assert all(0 <= p <= 1 for p in figures)
    proven = [name for name, p in ps(found).items() if p is not None and p <= 0.05]
    assert found.choice == (proven[0] if proven else None)


@given(families)
def test_descriptive_choice_has_the_least_energy_within_the_tolerance_by_medians(
    family: Family,
) -> None:
    medians = {name: np.median(accuracies) for name, accuracies in family.items()}
    within = [name for name in family if medians[name] >= max(medians.values()) - 0.01 - 1e-9]
    assert decide_family(family).descriptive == within[0]


@given(families)
def test_a_reason_is_given_unless_the_descriptive_choice_or_a_smaller_is_proven(
    family: Family,
) -> None:
    found = decide_family(family)
    order = list(family)
    is_larger = found.choice and order.index(found.choice) > order.index(found.descriptive)
    assert (found.reason is not None) == (found.choice is None or is_larger)


@given(families, st.randoms(use_true_random=False))
def test_order_of_sizes_and_repeats_does_not_matter(family: Family, random: Random) -> None:
    shuffled = [
        (name, energy, random.sample(list(accuracies), len(accuracies)))
        for name, energy, accuracies in random.sample(with_energies(family), len(family))
    ]
    one, other = decide_family(family), decide(shuffled)
    assert list(ps(one).values()) == pytest.approx(list(ps(other).values()))
    assert replace(one, p=None, candidates=()) == replace(other, p=None, candidates=())


@given(families, st.floats(-0.5, 0.5))
def test_only_differences_of_accuracies_matter(family: Family, shift: float) -> None:
    shifted = {name: np.array(accuracies) + shift for name, accuracies in family.items()}
    one, other = decide_family(family), decide_family(shifted)
    assert list(ps(one).values()) == pytest.approx(list(ps(other).values()), abs=1e-6)


@given(families)
def test_wider_tolerance_and_less_confidence_choose_no_larger_size(family: Family) -> None:
    strict = decide_family(family).choice
    for lax in (decide_family(family, tolerance=0.02), decide_family(family, confidence=0.8)):
        if strict is not None:
            assert lax.choice is not None
            assert NAMES.index(lax.choice) <= NAMES.index(strict)


@given(families)
def test_the_same_again_in_more_repeats_proves_no_less(family: Family) -> None:
    chosen = decide_family(family).choice
    again = decide_family({name: list(repeats) * 4 for name, repeats in family.items()}).choice
    if chosen is not None:
        assert again is not None
        assert NAMES.index(again) <= NAMES.index(chosen)


# Simulation: how often is the choice truly further below the best than the tolerance?

HARDLY_BEYOND = 0.99 - 0.01 - 1e-6
TRUTHS = {
    "all but the best just beyond": [HARDLY_BEYOND] * 4 + [0.99],
    "next to best just beyond": [0.90, 0.95, 0.97, HARDLY_BEYOND, 0.99],
    "smallest just beyond": [HARDLY_BEYOND, 0.98, 0.985, 0.99, 0.99],
    "second just beyond": [0.96, HARDLY_BEYOND, 0.981, 0.99, 0.99],
    "both sides just beyond": [HARDLY_BEYOND, 0.99, HARDLY_BEYOND, 0.99, HARDLY_BEYOND],
    "best in the middle": [HARDLY_BEYOND, HARDLY_BEYOND, 0.99, HARDLY_BEYOND, HARDLY_BEYOND],
    "best is the smallest": [0.99] + [HARDLY_BEYOND] * 4,
    "spread": [0.80, 0.90, 0.95, 0.97, 0.99],
}
DEVIATIONS = {
    "alike": [0.005] * 5,
    "alike and loud": [0.010] * 5,
    "small sizes noisier": [0.010, 0.008, 0.005, 0.003, 0.001],
    "large sizes noisier": [0.001, 0.001, 0.001, 0.005, 0.010],
}


def normal(rng: np.random.Generator, truth: Floats, deviation: Floats, size: Shape) -> Floats:
    return rng.normal(truth[:, None], deviation[:, None], size)


def gamma(rng: np.random.Generator, truth: Floats, deviation: Floats, size: Shape) -> Floats:
    """Skewness −1: now and then a repeat is much worse."""
    return truth[:, None] + deviation[:, None] * (4 - rng.gamma(4, size=size)) / 2


def beta(rng: np.random.Generator, truth: Floats, deviation: Floats, size: Shape) -> Floats:
    total = truth * (1 - truth) / deviation**2 - 1
    return rng.beta((truth * total)[:, None], ((1 - truth) * total)[:, None], size)


def binomial(rng: np.random.Generator, truth: Floats, _: Floats, size: Shape) -> Floats:
    """The noise of 360 test images."""
    return rng.binomial(360, truth[:, None], size) / 360


NOISES = {"normal": normal, "gamma": gamma, "beta": beta, "binomial": binomial}


def share_wrong(truth: str, deviation: str, noise: str, n: int, n_families: int) -> float:
    means, deviations = np.array(TRUTHS[truth]), np.array(DEVIATIONS[deviation])
    rng = np.random.default_rng(0)
    drawn = NOISES[noise](rng, means, deviations, (n_families, 5, n))
    return wrongly_chosen(p_values(drawn, 0.01, in_blocks=False), means)


def wrongly_chosen(p: Floats, means: Floats) -> float:
    """Return the share of families whose smallest proven size is one that will not do."""
    is_proven = p <= 0.05
    chosen = is_proven.argmax(axis=-1)
    return float(np.mean(is_proven.any(axis=-1) & (means[chosen] < max(means) - 0.01)))


def draw_blocks(
    means: Floats, n: int, rho: float, deviation: float, step: float, *, is_skewed: bool
) -> Floats:
    """Return scores of 2,000 families whose sizes correlate by `rho`, rounded to a step."""
    rng = np.random.default_rng(0)

    def noise(*shape: int) -> Floats:
        return 1 - rng.exponential(size=shape) if is_skewed else rng.normal(size=shape)

    shared, own = noise(2000, 1, n), noise(2000, len(means), n)
    scores = means[:, None] + deviation * (np.sqrt(rho) * shared + np.sqrt(1 - rho) * own)
    # Where on the grid the truth lies differs from family to family.
    phase = rng.uniform(0, step, (2000, 1, 1))
    return np.round((scores + phase) / step) * step


def most_wrong(n_families: int) -> float:
    """Return 5% and three standard errors of its simulation."""
    return 0.05 + 3 * float(np.sqrt(0.05 * 0.95 / n_families))


@pytest.mark.parametrize(
    ("truth", "deviation", "noise", "n"),
    [
        ("all but the best just beyond", "alike and loud", "normal", 5),
        ("best in the middle", "alike and loud", "normal", 5),
        ("all but the best just beyond", "alike", "binomial", 3),
        ("next to best just beyond", "small sizes noisier", "gamma", 3),
        ("next to best just beyond", "large sizes noisier", "normal", 3),
        ("smallest just beyond", "small sizes noisier", "gamma", 10),
    ],
)
def test_choice_is_wrong_no_more_often_than_said(
    truth: str, deviation: str, noise: str, n: int
) -> None:
    assert share_wrong(truth, deviation, noise, n, 2000) <= most_wrong(2000)


@pytest.mark.slow
@pytest.mark.parametrize(("truth", "noise"), list(product(TRUTHS, NOISES)))
def test_choice_is_wrong_no_more_often_than_said_whatever_the_family(
    truth: str, noise: str
) -> None:
    for deviation, n in product(DEVIATIONS, (2, 3, 5, 10)):
        share = share_wrong(truth, deviation, noise, n, 2000)
        assert share <= most_wrong(2000), f"{deviation}, {n} repeats: {share:.1%}"


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.67])
@pytest.mark.parametrize("step", [1 / 180, 1 / 360])
def test_paired_choice_is_wrong_no_more_often_than_said(n: int, rho: float, step: float) -> None:
    for means in ([HARDLY_BEYOND, 0.99], [0.99, HARDLY_BEYOND], TRUTHS["best in the middle"]):
        for deviation, is_skewed in product((0.002, 0.0095), (False, True)):
            drawn = draw_blocks(np.array(means), n, rho, deviation, step, is_skewed=is_skewed)
            share = wrongly_chosen(p_values(drawn, 0.01), np.array(means))
            assert share <= most_wrong(2000), f"{means}, {deviation}, {is_skewed}: {share:.1%}"


@pytest.mark.parametrize(("deviation", "rho", "n"), [(0.0084, 0.67, 8), (0.0107, 0.49, 18)])
def test_pairs_prove_with_repeats_that_are_too_few_without(
    deviation: float, rho: float, n: int
) -> None:
    means = np.array([0.957, 0.96])
    drawn = draw_blocks(means, n, rho, deviation, 1 / 360, is_skewed=False)
    power, alone = (
        float(np.mean(p_values(drawn, 0.01, in_blocks=b)[:, 0] <= 0.05)) for b in (True, False)
    )
    assert power > 0.75 > alone + 0.1


def test_sizes_far_apart_are_decided_rightly() -> None:
    rng, means = np.random.default_rng(0), np.array(TRUTHS["spread"])
    for n in (3, 5, 10):
        drawn = normal(rng, means, np.full(5, 0.004), (2000, 5, n))
        p = p_values(drawn, 0.01, in_blocks=False)
        assert np.mean((p[:, 4] <= 0.05) & (p[:, :4] > 0.05).all(axis=1)) >= 0.95
