"""Which device torch computes on: one choice for all backends on torch, and what it is called."""

import os
from collections.abc import Mapping

import torch

NO_GPU = ("", "-1")
"""Values of ``CUDA_VISIBLE_DEVICES`` that ask for the CPU, on whatever machine."""


def choose_device(environment: Mapping[str, str] = os.environ) -> torch.device:
    """Return the GPU that torch has, else the CPU.

    AMD's GPUs (ROCm) are called ``cuda``, too. Where torch has a GPU of Apple (MPS) besides, an
    NVIDIA one is taken.

    Parameters
    ----------
    environment : mapping of str to str
        With ``CUDA_VISIBLE_DEVICES``, which CUDA and ROCm obey by themselves, and MPS does not.
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    wants_cpu = environment.get("CUDA_VISIBLE_DEVICES") in NO_GPU
    if torch.backends.mps.is_available() and not wants_cpu:
        return torch.device("mps")
    return torch.device("cpu")


def synchronize(device: torch.device) -> None:
    """Wait until a device has done all work; the CPU never runs ahead."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def name_of(device: torch.device) -> str:
    """Return the name of a device, and by what torch reaches it where that is not CUDA."""
    if device.type == "cuda":
        name = str(torch.cuda.get_device_name(device))
        return f"{name} (ROCm {torch.version.hip})" if torch.version.hip else name
    if device.type == "mps":
        # Older releases do not tell.
        get_name = getattr(torch.backends.mps, "get_name", None)
        return f"{get_name() if get_name else 'Apple GPU'} (MPS)"
    return device.type
