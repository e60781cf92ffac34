"""Configurations: what a trial is trained with, from its case and its hyperparameters."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, cast

from greenbench import registry
from greenbench.cases import Case, Scalar
from greenbench.errors import GreenbenchError, HyperparameterError, SearchSpaceError
from greenbench.optimizers import OptimizerOptions, Schedule, make_schedule, optimizer_options
from greenbench.optimizers.options import ALLOWED, plain_hyperparameters
from greenbench.search.takers import Place, Takers, is_required
from greenbench.strategies import Categorical, Dimension, SearchSpace
from greenbench.strategies.base import refuse_categories
from greenbench.strategies.dimensions import AnyDimension
from greenbench.strategies.spaces import Hyperparameters, find_space, spelled_out


@dataclass(frozen=True)
class Configuration:
    """What a trial is trained with.

    Attributes
    ----------
    optimizer : OptimizerOptions
        With all of its hyperparameters.
    schedule : Schedule
        With its options.
    batch_size, epochs : int
        Samples a step, and how far it is trained.
    architecture_options, dataset_options : mapping
        What the functions are called with.
    """

    optimizer: OptimizerOptions
    schedule: Schedule
    batch_size: int
    epochs: int
    architecture_options: Mapping[str, Scalar]
    dataset_options: Mapping[str, Scalar]


def configure(case: Case, hyperparameters: Mapping[str, Scalar]) -> Configuration:
    """Return what a trial of a case is trained with.

    Parameters
    ----------
    case : Case
        What holds for whatever is not searched.
    hyperparameters : mapping
        What a strategy proposed, or some of it.

    Raises
    ------
    HyperparameterError
        If a value is none that every backend takes.
    """
    taken: dict[str, dict[str, Any]] = defaultdict(dict, _taken(case, hyperparameters))
    of_case = {"batch_size": case.batch_size, "epochs": case.epochs, **taken["case"]}
    optimizer, schedule = _learning(case, hyperparameters)
    return Configuration(
        optimizer_options(optimizer, {**dict(case.optimizer_options), **taken["optimizer"]}),
        make_schedule(schedule, {**dict(case.schedule_options), **taken["schedule"]}),
        int(of_case["batch_size"]),
        int(of_case["epochs"]),
        {**dict(case.architecture_options), **taken["architecture"]},
        {**dict(case.dataset_options), **taken["dataset"]},
    )


def space_of(case: Case) -> SearchSpace:
    """Return the search space of a case, checked, with the defaults of its dimensions.

    What the case sets itself is not searched: it is left out of the optimiser's own space, and
    is what the control proposes, wherever it lies.

    Raises
    ------
    SearchSpaceError
        As `check_space` does, or if nothing is left to search.
    """
    space, own = find_space(case.space), dict(case.optimizer_options)
    if case.proposer == "default":
        dimensions = space.dimensions
        around = (each.around(own.get(each.name, each.at(0.0))) for each in dimensions)
        return check_space(case, replace(space, dimensions=tuple(around)))
    if case.space == case.own_space:
        left = tuple(each for each in space.dimensions if each.name not in own)
        if not left:
            raise SearchSpaceError(
                f"the case sets all that search space {space.name!r} searches "
                f"({', '.join(own)}); leave one out, or choose the strategy default"
            )
        space = replace(space, dimensions=left)
    return check_space(case, space)


def check_space(case: Case, space: SearchSpace) -> SearchSpace:
    """Return a space with the defaults of its dimensions, if a case takes all of their values.

    Parameters
    ----------
    case : Case
        The definition.
    space : SearchSpace
        What is searched.

    Raises
    ------
    SearchSpaceError
        If not exactly one thing takes a dimension, if something else decides it, if a value is
        none that its taker has, or if the strategy takes no such dimension.
    """
    where = spelled_out(space.name)
    refuse_categories(case.proposer, space)
    learning = _choices(case, space, where)
    defaults: dict[str, Scalar] = {}
    for pair in learning:
        chosen = f" chooses optimizer {pair[0]!r} and schedule {pair[1]!r}, and"
        of_pair = where + (chosen if len(learning) > 1 else "")
        _check_options(case, pair, of_pair)
        takers = Takers(case, *pair)
        seen: dict[tuple[str, str], str] = {}
        for each in space.dimensions:
            place = takers.place(each.name, of_pair)
            _check_place(place, each.name, of_pair, seen)
            _check_values(case, each, place, of_pair, pair)
            if isinstance(place.default, str | bool | int | float):
                defaults.setdefault(each.name, place.default)
    return replace(space, defaults=defaults)


def plain_proposal(case: Case, space: SearchSpace, proposal: Any) -> Hyperparameters:
    """Return what a strategy proposed for each dimension as plain values.

    Raises
    ------
    HyperparameterError
        If it is not one value a dimension, or one is none of its dimension, or none that every
        backend takes.
    """
    where = f"strategy {case.proposer!r} proposed {proposal!r}"
    expected = [each.name for each in space.dimensions]
    if not isinstance(proposal, Mapping) or set(proposal) != set(expected):
        raise HyperparameterError(
            f"{where}; expected a value for each dimension of the search space "
            f"{space.name!r}, and no other: {', '.join(expected)}"
        )
    try:
        return _plain(case, space, proposal)
    except HyperparameterError as error:
        raise HyperparameterError(f"{where}: {error}") from error


def _plain(case: Case, space: SearchSpace, proposal: Mapping[str, Any]) -> Hyperparameters:
    optimizer, schedule = _learning(case, proposal)
    takers = Takers(case, optimizer, schedule)
    found: Hyperparameters = {}
    for each in space.dimensions:
        place, value = takers.place(each.name), proposal[each.name]
        if isinstance(each, Categorical):
            found[each.name] = _chosen(each, value)
        elif place.taker.kind == "optimizer":
            (found[each.name],) = plain_hyperparameters(optimizer, {place.option: value}).values()
        else:
            found[each.name] = _number(each, value)
    return found


def trial_case(case: Case, hyperparameters: Mapping[str, Scalar]) -> Case:
    """Return the case as a trial of it runs; its seeds are those of the case itself."""
    trial = configure(case, hyperparameters)
    return replace(case, batch_size=trial.batch_size, epochs=trial.epochs)


def beyond_optimizer(case: Case) -> list[str]:
    """Return the searched dimensions that are no options of the optimiser."""
    space = find_space(case.space)
    return [each.name for each in space.dimensions if _kind(case, space, each.name) != "optimizer"]


def searches(case: Case, *kinds: str) -> bool:
    """Return whether the space of a case names options of these takers."""
    space = find_space(case.space)
    return any(_kind(case, space, each.name) in kinds for each in space.dimensions)


def is_of_run(case: Case, space: SearchSpace, name: str) -> bool:
    """Return whether a dimension is handed over by a run alone, as trainings of one's own have."""
    return _kind(case, space, name) == "run"


