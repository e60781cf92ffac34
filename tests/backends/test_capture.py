"""How captures on a GPU are begun and ended: PyTorch's part is made up, and breaks as it does."""

import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch

from greenbench.backends.torch_capture import CudaCapturer


class MadeUpCuda:
    """What captures know of CUDA, as in releases that leave things open after a broken capture."""

    def __init__(self) -> None:
        self.current: object = "default"
        self.recording: list[object] = []
        self.pools = 0
        self.is_inside = False
        self.spoiled: set[object] = set()
        self.inference: list[bool] = []
        self.replayed: list[object] = []

    def install(self, patch: pytest.MonkeyPatch) -> None:
        made_up = self

        class Graph:
            def replay(self) -> None:
                made_up.replayed.append(self)

            def reset(self) -> None:
                pass

        class Capture:
            def __init__(self, graph: Graph, pool: object, stream: object) -> None:
                self._pool, self._stream, self._before = pool, stream, made_up.current

            def __enter__(self) -> None:
                made_up.current = self._stream
                if self._pool in made_up.recording or self._pool in made_up.spoiled:
                    raise RuntimeError("already recording to mempool_id")
                made_up.recording.append(self._pool)
                made_up.is_inside = True
                made_up.inference.append(torch.is_inference_mode_enabled())

            def __exit__(self, kind: Any, *rest: object) -> None:
                if made_up.current != self._stream:
                    raise RuntimeError("Capture must end on the same stream it began on.")
                if kind is not None:
                    raise RuntimeError("operation failed due to a previous error during capture")
                made_up.recording.remove(self._pool)
                made_up.is_inside = False
                made_up.current = self._before

        def end(index: int, pool: object) -> None:
            self.recording.remove(pool)

        def handle() -> object:
            self.pools += 1
            return 0, self.pools

        patch.setattr(torch.cuda, "CUDAGraph", Graph)
        patch.setattr(torch.cuda, "graph", Capture)
        patch.setattr(torch.cuda, "graph_pool_handle", handle)
        patch.setattr(torch.cuda, "current_stream", lambda device: self.current)
        patch.setattr(torch.cuda, "set_stream", lambda stream: setattr(self, "current", stream))
        patch.setattr(torch.cuda, "Stream", lambda device: "aside")
        patch.setattr(torch.cuda, "synchronize", lambda device: None)
        patch.setattr(torch.cuda, "current_device", lambda: 0)
        patch.setattr(torch._C, "_cuda_endAllocateToPool", end, raising=False)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> MadeUpCuda:
    made_up = MadeUpCuda()
    made_up.install(monkeypatch)
    return made_up


@pytest.fixture
def capturer(cuda: MadeUpCuda) -> CudaCapturer:
    return CudaCapturer(torch.device("cpu"))


def breaks() -> None:
    raise RuntimeError("operation not permitted when stream is capturing")


def test_captures_share_a_pool_and_leave_the_stream(
    cuda: MadeUpCuda, capturer: CudaCapturer
) -> None:
    for _ in range(3):
        capturer.capture(lambda: None)()
    assert (cuda.pools, cuda.current, len(cuda.replayed)) == (1, "default", 3)


@pytest.mark.parametrize("is_spoiled", [False, True])
def test_after_a_broken_capture_others_go_on(
    cuda: MadeUpCuda, capturer: CudaCapturer, is_spoiled: bool
) -> None:
    def spoils() -> None:
        if is_spoiled:
            cuda.spoiled.add((0, 1))
        breaks()

    capturer.capture(lambda: None)
    with pytest.raises(RuntimeError, match="previous error during capture"):
        capturer.capture(spoils)
    assert (cuda.current, cuda.is_inside, cuda.recording) == ("default", False, [])
    capturer.capture(lambda: None)()
    assert len(cuda.replayed) == 1


def test_what_breaks_first_of_all_is_mended_too(cuda: MadeUpCuda, capturer: CudaCapturer) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError):
            capturer.capture(breaks)
        assert not cuda.is_inside
    capturer.capture(lambda: None)


def test_work_that_leaves_the_stream_is_captured_to_its_end(
    cuda: MadeUpCuda, capturer: CudaCapturer
) -> None:
    capturer.capture(lambda: torch.cuda.set_stream("another"))  # type: ignore[arg-type]
    assert (cuda.current, cuda.is_inside) == ("default", False)


def test_first_graph_is_of_no_inference_mode_whoever_captures(
    cuda: MadeUpCuda, capturer: CudaCapturer
) -> None:
    with torch.inference_mode():
        capturer.capture(lambda: None)
    assert cuda.inference == [False, True]


@pytest.mark.parametrize("work", [lambda: None, breaks])
def test_nothing_is_collected_during_a_capture(
    cuda: MadeUpCuda, capturer: CudaCapturer, work: Callable[[], None]
) -> None:
    seen = []

    def watched() -> None:
        seen.append(gc.isenabled())
        work()

    with suppress(RuntimeError):
        capturer.capture(watched)
    assert (seen, gc.isenabled()) == ([False], True)


@pytest.mark.parametrize(
    "work",
    [
        lambda: torch.ones(3).to("meta", non_blocking=True),
        lambda: torch.empty(3, device="meta").copy_(torch.ones(3), non_blocking=True),
    ],
)
def test_copies_from_the_cpu_are_found_and_the_mode_is_put_back(
    capturer: CudaCapturer, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]
) -> None:
    modes = ["warn"]
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: modes[-1])
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    with capturer.without_waits():
        torch.ones(3).to(torch.float64).copy_(torch.zeros(3))
        with pytest.raises(RuntimeError, match="CPU's memory"):
            work()
    assert modes == ["warn", "error", "warn"]
