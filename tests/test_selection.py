from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from greenbench import registry
from greenbench.cases import Case, Scalar
from greenbench.cli import cli
from greenbench.errors import ConfigurationError, UnknownNameError
from greenbench.selection import (
    Selection,
    case_ids,
    known_case_ids,
    parse_options,
    parse_pairs,
)

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


def ids(**asked: Any) -> list[str]:
    return [case.id for case in Selection(**asked).cases()]


def test_nothing_asked_means_the_ci_suite() -> None:
    assert ids() == ids(suite="ci")
    assert Selection().suite_name == "ci"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"strategies": ["bayesian"]}, ["bayesian-dense.s-torch-digits+trials8"]),
        (
            {"strategies": ["default"], "backends": ["keras"]},
            ["default-simple_cnn.s-keras-digits"],
        ),
        ({"networks": ["simple_cnn.m"]}, ["default-simple_cnn.m-torch-digits"]),
    ],
)
def test_parts_select_among_a_suite(asked: Mapping[str, Any], expected: list[str]) -> None:
    assert ids(suite="ci", **asked) == expected


def test_several_parts_of_a_kind_select_either() -> None:
    found = Selection(suite="strategies", strategies=["grid", "random"]).cases()
    assert {case.strategy for case in found} == {"grid", "random"}


def test_network_without_size_selects_all_sizes() -> None:
    found = Selection(suite="scaling", networks=["dense"], backends=["torch"]).cases()
    assert [case.size for case in found] == ["xs", "s", "m", "l", "xl"]


PARTS = {
    "strategies": ["random", "sobol", "random"],
    "networks": ["dense.xs", "dense.s", "dense.s"],
    "backends": ["torch", "keras", "torch"],
    "datasets": ["digits", "synthetic", "digits"],
}


@given(st.fixed_dictionaries({name: st.permutations(parts) for name, parts in PARTS.items()}))
def test_order_and_number_of_names_do_not_matter(asked: dict[str, list[str]]) -> None:
    found = Selection(**asked).cases()
    assert len(found) == 2**4
    assert set(found) == set(Selection(**PARTS).cases())
    chosen = Selection(suite="ci", **asked | {"datasets": ["digits"]}, listed=found).cases()
    assert set(chosen) == {case for case in found if case.dataset == "digits"}


@given(st.permutations([("conv_layers", 2), ("relu", True), ("width", 4)]))
def test_order_of_options_does_not_matter(pairs: list[tuple[str, Scalar]]) -> None:
    (case,) = Selection(networks=["simple_cnn"], architecture_options=dict(pairs)).cases()
    (other,) = Selection(networks=["simple_cnn"], architecture_options=dict(sorted(pairs))).cases()
    assert (case.hash, case.to_dict()) == (other.hash, other.to_dict())


def test_default_that_is_named_twice_tries_one_configuration_all_the_same() -> None:
    with pytest.raises(ConfigurationError, match="contradicts --strategy default"):
        Selection(strategies=["default", "default"], budget={"trials": 8}).cases()


def test_parts_without_a_suite_make_cases_that_no_suite_has() -> None:
    selection = Selection(strategies=["grid"], networks=["dense.xl"], datasets=["synthetic"])
    assert [case.id for case in selection.cases()] == ["grid-dense.xl-torch-synthetic"]
    assert selection.suite_name == "adhoc"


def test_parts_make_a_matrix() -> None:
    found = ids(
        strategies=["grid", "random"],
        networks=["simple_cnn.m", "dense"],
        backends=["torch", "keras"],
        datasets=["digits", "synthetic"],
    )
    assert len(set(found)) == len(found) == 16
    assert "random-dense-keras-synthetic" in found


def test_parts_left_out_are_the_defaults() -> None:
    assert ids(datasets=["synthetic"]) == ["default-simple_cnn-torch-synthetic"]


def test_options_make_a_case_of_its_own() -> None:
    found = ids(
        architecture_options={"conv_layers": 4},
        datasets=["synthetic"],
        dataset_options={"samples": 500},
    )
    assert found == ["default-simple_cnn.conv_layers4-torch-synthetic+samples500"]


@pytest.mark.parametrize("path", ["pets", "pets/", "./pets", "{data}/pets"])
def test_spellings_of_a_folder_are_one_case(tmp_path: Path, path: str) -> None:
    options = {"path": path.format(data=tmp_path)}
    expected = ["default-simple_cnn-torch-image_folder+pathpets"]
    asked = Selection(datasets=["image_folder"], dataset_options=options, data_dir=tmp_path)
    assert [case.id for case in asked.cases()] == expected
    listed = [Case(dataset="image_folder", dataset_options=options)]  # type: ignore[arg-type]
    marked = Selection(suite="ci", listed=listed, pattern="*+pathpets", data_dir=tmp_path)
    assert [case.id for case in marked.cases()] == expected


