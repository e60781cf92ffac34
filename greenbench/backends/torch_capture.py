"""Captures of a CUDA GPU's work, and what else may capture."""

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


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


class _Watching:
    # In a base class, for which PyTorch's compiler is not imported: see `torch_flops._Counting`.

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        sources = {torch.ops.aten._to_copy.default: 0, torch.ops.aten.copy_.default: 1}
        if func in sources:
            source = args[sources[func]]
            if source.device.type == "cpu" and result.device.type != "cpu":
                raise RuntimeError("it copies from the CPU's memory to the device")
        return result


class RefusedCopies(_Watching, TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Raises where what is in the CPU's memory is copied to the device.

    One that waits for nothing is captured, and each replay reads what has become of that memory.
    """


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
        self._anchor: tuple[torch.cuda.CUDAGraph, Any, Tensor] | None = None

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
            with RefusedCopies():  # type: ignore[no-untyped-call]
                yield
        finally:
            torch.cuda.set_sync_debug_mode(before)

    def capture(self, work: Callable[[], object]) -> Callable[[], object]:
        """Capture whole work, backward passes and updates included."""
        if self._anchor is None:
            self._anchor = self._anchored(torch.cuda.graph_pool_handle())
        graph, pool = torch.cuda.CUDAGraph(), self._anchor[1]
        try:
            self._record(graph, pool, work)
        except BaseException:
            self._mend(graph, pool)
            raise
        return graph.replay

    def _record(self, graph: torch.cuda.CUDAGraph, pool: Any, work: Callable[[], object]) -> None:
        current, collects = torch.cuda.current_stream(self._device), gc.isenabled()
        # What is collected meanwhile may free what must not be freed during a capture.
        gc.disable()
        try:
            with torch.cuda.graph(graph, pool=pool, stream=self._stream):
                try:
                    work()
                finally:
                    # On another stream, the capture could not even be ended.
                    torch.cuda.set_stream(self._stream)
        except BaseException:
            # Some releases leave the stream of a capture that broke as the current one.
            torch.cuda.set_stream(current)
            raise
        finally:
            if collects:
                gc.enable()

    def _mend(self, graph: torch.cuda.CUDAGraph, pool: Any) -> None:
        """End what a capture that broke leaves open.

        Up to PyTorch 2.13 that is its pool, into which nothing could be captured any more, and
        the generator, which would refuse all random numbers, and all replays, as inside a capture.
        """
        index = self._device.index
        with suppress(Exception):
            torch.cuda.synchronize(self._device)
        with suppress(Exception):
            graph.reset()
        with suppress(Exception):
            # Raises where that was done.
            index = torch.cuda.current_device() if index is None else index
            torch._C._cuda_endAllocateToPool(index, pool)
        # A whole capture takes the generator out of the broken one, and shows whether the pool
        # is fit for use. The former anchor lives until then.
        for each in (pool, torch.cuda.graph_pool_handle()):
            with suppress(Exception):
                self._anchor = self._anchored(each)
                return
        self._anchor = None

    def _anchored(self, pool: Any) -> tuple[torch.cuda.CUDAGraph, Any, Tensor]:
        """Return a graph that keeps its pool, which ends with the last of its graphs."""
        # The first graph creates tensors for all others, which may not be bound to that mode.
        with torch.inference_mode(mode=False):
            graph, nothing = torch.cuda.CUDAGraph(), torch.zeros(1, device=self._device)
            self._record(graph, pool, lambda: nothing.add_(1))
        return graph, pool, nothing

    @cached_property
    def _stream(self) -> Any:
        return torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
