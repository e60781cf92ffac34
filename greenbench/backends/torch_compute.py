"""How the torch backend computes: precision, memory layout, work replayed as CUDA graphs."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch

from greenbench.backends.known import check_options, option_error
from greenbench.cases import Scalar
from greenbench.cases.case import AUTO

_refusal = partial(option_error, "torch")
_AUTOCAST = ("bfloat16", "float16")
_TF32_SINCE = (8, 0)
"""Compute capability of the first GPUs that round products to TF32."""


@dataclass(frozen=True)
class Compute:
    """The options of the torch backend.

    Attributes
    ----------
    precision : str
        Type of products and convolutions; weights, and what adds many numbers up, stay float32.
        ``"tf32"`` is float32 whose products a GPU rounds to TF32.
    channels_last : bool
        Whether images and weights have their channels last in memory.
    cuda_graphs : bool or str
        Whether a step is captured once and replayed, and so evaluation;
        ``"auto"`` does so where it changes no bit.
    """

    precision: str = "float32"
    channels_last: bool = False
    cuda_graphs: bool | str = AUTO

    @property
    def memory_format(self) -> torch.memory_format:
        """Return the layout of images, and of the weights that see them."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    @property
    def obstacle(self) -> str | None:
        """Return what is known to be against replaying a training step."""
        if self.precision != "float16":
            return None
        return "whether float16 leaves it out, the CPU reads back"

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """Return the context of forward passes."""
        if self.precision not in _AUTOCAST:
            return nullcontext()
        return torch.autocast(device.type, getattr(torch, self.precision))

    @contextmanager
    def rounding(self) -> Iterator[None]:
        """Round products of float32 as is asked for, backward passes included."""
        if self.precision != "tf32":
            yield
            return
        owners: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
        before = [owner.allow_tf32 for owner in owners]
        try:
            for owner in owners:
                owner.allow_tf32 = True
            yield
        finally:
            for owner, value in zip(owners, before, strict=True):
                owner.allow_tf32 = value

    def scaler(self, device: torch.device) -> torch.amp.GradScaler:
        """Return what keeps small gradients above zero; only float16 needs it."""
        return torch.amp.GradScaler(device.type, enabled=self.precision == "float16")


def read_options(options: Mapping[str, Scalar], device: torch.device, *, captures: bool) -> Compute:
    """Return the options of a request, checked.

    Parameters
    ----------
    options : mapping of str to scalar
        As they are asked for.
    device : torch.device
        Where it computes.
    captures : bool
        Whether graphs can be captured there.

    Raises
    ------
    ConfigurationError
        If a name or a value is unknown, or the device does not have it.
    """
    check_options("torch", options)
    compute = Compute(**cast("dict[str, Any]", dict(options)))
    if compute.cuda_graphs is True and not captures:
        raise _refusal("cuda_graphs", True, "auto or false without a CUDA GPU")
    if device.type != "cuda" and compute.precision in {"tf32", "float16"}:
        expected = "float32 or bfloat16 without a CUDA GPU"
        raise _refusal("precision", compute.precision, expected)
    if compute.precision == "tf32" and not _has_tf32(device):
        raise _refusal("precision", "tf32", "float32 on a GPU of AMD, or older than Ampere")
    if compute.cuda_graphs is True and compute.precision == "float16":
        # Whether the scaler leaves a step out, the CPU would have to read back.
        expected = "auto or false with precision float16; or take bfloat16"
        raise _refusal("cuda_graphs", True, expected)
    return compute


def choices() -> list[dict[str, Scalar]]:
    """Return the options that are worth a try on this machine; first what is compared to."""
    has_gpu = torch.cuda.is_available()
    rounds = has_gpu and _has_tf32()
    precisions = ["float32", *(["tf32"] if rounds else []), "bfloat16"]
    tries: list[dict[str, Scalar]] = [
        {
            **({} if precision == "float32" else {"precision": precision}),
            **({"channels_last": True} if last else {}),
        }
        for precision in precisions
        for last in (False, True)
    ]
    return [{"cuda_graphs": False}, *tries] if has_gpu else tries


def _has_tf32(device: torch.device | None = None) -> bool:
    # AMD's count otherwise: with most of them, torch would compute in float32 and say nothing.
    return not torch.version.hip and torch.cuda.get_device_capability(device) >= _TF32_SINCE


def make_reproducible() -> None:
    """Let equal seeds give equal results on a GPU, and float32 be float32.

    Algorithms are neither chosen by trial nor out of those that add in any order, and products
    of float32 are not rounded to TF32. Has no effect on a CPU.
    """
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
