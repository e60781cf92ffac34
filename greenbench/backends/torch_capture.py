"""Captures of a CUDA GPU's work, and what else may capture."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor


class Capturer(Protocol):
    """What captures work on a device; a test has one that needs no GPU.

    Attributes
    ----------
    generator : str
        Whose numbers replays draw anew, by the name of its `Setting`.
    """

    generator: str

    def aside(self) -> AbstractContextManager[None]:
        """Return where work is done before it is captured."""

    def without_waits(self) -> AbstractContextManager[None]:
        """Return where whoever waits for the device raises RuntimeError."""

    def capture(self, work: Callable[[], object]) -> Callable[[], object]:
        """Return what replays `work`, which is not done; after an error all is as before."""


class CudaCapturer:
    """Captures on a CUDA GPU, after `CUDA graphs
    <https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs>`_.

    All graphs share a stream, whose workspaces are there before the first capture, and a pool of
    memory: they are replayed one at a time, and none reads what another has left in it. So paused
    trials and spare models cost no memory but that of their state.

    Parameters
    ----------
    device : torch.device
        The GPU.
    """  # noqa: D205

    generator = "torch.cuda.manual_seed"

    def __init__(self, device: torch.device) -> None:
        self._device = device

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Work on the stream of the captures."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            current.wait_stream(self._stream)

    @contextmanager
    def without_waits(self) -> Iterator[None]:
        """Let PyTorch raise where the CPU would wait for the GPU."""
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings():
            # Of its being a prototype, which finds most waits; what it misses breaks the capture.
            warnings.simplefilter("ignore")
            torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)

    def capture(self, work: Callable[[], object]) -> Callable[[], object]:
        """Capture whole work, backward passes and updates included."""
        return self._captured(work, self._pool).replay

    def _captured(self, work: Callable[[], object], pool: Any) -> torch.cuda.CUDAGraph:
        current = torch.cuda.current_stream(self._device)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=pool, stream=self._stream):
                work()
        except BaseException:
            # A capture that broke leaves its stream, and the generator inside it.
            torch.cuda.set_stream(current)
            self._free_generator()
            raise
        return graph

    @cached_property
    def _stream(self) -> Any:
        return torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    @cached_property
    def _anchor(self) -> tuple[torch.cuda.CUDAGraph, Any, Tensor]:
        # A pool ends with the last of its graphs and is not taken up again: one stays.
        pool, nothing = torch.cuda.graph_pool_handle(), torch.zeros(1, device=self._device)
        return self._captured(lambda: nothing.add_(1), pool), pool, nothing

    @property
    def _pool(self) -> Any:
        return self._anchor[1]

    def _free_generator(self) -> None:
        with suppress(Exception):
            torch.cuda.synchronize(self._device)
        try:
            torch.empty(1, device=self._device).uniform_()
        except RuntimeError:
            # It believes that it is captured still; a copy of its state does not.
            with suppress(Exception):
                index = self._device.index
                index = torch.cuda.current_device() if index is None else index
                generator = torch.cuda.default_generators[index]
                generator.graphsafe_set_state(generator.clone_state())
