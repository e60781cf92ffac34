"""Seeds: whether a training comes to the same with the same seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greenbench import registry
from greenbench.architectures.base import check_arguments
from greenbench.cases import Scalar, split_network
from greenbench.errors import ConfigurationError
from greenbench.trainings.declaration import Training
from greenbench.trainings.driver import Driver, named
from greenbench.trainings.report import Report
from greenbench.trainings.run import Run

ADVICE = (
    "draw from run.seed, torch, NumPy, random or Keras, which are seeded; a generator of its own "
    "needs run.seed, and torch on a GPU torch.use_deterministic_algorithms(True)"
)

JUDGED = ("loss", "score", "samples")
"""What equal seeds must give; what else is reported may be times."""


@dataclass(frozen=True)
class SeedCheck:
    """What two trials with one seed gave.

    Attributes
    ----------
    who : str
        The training, with its place.
    first, second : tuple of Report
        What each told, an epoch each.
    """

    who: str
    first: tuple[Report, ...]
    second: tuple[Report, ...]

    @property
    def is_equal(self) -> bool:
        """Whether both told the same."""
        return _judged(self.first) == _judged(self.second)

    @property
    def sentence(self) -> str:
        """What was found, in one line."""
        if self.is_equal:
            return f"{self.who} comes to the same with the same seed ({len(self.first)} epochs)"
        return f"{self.who} does not come to the same with the same seed: {self._where()}; {ADVICE}"

    def _where(self) -> str:
        if len(self.first) != len(self.second):
            return f"{len(self.first)} epochs, then {len(self.second)}"
        pairs = enumerate(zip(self.first, self.second, strict=True))
        epoch, (one, other) = next((e, p) for e, p in pairs if _judged(p[:1]) != _judged(p[1:]))
        told = [(name, getattr(one, name), getattr(other, name)) for name in JUDGED]
        name, before, after = next(each for each in told if repr(each[1]) != repr(each[2]))
        return f"in epoch {epoch}, {name} {before} and then {after}"


def _judged(reports: Sequence[Report]) -> str:
    # As texts, in which a NaN is one.
    return repr([[getattr(report, name) for name in JUDGED] for report in reports])


class Unbooked:
    """Books nothing: nobody measures."""

    def turn(self, phase: str | None) -> None:
        """Do nothing."""

    def rename(self, phase: str) -> None:
        """Do nothing."""


def check_seeds(
    network: str,
    hyperparameters: Mapping[str, Scalar],
    *,
    options: Mapping[str, Scalar] | None = None,
    epochs: int = 1,
    seed: int = 0,
) -> SeedCheck:
    """Train twice with one seed, in this process, and compare what is told.

    Parameters
    ----------
    network : str
        Name of a registered training, with or without a size: ``finetune.s``.
    hyperparameters : mapping
        What it is trained with.
    options : mapping, optional
        Further options of its function.
    epochs : int
        How far it is trained.
    seed : int
        Of both.

    Raises
    ------
    GreenbenchError
        If it does what no training may do.

    Examples
    --------
    >>> import greenbench
    >>> from greenbench.trainings import check_seeds
    >>> @greenbench.register_training("drawn")
    ... def drawn(run):
    ...     import random
    ...     for epoch in run.epochs():
    ...         yield run.report(score=random.random())
    >>> check_seeds("drawn", {}).is_equal
    True
    """
    told = [trained(network, hyperparameters, options, epochs, seed) for _ in range(2)]
    return SeedCheck(named(_training(network)), *told)


def trained(
    network: str,
    hyperparameters: Mapping[str, Scalar],
    options: Mapping[str, Scalar] | None,
    epochs: int,
    seed: int,
) -> tuple[Report, ...]:
    """Train once, in this process, and return what is told each epoch; see `check_seeds`."""
    training = _training(network)
    name, size = split_network(network)
    arguments = check_arguments(name, size, options or {})
    run = Run(named(training), hyperparameters, seed, epochs, Unbooked())
    driver = Driver(training, run, arguments, is_interruptible=True)
    told: list[Report] = []
    try:
        while run.done < epochs and not driver.is_over:
            report = driver.step()
            if report is not None:
                told.append(report)
        told = told or list(run.reported)
        if driver.returned is not None:
            told.append(Report(score=driver.returned))
    finally:
        driver.close()
    return tuple(told)


def _training(network: str) -> Training:
    name, _ = split_network(network)
    registry.architectures.check(name)
    if not registry.is_training(name):
        raise ConfigurationError(
            f"architecture {name!r} is no training of one's own; expected one that "
            "register_training has registered"
        )
    found: Any = registry.architectures.get(name).training
    assert isinstance(found, Training)
    return found
