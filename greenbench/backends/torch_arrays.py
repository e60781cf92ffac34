"""Tensors as arrays of bytes and back, so that they are kept without pickle."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def to_bytes(tensor: torch.Tensor) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Return the content of a tensor, and what is known of it besides, JSON-ready.

    Parameters
    ----------
    tensor : torch.Tensor
        A tensor or a parameter, dense, on any device.

    Raises
    ------
    TypeError
        If it is of another kind: sparse, quantised, or of somebody's own class.
    """
    is_plain = type(tensor) in (torch.Tensor, torch.nn.Parameter)
    if not is_plain or tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
        raise TypeError(f"{_kind(tensor)} {type(tensor).__name__}".strip())
    with torch.no_grad():
        # In the order of its memory, which layers may depend on for their speed.
        order = sorted(range(tensor.dim()), key=tensor.stride().__getitem__, reverse=True)
        dense = tensor.detach().resolve_conj().resolve_neg().permute(order).cpu().contiguous()
        # A copy: training goes on in the same memory.
        content = dense.reshape(-1).view(torch.uint8).numpy().copy()
    return content, {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(dense.shape),
        "order": order,
        "device": str(tensor.device),
        "requires_grad": tensor.requires_grad,
        "is_parameter": isinstance(tensor, torch.nn.Parameter),
    }


def to_tensor(content: NDArray[np.uint8], about: dict[str, Any]) -> torch.Tensor:
    """Return the tensor that `to_bytes` told of.

    Raises
    ------
    ValueError
        If it is none that `to_bytes` tells.
    """
    dtype = getattr(torch, about["dtype"], None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"no type of numbers is called {about['dtype']!r}")
    shape, order = tuple(about["shape"]), about["order"]
    if content.dtype != np.uint8 or content.size != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{content.size} bytes are no tensor of {shape}")
    back = [order.index(axis) for axis in range(len(order))]
    flat = torch.from_numpy(content).view(dtype) if content.size else torch.empty(0, dtype=dtype)
    found = flat.reshape(shape).permute(back).to(about["device"])
    if about["is_parameter"]:
        return torch.nn.Parameter(found, requires_grad=about["requires_grad"])
    return found.requires_grad_(about["requires_grad"])


def _kind(tensor: torch.Tensor) -> str:
    if tensor.is_quantized:
        return "quantised"
    return "" if tensor.layout is torch.strided else "sparse"
