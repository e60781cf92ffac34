"""What fits into a GPU's memory, worked out from what one lane and two lanes take."""

from collections.abc import Callable

import torch

SHARE = 0.8
"""Of free memory that is planned with: caches are not packed without gaps."""


def lanes_that_fit(train: Callable[[int], object], device: torch.device, most: int) -> int:
    """Return how many lanes fit.

    Parameters
    ----------
    train : callable
        Builds, trains and evaluates so many lanes, and forgets them.
    device : torch.device
        A CUDA GPU.
    most : int
        An upper limit.
    """
    one, two = (_peak_bytes(train, lanes, device) for lanes in (1, 2))
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    return count_lanes(free, one, two, most)


def count_lanes(free: int, one: int, two: int, most: int) -> int:
    """Return how many lanes fit, if each further one takes what the second did.

    Parameters
    ----------
    free : int
        Bytes that nobody uses.
    one, two : int
        Bytes that one and two lanes took.
    most : int
        An upper limit.

    Returns
    -------
    int
        1 to `most`.
    """
    each = max(two - one, 1)
    shared = max(one - each, 0)
    return max(1, min(most, (int(SHARE * free) - shared) // each))


def _peak_bytes(train: Callable[[int], object], lanes: int, device: torch.device) -> int:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    train(lanes)
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before
