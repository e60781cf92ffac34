"""Columns of foreign tables: found by name, read in their unit, refused by their place."""

from collections.abc import Callable
from typing import Any

import pytest

from greenbench.compare.cells import WH_PER
from greenbench.compare.columns import (
    check_factorial,
    responses,
    to_results,
    to_trials,
    to_variants,
    with_options,
)
from greenbench.compare.csvs import CsvRow, Percent
from greenbench.compare.names import Names
from greenbench.errors import ConfigurationError, NotComparableError, UnknownNameError

RESULT = {"size": "s", "energy_wh": 1.0, "accuracy": 0.9}
TRIAL = {"strategy": "grid", "energy_wh": 1.0, "accuracy": 0.9}
VARIANT = {"practice": "none", "repeat": 1, "energy_wh": 1.0, "accuracy": 0.9}

Reader = Callable[..., Any]


def variants(rows: list[dict[str, Any]], names: Names) -> Any:
    return to_variants(rows, names, "practice")


QUESTIONS = [(to_results, RESULT), (to_trials, TRIAL), (variants, VARIANT)]
each_question = pytest.mark.parametrize(
    ("read", "row"), QUESTIONS, ids=["returns", "strategies", "ratios"]
)


@each_question
@pytest.mark.parametrize(
    ("column", "unit", "value"),
    [
        ("energy_wh", None, 2.0),
        ("energy_j", None, 7200.0),
        ("energy_kj", None, 7.2),
        ("energy_kwh", None, 0.002),
        ("used_kWh", None, 0.002),
        ("J", None, 7200),
        ("gpu", "j", 7200.0),
        ("energy_wh", "kwh", 0.002),
    ],
)
def test_energy_is_read_in_its_unit(
    read: Reader, row: dict[str, Any], column: str, unit: str | None, value: float
) -> None:
    row = {name: cell for name, cell in row.items() if name != "energy_wh"} | {column: value}
    (found,), *_ = read([row], Names(energy=column, energy_unit=unit))
    assert found["energy_wh"] == pytest.approx(2.0, rel=1e-12)


@each_question
def test_an_energy_without_a_unit_is_refused(read: Reader, row: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"'energy' does not end in its unit; say it with"):
        read([{**row, "energy": 1.0}], Names(energy="energy"))


def test_all_units_are_offered() -> None:
    with pytest.raises(ConfigurationError, match=rf"\({', '.join(WH_PER)}\)"):
        to_results([{**RESULT, "energy": 1.0}], Names(energy="energy"))


@each_question
@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("energy_wh", "much", "energy_wh is 'much'; expected a finite number"),
        ("energy_wh", "1,204", "energy_wh is '1,204'; expected a finite number: whether its com"),
        ("energy_wh", Percent(0.5), "energy_wh is '50%'; expected a number, not a percentage"),
        ("energy_wh", "1e999", "energy_wh is '1e999'; expected a finite number"),
        ("energy_wh", -1.0, "energy_wh is -1.0; expected a number from 0 to 1e+100"),
        ("energy_wh", 1e200, "energy_wh is 1e+200; expected a number from 0 to 1e+100"),
        ("accuracy", 86.6, "accuracy is 86.6; expected a share from 0 to 1: divide percentages"),
        ("accuracy", -0.1, "accuracy is -0.1; expected a share"),
        ("accuracy", Percent(1.02), "accuracy is '102%'; expected a share"),
        ("energy_provenance", "felt", "energy_provenance is 'felt'; expected one of counter, "),
    ],
)
def test_a_cell_that_is_no_figure_is_refused_by_its_place(
    read: Reader, row: dict[str, Any], column: str, value: Any, expected: str
) -> None:
    rows = [CsvRow("m.csv:2", row.items()), CsvRow("m.csv:3", {**row, column: value}.items())]
    with pytest.raises(ConfigurationError) as caught:
        read(rows, Names())
    assert str(caught.value).startswith(f"m.csv:3: {expected}")


