"""The bookkeeper: what every framework's callback tells a run of epochs, phases and scores."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, SupportsFloat

from greenbench.errors import ProtocolError
from greenbench.trainings import Report, Run

_TAKEN = ("loss", "score", "samples")


class Bookkeeper:
    """Books a loop that calls back.

    Parameters
    ----------
    run : Run
        Whose energy is booked.
    monitor : str
        Which of the logged metrics is the score.
    tell : callable
        Takes each report; here the training may be paused.
    """

    def __init__(self, run: Run, monitor: str, tell: Callable[[Report], None]) -> None:
        self._run = run
        self._monitor = monitor
        self._tell = tell
        self._epochs: Iterator[int] | None = None
        self._phase = ExitStack()
        self._has_evaluated = False
        self._is_under_way = False

    def begin_epoch(self) -> bool:
        """Begin an epoch of training, and return whether there is one; first ends loading."""
        self._epochs = self._epochs or self._run.epochs()
        self._is_under_way = next(self._epochs, None) is not None
        self._has_evaluated = False
        return self._is_under_way

    def enter(self, phase: str) -> None:
        """Book to a phase until `leave`; before the first epoch, all is loading."""
        if self._epochs is not None:
            self.leave()
            self._phase.enter_context(self._run.phase(phase))
            self._has_evaluated |= phase == "evaluate"

    def leave(self) -> None:
        """Book to training again."""
        self._phase.close()

    def end_epoch(
        self,
        metrics: Mapping[str, Any],
        *,
        loss: str = "loss",
        samples: int | None = None,
        is_last: bool = False,
    ) -> None:
        """Report an epoch that is under way, with its score.

        Parameters
        ----------
        metrics : mapping of str to float
            What was logged; what is no number is left out.
        loss : str
            Which of them is the training loss, if it is there.
        samples : int, optional
            Training samples of the epoch.
        is_last : bool
            Whether there is no other epoch that could log the score.

        Raises
        ------
        ProtocolError
            If the score is not among them, though there was an evaluation.
        """
        if not self._is_under_way:
            return
        self._is_under_way = False
        logged = {
            name: value for name, each in metrics.items() if (value := _number(each)) is not None
        }
        if self._monitor not in logged and (self._has_evaluated or is_last):
            raise ProtocolError(
                f"monitor={self._monitor!r} was never logged; expected one of "
                f"{', '.join(map(repr, sorted(logged))) or 'none, since nothing was logged'}"
            )
        score = logged.pop(self._monitor, None)
        others = {name: value for name, value in logged.items() if name not in _TAKEN}
        self._tell(self._run.report(logged.get(loss), score, samples, **others))

    @contextmanager
    def booked(self, owner: Any, **phases: str) -> Iterator[None]:
        """Book calls of an object's methods to phases, by the methods' names."""
        methods = [name for name in phases if hasattr(owner, name)]
        its_own = {name: vars(owner)[name] for name in methods if name in vars(owner)}
        for name in methods:
            setattr(owner, name, self._in_phase(phases[name], getattr(owner, name)))
        try:
            yield
        finally:
            for name in methods:
                delattr(owner, name)
            for name, method in its_own.items():
                setattr(owner, name, method)

    def _in_phase(self, phase: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*args: Any, **options: Any) -> Any:
            self.enter(phase)
            try:
                return method(*args, **options)
            finally:
                self.leave()

        return call


def size_of(data: Any) -> int | None:
    """Return how many samples there are; None of a stream, or of nothing."""
    try:
        return len(data)
    except TypeError:
        return None


def _number(value: SupportsFloat) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        # A word, a picture, or a tensor of several numbers.
        return None
