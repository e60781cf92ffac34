"""What a space may name, and which configuration of its case a trial then has."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenbench import register_architecture, register_dataset, register_space, registry
from greenbench.architectures import family
from greenbench.cases import Case
from greenbench.errors import HyperparameterError, SearchSpaceError
from greenbench.optimizers import AdamOptions, SGDOptions
from greenbench.search.configuration import (
    beyond_optimizer,
    check_space,
    configure,
    first_values,
    plain_proposal,
    space_of,
)
from greenbench.strategies import Categorical, Dimension, SearchSpace
from greenbench.strategies.default import DefaultStrategy
from greenbench.strategies.dimensions import AnyDimension
from greenbench.strategies.spaces import spelled_out

RATE = Dimension("learning_rate", 1e-4, 1e-2, prior="log")
WIDTH = Dimension("width", 8, 64, prior="log", type="int")
CASE = Case("random", "searched_net", dataset="searched_set", epochs=4)


@register_architecture("searched_net")
@family(s={"width": 8}, m={"width": 16})
def searched_net(
    image_shape: Any, classes: Any, depth: Any, width: int = 8, momentum: float = 0.1
) -> None:
    """Take options, and build nothing."""


@register_dataset("searched_set")
def searched_set(context: Any, side: int = 8, width: int = 8, **others: Any) -> None:
    """Take options, and load nothing."""


def check(*dimensions: AnyDimension, case: Case = CASE) -> SearchSpace:
    return check_space(case, SearchSpace("tried", dimensions))


def with_space(case: Case, *dimensions: AnyDimension) -> Case:
    registry.spaces._loaded.pop("searched", None)
    register_space("searched")(SearchSpace("searched", dimensions))
    return Case.from_dict({**case.to_dict(), "space": "searched"})


def test_each_value_goes_where_it_is_taken() -> None:
    case = Case.from_dict({**CASE.to_dict(), "schedule": "step", "dataset_options": {"zoom": 2}})
    found = configure(
        case,
        {
            "learning_rate": 0.1, "gamma": 0.5, "batch_size": 32, "epochs": 3, "depth": 2,
            "architecture.width": 9, "dataset.width": 7, "dataset.crop": 4,
        },
    )  # fmt: skip
    assert found.optimizer == AdamOptions(learning_rate=0.1)
    assert (found.schedule.name, vars(found.schedule)) == ("step", {"every": 1, "gamma": 0.5})
    assert (found.batch_size, found.epochs) == (32, 3)
    assert found.architecture_options == {"depth": 2, "width": 9}
    assert found.dataset_options == {"zoom": 2, "width": 7, "crop": 4}


def test_without_hyperparameters_it_is_the_case() -> None:
    options = {"optimizer": "sgd", "optimizer_options": {"momentum": 0.9}}
    found = configure(Case.from_dict({**CASE.to_dict(), **options}), {})
    assert found.optimizer == SGDOptions(momentum=0.9)
    assert (found.batch_size, found.epochs) == (CASE.batch_size, CASE.epochs)
    assert found.architecture_options == found.dataset_options == {}


def test_optimizer_that_is_chosen_takes_the_other_values() -> None:
    found = configure(CASE, {"optimizer": "sgd", "nesterov": True, "optimizer.momentum": 0.5})
    assert found.optimizer == SGDOptions(momentum=0.5, nesterov=True)


@settings(max_examples=50, deadline=None, database=None)
@given(rate=st.floats(1e-4, 1e-2), size=st.integers(1, 4096), whole=st.booleans())
def test_prefixed_names_mean_what_plain_ones_do(rate: float, size: int, whole: bool) -> None:
    plain = {"learning_rate": rate, "batch_size": size, "side": size, "depth": whole}
    prefixes = ("optimizer", "case", "dataset", "architecture")
    names = (f"{kind}.{name}" for kind, name in zip(prefixes, plain, strict=True))
    assert configure(CASE, plain) == configure(CASE, dict(zip(names, plain.values(), strict=True)))


def of(case: Mapping[str, Any], *dimensions: AnyDimension) -> Callable[[], SearchSpace]:
    return lambda: check(*dimensions, case=Case.from_dict({**CASE.to_dict(), **case}))


REFUSED = {
    "nothing reads it": (of({}, Dimension("dpeth", 1, 2)), "'dpeth', which nothing reads; did you"),
    "near name": (of({}, Dimension("dpeth", 1, 2)), "did you mean depth"),
    "two take it": (of({}, WIDTH), "write architecture.width or dataset.width"),
    "momentum": (
        of({"optimizer": "sgd"}, Dimension("momentum", 0, 0.9)),
        "write optimizer.momentum",
    ),
    "unknown kind": (of({}, Dimension("network.width", 1, 2)), "which nothing reads"),
    "one option twice": (of({}, RATE, Dimension("optimizer.learning_rate", 1e-4, 1e-2)), "one opt"),
    "size": (of({"size": "m"}, Dimension("architecture.width", 8, 64)), "size 'm' sets it"),
    "on the case": (
        of({"architecture_options": {"depth": 2}}, Dimension("depth", 1, 4)),
        "the case sets it to 2",
    ),
    "optimiser's, on the case": (
        of({"optimizer_options": {"learning_rate": 0.1}}, RATE),
        "the case sets it to 0.1",
    ),
    "epochs under a scheduler": (
        of({"strategy": "random+asha"}, Dimension("epochs", 1, 4, type="int")),
        "scheduler 'asha' decides how far",
    ),
    "batch of half a sample": (of({}, Dimension("batch_size", 8, 64)), "batch_size is 8.0"),
    "batch of none": (of({}, Dimension("batch_size", 0, 64, type="int")), "batch_size is 0"),
    "text for a rate": (of({}, Categorical("learning_rate", (0.1, "high"))), "is 'high'; expected"),
    "rate of 0 among choices": (of({}, Categorical("learning_rate", (0.0, 0.1))), "number above 0"),
    "number for a truth": (
        of({"optimizer": "sgd"}, Dimension("nesterov", 0, 1)),
        "nesterov is 0.0; expected true or false",
    ),
    "text for a floor": (
        of({"schedule": "cosine"}, Categorical("floor", ("low", "high"))),
        "floor is 'low'",
    ),
    "decay that no schedule has": (
        of({"schedule": "linear_warmup"}, Categorical("decay", ("none", "steep"))),
        "steep",
    ),
    "unknown optimizer": (of({}, Categorical("optimizer", ("adam", "adma"))), "'adma'; expected"),
    "optimizer as a number": (of({}, Dimension("optimizer", 0, 1)), "expected Categorical('optim"),
    "not of each optimizer": (
        of({}, Categorical("optimizer", ("sgd", "adam")), Dimension("beta1", 0.1, 0.9)),
        "chooses optimizer 'sgd' and schedule 'constant', and has the dimension 'beta1', which",
    ),
    "options not of each": (
        of(
            {"optimizer": "sgd", "optimizer_options": {"nesterov": True}},
            Categorical("optimizer", ("sgd", "adam")),
        ),
        "the case's options do not fit: hyperparameter nesterov",
    ),
    "categories for CMA-ES": (
        of({"strategy": "cmaes"}, Categorical("batch_size", (32, 64))),
        "strategy 'cmaes' cannot take the categorical dimension 'batch_size'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_space_that_does_not_fit_is_refused_in_one_line(name: str) -> None:
    attempt, words = REFUSED[name]
    with pytest.raises(SearchSpaceError) as caught:
        attempt()
    message = str(caught.value)
    assert words in message
    assert "\n" not in message


def test_what_could_be_taken_is_told() -> None:
    with pytest.raises(SearchSpaceError) as caught:
        check(Dimension("zzz", 1, 2))
    for words in ("beta1", "schedule 'constant': none", "depth, width", "side", "batch_size"):
        assert words in str(caught.value)


def test_defaults_are_those_of_what_takes_them() -> None:
    space = check(
        RATE,
        Categorical("optimizer", ("sgd", "adam", "lion")),
        Dimension("batch_size", 8, 128, type="int"),
        Dimension("side", 4, 16, type="int"),
        Dimension("depth", 1, 4, type="int"),
    )
    assert space.defaults == {
        "learning_rate": 1e-3, "optimizer": "adam", "batch_size": 64, "side": 8,
    }  # fmt: skip


def test_what_has_no_default_begins_at_its_first_value() -> None:
    case = with_space(CASE, RATE, Dimension("depth", 2, 4, type="int"))
    assert first_values(case) == {"depth": 2}
    assert beyond_optimizer(case) == ["depth"]


def test_built_in_spaces_fit_their_optimisers_and_hold_their_defaults() -> None:
    for name in ("adam", "adamw", "sgd", "rmsprop", "adagrad", "adadelta", "lion"):
        space = check_space(Case("default", optimizer=name), registry.spaces.get(name))
        strategy = registry.strategies.get("default")(space, trials=1, seed=0)
        assert strategy.ask() == {each.name: space.defaults[each.name] for each in space.dimensions}
    assert spelled_out("adam") == "search space 'adam'"


SPACE = SearchSpace("tried", (RATE, Categorical("batch_size", (32, 64)), Dimension("side", 4, 9)))


def test_proposal_is_made_plain() -> None:
    proposal = {"learning_rate": np.float32(0.5), "batch_size": np.int64(32), "side": np.float64(5)}
    found = plain_proposal(CASE, SPACE, proposal)
    assert [type(each) for each in found.values()] == [float, int, float]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 33), ("batch_size", None), ("batch_size", "32"), ("batch_size", [32]),
        ("side", 3.9), ("side", "5"), ("side", True), ("side", None), ("side", float("nan")),
        ("learning_rate", 0.0),
    ],
)  # fmt: skip
def test_proposal_that_nothing_takes_is_refused(name: str, value: Any) -> None:
    proposal = {"learning_rate": 0.001, "batch_size": 32, "side": 5, name: value}
    with pytest.raises(HyperparameterError, match=name):
        plain_proposal(CASE, SPACE, proposal)


def test_what_the_case_sets_is_left_out_of_the_optimisers_own_space() -> None:
    case = Case("random", optimizer="sgd", optimizer_options={"momentum": 0.9})
    names = [each.name for each in registry.spaces.get("sgd").dimensions]
    assert [each.name for each in space_of(case).dimensions] == [
        n for n in names if n != "momentum"
    ]
    with pytest.raises(SearchSpaceError, match=r"the case sets it to 0\.9"):
        space_of(with_space(case, Dimension("optimizer.momentum", 0, 0.9)))
    everything = dict.fromkeys(names, 0.5)
    with pytest.raises(SearchSpaceError, match=r"sets all that search space 'sgd' searches"):
        space_of(Case("random", optimizer="sgd", optimizer_options=everything))


def test_control_proposes_what_the_case_sets_wherever_it_lies() -> None:
    options = {"learning_rate": 7.0, "momentum": 0.5}
    case = Case("default", optimizer="sgd", optimizer_options=options)
    proposal = DefaultStrategy(space_of(case), trials=1, seed=0).ask()
    assert proposal == options
    assert configure(case, proposal).optimizer == SGDOptions(7.0, 0.5)
