"""What a journal says of its repeat."""

from dataclasses import dataclass

from greenbench.results import CaseResult, Trial


@dataclass(frozen=True)
class JournalState:
    """What a journal says.

    Attributes
    ----------
    history : tuple of Trial
        Each trial as it ended or paused, in the order in which that happened.
    starts : int
        How often the repeat was started; more than one means that it was resumed.
    started_at : float
        Of the first start, in seconds since 1970-01-01 UTC.
    result : CaseResult or None
        Once the repeat is finished.
    is_delivered : bool
        Whether MLflow has it.
    is_attempted : bool
        Whether ``sync`` has begun to deliver it, and so MLflow may have it.
    """

    history: tuple[Trial, ...] = ()
    starts: int = 0
    started_at: float = 0.0
    result: CaseResult | None = None
    is_delivered: bool = False
    is_attempted: bool = False

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The trials as they were last, by index."""
        latest = {trial.index: trial for trial in self.history}
        return tuple(latest[index] for index in sorted(latest))
