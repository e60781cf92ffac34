"""Work on a GPU that is captured as a graph once and replayed, where that changes no bit.

Which work that is, is found out once: a few rounds of it are done as they are, and as replays, from
the same state on the same inputs. What cannot be captured, or does not come out the same, is done
without, and a note says why.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from greenbench.architectures.spec import Spec
from greenbench.backends.base import BuildRequest
from greenbench.backends.process_state import RandomStates, random_numbers_of, random_states
from greenbench.backends.torch_capture import Capturer
from greenbench.errors import ConfigurationError

WARM_UP_STEPS = 3
NOT_IDENTICAL = "replays do not give the same bits"

Work = Callable[..., Tensor | None]
"""Reads tensors; gives one, or changes others in place. All that it leaves stays where it is."""
Changed = Callable[[], Iterable[Tensor]]
"""Returns what a work changes; what it creates, it creates as zeros."""
Outcome = tuple[list[Tensor | None], list[Tensor], RandomStates]


@dataclass(frozen=True)
class Subject:
    """What is replayed.

    Attributes
    ----------
    name : str
        For people: ``"the training step of architecture 'x'"``.
    key : hashable
        Equal for what computes alike.
    wish : bool or str
        False never captures, True insists, ``"auto"`` does where it changes no bit.
    """

    name: str
    key: Hashable
    wish: bool | str


class Graphs:
    """What a backend has found out about captures, and what its graphs share.

    Parameters
    ----------
    capturer : Capturer or None
        None where nothing is captured, as on a CPU.
    """

    def __init__(self, capturer: Capturer | None) -> None:
        self.capturer = capturer
        self._obstacles: dict[Hashable, str | None] = {}
        self._notes: dict[str, None] = {}
        self._inputs: dict[Hashable, Tensor] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done without a graph since the last call of `forget_notes`, and why."""
        return tuple(self._notes)

    def forget_notes(self) -> None:
        """Begin anew: somebody else's models come."""
        self._notes.clear()

    def note(self, text: str) -> None:
        """Keep what people must know of how was computed."""
        self._notes[text] = None

    def place(self, position: int, like: Tensor) -> Tensor:
        """Return where a graph finds its input; all share it, since one is replayed at a time."""
        key = position, like.shape, like.dtype, like.stride(), like.device
        if key not in self._inputs:
            with torch.inference_mode(mode=False):
                self._inputs[key] = torch.zeros_like(like)
        return self._inputs[key]

    def replayed(
        self,
        what: str,
        request: BuildRequest,
        compute: Hashable,
        *,
        wish: bool | str,
        obstacle: str | None = None,
    ) -> "Replayed":
        """Return what replays one model's work.

        Parameters
        ----------
        what : str
            For people, such as ``"training step"``; with the next two, what tells works apart.
        request : BuildRequest
            What the model was built from.
        compute : hashable
            How it computes, and on what shapes.
        wish : bool or str
            See `Subject`.
        obstacle : str or None
            What is known to be against it.
        """
        network = request.architecture
        kind: Hashable = network
        if isinstance(network, Spec):
            kind = network.name, network.image_shape, network.layers
        key = what, kind, request.batch_size, compute
        if obstacle is not None:
            self._obstacles[key] = obstacle
        return Replayed(self, Subject(f"the {what} of architecture {network.name!r}", key, wish))

    def admits(self, subject: Subject, find: Callable[[], str | None]) -> bool:
        """Return whether a work is replayed; `find` says what is against it, once a key."""
        if subject.key not in self._obstacles:
            self._obstacles[subject.key] = find()
        obstacle = self._obstacles[subject.key]
        return obstacle is None or self._settle(subject, obstacle)

    def refuse(self, subject: Subject, obstacle: str) -> None:
        """Take down what is against a work, which seemed fit."""
        self._obstacles[subject.key] = obstacle
        self._settle(subject, obstacle)

    def _settle(self, subject: Subject, obstacle: str) -> bool:
        if subject.wish is not True:
            self.note(f"{subject.name} is not replayed as a CUDA graph: {obstacle}")
            return False
        if obstacle == NOT_IDENTICAL:
            self.note(f"{subject.name} is replayed as a CUDA graph, as demanded, but {obstacle}")
            return True
        raise ConfigurationError(
            f"backend 'torch': cuda_graphs is true, but {subject.name} cannot be replayed: "
            f"{obstacle}; expected auto or false"
        )


