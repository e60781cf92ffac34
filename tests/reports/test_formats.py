import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench.reports.formats import (
    chance,
    first_few,
    provenance_label,
    three_digits,
)


@given(st.floats(0.001, 1e6))
def test_three_digits_are_within_half_a_per_cent_and_have_no_exponent(value: float) -> None:
    text = three_digits(value).replace(",", "")
    assert "e" not in text
    assert float(text) == pytest.approx(value, rel=0.005)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (2, "2.00"),
        (99.96, "100"),
        (100.4, "100"),
        (50495.7, "50,496"),
        (-0.5, "-0.500"),
    ],
)
def test_numbers_have_three_digits_or_all_before_the_point(value: float, text: str) -> None:
    assert three_digits(value) == text


def test_a_gain_has_its_sign() -> None:
    assert (three_digits(0.25, "+"), three_digits(-1234, "+")) == ("+0.250", "-1,234")


def test_chances_that_are_small_are_bounded() -> None:
    assert (chance(0.0123), chance(0.0009)) == ("0.012", "< 0.001")


@pytest.mark.parametrize(
    ("provenances", "label"),
    [
        (["counter", "sampled"], "measured"),
        (["model", "constant", "model"], "estimated"),
        (["counter", "model"], "estimated, measured"),
        (["none"], "none"),
        # Of an older store, or of somebody else's file.
        ([None], "of unknown origin"),
        (["guess"], "of unknown origin"),
    ],
)
def test_energies_are_measured_or_estimated_and_never_passed_off(
    provenances: list[str | None], label: str
) -> None:
    assert provenance_label(*provenances) == label


def test_long_lists_are_cut() -> None:
    assert first_few(["a", "b"]) == "a; b"
    assert first_few(["a", "b", "c", "d", "e"]) == "a; b; c and 2 more"