def test_of_a_column_of_texts_the_first_that_is_no_number_is_named() -> None:
    rows = [CsvRow(f"m.csv:{wh}", {**RESULT, "energy_wh": wh}.items()) for wh in ("1", "2x", "3y")]
    with pytest.raises(ConfigurationError, match=r"^m.csv:2x: energy_wh is '2x'"):
        to_results(rows, Names())


@pytest.mark.parametrize(
    ("read", "row", "column"),
    [
        (to_results, RESULT, "size"),
        (to_trials, TRIAL, "strategy"),
        (variants, VARIANT, "practice"),
        (variants, VARIANT, "repeat"),
        (to_trials, {**TRIAL, "seed": 1}, "seed"),
    ],
)
def test_a_name_that_is_missing_is_refused(read: Reader, row: dict[str, Any], column: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^table: {column} is ''; expected a name$"):
        read([row, {**row, column: None}], Names())


@each_question
def test_a_figure_that_is_missing_is_unknown(read: Reader, row: dict[str, Any]) -> None:
    (found,), *_ = read([{**row, "energy_wh": None, "accuracy": None}], Names())
    assert found["energy_wh"] is None
    assert found.get("test_score", found.get("val_score")) is None


@pytest.mark.parametrize(
    ("read", "row", "column", "expected"),
    [
        (
            to_results,
            RESULT,
            "size",
            "no column for size (size, architecture, network, model, …)",
        ),
        (to_results, RESULT, "energy_wh", "no column for energy (energy_wh, energy_j, "),
        (
            to_results,
            RESULT,
            "accuracy",
            "no column for accuracy (test_accuracy, ",
        ),
        (
            to_trials,
            TRIAL,
            "accuracy",
            "no column for accuracy (val_accuracy, val_acc, ",
        ),
        (
            to_trials,
            TRIAL,
            "strategy",
            "no column for strategy (strategy, sampler, ",
        ),
        (
            variants,
            VARIANT,
            "repeat",
            "no column for seed (repeat, seed, ",
        ),
        (variants, VARIANT, "practice", "unknown column 'practice'; known: accuracy, energy_wh"),
    ],
)
def test_a_column_that_is_missing_is_refused_with_what_there_is(
    read: Reader, row: dict[str, Any], column: str, expected: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read([{name: cell for name, cell in row.items() if name != column}], Names())
    assert str(caught.value).startswith(expected)


@each_question
@pytest.mark.parametrize("names", [Names(energy="energy_w"), Names(group=("energy_w",))])
def test_an_unknown_column_offers_the_nearest(
    read: Reader, row: dict[str, Any], names: Names
) -> None:
    with pytest.raises(UnknownNameError, match="unknown column 'energy_w'; did you mean energy_wh"):
        read([row], names)


@each_question
def test_what_is_never_averaged_is_told_apart(read: Reader, row: dict[str, Any]) -> None:
    row = {**row, "dataset": "digits", "network": "cnn", "lr": 0.1}
    assert read([row], Names())[1] == ("dataset", "network")
    assert read([row], Names(group=("lr", "dataset")))[1] == ("lr", "dataset")
    assert read([row], Names(group=()))[1] == ()


def test_what_is_compared_is_not_told_apart() -> None:
    row = {"backend": "torch", "strategy": "grid", "seed": 1, "energy_j": 1.0, "accuracy": 0.5}
    assert to_trials([row], Names())[1] == ("backend",)
    assert to_variants([row], Names(), "backend")[1] == ("strategy",)
    assert to_results([row], Names(size="backend"))[1] == ("strategy",)


@pytest.mark.parametrize(("read", "row"), [(to_results, RESULT), (variants, VARIANT)])
def test_several_data_sets_in_one_group_are_refused(read: Reader, row: dict[str, Any]) -> None:
    rows = [{**row, "dataset": name, "network": "cnn"} for name in ("mnist", "digits")]
    with pytest.raises(NotComparableError, match=r"cnn: figures differ in data set \(digits, mnis"):
        read(rows, Names(group=("network",)))
    assert len(read(rows, Names(group=("dataset",)))[0]) == len(rows)


def test_sizes_of_a_group_are_a_family() -> None:
    rows = [
        {**RESULT, "size": size, "dataset": "digits", "family": "cnn"} for size in (1, 2.0, 0.5)
    ]
    found, *_ = to_results(rows, Names())
    assert [row["architecture"] for row in found] == ["1", "2", "0.5"]
    assert {row["family"] for row in found} == {"digits, cnn"}
    assert to_results([RESULT], Names())[0][0]["family"] == "all sizes"


def test_texts_about_sizes_that_nothing_depends_on_do_no_harm() -> None:
    (found,), *_ = to_results([{**RESULT, "parameters": "11M", "train_flops": 1e9}], Names())
    assert found["parameters"] is None
    assert found["train_flops"] == 1e9


def test_numbers_that_are_equal_are_one_name() -> None:
    rows = [{**TRIAL, "strategy": name} for name in (1, 1.0, 0.1 + 0.2, 0.3)]
    assert [row["strategy"] for row in to_trials(rows, Names())[0]] == ["1", "1", "0.3", "0.3"]


def test_searches_without_seeds_are_one() -> None:
    assert {row["repeat"] for row in to_trials([TRIAL, TRIAL], Names())[0]} == {None}


def test_a_named_seed_counts_rather_than_the_usual_one() -> None:
    row = {**TRIAL, "repeat": 1, "run": 7}
    assert to_trials([row], Names(seed="run"))[0][0]["repeat"] == "7"


def test_a_table_is_left_as_it_was() -> None:
    row = dict(RESULT)
    to_results([row], Names())
    assert row == RESULT


# Factors


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"a": "x", "energy_wh": None}], "energy_wh is ''; expected a number"),
        ([{"a": "x", "energy_wh": "none"}], "energy_wh is ''; expected a number"),
        ([{"a": "x", "energy_wh": "much"}], "energy_wh is 'much'; expected a finite number"),
        ([{"a": "x", "energy_wh": -1}], "energy_wh is -1; expected a number from 0"),
        ([{"a": None, "energy_wh": 1}], "a is ''; expected a name"),
    ],
)
def test_a_factorial_with_a_hole_is_refused_by_its_place(
    rows: list[dict[str, Any]], expected: str
) -> None:
    table = [CsvRow(f"m.csv:{line}", row.items()) for line, row in enumerate(rows, 2)]
    with pytest.raises(ConfigurationError) as caught:
        check_factorial(table, ["a"], "energy_wh")
    assert str(caught.value).startswith(f"m.csv:2: {expected}")