class Replayed:
    """One model's work: done as it is a few times, then captured, then replayed.

    Parameters
    ----------
    graphs : Graphs
        What is known of captures.
    subject : Subject
        What is replayed.
    """

    def __init__(self, graphs: Graphs, subject: Subject) -> None:
        self._graphs = graphs
        self._subject = subject
        self._capturer = graphs.capturer if subject.wish is not False else None
        self._warm = 0
        self._inputs: list[Tensor] | None = None
        self._result: Tensor | None = None
        self._replay: Callable[[], object] | None = None

    def __call__(self, work: Work, changed: Changed, *inputs: Tensor) -> Tensor | None:
        """Do the work on inputs, which have the same shapes at each call.

        `work` and `changed` are passed each time: kept, they would keep their model, and its
        memory, until the next garbage collection.
        """
        if self._capturer is None:
            return work(*inputs)
        if self._inputs is None:
            self._inputs = [self._graphs.place(*each) for each in enumerate(inputs)]
            probe = _Probe(self._capturer, work, changed, self._inputs)
            if not self._graphs.admits(self._subject, lambda: probe.obstacle(inputs)):
                self._capturer = None
                return work(*inputs)
        if self._replay is None:
            if self._warm < WARM_UP_STEPS:
                self._warm += 1
                with self._capturer.aside():
                    return work(*inputs)
            self._capture(self._capturer, work, self._inputs)
        if self._replay is None:
            return work(*inputs)
        _fill(self._inputs, inputs)
        self._replay()
        return _copied(self._result)

    def _capture(self, capturer: Capturer, work: Work, inputs: Sequence[Tensor]) -> None:
        def captured() -> None:
            self._result = work(*inputs)

        with random_numbers_of(random_states(), goes_on=False):
            try:
                self._replay = capturer.capture(captured)
            except Exception as error:
                if self._subject.wish is True and isinstance(error, torch.OutOfMemoryError):
                    raise
                self._capturer = None
                self._graphs.refuse(self._subject, _uncaptured(error))


class _Probe:
    """Finds out whether a work can be replayed, and leaves the state as it was."""

    def __init__(
        self, capturer: Capturer, work: Work, changed: Changed, places: Sequence[Tensor]
    ) -> None:
        self._capturer = capturer
        self._work = work
        self._changed = changed
        self._places = places
        self._result: Tensor | None = None

    def obstacle(self, inputs: Sequence[Tensor]) -> str | None:
        """Return what is against replaying it; None if nothing is."""
        before = {each: each.detach().clone() for each in self._changed()}
        with random_numbers_of(random_states(), goes_on=False):
            try:
                return self._obstacle(inputs, before)
            finally:
                self._put_back(before)

    def _obstacle(self, inputs: Sequence[Tensor], before: dict[Tensor, Tensor]) -> str | None:
        start = random_states()
        try:
            with self._capturer.without_waits(), self._capturer.aside():
                for _ in range(WARM_UP_STEPS):
                    self._work(*inputs)
        except Exception as error:
            return f"it waits for the GPU, or fails ({_line(error)})"
        drawn = {name for name, each in random_states().items() if each != start[name]}
        if drawn - {self._capturer.generator}:
            return "it draws random numbers on the CPU"
        if set(before) - set(self._changed()):
            return "it puts other tensors in the place of its buffers"
        # Neither round finds its inputs in place from the one before, or from the capture.
        pairs = zip(self._places, inputs, strict=True)
        other = [place.clone().copy_(each.flip(-1)) for place, each in pairs]
        rounds = [inputs, other, inputs]
        self._put_back(before)
        expected = self._outcome(self._work, rounds, start)
        self._put_back(before)
        try:
            _fill(self._places, other)
            replay = self._capturer.capture(self._captured)
        except Exception as error:
            return _uncaptured(error)

        def replayed(*given: Tensor) -> Tensor | None:
            _fill(self._places, given)
            replay()
            return self._result

        found = self._outcome(replayed, rounds, start)
        return None if _are_identical(expected, found) else NOT_IDENTICAL

    def _captured(self) -> None:
        self._result = self._work(*self._places)

    def _outcome(
        self, play: Work, rounds: Iterable[Sequence[Tensor]], start: RandomStates
    ) -> Outcome:
        with random_numbers_of(start, goes_on=False):
            results = [_copied(play(*each)) for each in rounds]
            return results, [each.detach().clone() for each in self._changed()], random_states()

    @torch.no_grad()
    def _put_back(self, before: dict[Tensor, Tensor]) -> None:
        now = list(self._changed())
        # Some put another tensor in the place of a buffer, or make it at their first step.
        were = list(before.values()) if len(now) == len(before) else [torch.zeros(())] * len(now)
        for each, values in zip(now, were, strict=True):
            if each not in before:
                each.copy_(values)
        for each, values in before.items():
            each.copy_(values)


def _copied(result: Tensor | None) -> Tensor | None:
    # The next replay writes to the same place.
    return None if result is None else result.detach().clone()


def _fill(places: Sequence[Tensor], inputs: Sequence[Tensor]) -> None:
    for place, given in zip(places, inputs, strict=True):
        place.copy_(given)


def _are_identical(one: Outcome, other: Outcome) -> bool:
    pairs = zip([*one[0], *one[1]], [*other[0], *other[1]], strict=False)
    return (
        len(one[1]) == len(other[1])
        and all(_is_same(*pair) for pair in pairs)
        and all(one[2][name] == other[2][name] for name in one[2])
    )


def _is_same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    if torch.equal(one, other):
        return True
    # A NaN is not equal to itself.
    return (
        one.shape == other.shape
        and one.is_floating_point()
        and torch.equal(one.isnan(), other.isnan())
        and torch.equal(one.nan_to_num(), other.nan_to_num())
    )


def _uncaptured(error: Exception) -> str:
    return f"it cannot be captured ({_line(error)})"


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
