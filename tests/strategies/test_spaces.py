"""Search spaces: values are always legal, and impossible dimensions are refused."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from greenbench.errors import SearchSpaceError
from greenbench.strategies import Categorical, Dimension, SearchSpace
from greenbench.strategies.spaces import ADAM, PAPER3, PAPER5

positions = st.floats(0.0, 1.0)
numbers = st.floats(-1e12, 1e12)


@st.composite
def dimensions(draw):
    prior = draw(st.sampled_from(["uniform", "log"]))
    kind = draw(st.sampled_from(["float", "int"]))
    excludes_high = draw(st.booleans())
    smallest = 1e-12 if prior == "log" else -1e6
    # Numbers below 2e-308 have few digits: what is between two of them may be none of them.
    low, high = sorted(
        draw(st.lists(st.floats(smallest, 1e6, allow_subnormal=False), min_size=2, max_size=2))
    )
    assume(low < high)
    if kind == "int":
        last = math.ceil(high) - 1 if excludes_high else math.floor(high)
        assume(math.ceil(low) <= last)
    return Dimension("any", low, high, prior, kind, excludes_high)


@given(dimension=dimensions(), position=positions)
def test_every_position_holds_a_legal_value(dimension, position):
    assert dimension.at(position) in dimension


@given(dimension=dimensions(), number=numbers)
def test_every_number_is_clipped_to_a_legal_value(dimension, number):
    assert dimension.clip(number) in dimension


@given(dimension=dimensions(), number=numbers, position=positions)
def test_values_have_the_plain_type_of_their_dimension(dimension, number, position):
    plain = {"int": int, "float": float}[dimension.type]
    assert type(dimension.clip(number)) is type(dimension.at(position)) is plain


@given(dimension=dimensions(), position=positions)
def test_clipping_leaves_legal_values_alone(dimension, position):
    value = dimension.at(position)
    assert dimension.clip(value) == value


@given(dimension=dimensions(), first=positions, second=positions)
def test_values_rise_with_the_position(dimension, first, second):
    low, high = sorted((first, second))
    assert dimension.at(low) <= dimension.at(high)


@given(low=st.floats(1e-9, 1e3), decades=st.floats(0.1, 9.0), position=positions)
def test_log_prior_spaces_positions_by_equal_ratios(low, decades, position):
    dimension = Dimension("rate", low, low * 10**decades, prior="log")
    assert math.log10(dimension.at(position) / low) == pytest.approx(
        position * decades, abs=1e-9, rel=1e-9
    )


def test_uniform_prior_spaces_positions_by_equal_steps():
    dimension = Dimension("beta", 0.8, 1.0)
    assert [dimension.at(p) for p in (0, 0.25, 0.5, 1)] == pytest.approx([0.8, 0.85, 0.9, 1.0])


def test_an_excluded_bound_is_not_reached_in_32_bits_either() -> None:
    beta = Dimension("beta1", 0.1, 1.0, excludes_high=True).at(1.0)
    assert np.float32(beta) < np.float32(1.0)


@pytest.mark.parametrize(("kind", "highest"), [("float", 4 - 4 * 2.0**-23), ("int", 3)])
def test_an_excluded_bound_is_no_value(kind, highest):
    dimension = Dimension("layers", 1, 4, type=kind, excludes_high=True)
    assert 4 not in dimension
    assert dimension.at(1.0) == dimension.clip(99) == highest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.5, 0.5), "expected low below high"),
        ((0.9, 0.1), "expected low below high"),
        ((math.nan, 1.0), "expected finite numbers"),
        ((0.0, math.nan), "expected finite numbers"),
        ((0.0, math.inf), "expected finite numbers"),
        ((0.0, 1.0, "log"), "expected a bound above 0"),
        ((-1.0, 1.0, "log"), "expected a bound above 0"),
        ((0.1, 1.0, "normal"), "expected uniform or log"),
        ((0.1, 1.0, "uniform", "str"), "expected float or int"),
    ],
)
def test_an_impossible_dimension_is_refused_by_name(arguments, message):
    with pytest.raises(SearchSpaceError, match=f"dimension 'beta1'.*{message}"):
        Dimension("beta1", *arguments)


def test_a_space_needs_a_dimension():
    with pytest.raises(SearchSpaceError, match="'empty' has no dimensions"):
        SearchSpace("empty", ())


def test_a_space_names_each_dimension_once():
    beta = Dimension("beta1", 0.1, 1.0)
    with pytest.raises(SearchSpaceError, match="names a dimension twice"):
        SearchSpace("double", (beta, beta))


@pytest.mark.parametrize("space", [ADAM, PAPER3, PAPER5], ids=lambda space: space.name)
def test_built_in_spaces_keep_betas_below_one(space):
    betas = [each for each in space.dimensions if each.name.startswith("beta")]
    assert len(betas) == 2
    assert all(beta.at(1.0) < 1.0 for beta in betas)


def test_an_int_dimension_without_a_whole_number_is_refused() -> None:
    with pytest.raises(SearchSpaceError, match="a whole number between"):
        Dimension("layers", 0.2, 0.8, type="int")


def test_bounds_whose_distance_overflows_are_refused() -> None:
    with pytest.raises(SearchSpaceError, match="less far apart"):
        Dimension("x", -1e308, 1e308)


SCALARS = st.one_of(
    st.text("abc1", max_size=4),
    st.integers(-9, 9),
    st.floats(-9, 9, allow_nan=False),
    st.booleans(),
)


@given(
    choices=st.lists(SCALARS, min_size=2, max_size=6, unique_by=(lambda x: x, str)),
    position=positions,
)
def test_every_position_holds_a_choice_of_its_type(choices, position):
    dimension = Categorical("kind", choices)
    value = dimension.draw(position)
    assert value in choices
    assert type(value) is type(choices[choices.index(value)])
    assert dimension.clip(value) == value


@given(count=st.integers(2, 9))
def test_choices_have_equal_shares_of_the_positions(count):
    dimension = Categorical("kind", range(count))
    drawn = [dimension.draw(index / (9 * count)) for index in range(9 * count)]
    assert [drawn.count(each) for each in range(count)] == [9] * count


def test_choices_of_numpy_are_plain():
    choices = (np.int64(1), np.float32(0.5), np.str_("a"), np.bool_(False))
    assert [type(each) for each in Categorical("kind", choices).choices] == [int, float, str, bool]
    assert type(Categorical("kind", ("a", "b")).clip(np.str_("b"))) is str


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ((), "at least two"),
        (("a",), "at least two"),
        ("ab", "expected a sequence"),
        (3, "expected a sequence"),
        (("a", "a"), "no two that are equal"),
        ((1, True), "no two that are equal"),
        ((0, False), "no two that are equal"),
        ((1, "1"), "no two that are equal"),
        (("a", None), "the choice None; expected texts"),
        ((1.0, math.inf), "the choice inf; expected texts"),
        (((1, 2), (3, 4)), "expected texts"),
    ],
)
def test_impossible_choices_are_refused_by_name(choices, message):
    with pytest.raises(SearchSpaceError, match=f"dimension 'kind'.*{message}"):
        Categorical("kind", choices)


def test_value_that_is_no_choice_is_refused():
    with pytest.raises(SearchSpaceError, match="kind' is 'c'; expected one of its choices a, b"):
        Categorical("kind", ("a", "b")).clip("c")


def test_space_takes_both_kinds_and_has_the_prior_of_its_numbers():
    kind = Categorical("kind", ("a", "b"))
    space = SearchSpace("both", (kind, Dimension("rate", 1e-5, 1e-1, prior="log")))
    assert (space.prior, space.with_prior("uniform").prior) == ("log", "uniform")
    assert space.with_prior("uniform").dimensions[0] is kind
    assert SearchSpace("choices", (kind,)).prior == "uniform"
