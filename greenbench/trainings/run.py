"""The run: what a training of one's own is told, and tells."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from greenbench.backends.process_state import put_random
from greenbench.cases import Scalar
from greenbench.errors import HyperparameterError, ProtocolError
from greenbench.machine.places import described, place_of_call
from greenbench.trainings.counting import Counted, count
from greenbench.trainings.report import Books, Report, Saved
from greenbench.trainings.states import pack, unpack

PHASES = ("load", "train", "evaluate", "save", "test")
"""What a training may book its energy to."""


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
    parameters, train_flops_per_sample : int or None
        What it told of its costs, or had counted.
    tested : tuple of float and mapping, or None
        The score on the test data, and what else was told with it.
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
        ledger: Books,
    ) -> None:
        self.seed = seed
        self.max_epochs = max_epochs
        self.batch_size: int | None = None
        self.place: Path | None = None
        self.parameters: int | None = None
        self.train_flops_per_sample: int | None = None
        self.uncounted: tuple[str, ...] = ()
        self.tested: tuple[float, Mapping[str, float]] | None = None
        self.asked: set[str] = set()
        self.reported: list[Report] = []
        self.done = 0
        self.pending: bytes | None = None
        self.heard: Callable[[Report], None] | None = None
        self._hyperparameters = dict(hyperparameters)
        self._who = who
        self._ledger = ledger
        self._process = os.getpid()
        self._saved: Saved | None = None
        self._has_begun = False
        self._usual = "train"
        self._inside: str | None = None
        self._is_running = False

    @property
    def hyperparameters(self) -> dict[str, Scalar]:
        """All of them, by name."""
        self.asked |= set(self._hyperparameters)
        return dict(self._hyperparameters)

    def __getitem__(self, name: str) -> Scalar:
        """Return a hyperparameter.

        Raises
        ------
        HyperparameterError
            If the search space has none of that name.
        """
        if name not in self._hyperparameters:
            known = ", ".join(self._hyperparameters) or "none"
            raise HyperparameterError(
                f"{self._who} asks for the hyperparameter {name!r}{_here()}, which the search "
                f"space lacks; it has {known}: choose another with --space"
            )
        self.asked.add(name)
        return self._hyperparameters[name]

    def epochs(self) -> Iterator[int]:
        """Yield the epochs that are left to train, counted from 0; before is the phase ``load``."""
        if not self._has_begun and self._is_running and self._inside is None:
            self._ledger.rename("load")
            self._switch(self._usual)
        self._has_begun = True
        if self._saved is not None:
            # What it built until here has drawn from them, as before it was cut off.
            put_random(self._saved.random)
        yield from range(self.done, self.max_epochs)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Book what happens inside to a phase: one of `PHASES`.

        Raises
        ------
        ProtocolError
            If there is no such phase, or it is inside another.
        """
        if name not in PHASES:
            raise ProtocolError(
                f"{self._who} names the phase {name!r}{_here()}; expected one of "
                f"{', '.join(PHASES)}"
            )
        if self._inside is not None:
            raise ProtocolError(
                f"{self._who} opens the phase {name!r} inside {self._inside!r}{_here()}; phases "
                "do not nest: end one before the other"
            )
        self._inside = name
        self._switch(name)
        try:
            yield
        finally:
            self._inside = None
            self._switch(self._usual)

    def report(
        self,
        /,
        loss: float | None = None,
        score: float | None = None,
        samples: int | None = None,
        **metrics: float | None,
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
            What else is to be kept of the epoch, by any name; what is None is unknown.

        Raises
        ------
        ProtocolError
            If one of them is no number.
        """
        report = Report(
            self._number("loss", loss),
            self._number("score", score),
            self._whole("samples", samples),
            self._numbers(metrics),
        )
        self.done += 1
        self.reported.append(report)
        if self.heard is not None and os.getpid() == self._process:
            self.heard(report)
        return report

    def final(self, /, score: float, **metrics: float | None) -> None:
        """Tell the score on the test data; only the incumbent gets as far."""
        others = self._numbers(metrics)
        found = self._number("score", score)
        self.tested = None if found is None else (found, others)

    def save(self, state: Any) -> None:
        """Keep what the training needs to go on after this epoch, if it is cut off.

        Call it in the loop over `epochs`, after an epoch was trained and before its report is
        yielded: it is on the disk with that report. Random generators of torch, NumPy, Python and
        Keras are kept with it.

        Parameters
        ----------
        state : object
            Numbers, texts, lists, dicts, NumPy arrays and tensors, nested in each other, such as
            the ``state_dict()`` of model and optimiser.

        Raises
        ------
        ProtocolError
            If there is something else in it, or no epoch is under way.
        """
        if not self._has_begun:
            raise ProtocolError(
                f"{self._who} saves before its first epoch{_here()}; save in the loop over "
                "run.epochs(), before the report is yielded"
            )
        with self.aside("save"):
            try:
                self.pending = pack(state)
            except TypeError as error:
                what, _, advice = str(error).partition("; ")
                raise ProtocolError(f"{self._who} saves {what}{_here()}; {advice}") from error

    def restore(self) -> Any:
        """Return what was saved last before the training was cut off; None if nothing was."""
        if self._saved is None or self._saved.state is None:
            return None
        with self.aside("load"):
            state = unpack(self._saved.state)
        put_random(self._saved.random)
        return state

    def costs(
        self, parameters: int | None = None, train_flops_per_sample: int | None = None
    ) -> None:
        """Tell what is known of the model: trainable parameters, and FLOPs of a sample.

        FLOPs are those of a forward and a backward pass, 2 a multiply-add.
        """
        self.parameters = self._whole("parameters", parameters)
        self.train_flops_per_sample = self._whole("train_flops_per_sample", train_flops_per_sample)

    def count(self, module: Any, inputs: Any) -> None:
        """Count the costs of a torch module, or a Keras model, by one pass that leaves no trace.

        Parameters
        ----------
        module : torch.nn.Module or keras.Model
            What is trained; of a Keras model on another engine, parameters alone are counted.
        inputs : tensor, sequence or mapping
            A batch, as the module is called with it; its first axis is that of samples.

        Raises
        ------
        ProtocolError
            If it is neither, or cannot be called so.
        """
        with self.aside("load"):
            try:
                found: Counted = count(module, inputs)
            except Exception as error:
                raise ProtocolError(
                    f"{self._who} cannot be counted{_here()}: {described(error)}; give a torch "
                    "module and a batch of its inputs, or tell what is known with run.costs(…)"
                ) from error
        self.parameters, self.train_flops_per_sample, self.uncounted = found

    # What follows is for whoever drives the training.

    def go_on_from(self, saved: Saved) -> None:
        """Begin where a training was that was cut off."""
        self._saved, self.done = saved, saved.epochs

    @property
    def is_running(self) -> bool:
        """Whether it is at work, and not paused."""
        return self._is_running

    @contextmanager
    def running(self, phase: str = "train") -> Iterator[None]:
        """Let the training run, and book it to a phase until it says otherwise."""
        self._usual, self._is_running = phase, True
        # It may have been paused inside one.
        self._switch(self._inside or phase)
        try:
            yield
        finally:
            self._switch(None)
            self._is_running = False

    @contextmanager
    def aside(self, phase: str) -> Iterator[None]:
        """Book to a phase, wherever the training is."""
        self._switch(phase)
        try:
            yield
        finally:
            self._switch(self._inside or self._usual)

    def _switch(self, phase: str | None) -> None:
        if not self._is_running or os.getpid() != self._process:
            # It is being closed, or is a copy of the process, which measures nothing.
            return
        self._ledger.turn(phase)

    def _number(self, name: str, value: Any) -> float | None:
        if value is None:
            return None
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise ProtocolError(
                f"{self._who} reports {name}={_shown(value)}{_here()}; expected a number"
            ) from error

    def _numbers(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """Return those that are known: what is None is unknown, and no 0."""
        told = {name: self._number(name, value) for name, value in metrics.items()}
        return {name: value for name, value in told.items() if value is not None}

    def _whole(self, name: str, value: Any) -> int | None:
        if value is None:
            return None
        try:
            found = int(value)
            is_whole = found == value and found >= 0
        except (TypeError, ValueError, OverflowError):
            is_whole = False
        if not is_whole:
            raise ProtocolError(
                f"{self._who} tells {name}={_shown(value)}{_here()}; expected a whole number"
            )
        return found


def _here() -> str:
    place = place_of_call()
    return f" ({place})" if place else ""


def _shown(value: Any) -> str:
    return f"{value!r:.60}"
