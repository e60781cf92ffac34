"""How the torch backend computes: precision, memory layout, steps replayed as a CUDA graph."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from greenbench.cases import Scalar
from greenbench.errors import ConfigurationError

WARM_UP_STEPS = 3
_EXPECTED: Mapping[str, tuple[Scalar, ...]] = {
    "precision": ("float32", "bfloat16", "float16"),
    "channels_last": (True, False),
    "cuda_graphs": (True, False),
}


@dataclass(frozen=True)
class Compute:
    """The options of the torch backend.

    Attributes
    ----------
    precision : str
        Type of products and convolutions; weights, and what adds many numbers up, stay float32.
    channels_last : bool
        Whether images and weights have their channels last in memory.
    cuda_graphs : bool
        Whether a step on a full batch is captured once and replayed.
    """

    precision: str = "float32"
    channels_last: bool = False
    cuda_graphs: bool = False

    @property
    def memory_format(self) -> torch.memory_format:
        """Return the layout of images, and of the weights that see them."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Return the context of forward passes."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(device.type, getattr(torch, self.precision))

    def scaler(self, device: torch.device) -> torch.amp.GradScaler:
        """Return what keeps small gradients above zero; only float16 needs it."""
        return torch.amp.GradScaler(device.type, enabled=self.precision == "float16")


def read_options(options: Mapping[str, Scalar], device: torch.device) -> Compute:
    """Return the options of a request, checked.

    Raises
    ------
    ConfigurationError
        If a name or a value is unknown, or the device does not have it.
    """
    for name, value in options.items():
        if name not in _EXPECTED:
            raise ConfigurationError(
                f"backend 'torch' has no option {name!r} (given: {value!r}); "
                f"expected one of: {', '.join(_EXPECTED)}"
            )
        # 1 is equal to True, but is not what was asked for.
        if not any(type(value) is type(known) and value == known for known in _EXPECTED[name]):
            raise _refusal(name, value, " or ".join(map(_shown, _EXPECTED[name])))
    compute = Compute(**cast("dict[str, Any]", dict(options)))
    if device.type != "cuda" and compute.cuda_graphs:
        raise _refusal("cuda_graphs", True, "false without a CUDA GPU")
    if device.type != "cuda" and compute.precision == "float16":
        raise _refusal("precision", "float16", "float32 or bfloat16 without a CUDA GPU")
    if compute.cuda_graphs and compute.precision == "float16":
        # Whether the scaler leaves a step out, the CPU would have to read back.
        raise _refusal("cuda_graphs", True, "false with precision float16; or take bfloat16")
    return compute


def _refusal(name: str, value: Scalar, expected: str) -> ConfigurationError:
    return ConfigurationError(f"backend 'torch': {name} is {_shown(value)}; expected {expected}")


def _shown(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def make_reproducible() -> None:
    """Let equal seeds give equal results on a GPU, and float32 be float32.

    Algorithms are neither chosen by trial nor out of those that add in any order, and products
    of float32 are not rounded to TF32. Has no effect on a CPU.
    """
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


class GraphedStep:
    """A training step that is captured at its first full batch, and replayed from then on.

    After `CUDA graphs <https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs>`_:
    warm-up on a side stream, then whole-network capture. Dropout draws new numbers at each
    replay, because PyTorch registers the device's generator with a graph.

    Parameters
    ----------
    batch_size : int
        Samples of a full batch; others are trained without the graph.
    device : torch.device
        A GPU.
    """

    def __init__(self, batch_size: int, device: torch.device) -> None:
        self._batch = torch.zeros(batch_size, dtype=torch.int64, device=device)
        self._device = device
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(
        self,
        batch: Tensor,
        step: Callable[[Tensor], None],
        changed: Callable[[], Iterable[Tensor]],
    ) -> None:
        """Train on a batch.

        Parameters
        ----------
        batch : Tensor
            Indices of the samples.
        step : callable
            Trains on such a batch. All tensors that it leaves behind stay where they are, and
            it never waits for the device.
        changed : callable
            Returns those tensors; what a step creates, it creates as zeros.
        """
        if len(batch) != len(self._batch):
            step(batch)
            return
        self._batch.copy_(batch)
        if self._graph is None:
            self._warm_up(step, changed)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                step(self._batch)
        self._graph.replay()

    @torch.no_grad()
    def _warm_up(
        self, step: Callable[[Tensor], None], changed: Callable[[], Iterable[Tensor]]
    ) -> None:
        """Train a few steps, and take them back."""
        before = {tensor: tensor.clone() for tensor in changed()}
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with (
            torch.enable_grad(),
            torch.random.fork_rng([self._device]),
            torch.cuda.stream(stream),
        ):
            for _ in range(WARM_UP_STEPS):
                step(self._batch)
        torch.cuda.current_stream(self._device).wait_stream(stream)
        for tensor in changed():
            if tensor in before:
                tensor.copy_(before[tensor])
            else:
                tensor.zero_()
