import dataclasses
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark.expression import Expression
from hypothesis import example, given, settings
from hypothesis import strategies as st

from greenbench import registry
from greenbench.cases import Case, Scalar, matrix
from greenbench.errors import ConfigurationError
from greenbench.results.journal import Journal

ID = re.compile(r"[a-z0-9_.+-]+")
NAME_MAX = 255

option_names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
scalars: st.SearchStrategy[Scalar] = st.one_of(
    st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=300)
)
options = st.dictionaries(option_names, scalars, max_size=2)
cases = st.builds(
    Case,
    strategy=st.sampled_from(["default", "grid", "bayesian"]),
    size=st.sampled_from([None, "m", "xl"]),
    architecture_options=options,
    dataset_options=options,
    space=st.sampled_from(["adam", "paper3"]),
    trials=st.integers(1, 100),
    epochs=st.integers(5, 100),
    batch_size=st.integers(1, 1024),
    validate_every=st.none() | st.integers(1, 5),
    repeats=st.integers(1, 9),
    seed=st.integers(0, 2**31),
    threads=st.none() | st.integers(1, 64),
    backend_options=options,
    batched_trials=st.integers(1, 100) | st.just("auto"),
    devices=st.integers(1, 8),
)


def all_suite_cases() -> list[Case]:
    builtin = ("ci", "scaling", "strategies", "backends", "layers", "paper")
    return [case for suite in builtin for case in registry.suites.get(suite)()]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (Case(), "default-simple_cnn-torch-digits"),
        (Case(strategy="bayesian", size="m"), "bayesian-simple_cnn.m-torch-digits"),
        (Case(strategy="grid", trials=32), "grid-simple_cnn-torch-digits+trials32"),
        (Case(epochs=3, seed=1), "default-simple_cnn-torch-digits+epochs3+seed1"),
        (Case(space="paper3"), "default-simple_cnn-torch-digits+paper3"),
        (
            Case(size="m", architecture_options=(("relu", False), ("conv_layers", 4))),
            "default-simple_cnn.m_conv_layers4_no_relu-torch-digits",
        ),
        (
            Case(dataset="synthetic", dataset_options=(("noise", 0.25),), batch_size=512),
            "default-simple_cnn-torch-synthetic+noise0p25+batch_size512",
        ),
        (
            Case(backend_options={"precision": "bfloat16", "channels_last": True}),  # type: ignore[arg-type]
            "default-simple_cnn-torch.channels_last_precisionbfloat16-digits",
        ),
        (
            Case("random", threads=2, batched_trials=8),
            "random-simple_cnn-torch-digits+threads2+batched_trials8",
        ),
        (
            Case("random", batched_trials="auto"),
            "random-simple_cnn-torch-digits+batched_trialsauto",
        ),
        (Case(threads=1, devices=2), "default-simple_cnn-torch-digits+threads1+devices2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_id_shows_parts_then_size_then_what_differs_from_the_defaults(
    case: Case, expected: str
) -> None:
    assert case.id == expected


def test_default_strategy_tries_once_and_shows_no_trials() -> None:
    case = Case(strategy="default", trials=50)
    assert (case.trials, case.id) == (1, Case().id)


