"""What must agree before figures are compared, and what a figure must be."""

from typing import Any

import pytest

from greenbench.compare.comparable import check_cases, check_scores
from greenbench.compare.factors import compare_factors
from greenbench.compare.ratios import compare_ratios
from greenbench.compare.returns import compare_returns
from greenbench.errors import ConfigurationError, NotComparableError
from tests.builders import make_row


def two_networks(column: str, first: Any, second: Any) -> list[dict[str, Any]]:
    return [
        {**make_row(f"dense.{size}", backend=backend, energy_wh=wh), column: value}
        for value in (first, second)
        for backend in ("torch", "keras")
        for size, wh in (("s", 1.0), ("m", 2.0))
    ]


DIFFERENT = [
    ("parameters", 1234.0, 5678.0, "number of parameters (1234, 5678)"),
    ("train_flops_per_sample", 1e6, 2e6, "training FLOPs of a sample (1000000, 2000000)"),
    ("data_content", "aaa", "bbb", "content of the data set (aaa, bbb)"),
    ("training_source", "aaa", "bbb", "source of the training (aaa, bbb)"),
]


@pytest.mark.parametrize(("column", "first", "second", "words"), DIFFERENT)
def test_results_of_one_definition_that_trained_different_things_are_refused(
    column: str, first: Any, second: Any, words: str
) -> None:
    rows = two_networks(column, first, second)
    for compare in (
        compare_returns,
        lambda rows: compare_ratios(rows, "backend"),
        lambda rows: compare_factors(rows, ["size"], "energy_wh"),
    ):
        with pytest.raises(NotComparableError) as caught:
            compare(rows)
        assert f"default-dense.s-torch-digits: results of one definition differ in {words}" in str(
            caught.value
        )


@pytest.mark.parametrize(("column", "first", "second", "words"), DIFFERENT)
def test_what_is_unknown_differs_from_nothing(
    column: str, first: Any, second: Any, words: str
) -> None:
    check_cases(two_networks(column, first, None) + two_networks(column, first, first))
    check_cases([{"case_hash": None, column: value} for value in (first, second)])


def test_repeats_that_found_different_networks_are_put_together() -> None:
    rows = two_networks("parameters", 1234.0, 5678.0)
    check_cases([{**row, "networks": 8} for row in rows])
    assert compare_returns([{**row, "networks": 8} for row in rows if row["backend"] == "torch"])


def test_training_that_tells_no_test_score_is_refused_with_what_to_do() -> None:
    rows = [
        {**make_row(f"tuned.{size}", backend="own", energy_wh=wh), "test_score": None}
        for size, wh in (("s", 1.0), ("m", 2.0))
    ]
    with pytest.raises(NotComparableError, match=r"tells no test score .* call run\.final"):
        compare_returns(rows)


@pytest.mark.parametrize("column", ["val_score", "test_score"])
@pytest.mark.parametrize("value", [1.7, -0.1, float("nan"), float("inf")])
def test_an_accuracy_that_is_no_share_is_an_error_that_names_the_run(
    column: str, value: float
) -> None:
    row = {**make_row(), column: value, "repeat": 3}
    with pytest.raises(ConfigurationError) as caught:
        check_scores([make_row(), row])
    assert str(caught.value).startswith(
        f"case_id default-simple_cnn.m-torch-digits, session s1, repeat 3, run_id r1: {column} is "
    )
    check_scores([{**row, column: known} for known in (0, 1, 0.5, None)])
