"""Agreement: whether a knee is that of the sizes, or of the luck of a few repeats."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greenbench.compare.front import knee

N_RESAMPLES = 500
FEWEST_REPEATS = 2
LEAST_AGREEMENT = 0.8
"""Share of resamples that must have a knee for it to be named."""

Repeats = Sequence[tuple[float, float]]
Blocks = Sequence[Hashable | None]


def knee_agreement(
    found: int, samples: Sequence[Repeats], blocks: Sequence[Blocks]
) -> float | None:
    """Return the share of resamples whose knee is at one size.

    Repeats are drawn again, with replacement and seeded, within each size, and the knee is that of
    the medians of what was drawn. Where all sizes have the same blocks, these are drawn, for all
    sizes at once: what a block has in common sets no size apart.

    Parameters
    ----------
    found : int
        Where the knee of all repeats is.
    samples : sequence of sequence of (float, float)
        For each size, energy and gain of each repeat.
    blocks : sequence of sequence
        For each size, the block of each repeat; None for a repeat of none.

    Returns
    -------
    float or None
        None if a size has fewer than two repeats: drawn again, they are the same.
    """
    if min(map(len, samples)) < FEWEST_REPEATS:
        return None
    drawn, times = np.unique(_resampled(samples, blocks), axis=0, return_counts=True)
    half = drawn.shape[1] // 2
    agrees = [knee(row[:half].tolist(), row[half:].tolist()) == found for row in drawn]
    return float(np.average(agrees, weights=times))


def _resampled(samples: Sequence[Repeats], blocks: Sequence[Blocks]) -> NDArray[np.float64]:
    """Return median energies, then median gains, of the sizes: a row a resample."""
    generator = np.random.default_rng(0)
    are_shared = _are_shared(blocks)
    sizes = [
        _ordered(*size) for size in zip(samples, blocks if are_shared else samples, strict=True)
    ]
    numbers: list[NDArray[np.int64]] = []
    for size in sizes:
        again = are_shared and numbers
        shape = (N_RESAMPLES, len(size))
        numbers.append(numbers[0] if again else generator.integers(len(size), size=shape))
    medians = [np.median(size[drawn], axis=1) for size, drawn in zip(sizes, numbers, strict=True)]
    return np.column_stack([median[:, column] for column in (0, 1) for median in medians])


def _ordered(size: Repeats, keys: Sequence[Any]) -> NDArray[np.float64]:
    """Return the repeats of a size in an order that does not depend on that of its rows."""
    order = sorted(range(len(keys)), key=lambda i: keys[i])
    return np.array([size[i] for i in order], dtype=float)


def _are_shared(blocks: Sequence[Blocks]) -> bool:
    first = set(blocks[0])
    return None not in first and all(len(own) == len(first) and set(own) == first for own in blocks)
