"""Recordings: the trainings of one network on one data set, with what each cost."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from greenbench.errors import ConfigurationError
from greenbench.optimizers import AdamOptions
from greenbench.results import CaseResult, Trial, TrialStatus
from greenbench.results.quality import is_disturbed, was_suspended
from greenbench.results.readings import Provenance, Reading
from greenbench.strategies.dimensions import Dimension
from greenbench.strategies.spaces import SearchSpace, find_space
from greenbench.strategies.survey import SEEDS, parts

DESIGN, AGAIN, HELD_OUT = PARTS = ("design", "again", "held_out")
STRATEGY = "survey"

FEWEST_TRAININGS = 10
"""What a curve is fitted to, at least."""

FEWEST_CALM = 5
"""Undisturbed trainings, below which the costs of all count."""


@dataclass(frozen=True)
class Cost:
    """What something used.

    Attributes
    ----------
    energy_j : float
        Joules.
    duration_s, cpu_s : float
        Wall and CPU seconds.
    """

    energy_j: float = 0.0
    duration_s: float = 0.0
    cpu_s: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.energy_j + other.energy_j,
            self.duration_s + other.duration_s,
            self.cpu_s + other.cpu_s,
        )

    def __mul__(self, share: float) -> "Cost":
        return Cost(self.energy_j * share, self.duration_s * share, self.cpu_s * share)

    def __sub__(self, other: "Cost") -> "Cost":
        return self + other * -1.0


@dataclass(frozen=True)
class RecordedTraining:
    """One training of one configuration.

    Attributes
    ----------
    part : str
        ``"design"``, ``"again"`` (a configuration of the design with another seed) or
        ``"held_out"``, which nothing is fitted to.
    hyperparameters : dict
        What was trained.
    status : TrialStatus
        How it ended.
    train_loss, val_score : tuple of float or None
        By epoch, as many as the recording has; None from where it broke off.
    train, evaluate : Cost or None
        Of an epoch, and of a validation; None if its energy is unknown.
    is_disturbed : bool
        Whether something else used the machine meanwhile.
    """

    part: str
    hyperparameters: Mapping[str, Any]
    status: TrialStatus
    train_loss: tuple[float | None, ...]
    val_score: tuple[float | None, ...]
    train: Cost | None
    evaluate: Cost | None
    is_disturbed: bool

    @property
    def is_complete(self) -> bool:
        """Whether its curves are whole."""
        return self.status is TrialStatus.COMPLETED


@dataclass(frozen=True)
class Recording:
    """A cell of the tabular benchmark.

    Attributes
    ----------
    network : str
        The architecture with its size and options: ``simple_cnn.m``.
    name : str
        The name of the data set that it is replayed as.
    space : SearchSpace
        Where its configurations lie.
    epochs, batch_size : int
        Of each training.
    parameters : int
        Trainable parameters of the network.
    train_flops_per_sample : int or None
        None if they were not known.
    dataset : dict
        As in `greenbench.results.CaseResult`: source, digest, shape, classes, sizes of splits.
    provenance : Provenance
        How the energy came about when it was recorded.
    source : str
        By which meter and method.
    environment : dict
        Machine and versions that recorded.
    emissions : dict
        ``intensity_g_per_kwh`` and ``source``, where it was recorded.
    recorded_on : str
        Day, ISO 8601.
    trainings : tuple of RecordedTraining
        All of them, in the order in which they ran.
    """

    network: str
    name: str
    space: SearchSpace
    epochs: int
    batch_size: int
    parameters: int
    train_flops_per_sample: int | None
    dataset: Mapping[str, Any]
    provenance: Provenance
    source: str
    environment: Mapping[str, Any]
    emissions: Mapping[str, Any]
    recorded_on: str
    trainings: tuple[RecordedTraining, ...]

    def __post_init__(self) -> None:
        complete = len(self.fitted)
        if complete < FEWEST_TRAININGS:
            raise ConfigurationError(
                f"{complete} trainings of the design are complete; expected at least "
                f"{FEWEST_TRAININGS}: record more trials"
            )
        if not self.repeated or len(self.held_out) < SEEDS:
            raise ConfigurationError(
                "no configuration was trained with several seeds, or fewer than "
                f"{SEEDS} were held out: record more trials"
            )
        if not self.costs:
            raise ConfigurationError("no training has known energy: record with a working meter")

    @property
    def id(self) -> str:
        """What its file is called, without suffix: ``simple_cnn-digits``."""
        return f"{self.network}-{self.name}"

    @property
    def dimensions(self) -> list[Dimension]:
        """The dimensions of its space, all of them numbers."""
        return [each for each in self.space.dimensions if isinstance(each, Dimension)]

    @property
    def fitted(self) -> list[RecordedTraining]:
        """Complete trainings that curves are fitted to."""
        return [each for each in self.trainings if each.is_complete and each.part != HELD_OUT]

    @property
    def held_out(self) -> list[RecordedTraining]:
        """Complete trainings that predictions are compared with."""
        return [each for each in self.trainings if each.is_complete and each.part == HELD_OUT]

    @property
    def repeated(self) -> list[list[RecordedTraining]]:
        """Complete trainings of configurations that were trained with several seeds."""
        groups: dict[tuple[float | int, ...], list[RecordedTraining]] = {}
        for each in self.fitted:
            key = tuple(each.hyperparameters[d.name] for d in self.dimensions)
            groups.setdefault(key, []).append(each)
        return [group for group in groups.values() if len(group) > 1]

    @property
    def costed(self) -> list[RecordedTraining]:
        """Complete trainings that nothing else disturbed; all, if there are too few of those."""
        known = [e for e in self.trainings if e.is_complete and e.train and e.evaluate]
        calm = [each for each in known if not each.is_disturbed]
        return calm if len(calm) >= FEWEST_CALM else known

    @property
    def costs(self) -> list[tuple[Cost, Cost]]:
        """What an epoch and a validation cost in each of `costed`."""
        return [(e.train, e.evaluate) for e in self.costed if e.train and e.evaluate]

    @property
    def has_calm_costs(self) -> bool:
        """Whether `costed` are undisturbed."""
        return not any(each.is_disturbed for each in self.costed)

    @property
    def samples_per_epoch(self) -> int:
        """How many samples an epoch trains on: the last batch is left out if it is not full."""
        size = int(self.dataset["train"])
        return size // self.batch_size * self.batch_size or size


def from_result(result: CaseResult, name: str) -> Recording:
    """Return the recording that a finished survey makes.

    Parameters
    ----------
    result : CaseResult
        Of a case with the strategy ``survey`` that validates after each epoch.
    name : str
        The name of the data set that it is replayed as.

    Raises
    ------
    ConfigurationError
        If the case was another, or too few of its trainings are complete.
    """
    case = result.case
    if case.strategy != STRATEGY or case.validate_every != 1:
        raise ConfigurationError(
            f"case {case.id} makes no recording; expected the strategy {STRATEGY!r} and a "
            "validation after each epoch: use `greenbench record`"
        )
    counts = parts(case.trials)
    labels = [part for part, count in zip(PARTS, counts, strict=True) for _ in range(count)]
    cores = int(result.environment.get("cores", 1))
    total = result.account.total
    components = {component.source for component in total.headline}
    day = datetime.datetime.fromtimestamp(result.started_at, datetime.UTC).date()
    return Recording(
        network=case.network,
        name=name,
        space=check_recordable(case.space),
        epochs=case.epochs,
        batch_size=case.batch_size,
        parameters=result.costs.parameters or 0,
        train_flops_per_sample=result.costs.train_flops_per_sample,
        dataset=dict(result.dataset),
        provenance=total.provenance,
        source=" + ".join(sorted(components)),
        environment=dict(result.environment),
        emissions={key: result.emissions[key] for key in ("intensity_g_per_kwh", "source")},
        recorded_on=day.isoformat(),
        trainings=tuple(
            _training(trial, labels[trial.index], case.epochs, cores) for trial in result.trials
        ),
    )


def check_recordable(name: str) -> SearchSpace:
    """Return the space of that name, if trainings in it can be recorded.

    Raises
    ------
    ConfigurationError
        If a dimension is none of Adam's, whose trainings recordings are, or is categorical:
        what lies between recorded trainings is interpolated.
    """
    space = find_space(name)
    known = [each.name for each in fields(AdamOptions)]
    for each in space.dimensions:
        if each.name not in known or not isinstance(each, Dimension):
            raise ConfigurationError(
                f"space {name!r} has the dimension {each.name!r}, in which no training can be "
                f"recorded; expected bounds of Adam's {', '.join(known)}: choose another --space"
            )
    return space


def _training(trial: Trial, part: str, epochs: int, cores: int) -> RecordedTraining:
    total = trial.account.total
    missing = (None,) * (epochs - len(trial.epochs))
    validations = sum(epoch.val_score is not None for epoch in trial.epochs)
    return RecordedTraining(
        part=part,
        hyperparameters=dict(trial.hyperparameters),
        status=trial.status,
        train_loss=(*(epoch.train_loss for epoch in trial.epochs), *missing),
        val_score=(*(epoch.val_score for epoch in trial.epochs), *missing),
        train=_cost(trial.account.phases.get("train"), len(trial.epochs)),
        evaluate=_cost(trial.account.phases.get("evaluate"), validations),
        is_disturbed=was_suspended(total)
        or is_disturbed(total.other_cpu_s, total.duration_s, cores),
    )


def _cost(reading: Reading | None, times: int) -> Cost | None:
    if reading is None or reading.energy_j is None or reading.cpu_s is None or not times:
        return None
    return Cost(reading.energy_j, reading.duration_s, reading.cpu_s) * (1 / times)
