"""Work on a GPU that is captured as a graph once and replayed, where that changes no bit.

Which work that is, is found out once: a few rounds of it are done as they are, and as replays, from
the same state on the same inputs. What cannot be captured, or does not come out the same, is done
without, and a note says why.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from greenbench.architectures.spec import Spec
from greenbench.backends.base import BuildRequest
from greenbench.backends.process_state import random_numbers_of, random_states
from greenbench.backends.torch_capture import Capturer
from greenbench.backends.torch_probe import (
    NOT_IDENTICAL,
    NOT_REPEATABLE,
    WARM_UP_STEPS,
    Changed,
    Probe,
    Work,
    copied,
    fill,
    uncaptured,
)
from greenbench.errors import ConfigurationError

NO_MEMORY = "there is no memory to compare replays with it"


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
        # Models of former data keep the places that their graphs read.
        self._inputs.clear()

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
        module: nn.Module | None = None,
        is_rare: bool = False,
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
        module : torch.nn.Module or None
            Somebody else's module that does the work: it may keep more than tensors.
        is_rare : bool
            Whether the work may not come often enough for a graph to pay, as that on the last batch
            of an epoch: then nothing is tried before it has come some times.
        """
        network = request.architecture
        kind: Hashable = network
        if isinstance(network, Spec):
            kind = network.name, network.input_shape, network.layers
        key = what, kind, request.batch_size, compute
        if obstacle is not None:
            self._obstacles[key] = obstacle
        subject = Subject(f"the {what} of architecture {network.name!r}", key, wish)
        return Replayed(self, subject, module, is_rare=is_rare)

    def admits(self, subject: Subject, find: Callable[[], str | None]) -> bool:
        """Return whether a work is replayed; `find` says what is against it, once a key."""
        if subject.key not in self._obstacles:
            try:
                self._obstacles[subject.key] = find()
            except torch.OutOfMemoryError:
                if subject.wish is True:
                    raise
                # Without a graph it may fit.
                self._obstacles[subject.key] = NO_MEMORY
        obstacle = self._obstacles[subject.key]
        return obstacle is None or self._insists(subject, obstacle)

    def refuse(self, subject: Subject, obstacle: str) -> None:
        """Take down what is against a work, which seemed fit."""
        self._obstacles[subject.key] = obstacle
        self._insists(subject, obstacle)

    def tell(self, subject: Subject) -> None:
        """Note that a work was done without a graph."""
        obstacle = self._obstacles[subject.key]
        self.note(f"{subject.name} is not replayed as a CUDA graph: {obstacle}")

    def _insists(self, subject: Subject, obstacle: str) -> bool:
        if subject.wish is not True:
            return False
        if obstacle in {NOT_IDENTICAL, NOT_REPEATABLE}:
            self.note(f"{subject.name} is replayed as a CUDA graph, as demanded, but {obstacle}")
            return True
        raise ConfigurationError(
            f"backend 'torch': cuda_graphs is true, but {subject.name} cannot be replayed: "
            f"{obstacle}; expected auto or false"
        )


class ByLength(dict[int, "Replayed"]):
    """What replays a work, by how many samples it is done on: a graph has shapes of its own.

    Parameters
    ----------
    make : callable
        Returns what replays it on so many.
    """

    def __init__(self, make: Callable[[int], "Replayed"]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, length: int) -> "Replayed":
        self[length] = self._make(length)
        return self[length]


class Replayed:
    """One model's work: done as it is a few times, then captured, then replayed.

    Parameters
    ----------
    graphs : Graphs
        What is known of captures.
    subject : Subject
        What is replayed.
    module : torch.nn.Module or None
        See `Graphs.replayed`.
    is_rare : bool
        As there.
    """

    def __init__(
        self,
        graphs: Graphs,
        subject: Subject,
        module: nn.Module | None,
        *,
        is_rare: bool = False,
    ) -> None:
        self._is_rare = is_rare
        self._graphs = graphs
        self._subject = subject
        self._module = module
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
        if self._is_rare and self._warm < WARM_UP_STEPS:
            return self._warmed_up(self._capturer, work, inputs)
        if self._inputs is None:
            self._inputs = [self._graphs.place(*each) for each in enumerate(inputs)]
            probe = Probe(self._capturer, work, changed, self._inputs, self._module)
            if not self._graphs.admits(self._subject, lambda: probe.obstacle(inputs)):
                self._capturer = None
                return self._without(work, inputs)
        if self._replay is None:
            if self._warm < WARM_UP_STEPS:
                return self._warmed_up(self._capturer, work, inputs)
            self._capture(self._capturer, work, self._inputs)
        if self._replay is None:
            return self._without(work, inputs)
        fill(self._inputs, inputs)
        self._replay()
        return copied(self._result)

    def _warmed_up(self, capturer: Capturer, work: Work, inputs: Sequence[Tensor]) -> Tensor | None:
        self._warm += 1
        with capturer.aside():
            return work(*inputs)

    def _without(self, work: Work, inputs: Sequence[Tensor]) -> Tensor | None:
        result = work(*inputs)
        # What fails without a graph, too, was not done, as where lanes are tried that do not fit.
        self._graphs.tell(self._subject)
        return result

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
                self._graphs.refuse(self._subject, uncaptured(error))
