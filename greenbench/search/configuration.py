"""Configurations: what a trial is trained with, from its case and its hyperparameters."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from greenbench import registry
from greenbench.cases import Case, Scalar
from greenbench.optimizers import OptimizerOptions, Schedule, make_schedule, optimizer_options


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
        What a strategy proposed.
    """
    of_schedule = {each.name for each in fields(registry.schedules.get(case.schedule))}
    own = {name: value for name, value in hyperparameters.items() if name not in of_schedule}
    scheduled = {name: value for name, value in hyperparameters.items() if name in of_schedule}
    return Configuration(
        optimizer_options(case.optimizer, {**dict(case.optimizer_options), **own}),
        make_schedule(case.schedule, {**dict(case.schedule_options), **scheduled}),
        case.batch_size,
        case.epochs,
        dict(case.architecture_options),
        dict(case.dataset_options),
    )
