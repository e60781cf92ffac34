"""Whether replays of a work change no bit: a few rounds as it is, and as replays, compared."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from greenbench.backends.process_state import RandomStates, random_numbers_of, random_states
from greenbench.backends.torch_attributes import Attributes
from greenbench.backends.torch_capture import Capturer

WARM_UP_STEPS = 3
NOT_IDENTICAL = "replays do not give the same bits"
NOT_REPEATABLE = "it does not give the same bits twice, so that replays cannot be compared with it"

Work = Callable[..., Tensor | None]
"""Reads tensors; gives one, or changes others in place. All that it leaves stays where it is."""
Changed = Callable[[], Iterable[Tensor]]
"""Returns what a work changes; what it creates, it creates as zeros."""
Outcome = tuple[list[Tensor | None], list[Tensor], RandomStates]


class Probe:
    """Finds out whether a work can be replayed, and leaves the state as it was."""

    def __init__(
        self,
        capturer: Capturer,
        work: Work,
        changed: Changed,
        places: Sequence[Tensor],
        module: nn.Module | None,
    ) -> None:
        self._capturer = capturer
        self._work = work
        self._changed = changed
        self._places = places
        self._module = module
        self._result: Tensor | None = None

    def obstacle(self, inputs: Sequence[Tensor]) -> str | None:
        """Return what is against replaying it; None if nothing is."""
        before = {each: each.detach().clone() for each in self._changed()}
        attributes = None if self._module is None else Attributes(self._module)
        with random_numbers_of(random_states(), goes_on=False):
            try:
                return self._obstacle(inputs, before)
            finally:
                self._put_back(before)
                if attributes is not None:
                    attributes.put_back()

    def _obstacle(self, inputs: Sequence[Tensor], before: dict[Tensor, Tensor]) -> str | None:
        start = random_states()
        try:
            with self._capturer.without_waits(), self._capturer.aside():
                for _ in range(WARM_UP_STEPS):
                    self._work(*inputs)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            return f"it waits for the GPU, or fails ({_line(error)})"
        drawn = {name for name, each in random_states().items() if each != start[name]}
        if drawn - {self._capturer.generator}:
            return "it draws random numbers on the CPU"
        if set(before) - set(self._changed()):
            return "it puts other tensors in the place of its buffers"
        if name := self._changing(inputs):
            return f"it changes an attribute, {name}, in Python"
        # Neither round finds its inputs in place from the one before, or from the capture.
        pairs = zip(self._places, inputs, strict=True)
        other = [place.clone().copy_(each.flip(-1)) for place, each in pairs]
        rounds = [inputs, other, inputs]
        self._put_back(before)
        expected = self._outcome(self._work, rounds, start)
        self._put_back(before)
        try:
            fill(self._places, other)
            replay = self._capturer.capture(self._captured)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            return uncaptured(error)

        def replayed(*given: Tensor) -> Tensor | None:
            fill(self._places, given)
            replay()
            return self._result

        found = self._outcome(replayed, rounds, start)
        if _are_identical(expected, found):
            return None
        self._put_back(before)
        again = self._outcome(self._work, rounds, start)
        return NOT_IDENTICAL if _are_identical(expected, again) else NOT_REPEATABLE

    def _changing(self, inputs: Sequence[Tensor]) -> str | None:
        """Return the name of an attribute that the work changes each time, if there is one."""
        if self._module is None:
            return None
        # By now it has what it makes once.
        attributes = Attributes(self._module)
        self._work(*inputs)
        return attributes.changed()

    def _captured(self) -> None:
        self._result = self._work(*self._places)

    def _outcome(
        self, play: Work, rounds: Iterable[Sequence[Tensor]], start: RandomStates
    ) -> Outcome:
        with random_numbers_of(start, goes_on=False):
            results = [copied(play(*each)) for each in rounds]
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


def copied(result: Tensor | None) -> Tensor | None:
    """Return a copy: the next replay writes to the same place."""
    return None if result is None else result.detach().clone()


def fill(places: Sequence[Tensor], inputs: Sequence[Tensor]) -> None:
    """Put inputs where a graph reads them."""
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


def uncaptured(error: Exception) -> str:
    """Return what an error of a capture means."""
    return f"it cannot be captured ({_line(error)})"


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
