"""The driver: lets a training run from one report to the next."""

import os
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import GeneratorType
from typing import Any

from greenbench.backends.base import OutOfMemoryError
from greenbench.backends.process_state import RandomStates
from greenbench.cases import Scalar
from greenbench.errors import GreenbenchError, ProtocolError, TrainingError
from greenbench.machine.places import at, described, place_of_error
from greenbench.text.clean import clean
from greenbench.trainings.declaration import Training
from greenbench.trainings.leaks import Leaks
from greenbench.trainings.report import Report, Saved
from greenbench.trainings.run import Run
from greenbench.trainings.surroundings import Surroundings

_OURS = (SystemExit, KeyboardInterrupt, GeneratorExit)
"""What would end the worker, and with it all other trials."""


def named(training: Training) -> str:
    """Return what messages call a training, with its place in the user's code."""
    return f"training {training.name!r}{at(training.train)}"


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
    is_interruptible : bool
        Whether Ctrl+C reaches it, as it does not in a worker.

    Attributes
    ----------
    is_over : bool
        Whether it has ended by itself.
    returned : float or None
        The score that a function returned.
    """

    def __init__(
        self,
        training: Training,
        run: Run,
        options: Mapping[str, Scalar],
        *,
        is_interruptible: bool = False,
    ) -> None:
        self.training = training
        self.run = run
        self.is_over = False
        self.returned: float | None = None
        self._who = named(training)
        self._options = dict(options)
        self._is_interruptible = is_interruptible
        self._steps: Generator[Any, None, Any] | None = None
        self._surroundings = Surroundings(self._who, run.seed)
        self._leaks = Leaks()
        self._process = os.getpid()
        self._has_begun = False

    @property
    def random(self) -> RandomStates:
        """Where its random generators are."""
        return self._surroundings.random

    @property
    def is_stepwise(self) -> bool:
        """Whether it is a generator, as far as is known."""
        return self.training.is_stepwise or self._steps is not None

    def go_on_from(self, saved: Saved) -> None:
        """Begin where it was when it was cut off."""
        self.run.go_on_from(saved)

    def step(self) -> Report | None:
        """Let it run to its next report; None if it ended."""
        with self._running("train"):
            self._begin()
            return None if self._steps is None else self._next(self._steps)

    def finish(self) -> None:
        """Let it run to its end, where it tests.

        Raises
        ------
        ProtocolError
            If it goes on training.
        """
        if self.is_over:
            return
        with self._running("test"):
            self._begin()
            where = "" if self._steps is None else _line(self._steps)
            if self._steps is not None and self._next(self._steps) is not None:
                raise ProtocolError(
                    f"{self._who} goes on after its {self.run.max_epochs} epochs{where}; loop "
                    "over run.epochs()"
                )

    def close(self) -> list[str]:
        """End it where it is; return in words what it leaves behind."""
        steps, self._steps = self._steps, None
        if steps is not None:
            # What it does then is booked to no phase of its own.
            with self._surroundings(), self._leaks.watched():
                _closed(steps)
            del steps
        found = self._leaks.found()
        if count := self._surroundings.open_runs:
            found.append(f"{count} open run of MLflow's: use `with mlflow.start_run()`")
        return found

    def _begin(self) -> None:
        if self._has_begun:
            return
        self._has_begun = True
        returned = self.training.train(self.run, **self._options)
        if isinstance(returned, GeneratorType):
            self._steps = returned
            # What it reports, it yields.
            self.run.heard = None
            return
        self.is_over = True
        if returned is not None:
            try:
                self.returned = float(returned)
            except (TypeError, ValueError, RuntimeError) as error:
                raise ProtocolError(
                    f"{self._who} returns {returned!r:.60}; expected its score, a number"
                ) from error

    def _next(self, steps: Generator[Any, None, Any]) -> Report | None:
        self.run.reported.clear()
        self.run.pending = None
        try:
            found = next(steps)
        except StopIteration:
            self.is_over = True
            return None
        if not isinstance(found, Report):
            raise ProtocolError(
                f"{self._who} yields {found!r:.60}{_line(steps)}, which is no report; yield "
                "run.report(loss=…, score=…)"
            )
        if len(self.run.reported) != 1:
            raise ProtocolError(
                f"{self._who} calls run.report {len(self.run.reported)} times for one yield"
                f"{_line(steps)}; yield each report once"
            )
        return found

    @contextmanager
    def _running(self, phase: str) -> Iterator[None]:
        """Be around it while it runs: its surroundings, its phase, what it must not do."""
        try:
            with self._surroundings(), self._leaks.watched(), self.run.running(phase):
                try:
                    yield
                finally:
                    self._end_copies()
        except _OURS as error:
            if self._is_interruptible and isinstance(error, KeyboardInterrupt):
                raise
            place = place_of_error(error)
            where = f" ({place})" if place else ""
            raise TrainingError(f"{self._who} {_exit(error)}{where}; raise an error") from error
        except GreenbenchError:
            raise
        except Exception as error:
            if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
                raise OutOfMemoryError(described(error)) from error
            raise

    def _end_copies(self) -> None:
        """End a copy of the process that a fork has left: journal and events are not its own."""
        if os.getpid() != self._process:
            told = clean(f"{self._who} has forked: its copy of the process ends")
            print(told, file=sys.stderr)
            sys.stderr.flush()
            os._exit(1)


def _closed(steps: Generator[Any, None, Any]) -> None:
    # Whatever it raises then, its trial has ended.
    with suppress(Exception, *_OURS):
        steps.close()


def _exit(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"calls sys.exit({'' if error.code is None else repr(error.code)})"
    return f"raises {type(error).__name__}"


def _line(steps: Generator[Any, None, Any]) -> str:
    """Return where a generator is suspended, in brackets."""
    frame = getattr(steps, "gi_frame", None)
    if frame is None:
        return ""
    name = frame.f_code.co_filename.replace(os.sep, "/").rpartition("/")[2]
    return f" ({name}:{frame.f_lineno})"
