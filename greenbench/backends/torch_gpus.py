"""Which GPU a torch device is, for those who read the counters of the machine."""

from collections.abc import Sequence

import torch


def gpu_uuids(device: torch.device) -> Sequence[str] | None:
    """Return the UUID of a device: none of a CPU; None of one that NVIDIA did not make."""
    if device.type == "cpu":
        return ()
    if device.type != "cuda" or torch.version.hip:
        return None
    # PyTorch counts as CUDA does, whichever order and choice CUDA was given.
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return None if uuid is None else (str(uuid),)
