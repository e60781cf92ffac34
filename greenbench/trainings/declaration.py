"""How a training of one's own is declared."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from greenbench import registry
from greenbench.cases import Case, Scalar
from greenbench.errors import ConfigurationError
from greenbench.machine.places import at, origin_of
from greenbench.tasks import Score
from greenbench.trainings.named_scores import named_score

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Training:
    """A training of somebody's own, as it was registered.

    Attributes
    ----------
    name : str
        Under which it is registered, among architectures.
    train : callable
        A generator function that yields a report an epoch, or a function that returns a score;
        called with a `Run` and the options of its size.
    score : Score
        What it reports.
    files : tuple of str
        What it is made of, if that is not the file of its function.
    reads : tuple of str or None
        All files and folders of data that it reads, besides its code; None if it does not say.
    """

    name: str
    train: Callable[..., Any]
    score: Score
    files: tuple[str, ...] = ()
    reads: tuple[str, ...] | None = None

    @property
    def is_stepwise(self) -> bool:
        """Whether it can pause: a generator can, a function cannot."""
        function = inspect.unwrap(self.train)
        called = getattr(function, "__call__", None)  # noqa: B004  Of an object that can be called.
        return inspect.isgeneratorfunction(function) or inspect.isgeneratorfunction(called)


def check_fidelity(case: Case, training: Training) -> None:
    """Refuse a scheduler for a training that cannot pause.

    Raises
    ------
    ConfigurationError
        If a function is to be trained only so far.
    """
    if case.scheduler is not None and not training.is_stepwise:
        raise ConfigurationError(
            f"scheduler {case.scheduler!r} stops trials early, but training {training.name!r}"
            f"{at(training.train)} is a function, which is trained as a whole; choose strategy "
            f"{case.proposer!r}, or make it a generator that yields run.report(…) each epoch"
        )


def register_training(
    name: str,
    *,
    sizes: Mapping[str, Mapping[str, Scalar]] | None = None,
    score: str | Score = "accuracy",
    reads: Sequence[str | Path] | None = None,
) -> Callable[[Function], Function]:
    """Return a decorator that registers a training of one's own.

    It is run as ``greenbench run -p FILE -a NAME``, under any strategy and scheduler.

    Parameters
    ----------
    name : str
        ``[a-z0-9_]+``; becomes part of case ids.
    sizes : mapping of str to mapping, optional
        Options of the function for each size, smallest first.
    score : str or Score
        What it reports: a name that is known, or what it is.
    reads : sequence of str or Path, optional
        All files and folders of data that it reads, from the folder that it is run in; none if it
        makes its data itself. With that, results are reused, and resumed, on the same data alone.

    Raises
    ------
    ConfigurationError
        If the name is malformed or taken, nobody knows the score, or `reads` is no list of paths.

    Examples
    --------
    >>> import greenbench
    >>> @greenbench.register_training("guess", sizes={"s": {"width": 8}, "m": {"width": 64}})
    ... def guess(run, width=8):
    ...     for epoch in run.epochs():
    ...         yield run.report(loss=1 / (epoch + width), score=1 - 1 / width)
    ...     run.final(0.5)
    """
    origin = origin_of(sys._getframe(1))
    known, told = named_score(score), _paths(name, reads)

    def decorate(function: Function) -> Function:
        _check(name, function)
        registry.architectures.register(name, origin)(function)
        setattr(function, "sizes", dict(sizes or {}))  # noqa: B010
        setattr(function, "training", Training(name, function, known, reads=told))  # noqa: B010
        return function

    return decorate


def _paths(name: str, reads: object) -> tuple[str, ...] | None:
    if reads is None:
        return None
    if not isinstance(reads, list | tuple) or not all(isinstance(p, str | Path) for p in reads):
        raise ConfigurationError(
            f"training {name!r} reads {reads!r}; expected a list of files and folders, such as "
            "reads=['data.csv']"
        )
    return tuple(map(str, reads))


def _check(name: str, function: Any) -> None:
    plain = inspect.unwrap(function) if callable(function) else function
    if not callable(function) or isinstance(function, type):
        raise ConfigurationError(f"training {name!r} is {function!r}; expected a function")
    if inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain):
        raise ConfigurationError(
            f"training {name!r}{at(function)} is asynchronous; expected a generator or a function"
        )
    given = list(inspect.signature(function).parameters.values())
    if not given or given[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise ConfigurationError(
            f"training {name!r}{at(function)} takes no run; expected it as the first argument"
        )
