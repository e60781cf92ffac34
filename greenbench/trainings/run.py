"""The run: what a training of one's own is told, and tells."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from greenbench.cases import Scalar
from greenbench.energy.ledger import Ledger
from greenbench.errors import TrainingError

PHASES = ("load", "train", "evaluate", "save", "test")
"""What a training may book its energy to."""


@dataclass(frozen=True)
class Report:
    """What a training tells at the end of an epoch.

    Attributes
    ----------
    loss, score : float or None
        Mean training loss, and the validation score.
    samples : int or None
        Training samples of the epoch.
    metrics : mapping of str to float
        What else it tells.
    """

    loss: float | None = None
    score: float | None = None
    samples: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


class Run:
    """One trial of a training: what it is told, and what it tells.

    Parameters
    ----------
    who : str
        What messages call the training.
    hyperparameters : mapping
        What the strategy proposed.
    seed : int
        Of this trial.
    max_epochs : int
        How far it is trained at most.
    ledger : Ledger
        Books its energy.

    Attributes
    ----------
    batch_size : int or None
        Samples a step, as its case says.
    place : pathlib.Path or None
        What names of files begin with that are this trial's own.
    """

    def __init__(
        self,
        who: str,
        hyperparameters: Mapping[str, Scalar],
        seed: int,
        max_epochs: int,
        ledger: Ledger,
    ) -> None:
        self.hyperparameters = dict(hyperparameters)
        self.seed = seed
        self.max_epochs = max_epochs
        self.batch_size: int | None = None
        self.place: Path | None = None
        self._who = who
        self._ledger = ledger
        self._done = 0
        self._leave: Callable[[], None] | None = None
        self.parameters: int | None = None
        self.train_flops_per_sample: int | None = None
        self.tested: tuple[float, Mapping[str, float]] | None = None

    def __getitem__(self, name: str) -> Scalar:
        """Return a hyperparameter.

        Raises
        ------
        TrainingError
            If the search space has none of that name.
        """
        if name not in self.hyperparameters:
            raise TrainingError(
                f"{self._who} asks for the hyperparameter {name!r}, which the search space lacks; "
                f"it has {', '.join(self.hyperparameters)}: choose another with --space"
            )
        return self.hyperparameters[name]

    def epochs(self) -> Iterator[int]:
        """Yield the epochs that are left to train, counted from 0; before is the phase ``load``."""
        self._ledger.rename("load")
        self._switch("train")
        while self._done < self.max_epochs:
            yield self._done

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Book what happens inside to a phase: one of `PHASES`."""
        if name not in PHASES:
            raise TrainingError(
                f"{self._who} names the phase {name!r}; expected one of {', '.join(PHASES)}"
            )
        self._switch(name)
        try:
            yield
        finally:
            self._switch("train")

    def report(
        self,
        loss: float | None = None,
        score: float | None = None,
        samples: int | None = None,
        **metrics: float,
    ) -> Report:
        """Return what is yielded at the end of an epoch; there the training may be paused.

        Parameters
        ----------
        loss : float, optional
            Mean training loss of the epoch.
        score : float, optional
            On the validation data.
        samples : int, optional
            Training samples of the epoch, for costs a sample.
        **metrics : float
            What else is to be told.
        """
        self._done += 1
        return Report(_plain(loss), _plain(score), samples, metrics)

    def final(self, score: float, **metrics: float) -> None:
        """Tell the score on the test data; only the incumbent gets as far."""
        self.tested = float(score), metrics

    def costs(
        self, parameters: int | None = None, train_flops_per_sample: int | None = None
    ) -> None:
        """Tell what is known of the model: trainable parameters, and FLOPs of a sample."""
        self.parameters, self.train_flops_per_sample = parameters, train_flops_per_sample

    # What follows is for whoever drives the training.

    @contextmanager
    def running(self, phase: str = "train") -> Iterator[None]:
        """Let the training run, and book it to a phase until it says otherwise."""
        self._switch(phase)
        try:
            yield
        finally:
            self._switch(None)

    def _switch(self, phase: str | None) -> None:
        if self._leave is not None:
            self._leave()
            self._leave = None
        if phase is not None:
            window = self._ledger.phase(phase)
            window.__enter__()
            self._leave = lambda: (window.__exit__(None, None, None), None)[1]


def _plain(value: float | None) -> float | None:
    return None if value is None else float(value) if not math.isnan(value) else math.nan