@pytest.mark.parametrize("names", [(["b"], "energy_wh"), (["a"], "b")])
def test_a_factorial_of_unknown_columns_is_refused(names: tuple[list[str], str]) -> None:
    with pytest.raises(UnknownNameError, match="unknown column 'b'; known: a, energy_wh"):
        check_factorial([{"a": "x", "energy_wh": 1}], *names)


def test_a_response_other_than_energy_may_be_negative() -> None:
    check_factorial([{"a": "x", "change": -1.0}], ["a"], "change")


def test_energy_and_accuracy_are_explained_unless_others_are_named() -> None:
    assert responses([{"seed": 1, "accuracy": 0.5, "energy_j": 1.0}]) == ["energy_j", "accuracy"]
    assert responses([{"seed": 1, "energy_wh": 1.0}]) == ["energy_wh"]
    with pytest.raises(ConfigurationError, match="name one with `--response`"):
        responses([{"seed": 1}])


def test_options_of_architectures_are_columns_but_hide_none() -> None:
    rows: list[dict[str, Any]] = [
        {"options": '{"relu": true, "size": 3}', "size": "m"},
        {"options": None},
        {},
    ]
    first, *others = with_options(rows)
    assert (first["relu"], first["size"]) == (True, "m")
    assert others == rows[1:]