@pytest.mark.parametrize("name", ["trials", "batched_trials", "reevaluate"])
@pytest.mark.parametrize("value", [-1, "many"])
def test_number_that_the_default_strategy_leaves_out_must_be_one(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is {value!r}; expected "):
        Case(**{"strategy": "default", name: value})


def test_options_in_another_order_are_the_same_case() -> None:
    one = Case(architecture_options=(("b", 1), ("a", 2)))
    other = Case(architecture_options={"a": 2, "b": 1})  # type: ignore[arg-type]
    assert (one, one.id, one.hash) == (other, other.id, other.hash)


@settings(deadline=None)
@given(cases)
@example(Case(dataset="image_folder", dataset_options=(("path", "/data/" + "Long name " * 40),)))
@example(Case(dataset="image_folder", dataset_options=(("path", "x" * 300),)))
def test_id_is_safe_in_file_names_filters_and_expressions(case: Case) -> None:
    assert ID.fullmatch(case.id)
    assert len(Journal.of(Path(), case, case.repeats).path.name) < NAME_MAX


@settings(deadline=None)
@given(scalars, scalars)
def test_options_with_other_values_give_other_ids(one: Scalar, other: Scalar) -> None:
    first, second = (Case(dataset_options=(("value", value),)) for value in (one, other))
    # Text may look like the number that it stands for: "1" and 1 are one value to a reader.
    assert str(one) == str(other) or first.id != second.id


@pytest.mark.parametrize(
    ("one", "other"),
    [(1e-16, 1e16), ("/data/Cats", "/data/cats"), ("/a/pets", "/b/pets"), ("", True)],
)
def test_values_that_read_alike_stay_distinct(one: Scalar, other: Scalar) -> None:
    first, second = (Case(dataset_options=(("value", value),)) for value in (one, other))
    assert first.id != second.id


@pytest.mark.parametrize("suite", ["ci", "scaling", "strategies", "backends", "layers", "paper"])
def test_ids_of_a_suite_are_unique(suite: str) -> None:
    ids = [case.id for case in registry.suites.get(suite)()]
    assert len(set(ids)) == len(ids)


def test_equal_ids_in_all_suites_mean_equal_definitions() -> None:
    hashes: dict[str, set[str]] = {}
    for case in all_suite_cases():
        hashes.setdefault(case.id, set()).add(case.hash)
    assert [i for i, found in hashes.items() if len(found) > 1] == []


def test_ids_of_all_suites_are_file_names(tmp_path: Path) -> None:
    for case in all_suite_cases():
        assert ID.fullmatch(case.id)
        (tmp_path / case.id).touch()


@pytest.mark.parametrize(
    ("suite", "expected"),
    [
        ("ci", "default-simple_cnn.s-keras-digits"),
        ("scaling", "default-dense.xl-torch-digits"),
        ("strategies", "grid-dense_poly-torch-digits+trials32"),
        ("layers", "default-simple_cnn.conv_layers1_linear_layers3_no_relu-torch-digits"),
        (
            "paper",
            "random-dense_linear-torch-fashion_mnist+paper3+trials64+epochs25+batch_size512",
        ),
    ],
)
def test_ids_that_results_are_stored_under_do_not_change(suite: str, expected: str) -> None:
    assert expected in [case.id for case in registry.suites.get(suite)()]


def test_hash_that_results_are_stored_under_does_not_change() -> None:
    # Another value makes every stored result incomparable: raise SCHEMA_VERSION on purpose.
    assert Case().hash == "8fb84a056059"
    case = Case(strategy="grid", size="m", architecture_options=(("relu", False),), trials=4)
    assert case.hash == "a35cca10c9ff"


def test_hash_ignores_repeats() -> None:
    assert Case(repeats=1).hash == Case(repeats=9).hash


@pytest.mark.parametrize(
    "change",
    [
        {"strategy": "random"},
        {"architecture": "dense"},
        {"backend": "keras"},
        {"dataset": "mnist"},
        {"size": "m"},
        {"architecture_options": (("relu", False),)},
        {"dataset_options": (("relu", False),)},
        {"space": "paper3"},
        {"trials": 9},
        {"epochs": 13},
        {"batch_size": 65},
        {"validate_every": 1},
        {"seed": 1},
        {"threads": 1},
        {"backend_options": (("channels_last", True),)},
        {"batched_trials": 2},
        {"devices": 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_hash_depends_on_every_other_field(change: dict[str, Any]) -> None:
    assert Case(**{"strategy": "grid", **change}).hash != Case(strategy="grid").hash


@settings(deadline=None)
@given(cases)
def test_case_survives_json(case: Case) -> None:
    restored = Case.from_dict(json.loads(json.dumps(case.to_dict())))
    assert (restored, restored.id, restored.hash) == (case, case.id, case.hash)


def test_unknown_key_of_a_definition_is_named() -> None:
    with pytest.raises(ConfigurationError, match="epoch_count"):
        Case.from_dict({"epoch_count": 3})


def test_seeds_do_not_depend_on_the_order_in_which_they_are_asked_for() -> None:
    indices: list[tuple[int | str, ...]] = [
        (repeat, "trial", i) for repeat in (0, 1) for i in (0, 1)
    ]
    forwards = {index: Case().derive_seed(*index) for index in indices}
    backwards = {index: Case().derive_seed(*index) for index in reversed(indices)}
    assert forwards == backwards
    assert len(set(forwards.values())) == len(indices)


@pytest.mark.parametrize(
    "how",
    [
        {"threads": 2},
        {"backend_options": (("precision", "bfloat16"),)},
        {"batched_trials": 4},
        {"devices": 2},
        {"backend": "keras"},
    ],
    ids=lambda how: next(iter(how)),
)
def test_seeds_do_not_depend_on_how_a_case_is_computed(how: dict[str, Any]) -> None:
    one, other = Case("random", trials=8), Case("random", trials=8, **how)
    assert one.derive_seed(0, "trial", 1) == other.derive_seed(0, "trial", 1)


@pytest.mark.parametrize("value", [0, -1, 2.5, "3"])
def test_threads_below_one_or_not_whole_are_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"threads is {value!r}"):
        Case(threads=value)


def test_seeds_of_another_case_differ() -> None:
    assert Case(seed=1).derive_seed(0) != Case(seed=2).derive_seed(0)


def test_images_that_are_varied_are_those_of_the_plain_case() -> None:
    plain = Case(dataset_options={"samples": 100})  # type: ignore[arg-type]
    varied = Case(dataset_options={"samples": 100, "crop": 2, "flip": True})  # type: ignore[arg-type]
    fewer = Case(dataset_options={"samples": 90, "crop": 2})  # type: ignore[arg-type]
    assert varied.derive_seed(0, "split") == plain.derive_seed(0, "split")
    assert fewer.derive_seed(0, "split") != plain.derive_seed(0, "split")
    assert varied.hash != plain.hash


@pytest.mark.parametrize(
    "compared",
    [
        {"architecture": "dense"},
        {"size": "xl"},
        {"architecture_options": {"width": 2}},
        {"optimizer": "sgd", "schedule": "cosine"},
        {"batch_size": 8},
        {"epochs": 3},
        {"task": "binary"},
        {"strategy": "random", "trials": 4},
        {"backend": "keras"},
    ],
    ids=lambda compared: next(iter(compared)),
)
def test_what_is_compared_meets_the_same_split_and_order(compared: dict[str, Any]) -> None:
    case, other = Case(size="s"), Case(**{"size": "s", **compared})
    for index in ((1, "split"), (1, "order", 2)):
        assert case.derive_seed(*index) == other.derive_seed(*index)


@pytest.mark.parametrize(
    "drawn", [{"dataset": "mnist"}, {"dataset_options": {"samples": 90}}, {"seed": 1}]
)
def test_other_data_and_another_seed_draw_another_split_and_order(drawn: dict[str, Any]) -> None:
    for index in ((1, "split"), (1, "order", 2)):
        assert Case().derive_seed(*index) != Case(**drawn).derive_seed(*index)


def test_each_repeat_has_its_split_and_each_trial_its_order() -> None:
    indices = [(0, "split"), (1, "split"), (0, "order", 0), (0, "order", 1), (1, "order", 0)]
    assert len({Case().derive_seed(*index) for index in indices}) == len(indices)


def test_sizes_of_a_training_of_ones_own_have_its_seed_and_other_trainings_others() -> None:
    one = Case(architecture="mine", backend="own", dataset="own", size="s")
    sized = dataclasses.replace(one, size="m", architecture_options={"depth": 3}, epochs=2)  # type: ignore[arg-type]
    other = dataclasses.replace(one, architecture="another")
    assert one.derive_seed(0, "run", 3) == sized.derive_seed(0, "run", 3)
    assert one.derive_seed(0, "run", 3) != other.derive_seed(0, "run", 3)


def test_seed_fits_32_bits_and_is_the_same_in_every_process() -> None:
    seed = Case().derive_seed(0, "split")
    assert 0 <= seed < 2**32
    code = "from greenbench.cases import Case; print(Case().derive_seed(0, 'split'))"
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(printed) == seed


@pytest.mark.parametrize("value", [0, -1, 2.5, "3", None])
@pytest.mark.parametrize(
    "name", ["trials", "epochs", "batch_size", "repeats", "batched_trials", "devices"]
)
def test_budget_below_one_or_not_whole_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is {value!r}"):
        Case(strategy="grid", **{name: value})


@pytest.mark.parametrize("value", [0, -1, 13, 1.5, "3"])
def test_validating_never_or_past_the_last_epoch_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"validate_every is {value!r}")):
        Case(epochs=12, validate_every=value)


@pytest.mark.parametrize("size", ["../../m", "a/b", "M", "s-t"])
def test_size_that_could_not_stand_in_an_id_is_refused(size: str) -> None:
    with pytest.raises(ConfigurationError, match="size"):
        Case(size=size)


@pytest.mark.parametrize("name", ["a/b", "Width", "", "a-b"])
def test_option_name_that_could_not_stand_in_an_id_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="option name"):
        Case(architecture_options=((name, 1),))


