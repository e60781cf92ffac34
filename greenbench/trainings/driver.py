"""The driver: lets a training run from one report to the next."""

from collections.abc import Callable, Generator, Mapping
from typing import Any

from greenbench.backends.process_state import (
    RandomStates,
    random_numbers_of,
    random_states,
    seed_process,
    state_kept,
)
from greenbench.cases import Scalar
from greenbench.errors import TrainingError
from greenbench.machine.places import at
from greenbench.trainings.declaration import Training
from greenbench.trainings.run import Report, Run


class Driver:
    """A training under way.

    Parameters
    ----------
    training : Training
        Which one.
    run : Run
        What it is told.
    options : mapping
        What its function is called with besides.

    Attributes
    ----------
    is_over : bool
        Whether it has ended by itself.
    """

    def __init__(self, training: Training, run: Run, options: Mapping[str, Scalar]) -> None:
        self.training = training
        self.run = run
        self._options = dict(options)
        self._steps: Generator[Report, None, Any] | None = None
        self._states: RandomStates = {}
        self.is_over = False

    def step(self) -> Report | None:
        """Let it run to its next report; None if it ended."""
        with self._running("train"):
            if not self.training.is_stepwise:
                self.is_over = True
                return _scored(self.run, self._call())
            if self._steps is None:
                self._steps = self._call()
            return self._next()

    def finish(self) -> None:
        """Let it run to its end, where it tests.

        Raises
        ------
        TrainingError
            If it goes on training.
        """
        if self._steps is None:
            return
        with self._running("test"):
            if self._next() is not None:
                who = f"training {self.training.name!r}{at(self.training.train)}"
                raise TrainingError(
                    f"{who} goes on after its {self.run.max_epochs} epochs; loop over run.epochs()"
                )

    def close(self) -> None:
        """End it where it is."""
        if self._steps is not None:
            self._steps.close()
            self._steps = None

    def _next(self) -> Report | None:
        assert self._steps is not None
        try:
            return next(self._steps)
        except StopIteration:
            self.is_over = True
            return None

    def _call(self) -> Any:
        return self.training.train(self.run, **self._options)

    def _running(self, phase: str) -> Any:
        return _Running(self.training.name, self.run, self._states, phase)


class _Running:
    """What is around a training while it runs: its random numbers, its phase, our settings."""

    def __init__(self, name: str, run: Run, states: RandomStates, phase: str) -> None:
        self._enter: list[Callable[[], Any]] = [
            lambda: state_kept(f"training {name!r}"),
            lambda: random_numbers_of(_begun(states, run.seed)),
            lambda: run.running(phase),
        ]
        self._entered: list[Any] = []

    def __enter__(self) -> None:
        for make in self._enter:
            context = make()
            context.__enter__()
            self._entered.append(context)

    def __exit__(self, *error: object) -> None:
        while self._entered:
            self._entered.pop().__exit__(*error)


def _begun(states: RandomStates, seed: int) -> RandomStates:
    """Return where a trial's random generators are: at first, where its seed puts them."""
    if not states:
        seed_process(seed)
        states.update(random_states())
    return states


def _scored(run: Run, found: Any) -> Report:
    return run.report(score=float(found))
