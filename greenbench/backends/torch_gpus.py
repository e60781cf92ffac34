"""Which GPU a torch device is, for those who read the counters of the machine."""

from collections.abc import Sequence

import torch


def gpu_uuids(device: torch.device, count: int = 1) -> Sequence[str] | None:
    """Return the UUID of a device: none of a CPU; None of one that NVIDIA did not make.

    Of more than one device, they are those of the first `count`.
    """
    if device.type == "cpu":
        return ()
    if device.type != "cuda" or torch.version.hip:
        return None
    # PyTorch counts as CUDA does, whichever order and choice CUDA was given.
    devices = [device] if count == 1 else [torch.device("cuda", each) for each in range(count)]
    found = [getattr(torch.cuda.get_device_properties(each), "uuid", None) for each in devices]
    return None if None in found else tuple(map(str, found))