@pytest.mark.parametrize("case", all_suite_cases(), ids=lambda case: case.id)
def test_pytest_k_selects_the_case(case: Case) -> None:
    def is_in_name(ident: str, /, **_: object) -> bool:
        return ident in f"bench_case[{case.id}]"

    assert Expression.compile(case.id).evaluate(is_in_name)
    assert Expression.compile(f"not ({case.id})").evaluate(is_in_name) is False


@settings(deadline=None)
@given(cases)
def test_pytest_k_accepts_any_id(case: Case) -> None:
    def is_name(ident: str, /, **_: object) -> bool:
        return ident == f"[{case.id}]"

    assert Expression.compile(f"[{case.id}]").evaluate(is_name)


def test_matrix_has_every_combination_once() -> None:
    found = matrix(("grid", "random"), ("simple_cnn.m", "dense"), ("torch", "keras"), epochs=3)
    assert {(c.strategy, c.network, c.backend) for c in found} == {
        (strategy, network, backend)
        for strategy in ("grid", "random")
        for network in ("simple_cnn.m", "dense")
        for backend in ("torch", "keras")
    }
    assert len(found) == 8
    assert {case.epochs for case in found} == {3}


@pytest.mark.parametrize("name", ["trials", "epochs", "batch_size", "repeats", "threads"])
def test_number_that_no_machine_can_do_is_refused(name: str) -> None:
    numbers: dict[str, Any] = {"strategy": "random", name: 10**18}
    with pytest.raises(ConfigurationError, match=rf"^{name} is {10**18}; expected 1 to \d+$"):
        Case(**numbers)