def first_values(case: Case) -> Hyperparameters:
    """Return values of the dimensions that have no default: without one nothing can be built."""
    space = space_of(case)
    return {each.name: each.at(0.0) for each in space.dimensions if each.name not in space.defaults}


def outermost(case: Case) -> Iterator[tuple[str, Scalar]]:
    """Yield the dimensions of architecture and data set with their outermost values or choices."""
    space = find_space(case.space)
    for each in space.dimensions:
        if _kind(case, space, each.name) in ("architecture", "dataset"):
            yield from ((each.name, value) for value in _values(each))


def _values(dimension: AnyDimension) -> Sequence[Scalar]:
    if isinstance(dimension, Categorical):
        return dimension.choices
    return [dimension.clip(dimension.low), dimension.clip(dimension.high)]


def _kind(case: Case, space: SearchSpace, name: str) -> str:
    (optimizer, schedule), *_ = _choices(case, space, spelled_out(space.name))
    return Takers(case, optimizer, schedule).place(name).taker.kind


def _learning(case: Case, hyperparameters: Mapping[str, Any]) -> tuple[str, str]:
    """Return optimiser and schedule of a trial: they decide what the other names mean."""
    if case.backend == registry.OWN:
        return case.optimizer, case.schedule
    found = []
    for field in ("optimizer", "schedule"):
        value = hyperparameters.get(field, hyperparameters.get(f"case.{field}"))
        found.append(getattr(case, field) if value is None else str(value))
    return found[0], found[1]


def _taken(case: Case, hyperparameters: Mapping[str, Scalar]) -> dict[str, dict[str, Any]]:
    """Return hyperparameters by the kind of what takes them, and by its own names."""
    takers = Takers(case, *_learning(case, hyperparameters))
    taken: dict[str, dict[str, Any]] = {each.kind: {} for each in takers.all}
    for name, value in hyperparameters.items():
        place = takers.place(name)
        taken[place.taker.kind][place.option] = value
    return taken


