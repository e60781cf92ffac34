"""Tapes that stand in for a GPU's captures: they capture and replay Python, or fail at it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class NoWaits(TorchDispatchMode):
    """Raises where a CPU would wait for a GPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("called a synchronizing CUDA operation\nand more lines")
        return func(*args, **(kwargs or {}))


class Tape:
    """Captures Python; counts captures, and how often they were replayed."""

    generator = "torch.manual_seed"

    def __init__(self) -> None:
        self.captures = 0
        self.replays = 0

    def aside(self) -> AbstractContextManager[None]:
        return nullcontext()

    def without_waits(self) -> AbstractContextManager[Any]:
        return NoWaits()

    def capture(self, work: Callable[[], object]) -> Callable[[], object]:
        self.captures += 1

        def replay() -> None:
            self.replays += 1
            work()

        return replay


class FullTape(Tape):
    """Has no memory for captures."""

    def capture(self, work: Callable[[], object]) -> Callable[[], object]:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nand more")


class TornTape(Tape):
    """Fails at each capture from a number on."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self._first = first

    def capture(self, work: Callable[[], object]) -> Callable[[], object]:
        replay = super().capture(work)
        if self.captures >= self._first:
            # As one that breaks in its middle: numbers were drawn, and nothing was computed.
            torch.rand(3)
            raise RuntimeError("operation not permitted when stream is capturing\nCUDA kernel …")
        return replay


class WornTape(Tape):
    """Leaves every second replay out."""

    def capture(self, work: Callable[[], object]) -> Callable[[], object]:
        play = super().capture(work)
        return lambda: (
            play() if self.replays % 2 == 0 else setattr(self, "replays", self.replays + 1)
        )