PINNED = {
    "ci": (15, "5b1e1dadc9d98d51"),
    "scaling": (20, "7ce5257047443dfa"),
    "strategies": (30, "49388d66f6d6ca15"),
    "tabular": (90, "4b7cf960b8bcfb75"),
    "backends": (6, "cb867969721f191f"),
    "layers": (8, "e568b7d2fbb3e4f3"),
    "paper": (12, "12aa98c86abebb78"),
}
"""Cases of each suite, and a digest of their ids, hashes and seeds, before cases had optimisers."""


def older_ci() -> list[Case]:
    """The suite `ci` as it was when it proved nothing."""
    sizes = ("xs", "s", "m", "l", "xl")
    networks = [f"{name}.{size}" for name in ("simple_cnn", "dense") for size in sizes]
    searches = matrix(("grid", "random", "bayesian"), networks=["simple_cnn.s"])
    keras = matrix(("default", "bayesian"), networks=["simple_cnn.s"], backends=["keras"])
    return [*matrix(networks=networks), *searches, *keras]


@pytest.mark.parametrize("suite", PINNED)
def test_ids_hashes_and_seeds_of_older_cases_stay(suite: str) -> None:
    cases = older_ci() if suite == "ci" else registry.suites.get(suite)()
    lines = [f"{case.id} {case.hash} {case.derive_seed(1, 'trial', 2)}" for case in cases]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    assert (len(cases), digest) == PINNED[suite]


def test_default_space_is_the_optimisers_own() -> None:
    case = Case("random", optimizer="sgd", optimizer_options={"momentum": 0.9})
    assert case.space == "sgd"
    assert case.id == "random-simple_cnn-torch-digits+sgd.momentum0p9"
    assert Case.from_dict(case.to_dict()) == case
    assert Case("random", optimizer="mine").space == "rate"
    assert Case("random", optimizer="sgd", space="rate").id.endswith("digits+rate+sgd")


def test_optimiser_and_task_leave_seeds_alone() -> None:
    seeds = {
        case.derive_seed(0, "trial", 0)
        for case in (
            Case(),
            Case(optimizer="adamw", schedule="cosine"),
            Case(task="binary", optimizer_options={"beta1": 0.5}),
        )
    }
    assert len(seeds) == 1