def test_a_suite_is_listed_under_the_ids_that_it_runs_under(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(dataset="image_folder", dataset_options={"path": f"{tmp_path}/pets/"})  # type: ignore[arg-type]
    monkeypatch.setitem(registry.suites._loaded, "pets", lambda: [case])
    expected = [each.id for each in Selection(suite="pets", data_dir=tmp_path).cases()]
    assert case_ids("pets", tmp_path) == expected
    assert {*expected} < {*known_case_ids(tmp_path)}
    monkeypatch.setenv("GREENBENCH_DATA_DIR", str(tmp_path))
    assert expected[0] in CliRunner().invoke(cli, ["list"]).output


@pytest.mark.parametrize("value", ["\udcff", "caf\udce9"])
def test_option_that_is_no_text_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--data is .*; expected text in UTF-8"):
        parse_options([f"path={value}"], "--data")
    assert parse_options(["path=caf\u00e9\u00a0"], "--data") == {"path": "caf\u00e9\u00a0"}


def test_budget_is_set_on_every_case_and_none_leaves_it_alone() -> None:
    found = Selection(suite="ci", budget={"epochs": 2, "repeats": 1, "trials": None}).cases()
    assert {(case.epochs, case.repeats) for case in found} == {(2, 1)}
    assert {case.trials for case in found} == {1, 8}


@pytest.mark.parametrize("asked", [{"suite": "ci"}, {"strategies": ["grid"]}])
def test_budget_that_cannot_work_is_refused(asked: Mapping[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="epochs is 0"):
        Selection(budget={"epochs": 0}, **asked).cases()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("bayesian-*", ["bayesian-dense.s-torch-digits+trials8"]),
        ("default-*-keras-*", ["default-simple_cnn.s-keras-digits"]),
        ("default-simple_cnn.[lm]-torch-digits", ["default-simple_cnn.m-torch-digits"]),
        ("*dense.s*", ["bayesian-dense.s-torch-digits+trials8"]),
    ],
)
def test_pattern_is_a_glob_on_whole_ids(pattern: str, expected: list[str]) -> None:
    found = ids(suite="ci", pattern=pattern)
    assert set(expected) <= set(found)
    assert "default-simple_cnn.s-torch-digits" not in found


def test_pattern_without_wildcard_is_no_substring() -> None:
    with pytest.raises(ConfigurationError, match="matches bayesian"):
        ids(suite="ci", pattern="bayesian")


def test_pattern_and_parts_must_both_match() -> None:
    assert ids(suite="ci", strategies=["default"], pattern="*keras*") == [
        "default-simple_cnn.s-keras-digits"
    ]


def test_listed_cases_are_selected_among_instead_of_a_suite() -> None:
    listed = [Case(seed=1), Case(seed=2), Case(strategy="grid")]
    assert ids(listed=listed, pattern="default-*") == [listed[0].id, listed[1].id]


@pytest.mark.parametrize("suite", [None, "ci"])
def test_trials_contradict_the_default_strategy(suite: str | None) -> None:
    with pytest.raises(ConfigurationError, match="--trials 5 contradicts --strategy default"):
        ids(suite=suite, strategies=["default"], budget={"trials": 5})


def test_trials_go_to_the_searches_where_default_is_one_of_several() -> None:
    found = Selection(strategies=["default", "grid"], budget={"trials": 5}).cases()
    assert [(case.strategy, case.trials) for case in found] == [("default", 1), ("grid", 5)]


@pytest.mark.parametrize("options", ["architecture_options", "dataset_options"])
def test_options_contradict_a_suite(options: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be used with the suite 'ci'"):
        ids(suite="ci", **{options: {"relu": False}})


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ({"suite": "scalin"}, "scaling"),
        ({"strategies": ["baysian"]}, "bayesian"),
        ({"networks": ["simple_cn.m"]}, "simple_cnn"),
        ({"backends": ["troch"]}, "torch"),
        ({"datasets": ["digit"]}, "digits"),
        ({"suite": "ci", "strategies": ["gird"]}, "grid"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unknown_name_offers_the_nearest(asked: Mapping[str, Any], nearest: str) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean {nearest}"):
        ids(**asked)


def test_selecting_nothing_says_what_was_asked() -> None:
    with pytest.raises(ConfigurationError, match="no case of 'ci' matches grid, keras"):
        ids(suite="ci", strategies=["grid"], backends=["keras"])


@settings(deadline=None)
@given(st.dictionaries(names, st.text()))
def test_pairs_come_back_as_typed_even_with_equals_signs_in_values(pairs: dict[str, str]) -> None:
    typed = [f"{name}={value}" for name, value in pairs.items()]
    assert parse_pairs(typed, "--where") == pairs


@pytest.mark.parametrize("pair", ["relu", "=3", "", "="])
def test_pair_without_a_name_or_an_equals_sign_is_refused(pair: str) -> None:
    with pytest.raises(ConfigurationError, match=f"--set is '{pair}'; expected name=value"):
        parse_pairs([pair], "--set")


def test_name_that_comes_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="--set sets 'relu' twice"):
        parse_pairs(["relu=true", "relu=false"], "--set")


@settings(deadline=None)
@given(st.dictionaries(names, st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False))))
def test_booleans_and_numbers_are_read_as_what_they_are(options: dict[str, Scalar]) -> None:
    found = parse_options([f"{name}={value}" for name, value in options.items()], "--set")
    assert found == options
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in options.items()
    }


@settings(deadline=None)
@given(st.text())
def test_other_values_stay_text(text: str) -> None:
    assume(not is_number(text) and text.lower() not in ("true", "false"))
    assert parse_options([f"name={text}"], "--set") == {"name": text}


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(("text", "value"), [("True", True), ("FALSE", False), ("1e-3", 0.001)])
def test_values_are_read_as_people_write_them(text: str, value: Scalar) -> None:
    assert parse_options([f"x={text}"], "--set") == {"x": value}
