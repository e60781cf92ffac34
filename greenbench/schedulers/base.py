"""The scheduler protocol: what lets trials pause and go on."""

from typing import Protocol, runtime_checkable

from greenbench import registry
from greenbench.cases import Case
from greenbench.errors import ConfigurationError
from greenbench.machine.places import calling


@runtime_checkable
class Scheduler(Protocol):
    """Decides which trial is trained next, and how far; on top of any strategy.

    The search asks `promote` for a paused trial to go on with; without one it starts a new
    trial. It trains the trial to `target` epochs, in memory and never from scratch, then
    calls `report`. A scheduler is built as ``Scheduler(epochs=...)`` and depends on nothing
    but what is reported, so that replaying the reports gives the same decisions.
    """

    def __init__(self, *, epochs: int) -> None: ...

    def promote(self, *, is_last: bool) -> int | None:
        """Return the index of a paused trial that goes on; None to start a new one.

        Parameters
        ----------
        is_last : bool
            Whether no new trial can be started. As long as no trial is trained to its end,
            the best is promoted then: a search has to find something that is.
        """

    def target(self, index: int) -> int:
        """Return to how many epochs a new or a promoted trial is trained now."""

    def report(self, index: int, score: float | None) -> None:
        """Report how good a trial is at its target.

        Parameters
        ----------
        index : int
            Which trial.
        score : float or None
            Validation score so that more is better, finite, of any sign: what is lower where it
            is better comes negated. None if the trial failed, and never goes on.
        """

    def drop(self, index: int) -> None:
        """Never promote this trial: its model was lost."""


class WholeTrials:
    """No scheduler: each trial is trained to its end at once."""

    def __init__(self, *, epochs: int) -> None:
        self._epochs = epochs

    def promote(self, *, is_last: bool) -> int | None:
        """Return None: nothing pauses."""
        return None

    def target(self, index: int) -> int:
        """Return all epochs."""
        return self._epochs

    def report(self, index: int, score: float | None) -> None:
        """Learn nothing."""

    def drop(self, index: int) -> None:
        """Do nothing: nothing pauses."""


def make_scheduler(case: Case) -> Scheduler:
    """Return the scheduler of a case; without one, each trial is trained to its end.

    Raises
    ------
    UnknownNameError
        If there is no scheduler of that name.
    ConfigurationError
        If it cannot work with so many epochs.
    """
    if case.scheduler is None:
        return WholeTrials(epochs=case.epochs)
    factory = registry.schedulers.get(case.scheduler)
    with calling(f"scheduler {case.scheduler!r}", factory, ConfigurationError):
        scheduler: Scheduler = factory(epochs=case.epochs)
    return scheduler