def _choices(case: Case, space: SearchSpace, where: str) -> list[tuple[str, str]]:
    """Return all pairs of optimiser and schedule that a space chooses from, the case's first."""
    if case.backend == registry.OWN:
        return [(case.optimizer, case.schedule)]
    choices: list[list[str]] = []
    for field, among in (("optimizer", registry.optimizers), ("schedule", registry.schedules)):
        own = getattr(case, field)
        dimension = _named(space, field, f"case.{field}")
        if dimension is None:
            choices.append([own])
            continue
        known = among.names()
        values = dimension.choices if isinstance(dimension, Categorical) else ()
        if wrong := [each for each in values if each not in known] or not values:
            shown = wrong[0] if isinstance(wrong, list) else "a number"
            raise SearchSpaceError(
                f"{where} has the dimension {dimension.name!r}, one of whose values is {shown!r}; "
                f"expected Categorical({dimension.name!r}, …) with some of {', '.join(known)}"
            )
        names = [str(each) for each in values]
        choices.append(sorted(names, key=lambda each, own=own: each != own))  # type: ignore[misc]
    return [cast("tuple[str, str]", each) for each in itertools.product(*choices)]


def _named(space: SearchSpace, *names: str) -> AnyDimension | None:
    return next((each for each in space.dimensions if each.name in names), None)


def _check_options(case: Case, learning: tuple[str, str], where: str) -> None:
    try:
        optimizer_options(learning[0], dict(case.optimizer_options))
        make_schedule(learning[1], dict(case.schedule_options))
    except HyperparameterError as error:
        if learning == (case.optimizer, case.schedule):
            raise
        raise SearchSpaceError(f"{where} the case's options do not fit: {error}") from error


def _check_place(place: Place, name: str, where: str, seen: dict[tuple[str, str], str]) -> None:
    if reason := place.taker.settled.get(place.option):
        raise SearchSpaceError(
            f"{where} has the dimension {name!r} of {place.taker.words}, but {reason}, or leave "
            "the dimension out"
        )
    key = (place.taker.kind, place.option)
    if (earlier := seen.setdefault(key, name)) and earlier != name:
        raise SearchSpaceError(
            f"{where} has the dimensions {earlier!r} and {name!r}, which are one option of "
            f"{place.taker.words}; leave one out"
        )


def _check_values(
    case: Case, dimension: AnyDimension, place: Place, where: str, learning: tuple[str, str]
) -> None:
    """Refuse values that a taker has not; what only a network or a loader knows, they refuse."""
    kind, option = place.taker.kind, place.option
    allowed = ALLOWED.get(option)
    for value in _values(dimension):
        try:
            if kind == "optimizer":
                optimizer_options(learning[0], {**dict(case.optimizer_options), option: value})
            elif kind == "schedule":
                _check_schedule(case, learning[1], place, value)
            elif kind == "case" and option in ("batch_size", "epochs"):
                replace(case, **{option: value})  # type: ignore[arg-type]
        except GreenbenchError as error:
            if kind == "optimizer" and isinstance(dimension, Dimension) and allowed:
                raise SearchSpaceError(
                    f"{where} has {dimension.name} from {dimension.low:g} to {dimension.high:g}; "
                    f"expected {allowed.words}, which every backend takes: change its bounds"
                ) from error
            raise SearchSpaceError(
                f"{where} has the dimension {dimension.name!r}: {error}"
            ) from error


def _check_schedule(case: Case, schedule: str, place: Place, value: Scalar) -> None:
    if not _is_like(value, place.default):
        kind = type(place.default).__name__
        raise HyperparameterError(f"{place.option} is {value!r}; expected a value of type {kind}")
    made = make_schedule(schedule, {**dict(case.schedule_options), place.option: value})
    try:
        made.factors(4, 2)
    except Exception as error:
        raise HyperparameterError(
            f"schedule {schedule!r} does not take {place.option} {value!r}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _is_like(value: Scalar, default: Any) -> bool:
    if is_required(default) or default is None:
        return True
    if isinstance(default, bool | str):
        return type(value) is type(default)
    if isinstance(default, int):
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _chosen(dimension: Categorical, value: Any) -> Scalar:
    try:
        return dimension.clip(value)
    except (SearchSpaceError, TypeError, ValueError) as error:
        choices = ", ".join(map(str, dimension.choices))
        raise HyperparameterError(
            f"{dimension.name} is {value!r}; expected one of {choices}"
        ) from error


def _number(dimension: Dimension, value: Any) -> int | float:
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    is_number = is_whole or (isinstance(value, Real) and math.isfinite(value))
    if isinstance(value, bool) or not is_number or not (is_whole or dimension.type == "float"):
        raise HyperparameterError(f"{dimension.name} is {value!r}; expected {dimension.type}")
    if float(value) not in dimension:
        raise HyperparameterError(
            f"{dimension.name} is {value!r}; expected {dimension.low:g} to {dimension.high:g}"
        )
    return int(value) if is_whole else float(value)
